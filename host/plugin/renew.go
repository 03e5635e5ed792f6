package plugin

import (
	"errors"
	"fmt"
	"sync"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// renewal asks a worker to move to the release that its plugin has for it now, as
// [channels.Channel.Renew] does a channel.
type renewal struct {
	keep bool // on its release, if its state cannot be taken over
	done func(channels.Renewal)
}

// Dropped implements [supervisor.Dropper]: the process has ended.
func (r renewal) Dropped() { r.done(channels.Unmoved) }

// renew moves the process to its next release, between two messages. With its state
// nothing else changes. Without it the process begins anew, with init, if it is one that
// would be started again after a crash; a task that is done once stays where it is.
func (w *worker) renew(p *supervisor.Process, r renewal) (err error) {
	became := channels.Unmoved
	defer func() { r.done(became) }() // also after a panic
	old := w.body.Load()
	next := w.plugin.next(old.release)
	if next == old.release {
		return nil
	}
	failure := errNoExport
	if old.release.exports && next.exports {
		if failure, err = w.migrate(p, old, next); failure == nil {
			became = channels.Migrated
			return err
		}
	}
	switch {
	case !supervisor.IsCrash(failure): // it was asked to end
		return failure
	case old.dead && !w.again:
		return failure
	case !old.dead && (r.keep || !w.again):
		became = channels.Stayed
		old.Release()
		return nil
	}
	became = channels.Replayed
	return w.begin(p, next, nil)
}

var (
	errNoExport = errors.New("one of the versions does not export its state")
	errNoState  = errors.New("the guest gave no state")
)

// migrate hands the guest's state to one of the next release. It returns why that could
// not be done; or else why the new guest ends its process, if it does. After a failure
// the old guest is as it was, or dead.
func (w *worker) migrate(p *supervisor.Process, old *body, next *release) (failure, stop error) {
	effects, err := w.ask(old, abi.Event{Kind: abi.EventExport, Name: w.module})
	if err != nil {
		w.died(old.release, err)
		return fmt.Errorf("export: %w", err), nil
	}
	state := stateIn(effects)
	if state == nil {
		return errNoState, nil
	}
	b, err := next.newBody(w.plugin, p, "", w.label())
	if err != nil {
		return fmt.Errorf("start guest: %w", err), nil
	}
	b.Adopt(old)
	effects, err = w.ask(b, abi.Event{
		Kind: abi.EventImport, Name: w.module, Payload: state.Payload, Detail: state.Name,
		Extra: string(abi.AppendField(abi.AppendField(nil, pidOf(p)), w.args)),
	})
	if err != nil {
		w.died(b.release, err)
		failure = fmt.Errorf("import: %w", err)
	} else {
		failure = refusal(effects)
	}
	if failure != nil {
		old.Adopt(b)
		b.Close(failure)
		return failure, nil
	}
	w.swap(b)
	defer old.Close(errReplaced)
	return nil, w.apply(b, effects)
}

// died reports a guest that crashed of the migration, while its process goes on.
func (w *worker) died(of *release, err error) {
	if supervisor.IsCrash(err) && !errors.Is(err, channels.ErrTooLarge) {
		w.plugin.crashed(w.label(), of, err, supervisor.Restarts, int(w.restarts.Load()))
	}
}

func stateIn(effects []abi.Effect) *abi.Effect {
	for i := range effects {
		if effects[i].Kind == abi.EffectState {
			return &effects[i]
		}
	}
	return nil
}

// refusal is why a guest does not take over a state, if it does not.
func refusal(effects []abi.Effect) error {
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectReply && e.Name != "ok" {
			return fmt.Errorf("import: answered %.20q with %.200q", e.Name, e.Payload)
		}
	}
	return nil
}

// processes are those of a plugin that are no channels.
type processes struct {
	mu  sync.Mutex
	all map[*supervisor.Process]struct{}
}

func (ps *processes) add(p *supervisor.Process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all == nil {
		ps.all = map[*supervisor.Process]struct{}{}
	}
	ps.all[p] = struct{}{}
}

func (ps *processes) remove(p *supervisor.Process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.all, p)
}

func (ps *processes) each(f func(*supervisor.Process)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p := range ps.all {
		f(p)
	}
}
