package supervisor

import (
	"errors"
	"fmt"
)

// Exit is the message that a process which traps exits gets instead of an exit
// signal.
type Exit struct {
	From   *Process
	Reason error
}

// Link binds p and q to each other: when one ends, the other gets an exit signal
// with the reason. The signal of a process that ended normally is ignored; any
// other ends the receiver too, with the same reason, as if by [Process.Stop]; a shutdown
// with a detail becomes another one with the same detail. A
// process that traps exits gets an [Exit] in either case. The end of a linked
// process that was killed is a crash like any other to those linked with it.
//
// If q has ended, p gets the signal at once, with [ErrNoProcess]. A link of a process
// with itself does nothing, and so does a second one between the same two. The link
// belongs to p: p gets its Exit, one for each link, past the mailbox's bound. If q has no
// room for its Exit, it ends with [ErrFull].
func (p *Process) Link(q *Process) {
	if p == q {
		return
	}
	if p.link(q) {
		p.endWithoutTurn()
	}
}

func (p *Process) link(q *Process) (endNow bool) {
	tp, tq := lockBoth(p, q)
	defer tp.unlock()
	defer tq.unlock()
	switch {
	case tp == nil:
		return false
	case tq == nil:
		return p.signalExit(tp, q, ErrNoProcess, noLimit)
	}
	put(&tp.links, q, true)
	if !tq.links[p] {
		put(&tq.links, p, false)
	}
	return false
}

// Unlink takes back a link, whoever made it. No exit signal by it comes after
// Unlink has returned, but an [Exit] may be in the mailbox already.
func (p *Process) Unlink(q *Process) {
	if p == q {
		return
	}
	if t := p.lockMadeTies(); t != nil {
		_, linked := t.links[q]
		t.unlock()
		if !linked {
			return // and no ties are made for it
		}
	}
	tp, tq := lockBoth(p, q)
	defer tp.unlock()
	defer tq.unlock()
	if tp != nil {
		delete(tp.links, q)
	}
	if tq != nil {
		delete(tq.links, p)
	}
}

// TrapExit says whether exit signals come as an [Exit] in the mailbox from now
// on, instead of ending the process. No process does at first.
func (p *Process) TrapExit(on bool) {
	if on {
		p.setTrap(trapAll)
	} else {
		p.setTrap(noTrap)
	}
}

func (p *Process) setTrap(how trap) {
	if t := p.lockTies(); t != nil {
		t.trap = how
		t.unlock()
	}
}

// Exit sends p an exit signal of from, as a link would, whether or not there is one.
// [Killed] as the reason, itself and not an error that wraps it, is a [Process.Kill],
// which cannot be trapped. [Normal] ends only a process that sends it to itself. A
// process that has ended or is in its Terminate takes no notice.
//
// The error is [ErrFull], if p traps exits and its mailbox has no room.
func (p *Process) Exit(from *Process, reason error) error {
	if reason == nil {
		reason = Shutdown
	}
	if reason == Killed {
		p.Kill()
		return nil
	}
	how := noTrap
	if t := p.lockMadeTies(); t != nil {
		how = t.trap
		t.unlock()
	}
	switch {
	case how == trapAll:
		if err := p.deliver(Exit{from, reason}, p.box.bound()); err == ErrFull {
			return err
		}
	case how == parentOnly && from != p.parent:
	case how == noTrap && from != p && errors.Is(reason, Normal):
	default:
		p.Stop(reason)
	}
	return nil
}

// linkEnded tells p of the end of from, with which it is or was linked.
func (p *Process) linkEnded(from *Process, reason error) {
	t := p.lockMadeTies()
	if t == nil {
		return
	}
	asked, linked := t.links[from]
	if !linked {
		t.unlock()
		return
	}
	delete(t.links, from)
	limit := p.box.bound()
	if asked {
		limit = noLimit
	}
	endNow := p.signalExit(t, from, passedOn(reason), limit)
	t.unlock()
	if endNow {
		p.endWithoutTurn()
	}
}

// signalExit gives p, whose ties are locked, an exit signal. If it is to end
// and cannot by itself, the caller ends it.
func (p *Process) signalExit(t *ties, from *Process, reason error, limit int) (endNow bool) {
	switch {
	case t.trap == trapAll:
		if err := p.deliver(Exit{from, reason}, limit); err != ErrFull {
			return false // a process that ends need not know
		}
		reason = fmt.Errorf("take exit signal of process %d: %w", from.pid, ErrFull)
	case t.trap == parentOnly && from != p.parent:
		return false
	case t.trap == noTrap && errors.Is(reason, Normal):
		return false
	}
	return p.ask(reason)
}

// killedByLink is [Killed] for processes that are linked with the killed one. In OTP kill
// becomes killed for them: a process that traps exits can take it, and passing it on by
// exit/2 does not kill.
var killedByLink = fmt.Errorf("%w", Killed)

// passedOn is a reason as linked processes get it. The identity of a reason has a meaning
// only for the process that was asked to end with it, and not for those linked with that
// process.
func passedOn(reason error) error {
	var o *orderly
	switch {
	case reason == Killed:
		return killedByLink
	case errors.As(reason, &o) && o.detail != "":
		return ShutdownBecause(o.detail)
	}
	return reason
}
