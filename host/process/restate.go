package process

import (
	"context"
	"errors"
	"fmt"

	"rtd/host/durable"
	"rtd/sandbox"
	"rtd/supervisor"
)

// restatement has somebody change what is stored of a durable process between two of its events. The process then goes on with that.
type restatement struct {
	ctx     context.Context // of who waits for the outcome
	change  func() error
	outcome chan<- error // with room for one
}

// Dropped implements [supervisor.Dropper].
func (r restatement) Dropped() { r.outcome <- errNobodyHere }

// Restate changes what is stored of a durable process, by a function. One that runs calls it itself, between two events, and goes on with what is
// stored then; anew, if nothing is. If ctx ends before it came to that, nothing has changed.
func (h *Home) Restate(ctx context.Context, a durable.Actor, change func() error) error {
	if p := h.durableNamed(a.Name); p != nil {
		outcome := make(chan error, 1)
		if p.Post(restatement{ctx, change, outcome}) == nil {
			select {
			case err := <-outcome:
				if !errors.Is(err, errNobodyHere) {
					return err
				}
			case <-ctx.Done():
				return fmt.Errorf("the actor is busy, and nothing has changed unless it has come to that just now: %w", ctx.Err())
			}
		} // else it has ended
	}
	if err := change(); err != nil {
		return err
	}
	if p := h.durableNamed(a.Name); p != nil { // it has begun meanwhile, perhaps with what was stored before
		_ = p.Post(restatement{ctx, func() error { return nil }, make(chan error, 1)}) // or it ends
	}
	return nil
}

// CheckState says why no actor of the plugin could go on with a state, if that is so: what is stored with it is damaged, or the guest that is to
// resume it refuses. It is tried apart from all others.
func (h *Home) CheckState(ctx context.Context, s *durable.State) error {
	if err := CheckHeld(s.Held); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	of, err := h.App.ReleaseOf(ctx, durable.Use{Version: s.Version, Snapshot: s.Snapshot})
	if err != nil {
		return err
	}
	guest, err := of.Module.Resume("", &sandbox.Alone{}, s.Guest)
	if err != nil {
		return fmt.Errorf("resume it: %w", err)
	}
	guest.Close()
	return nil
}

// CheckHeld says whether what is stored of an actor besides its guest's memory is damaged.
func CheckHeld(held []byte) error {
	_, err := parseHeld(held)
	return err
}

// durableNamed returns the process that is the durable one of that name, or nil.
func (h *Home) durableNamed(name string) *supervisor.Process {
	if p := h.Names.Whereis(name); p != nil {
		if w, is := p.Actor().(*Worker); is && w.name == name && w.durable.Load() {
			return p
		}
	}
	return nil
}

// errRestated is why a guest does not go on whose state somebody has changed.
var errRestated = supervisor.ShutdownBecause("its stored state was changed")

// restate does what a message says, and begins again with what is stored then.
func (w *Worker) restate(p *supervisor.Process, r restatement) error {
	if err := r.ctx.Err(); err != nil { // nobody waits any more, and was told that nothing has happened
		r.outcome <- err
		return nil
	}
	var err error
	p.Block(func() { err = r.change() })
	r.outcome <- err
	if err != nil && !errors.Is(err, durable.ErrUnavailable) { // of which nobody knows whether it is stored
		return nil
	}
	old := w.body.Load()
	old.part(errRestated)
	return w.reload(old, errRestated)
}

// reload has a durable process go on with what is stored, as after a crash but in the same life. old is closed for a reason.
func (w *Worker) reload(old *body, reason error) error {
	w.body.Store(nil)
	old.Close(reason)
	old.process.TrapExit(false) // as at first
	return w.wake(old.process, w.home.App.After(old.release), nil, old.memory)
}

// forsake gives up what an actor had before it was loaded again, and has not now: names, and entries of presence.
func (b *body) forsake(was *memory) {
	for name := range was.names {
		if !b.memory.names[name] && b.home.Names.Whereis(name) == b.process {
			b.home.Names.Unregister(name)
		}
	}
	for k := range was.present {
		if _, still := b.memory.present[k]; !still {
			b.home.Node.Endpoint.Presence.Untrack(b.process.Actor(), k.topic, k.key)
		}
	}
}
