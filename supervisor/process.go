package supervisor

import (
	"sync/atomic"
	"time"
)

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
// returned. Code that calls [Process.Yield] or waits for [Process.Done] needs none.
type Killer interface{ Kill() }

// Spec says what process to start.
type Spec struct {
	Actor Actor
	// Mailbox is adopted if given: it stays when the process ends, with what it
	// holds. It must not belong to a live process. Without one the process has
	// its own, of Limit messages (default 1,000), which ends with it; see [Dropper].
	Mailbox *Mailbox
	Limit   int
	// Parent gets an [Exited] when the process ends.
	Parent *Process
	// Group has its turns. Default: the parent's group; without a parent one
	// that the runtime has for such processes.
	Group *Group
	// Started, if given, is called once: with nil when Init has succeeded, or
	// with the exit reason of a process that ended before. It must not block.
	Started func(err error)

	// after has ended, but its code may still run: Init waits for that, as it
	// would for the last owner of an adopted mailbox.
	after *Process
	// restarts is how many lives there were before, as its supervisor counts.
	restarts uint32
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
	group  *Group
	pid    PID
	actor  Actor
	parent *Process
	box    *Mailbox
	ties   atomic.Pointer[ties] // made on demand
	on     *runner              // whose turn it has; only for the process's own code

	restarts uint32
	stands   atomic.Uint32 // what for, within a turn; the queue is changed under rt.mu
	killed   atomic.Bool   // while its code ran; set under rt.mu
	ownsBox  bool          // the mailbox ends with it

	// Guarded by box.mu.
	phase   phase
	running bool        // its code is being run, or has to be after Kill
	started func(error) // Spec.Started, until it is called
	stop    error       // why it was asked to end, or has ended
	waiters *waiters    // nil if nobody waits, as for most
}

// waiters are those who wait for something of a process. The chans are made on demand.
type waiters struct {
	asked chan struct{} // closed when stop is set
	done  chan struct{} // closed at the end
}

type phase uint8

const (
	unborn   phase = iota // Init has not begun
	starting              // Init has not returned
	alive
	ended // its end is decided; its names and timers may be on their way out
	gone  // and Done is closed
)

// Spawn starts a process. It returns at once; Init runs on a scheduler.
func (rt *Runtime) Spawn(spec Spec) *Process {
	p := &Process{
		group:    rt.groupOf(spec),
		pid:      PID(rt.lastPID.Add(1)),
		actor:    spec.Actor,
		parent:   spec.Parent,
		box:      spec.Mailbox,
		started:  spec.Started,
		restarts: spec.restarts,
	}
	if p.box == nil {
		p.box, p.ownsBox = NewMailbox(spec.Limit), true
	}
	p.group.processes.Add(1)
	rt.processes.Add(1)
	if spec.after != nil {
		p.box.adoptAfter(p, spec.after)
	} else {
		p.box.adopt(p)
	}
	return p
}

// PID returns the process's number.
func (p *Process) PID() PID { return p.pid }

// Parent returns the process that is told of its end, or nil.
func (p *Process) Parent() *Process { return p.parent }

// Group returns the group whose turns it has.
func (p *Process) Group() *Group { return p.group }

// Actor returns the code of the process, by which callers tell processes apart. Only the
// runtime calls its methods.
func (p *Process) Actor() Actor { return p.actor }

// Runtime returns the runtime that runs it.
func (p *Process) Runtime() *Runtime { return p.group.rt }

// Send is [Mailbox.Send]. After the process's end it fails with [ErrEnded],
// unless the mailbox was adopted: then the message waits for the next owner.
func (p *Process) Send(msg any) error { return p.box.Send(msg) }

// Post is [Mailbox.Post].
func (p *Process) Post(msg any) error { return p.box.Post(msg) }

// Stop asks the process to end with reason (nil: [Shutdown]) after the message
// at hand, ahead of those that wait. The first reason wins. If its Init has not
// begun it never will.
func (p *Process) Stop(reason error) {
	if reason == nil {
		reason = Shutdown
	}
	if p.ask(reason) {
		p.endWithoutTurn()
	}
}

// ask is Stop. endNow says that the caller has to end the process, because it waits for
// the code of another and may never have a turn.
func (p *Process) ask(reason error) (endNow bool) {
	p.box.mu.Lock()
	if p.stop != nil {
		p.box.mu.Unlock()
		return false
	}
	return p.askAndUnlock(reason)
}

func (p *Process) askAndUnlock(reason error) (endNow bool) {
	p.setStop(reason)
	if p.box.owner != p {
		p.box.mu.Unlock()
		return true
	}
	p.box.wakeAndUnlock()
	return false
}

// Kill ends the process with reason [Killed], without waiting for its code: it
// counts as ended at once. Its Terminate follows when code of it that runs
// returns, as it should when [Process.Yield] is false or Done is closed, and after
// that a next owner of its mailbox begins. A process whose
// Init has not begun ends without it when its turn comes.
func (p *Process) Kill() {
	m := p.box
	m.mu.Lock()
	if p.phase >= ended {
		m.mu.Unlock()
		return
	}
	if p.phase == unborn { // no code of it will run
		if p.askAndUnlock(Killed) {
			p.endWithoutTurn()
		}
		return
	}
	cut, wake := p.running, !m.scheduled
	p.running, m.scheduled = true, true // Terminate is to run
	p.endAndUnlock(Killed)
	if wake {
		p.group.rt.schedule(p)
	}
	if !cut {
		return
	}
	if k, ok := p.actor.(Killer); ok {
		k.Kill()
	}
	p.group.rt.hurry(p)
}

// killLate kills a process that was asked to end, and has had time for that. It is not late if it waits for its turn: then others
// have the processor, and patience begins anew.
func (p *Process) killLate(patience time.Duration) {
	if p.waitsForTurn() {
		time.AfterFunc(patience, func() { p.killLate(patience) })
		return
	}
	p.Kill()
}

// waitsForTurn reports whether the process has something to do and is not at it.
func (p *Process) waitsForTurn() bool {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return p.phase < ended && p.box.owner == p && p.box.scheduled && !p.running
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return onDemand(&p.waited().done, p.phase == gone)
}

// Stopping is closed when the process has been asked to end, or has ended. Code
// of a process that waits for something should wait for this as well.
func (p *Process) Stopping() <-chan struct{} {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return onDemand(&p.waited().asked, p.stop != nil)
}

// setStop notes why the process is to end, or has. Callers hold box.mu.
func (p *Process) setStop(reason error) {
	if p.stop == nil && p.waiters != nil && p.waiters.asked != nil {
		close(p.waiters.asked)
	}
	p.stop = reason
}

// waited returns the waiters, which are made if there are none. Callers hold box.mu.
func (p *Process) waited() *waiters {
	if p.waiters == nil {
		p.waiters = &waiters{}
	}
	return p.waiters
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
	if p.phase < ended {
		return nil
	}
	return p.stop
}

// StopReason returns why the process was asked to end, or has ended; or nil. With
// it, code that waited for [Process.Stopping] knows what to return.
func (p *Process) StopReason() error {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return p.stop
}
