package process

import (
	"context"
	"errors"
	"fmt"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// renewal asks a worker to move to the release that its plugin has for it now, as
// [channels.Channel.Renew] does a channel.
type renewal struct {
	keep bool // on its release, if its state cannot be taken over
	done func(became channels.Renewal, lost error)
}

// Renew asks the process of a worker to move to the next release. With keep it stays as it is
// if its state cannot be taken over. done is called once, by the process or because it has
// ended.
func Renew(p *supervisor.Process, keep bool, done func(became channels.Renewal, lost error)) {
	r := renewal{keep, done}
	if p.Post(r) != nil {
		r.Dropped()
	}
}

// Dropped implements [supervisor.Dropper]: the process has ended.
func (r renewal) Dropped() { r.done(channels.Unmoved, nil) }

// renew moves the process to its next release, between two messages, by a
// [channels.Handover]. With its state nothing else changes. A process that is Replayed
// begins anew, with init.
func (w *Worker) renew(p *supervisor.Process, r renewal) (err error) {
	became, lost := channels.Unmoved, error(nil)
	defer func() { r.done(became, lost) }() // also after a panic
	old := w.body.Load()
	next := w.home.App.After(old.release)
	if next == old.release {
		return nil
	}
	move := w.handover(p, old.release, next, r.keep)
	b, effects, failure := move.Run(old,
		func() (channels.Guest, error) { return w.home.newBody(next, p, "") },
		func(g channels.Guest, e *abi.Event) ([]abi.Effect, error) {
			effects, err := w.ask(g.(*body), *e)
			if err != nil {
				w.died(g.(*body).release, err)
			}
			return effects, err
		})
	became, lost = move.Became(failure)
	if old.memory != nil && !remains(became, r.keep) {
		if stored, ok := old.goesOnWithout(next); ok {
			became, lost = channels.Replayed, nil
			return w.beginOver(p, next, stored)
		}
		became, lost = channels.Unmoved, fmt.Errorf("%w: %w", channels.ErrUnmoved, failure)
		w.runs(next) // its end is that one's fault
		w.home.refusals.note(w.name, lost)
		return lost
	}
	switch became {
	case channels.Migrated:
		w.swap(b.(*body))
		defer old.Close(channels.Replaced)
		return w.apply(b.(*body), effects)
	case channels.Replayed:
		var how abi.Flags
		if errors.Is(failure, channels.ErrStateless) {
			how = abi.Replay
		}
		return w.begin(p, next, nil, how)
	case channels.Stayed:
		old.Release()
		return nil
	}
	lost = nil // it ends: as it was asked to, or by a crash that is told as one
	return failure
}

// lastOf returns what is stored of a durable actor at the moment; nil: nothing. ok is false if that cannot be known.
func (b *body) lastOf() (state *durable.State, ok bool) {
	m := b.memory
	var err error
	b.process.Block(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		state, err = m.keeper.Load(ctx, m.actor)
	})
	if errors.Is(err, durable.ErrNone) {
		return nil, true
	}
	return state, err == nil
}

// goesOnWithout reports whether a durable process that cannot move to a release goes on there nevertheless, without what its guest
// remembers. What counts is what is stored: nothing, as its state was given up; a state of that release; or what its init has made, of
// which nothing is lost when it begins again.
func (b *body) goesOnWithout(next *release.Release) (stored *durable.State, ok bool) {
	stored, ok = b.lastOf()
	return stored, ok && (stored == nil || wrote(next, stored) || onlyBegun(stored))
}

// wrote reports whether a state is of a release.
func wrote(r *release.Release, s *durable.State) bool {
	return r.Use == durable.Use{Version: s.Version, Snapshot: s.Snapshot}
}

// onlyBegun reports whether a state is what the init of a process has made.
func onlyBegun(s *durable.State) bool {
	h, err := parseHeld(s.Held)
	return err == nil && h.Begun
}

// beginOver has a durable process begin another life in a release, as after a crash. What is stored of it is nothing, of that release, or
// replaced by what its init makes.
func (w *Worker) beginOver(p *supervisor.Process, next *release.Release, stored *durable.State) error {
	old := w.body.Load()
	last := old.memory
	old.Close(channels.Replaced)
	p.TrapExit(false) // as at first
	switch {
	case !next.Durable(durable.Process, w.name):
		w.durable.Store(false)
		return w.begin(p, next, nil, 0)
	case stored == nil || wrote(next, stored):
		return w.wake(p, next, nil, nil)
	}
	b, err := w.home.newBody(next, p, "")
	if err != nil {
		return err
	}
	b.memory = newMemory(last.keeper, last.actor, w)
	b.memory.born, b.memory.revision = stored.Born, stored.Revision
	return w.beginIn(b, p, nil, 0)
}

// remains reports whether a durable process or handler is still there after a move that has come to this. Nothing of it begins anew.
func remains(became channels.Renewal, keep bool) bool {
	return became == channels.Migrated || became == channels.Unmoved || became == channels.Stayed && keep
}

// handover is a move of the process between two releases. A task that is done once may not
// begin anew: it would not be started again after a crash, either.
func (w *Worker) handover(p *supervisor.Process, from, to *release.Release, keep bool) *channels.Handover {
	return &channels.Handover{
		From: &from.Version, To: &to.Version, Name: w.module,
		Members: func() string { return string(abi.AppendField(abi.AppendField(nil, pidOf(p)), w.args)) },
		Again:   w.again, Keep: keep,
	}
}

// runs notes the release whose guest the process has, or that is to blame for its having none.
func (w *Worker) runs(r *release.Release) {
	w.ran.Store(r)
	if w.id != "" {
		w.home.ran.Store(w.id, r)
	}
}

// died reports a guest that crashed of the move, while its process goes on.
func (w *Worker) died(of *release.Release, err error) {
	if supervisor.IsCrash(err) && !errors.Is(err, channels.ErrTooLarge) {
		w.home.App.Crashed(w.Label(), of, err, supervisor.Restarts, int(w.restarts.Load()))
	}
}
