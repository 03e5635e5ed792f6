package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Unmovable says why the plugin cannot go on with another release, if it cannot: a durable process could not take its state along.
//
// What counts is what is stored and who wrote it, not what runs. A state that another release wrote is handed on as when its process
// moves, from a guest that resumes it to one of the other release, both apart from all others; keep is as for [Renew]. So
// nobody waits for a process that is busy. Some are tried at a time, and none any more when ctx ends: what was not tried is no hindrance,
// nor is what cannot be read, in whatever version. Topics can do without their handlers for a while.
func (h *Home) Unmovable(ctx context.Context, to *release.Release, keep bool, atATime int) error {
	run := h.durableNames()
	if h.Node.Keeper == nil || !to.AnyDurable() && len(run) == 0 {
		return nil
	}
	keeper, err := h.Node.Keeper()
	if err != nil {
		return h.unmovableUnread(run, to)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var tries sync.WaitGroup
	room := make(chan struct{}, atATime)
	for a, failure := range keeper.Actors(ctx, h.App.Name(), durable.Process) {
		if err = failure; err != nil || ctx.Err() != nil {
			break
		}
		if !slices.Contains(run, a.Name) && !to.Durable(durable.Process, a.Name) {
			continue
		}
		room <- struct{}{}
		tries.Go(func() {
			defer func() { <-room }()
			if refused := h.tryMove(ctx, keeper, a, to, keep); refused != nil {
				stop(refused)
			}
		})
	}
	tries.Wait()
	if refused := context.Cause(ctx); errors.Is(refused, channels.ErrUnmoved) {
		return refused
	}
	if err != nil && ctx.Err() == nil {
		return h.unmovableUnread(run, to)
	}
	return nil
}

// durableNames are the names of the durable processes that run, in order.
func (h *Home) durableNames() (names []string) {
	h.EachWorker(func(_ *supervisor.Process, w *Worker) {
		if w.durable.Load() {
			names = append(names, w.name)
		}
	})
	slices.Sort(names)
	return names
}

// unmovableUnread is Unmovable while nothing that is stored can be read: whatever runs is taken for stored.
func (h *Home) unmovableUnread(run []string, to *release.Release) error {
	if from := h.App.Release(); len(run) > 0 && !(from.Exports && to.Exports) {
		return h.unmoved(run[0], bothNeeded(from, to))
	}
	return nil
}

// tryMove tries how the state of a process would move, if another release than to wrote it, and says why it would not.
func (h *Home) tryMove(ctx context.Context, keeper durable.Keeper, a durable.Actor, to *release.Release, keep bool) error {
	state, err := keeper.Load(ctx, a)
	if err != nil {
		return nil
	}
	use := durable.Use{Version: state.Version, Snapshot: state.Snapshot}
	was, err := parseHeld(state.Held)
	if err != nil || use == to.Use || was.Begun { // which can begin again
		return nil
	}
	of, err := h.App.ReleaseOf(ctx, use)
	if err != nil {
		return nil
	}
	if !of.Exports || !to.Exports {
		return h.unmoved(a.Name, bothNeeded(of, to))
	}
	old, err := of.Module.Resume("", &sandbox.Alone{}, state.Guest)
	if err != nil {
		return nil
	}
	defer old.Close()
	var next *sandbox.Instance
	defer func() {
		if next != nil {
			next.Close()
		}
	}()
	move := channels.Handover{
		From: &of.Version, To: &to.Version, Name: was.Module, Again: true, Keep: keep,
		Members: func() string { return string(abi.AppendField(abi.AppendField(nil, "#1"), was.Args)) },
	}
	failure := move.Try(
		func() (channels.Ask, error) { return old.Handle, nil },
		func() (ask channels.Ask, err error) {
			if next, err = to.Module.Start("", &sandbox.Alone{}); err != nil {
				return nil, err
			}
			return func(e *abi.Event) ([]abi.Effect, error) { return checked(next, e, "") }, nil
		})
	if became, _ := move.Became(failure); !remains(became, keep) {
		line, _, _ := strings.Cut(failure.Error(), "\n")
		return h.unmoved(a.Name, fmt.Errorf("its state does not go over to the new version (or config): %s", printable([]byte(line))))
	}
	return nil
}

// unmoved says of a process that it could not take its state along, and what can be done.
func (h *Home) unmoved(name string, cause error) error {
	return fmt.Errorf("%w: process %s is durable, and %w; to give the state up: rtd state reset %s/process:%s",
		channels.ErrUnmoved, name, cause, h.App.Name(), name)
}

func bothNeeded(from, to *release.Release) error {
	return fmt.Errorf("its state moves only if both have Export and Import: the version (or config) that wrote it%s, the new one%s",
		has(from.Exports), has(to.Exports))
}

func has(exports bool) string {
	if exports {
		return " has them"
	}
	return " has not"
}
