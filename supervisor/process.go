package supervisor

import "runtime/debug"

// PID names a process for good: no other gets the same number.
type PID uint64

// Actor is the code of a process. Its methods are called one at a time.
type Actor interface {
	// Init runs first. An error ends the process with it as the reason.
	Init(p *Process) error
	// Handle takes one message. An error ends the process with it as the
	// reason; [Normal] and [Shutdown] end it without a crash.
	Handle(p *Process, msg any) error
	// Terminate runs last, for whatever reason, once Init was called.
	Terminate(p *Process, reason error)
}

// Killer is an Actor whose running method can be cut short. Kill is called from
// another goroutine, at most once for each process; the method may have just
// returned.
type Killer interface{ Kill() }

// Spec says what process to start.
type Spec struct {
	Actor Actor
	// Mailbox is adopted if given: it stays when the process ends, with what it
	// holds. It must not belong to a live process. Without one the process has
	// its own, of Limit messages (default 1,000), which ends with it.
	Mailbox *Mailbox
	Limit   int
	// Parent gets an [Exited] when the process ends.
	Parent *Process
	// Started, if given, is called once: with nil when Init has succeeded, or
	// with the exit reason of a process that ended before. It must not block.
	Started func(err error)
}

// Exited is the message that tells a parent of the end of a process that it
// spawned.
type Exited struct {
	Process *Process
	Reason  error
}

// Process is one life of an actor. Its methods may be called from any
// goroutine, those of its Actor's included, unless they say otherwise.
type Process struct {
	rt   *Runtime
	pid  PID
	spec Spec
	box  *Mailbox
	on   *worker // whose turn it has; only for the process's own code

	// Guarded by box.mu.
	phase   phase
	running bool          // its code is being run, or has to be after Kill
	stop    error         // why it was asked to end, or has ended
	asked   chan struct{} // closed when stop is set; made on demand
	done    chan struct{} // closed at the end; made on demand
}

type phase uint8

const (
	unborn   phase = iota // Init has not begun
	starting              // Init has not returned
	alive
	ended
)

// Spawn starts a process. It returns at once; Init runs on a scheduler.
func (rt *Runtime) Spawn(spec Spec) *Process {
	p := &Process{rt: rt, pid: PID(rt.lastPID.Add(1)), spec: spec, box: spec.Mailbox}
	if p.box == nil {
		p.box = NewMailbox(spec.Limit)
	}
	rt.live.Add(1)
	p.box.adopt(p)
	return p
}

// PID returns the process's number.
func (p *Process) PID() PID { return p.pid }

// Runtime returns the runtime that runs it.
func (p *Process) Runtime() *Runtime { return p.rt }

// Send is [Mailbox.Send]. After the process's end it fails with [ErrEnded],
// unless the mailbox was adopted: then the message waits for the next owner.
func (p *Process) Send(msg any) error { return p.box.Send(msg) }

// Post is [Mailbox.Post].
func (p *Process) Post(msg any) error { return p.box.Post(msg) }

// Stop asks the process to end with reason (nil: [Shutdown]) after the message
// at hand, ahead of those that wait. The first reason wins.
func (p *Process) Stop(reason error) {
	if reason == nil {
		reason = Shutdown
	}
	p.box.mu.Lock()
	if p.stop != nil {
		p.box.mu.Unlock()
		return
	}
	p.askAndUnlock(reason)
}

// Kill ends the process with reason [Killed], without waiting for its code: it
// counts as ended at once. Its Terminate follows when code of it that runs
// returns, and after that a next owner of its mailbox begins.
func (p *Process) Kill() {
	m := p.box
	m.mu.Lock()
	if p.phase == ended {
		m.mu.Unlock()
		return
	}
	if p.phase == unborn { // no code of it will run
		p.askAndUnlock(Killed)
		return
	}
	cut, wake := p.running, !m.scheduled
	p.running, m.scheduled = true, true // Terminate is to run
	p.endAndUnlock(Killed)
	if wake {
		p.rt.schedule(p)
	}
	if k, ok := p.spec.Actor.(Killer); ok && cut {
		k.Kill()
	}
}

// askAndUnlock lets the process end itself in its next turn.
func (p *Process) askAndUnlock(reason error) {
	if p.box.next == p { // there may never be a turn for it
		p.endAndUnlock(reason)
		return
	}
	if p.stop == nil && p.asked != nil {
		close(p.asked)
	}
	p.stop = reason
	p.box.wakeAndUnlock()
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return onDemand(&p.done, p.phase == ended)
}

