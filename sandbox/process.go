package sandbox

import (
	"errors"

	"rtd/sandbox/abi"
)

// Process is what an instance is the body of, and what answers the operations that concern
// processes. Its methods are called while the instance handles an event, on the
// goroutine that called Handle.
type Process interface {
	// Operate does what the guest asks for: an operation from abi.OpSelf on.
	// The payload of request lies in the guest's memory and must be copied to be
	// kept; the answer is copied before the next operation. An error that is an
	// [abi.Code] goes to the guest, the answer with it. Any other error ends
	// the guest: its trap is of [KindEnded] and wraps it.
	Operate(request *abi.Effect) (answer []byte, err error)
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
	s, p := i.running, i.plugin
	if !p.pool.lend(p.limits.Waiting) {
		return ErrBusy
	}
	from := clock()
	s.cpu += from - s.running
	i.process.Block(f)
	p.pool.regain()
	s.running = clock()
	s.due += s.running - from
	return nil
}

// Interrupt ends the event that the guest is handling, if there is one, and every
// later one, with a trap of [KindEnded]. It may be called from any goroutine and
// does not wait.
func (i *Instance) Interrupt() { i.cut.Store(true) }

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
