package supervisor

import "time"

// Timer is a message that is sent later. Its methods may be called from any
// goroutine.
type Timer struct {
	p     *Process
	msg   any
	due   time.Time
	limit int         // of the mailbox
	clock *time.Timer // nil if it never ran
}

// SendAfter sends msg to p when d is over. If p ends before, the timer ends with it, and
// no life handles the message, not even the next one with the same mailbox.
//
// A message that finds the mailbox full is lost, and counted in [Stats] and [GroupStats]:
// a timer has no sender who could be told, and must not be a way around the bound.
// [Group.Stats] counts the timers that run, for callers that limit them.
func (p *Process) SendAfter(d time.Duration, msg any) *Timer { return p.after(d, msg, p.box.bound()) }

// PostAfter is SendAfter without the bound of the mailbox, for timers whose number is
// bounded by something else: their messages are never lost.
func (p *Process) PostAfter(d time.Duration, msg any) *Timer { return p.after(d, msg, noLimit) }

func (p *Process) after(d time.Duration, msg any, limit int) *Timer {
	timer := &Timer{p: p, msg: msg, due: time.Now().Add(d), limit: limit}
	t := p.lockTies()
	if t == nil {
		timer.msg = nil
		return timer
	}
	defer t.unlock()
	put(&t.timers, timer, struct{}{})
	p.group.timers.Add(1)
	timer.clock = time.AfterFunc(d, timer.fire)
	return timer
}

// Cancel stops the timer and returns how long it had left. ok is false if it has
// fired, was cancelled before or ended with its process; a message that it sent
// may still wait in the mailbox.
func (timer *Timer) Cancel() (left time.Duration, ok bool) {
	t := timer.p.lockMadeTies()
	if t == nil {
		return 0, false
	}
	defer t.unlock()
	if _, ok := t.timers[timer]; !ok {
		return 0, false
	}
	delete(t.timers, timer)
	timer.forget()
	return max(0, time.Until(timer.due)), true
}

func (timer *Timer) fire() {
	p := timer.p
	t := p.lockMadeTies()
	if t == nil {
		return
	}
	defer t.unlock()
	if _, ok := t.timers[timer]; !ok {
		return
	}
	delete(t.timers, timer)
	if p.deliver(timer.msg, timer.limit) == ErrFull {
		p.group.lost.Add(1)
		p.group.rt.lost.Add(1)
	}
	timer.forget()
}

// forget frees the message of a timer that is no longer among its process's. The
// process's ties are locked.
func (timer *Timer) forget() {
	timer.clock.Stop()
	timer.msg = nil
	timer.p.group.timers.Add(-1)
}
