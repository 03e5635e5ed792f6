package sandbox

import (
	"errors"
	"log/slog"

	"rtd/sandbox/abi"
)

// Process is what an instance is the body of, and what answers the operations that
// concern processes. Its methods are called while the instance handles an event, on
// the goroutine that called Handle.
type Process interface {
	// Name is for log lines; "" for none.
	Name() string
	// Operate does what the guest asks for: an operation from abi.OpSelf on.
	// The payload of request lies in the guest's memory and must be copied to be
	// kept; the answer is copied before the next operation. An error that is an
	// [abi.Code] goes to the guest, the answer with it. Any other error ends
	// the guest: its trap is of [KindEnded] and wraps it.
	Operate(request *abi.Effect) (answer []byte, err error)
	// Permit says whether the guest may publish or subscribe to the topic that an
	// effect names, or show who is present in it: 0, or why not.
	Permit(e *abi.Effect) abi.Code
	// Block calls f, which waits, while the scheduler of the process serves
	// others.
	Block(f func())
}

// ErrBusy says that as many instances wait as may, see [Limits.Waiting].
var ErrBusy = errors.New("too many guests wait already")

// Wait calls f, which waits for something that others do, such as the answer to a
// call. It is for [Process].Operate of this instance. Meanwhile another instance
// may have a slot in its place, and its deadline does not come nearer. Without
// calling f it fails with [ErrBusy].
func (i *Instance) Wait(f func()) error {
	s, p := i.slot, i.plugin
	if !p.pool.lend(p.limits.Waiting) {
		return ErrBusy
	}
	from := clock()
	s.pause(from)
	i.process.Block(f)
	p.pool.regain()
	s.resume()
	s.due += s.running - from
	return nil
}

// Interrupt ends the event that the guest is handling, if there is one, and every
// later one, with a trap of [KindEnded]. It may be called from any goroutine and
// does not wait.
func (i *Instance) Interrupt() { i.cut.Store(true) }

// Hibernate gives the instance's slot to others now, instead of when they need it:
// it expects nothing for long. While an event is handled it does nothing.
func (i *Instance) Hibernate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, p := i.slot, i.plugin
	if s == nil || p.pinned != "" {
		return
	}
	p.pool.reclaim(s)
	i.rest(s)
	p.pool.release(s, nil)
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
		memory = int64(len(i.plugin.engine.store.Get(i.idle)))
	}
	return reductions, memory
}

// endedError unwinds a guest whose process ends.
type endedError struct{ reason error }

func (*endedError) Error() string { return "the process ended" }

// errInterrupted is the reason after [Instance.Interrupt].
var errInterrupted = errors.New("interrupted")

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
func (p *Plugin) StartEvent() abi.Event { return *p.startEvent() }

// Log returns what the plugin's guests log to.
func (p *Plugin) Log() *slog.Logger { return p.log }
