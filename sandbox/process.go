package sandbox

import (
	"errors"
	"log/slog"

	"rtd/sandbox/abi"
)

// Process has an instance as its body, and answers the operations that concern
// processes. Its methods are called while the instance handles an event, on
// the goroutine that called Handle.
type Process interface {
	// Name is for log lines; "" for none.
	Name() string
	// Operate performs an operation of the guest, from abi.OpSelf on.
	// The payload of request lies in the guest's memory and must be copied to be
	// kept; the answer is copied before the next operation. An error that is an
	// [abi.Code] goes to the guest, the answer with it. Any other error ends
	// the guest: its trap is of [KindEnded] and wraps it.
	Operate(request *abi.Effect) (answer []byte, err error)
	// Permit says whether the guest may publish or subscribe to the topic that an
	// effect names, show who is present in it, intercept an event or disconnect clients:
	// 0, or why not.
	Permit(e *abi.Effect) abi.Code
	// Block calls f, which waits, while the scheduler of the process serves
	// others. It returns when the process has one again.
	Block(f func())
	// Yield is called when the guest has been at work for a while, some ten
	// microseconds at the least. If others wait for the scheduler of the process it
	// returns when it is the turn of this one again. It returns false if the process
	// was killed, after which the guest is ended by a trap of [KindEnded].
	Yield() (alive bool)
	// Killed is closed when the process is killed. It may be closed when the process
	// ends in another way.
	Killed() <-chan struct{}
}

// ErrBusy says that as many instances wait as may, see [Limits.Waiting].
var ErrBusy = errors.New("too many guests wait already")

// Wait calls f, which waits for something that others do, such as the answer to a
// call. It is for [Process].Operate of this instance. Meanwhile another instance
// may have a slot in its place, and neither limit of its time comes nearer. Without
// calling f it fails with [ErrBusy].
func (i *Instance) Wait(f func()) error {
	s, p := i.slot, i.module
	if !p.pool.lend(p.limits.Waiting) {
		return ErrBusy
	}
	from := clock()
	s.pause(from)
	i.process.Block(f)
	p.pool.regain()
	s.resume()
	s.time.timeout += s.time.since - from
	return nil
}

// Hibernate gives the instance's slot to others now, instead of when they need it:
// it expects nothing for long. It is called where Handle is: on the goroutine of the
// instance's process.
func (i *Instance) Hibernate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, p := i.slot, i.module
	if s == nil || p.pinned != "" {
		return
	}
	p.pool.reclaim(s)
	i.rest(s, i.process)
	p.pool.checkIn(s, nil)
}

// Usage returns the reductions that the instance has spent, and the bytes that it
// takes now: its whole memory, or what is kept of it while it is idle. It may be
// called from any goroutine and does not wait: 0 bytes stand for not known, as it
// handles an event.
func (i *Instance) Usage() (reductions uint64, memory int64) {
	reductions = uint64(i.reductions.Load())
	if !i.mu.TryLock() {
		return reductions, 0
	}
	defer i.mu.Unlock()
	switch {
	case i.slot != nil:
		memory = int64(i.slot.memory.image.Size())
	case !i.idle.IsZero():
		memory = int64(len(i.module.engine.store.Get(i.idle)))
	}
	return reductions, memory
}

// endedError unwinds a guest whose process ends.
type endedError struct{ reason error }

func (*endedError) Error() string { return "the process ended" }

// errKilled is the reason after [Process].Yield or Killed.
var errKilled = errors.New("the process was killed")

// lend counts a slot out whose instance waits, if fewer than limit do, so that
// another may be made.
func (p *pool) lend(limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent >= limit {
		return false
	}
	p.lent++
	p.giveUp()
	return true
}

// regain counts the slot in again, at once: there may be more than max for a while.
func (p *pool) regain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.count++
}

// StartEvent returns the event that every guest of the plugin begins with.
func (p *Module) StartEvent() abi.Event { return *p.startEvent() }

// Log returns the log of the plugin's guests.
func (p *Module) Log() *slog.Logger { return p.log }
