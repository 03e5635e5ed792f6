package supervisor

// turn runs the process on w until it waits, ends, or until is over; at least
// one step. again says that it has more to do.
func (p *Process) turn(w *runner, until int64) (again bool) {
	p.on = w
	m := p.box
	for first := true; ; first = false {
		now := int64(0)
		if !first {
			now = p.group.rt.now()
			w.breathe(now)
		}
		m.mu.Lock()
		p.running = false
		switch {
		case p.phase >= ended: // killed while its code ran
			p.running = true
			m.mu.Unlock()
			p.exit(Killed)
			return false
		case p.phase == unborn && p.stop != nil:
			p.endAndUnlock(p.stop)
			return false
		case p.phase == alive && p.stop == nil && m.queue.len() == 0:
			m.scheduled = false
			m.mu.Unlock()
			return false
		case now >= until:
			m.mu.Unlock()
			return true
		}
		if reason := p.stepAndUnlock(); reason != nil {
			p.exit(reason)
			return false
		}
	}
}

// stepAndUnlock takes the next step, of which there is one. It returns the reason to end.
func (p *Process) stepAndUnlock() (reason error) {
	m := p.box
	p.running = true
	if p.phase == unborn {
		p.phase = starting
		m.mu.Unlock()
		reason = guard(func() error { return p.actor.Init(p) })
		if reason == nil {
			p.hasStarted()
		}
		return reason
	}
	if reason = p.stop; reason != nil {
		m.mu.Unlock()
		return reason
	}
	msg := m.queue.pop()
	m.mu.Unlock()
	if s, ok := msg.(*signal); ok {
		if s.to != p {
			drop(s)
			return nil
		}
		msg = s.msg
	}
	return guard(func() error { return p.actor.Handle(p, msg) })
}

func (p *Process) hasStarted() {
	p.box.mu.Lock()
	var started func(error)
	if p.phase < ended {
		p.phase = alive
		started, p.started = p.started, nil
	}
	p.box.mu.Unlock()
	if started != nil {
		started(nil)
	}
}

// exit ends the process from inside. It may have been killed during its last
// step, or is during Terminate.
func (p *Process) exit(reason error) {
	p.box.mu.Lock()
	if p.phase >= ended {
		reason = Killed
	}
	p.box.mu.Unlock()

	if err := guard(func() error { p.actor.Terminate(p, reason); return nil }); err != nil {
		reason = err
	}

	p.box.mu.Lock()
	p.running = false
	if p.phase >= ended {
		p.box.releaseAndUnlock()
		return
	}
	p.endAndUnlock(reason)
}

// endWithoutTurn ends a process that was asked to end while it waited for the
// code of another, unless it got its turn meanwhile.
func (p *Process) endWithoutTurn() {
	p.box.mu.Lock()
	if p.phase >= ended || p.box.owner == p {
		p.box.mu.Unlock()
		return
	}
	p.endAndUnlock(p.stop)
}

// endAndUnlock marks the end and tells everybody who waits for it. By then the names of
// the process are free. A process whose code runs keeps its mailbox until that returns.
func (p *Process) endAndUnlock(reason error) {
	m := p.box
	started := p.started
	p.started = nil
	p.setStop(reason)
	p.phase = ended
	ties := p.ties.Swap(noTies)
	if ties != nil { // their lock comes before the mailbox's
		m.mu.Unlock()
		ties.release(p)
		m.mu.Lock()
	}
	p.phase = gone
	if p.waiters != nil && p.waiters.done != nil {
		close(p.waiters.done)
	}
	var dropped fifo[any]
	if p.ownsBox {
		dropped, m.closed, m.queue = m.queue, true, fifo[any]{}
	}
	switch {
	case m.next == p:
		m.next = nil
		m.mu.Unlock()
	case m.owner == p && !p.running:
		m.releaseAndUnlock()
	default:
		m.mu.Unlock()
	}

	p.group.processes.Add(-1)
	p.group.rt.processes.Add(-1)
	if started != nil {
		started(reason)
	}
	dropAll(dropped)
	if ties != nil {
		ties.tell(p, reason)
	}
	if p.parent != nil {
		p.parent.deliver(Exited{p, reason}, noLimit) // a parent that has ended need not know
	}
}
