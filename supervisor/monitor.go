package supervisor

// Down is the message that tells a process of the end of one that it monitors.
type Down struct {
	Ref     Ref
	Process *Process
	Reason  error // [ErrNoProcess] if it had ended before
}

// Monitor lets p get one [Down] when q ends; at once if it has. It goes past the
// mailbox's bound, one for each monitor. Every call makes a monitor of its own.
// One of p itself, or of a p that has ended, does nothing.
func (p *Process) Monitor(q *Process) Ref {
	ref := p.group.rt.NewRef()
	if p == q {
		return ref
	}
	tp, tq := lockBoth(p, q)
	defer tp.unlock()
	defer tq.unlock()
	switch {
	case tp == nil:
	case tq == nil:
		p.deliver(Down{ref, q, ErrNoProcess}, noLimit)
	default:
		put(&tp.monitors, ref, q)
		put(&tq.watchers, ref, p)
	}
	return ref
}

// Demonitor takes back a monitor. When it has returned no [Down] of it comes; one
// that waits in the mailbox is taken out, as by OTP's demonitor with flush.
func (p *Process) Demonitor(ref Ref) {
	tp := p.lockMadeTies()
	if tp == nil {
		return
	}
	q := tp.monitors[ref]
	if q == nil {
		// It has come, or it waits: Down is in the mailbox before the monitor is
		// gone, both under this lock.
		p.withdraw(ref)
		tp.unlock()
		return
	}
	delete(tp.monitors, ref)
	tp.unlock()
	if tq := q.lockMadeTies(); tq != nil {
		delete(tq.watchers, ref)
		tq.unlock()
	}
}

// watchedEnded is the end of q for p, which watches it, or did.
func (p *Process) watchedEnded(ref Ref, q *Process, reason error) {
	tp := p.lockMadeTies()
	if tp == nil {
		return
	}
	if tp.monitors[ref] != nil {
		delete(tp.monitors, ref)
		p.deliver(Down{ref, q, reason}, noLimit)
	}
	tp.unlock()
}

// withdraw takes the Down of a monitor out of the mailbox, if it is there.
func (p *Process) withdraw(ref Ref) {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	p.box.queue.removeLast(func(msg any) bool {
		s, ok := msg.(*signal)
		if !ok || s.to != p {
			return false
		}
		down, ok := s.msg.(Down)
		return ok && down.Ref == ref
	})
}