// Stopping is closed when the process has been asked to end, or has ended. Code
// of a process that waits for something should wait for this as well.
func (p *Process) Stopping() <-chan struct{} {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return onDemand(&p.asked, p.stop != nil)
}

// onDemand makes *c if need be, so that a process costs no chan unless somebody
// waits for it.
func onDemand(c *chan struct{}, closed bool) <-chan struct{} {
	if *c == nil {
		*c = make(chan struct{})
		if closed {
			close(*c)
		}
	}
	return *c
}

// Reason returns why the process ended, or nil while it lives.
func (p *Process) Reason() error {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	if p.phase != ended {
		return nil
	}
	return p.stop
}

// stopReason returns why the process was asked to end, or has ended; or nil.
func (p *Process) stopReason() error {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return p.stop
}

// Block calls f, which may wait: the scheduler meanwhile serves other processes.
// Only for the process's own code.
func (p *Process) Block(f func()) {
	p.rt.mu.Lock()
	p.rt.handOver(p.on)
	p.rt.fillPlaces()
	p.rt.mu.Unlock()
	f()
}

// turn runs the process on w until it waits, ends, or until is over; at least
// one step. again says that it has more to do.
func (p *Process) turn(w *worker, until int64) (again bool) {
	p.on = w
	m := p.box
	for first := true; ; first = false {
		m.mu.Lock()
		p.running = false
		switch {
		case p.phase == ended: // killed while its code ran
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
		case !first && p.rt.now() >= until:
			m.mu.Unlock()
			return true
		}
		if reason := p.stepAndUnlock(); reason != nil {
			p.exit(reason)
			return false
		}
	}
}

// stepAndUnlock does the one next thing, of which there is one. It returns the
// reason to end.
func (p *Process) stepAndUnlock() (reason error) {
	m := p.box
	p.running = true
	if p.phase == unborn {
		p.phase = starting
		m.mu.Unlock()
		reason = p.guard(func() error { return p.spec.Actor.Init(p) })
		if reason == nil {
			p.started()
		}
		return reason
	}
	if reason = p.stop; reason != nil {
		m.mu.Unlock()
		return reason
	}
	msg := m.queue.pop()
	m.mu.Unlock()
	return p.guard(func() error { return p.spec.Actor.Handle(p, msg) })
}

func (p *Process) started() {
	p.box.mu.Lock()
	killed := p.phase == ended
	if !killed {
		p.phase = alive
	}
	p.box.mu.Unlock()
	if !killed && p.spec.Started != nil {
		p.spec.Started(nil)
	}
}

// exit ends the process from inside. It may have been killed during its last
// step, or is during Terminate.
func (p *Process) exit(reason error) {
	p.box.mu.Lock()
	if p.phase == ended {
		reason = Killed
	}
	p.box.mu.Unlock()

	if err := p.guard(func() error { p.spec.Actor.Terminate(p, reason); return nil }); err != nil {
		reason = err
	}

	p.box.mu.Lock()
	p.running = false
	if p.phase == ended {
		p.box.release()
		p.box.wakeAndUnlock()
		return
	}
	p.endAndUnlock(reason)
}

// endAndUnlock marks the end and tells those who wait for it. A process whose
// code runs keeps its mailbox until that returns.
func (p *Process) endAndUnlock(reason error) {
	m := p.box
	started := p.spec.Started
	if p.phase == alive {
		started = nil // was called
	}
	if p.stop == nil && p.asked != nil {
		close(p.asked)
	}
	if p.done != nil {
		close(p.done)
	}
	p.phase, p.stop = ended, reason
	if p.spec.Mailbox == nil {
		m.closed, m.queue = true, fifo[any]{}
	}
	switch {
	case m.next == p:
		m.next = nil
	case !p.running:
		m.release()
	}
	m.mu.Unlock()

	p.rt.live.Add(-1)
	if started != nil {
		started(reason)
	}
	if p.spec.Parent != nil {
		p.spec.Parent.Post(Exited{p, reason}) // a parent that has ended need not know
	}
}

// guard calls f and turns a panic into an exit reason.
func (p *Process) guard(f func() error) (reason error) {
	defer func() {
		if v := recover(); v != nil {
			reason = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}
