package sandbox

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pool is the slots of a plugin. Idle ones keep the state of the actor that was
// in them last: one that comes back soon finds its slot as it left it. The
// others make room, the longest idle first.
//
// While all slots are in use, actors wait in a queue. What becomes free goes to
// the first in it, so that an actor that always has work cannot keep its slot for
// ever.
//
// Locks are taken in the order Instance.mu, pool.mu. An actor that needs
// another's slot holds its own mu already, so it only tries the other's, and never
// waits for it.
type pool struct {
	plugin   *Plugin
	max      int
	resident atomic.Int64 // slots there are, those of a pinned plugin included

	mu    sync.Mutex
	count int // slots there are or are being made, but for those lent
	lent  int // slots whose instance waits, which do not count
	// Idle slots, those without an owner first, then by the time of their use.
	first, last *slot
	// Who waits for a slot, or for nil, the right to make one. While there is
	// somebody, no slot is idle and count is max.
	queue []chan *slot
}

func (p *pool) init(plugin *Plugin, max int) { p.plugin, p.max = plugin, max }

// reclaim takes back the slot in which an actor's state still is. The caller
// holds the actor's mu.
func (p *pool) reclaim(s *slot) {
	p.mu.Lock()
	p.unlink(s)
	p.mu.Unlock()
}

// vacate returns a slot without owner whose memory has the given size. If all
// are in use it waits for one.
func (p *pool) vacate(size int) (*slot, error) {
	s := p.take()
	if s != nil && s.owner != nil { // its mu is held
		s.owner.rest(s)
		s.owner.mu.Unlock()
		s.owner = nil
	}
	if s != nil && !s.broken && s.resize(size) {
		return s, nil
	}
	if s != nil {
		s.close()
	}
	s, err := p.plugin.newSlot()
	if err == nil && !s.resize(size) {
		s.close()
		err = errNoMemory
	}
	if err != nil {
		p.forget()
		return nil, err
	}
	return s, nil
}

// take returns an idle slot, with its owner's mu held if it has one, or nil if the
// caller shall make a new one, which is counted already.
func (p *pool) take() *slot {
	p.mu.Lock()
	for {
		if s := p.pick(); s != nil {
			p.unlink(s)
			p.mu.Unlock()
			return s
		}
		if p.count < p.max {
			p.count++
			p.mu.Unlock()
			return nil
		}
		if p.first == nil {
			wait := make(chan *slot, 1)
			p.queue = append(p.queue, wait)
			p.mu.Unlock()
			return <-wait
		}
		// The owners of all idle slots are about to use them.
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
	}
}

// pick chooses the slot that has been idle longest, or none if a new one is better.
// If it has an owner, that owner's mu is taken. p.mu is held.
func (p *pool) pick() *slot {
	full := p.count >= p.max
	for s := p.first; s != nil && (s.owner == nil || full); s = s.next {
		if s.owner == nil || s.owner.mu.TryLock() {
			return s
		}
	}
	return nil
}

// release puts a slot back. If it has an owner, whose mu the caller holds, the
// owner's state stays in it until somebody else needs the slot, which may be now.
func (p *pool) release(s *slot, owner *Instance) {
	if s.broken { // then it has no owner
		s.close()
		p.forget()
		return
	}
	s.owner = owner
	p.mu.Lock()
	var wait chan<- *slot
	surplus := p.count > p.max // some waited for a while
	if !surplus {
		if wait = p.waiter(); wait == nil {
			p.link(s)
		}
	}
	p.mu.Unlock()
	if !surplus && wait == nil {
		return
	}
	if owner != nil {
		owner.rest(s)
		s.owner = nil
	}
	if surplus {
		s.close()
		p.forget()
		return
	}
	wait <- s
}

// forget counts a slot out that was closed or could not be made.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveUp()
}

// giveUp gives the place of a slot to who waits for one. p.mu is held.
func (p *pool) giveUp() {
	if p.count <= p.max {
		if wait := p.waiter(); wait != nil {
			wait <- nil
			return
		}
	}
	p.count--
}

// waiter takes the first out of the queue, if there is one. p.mu is held.
func (p *pool) waiter() chan<- *slot {
	if len(p.queue) == 0 {
		return nil
	}
	wait := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return wait
}

// trim closes slots that have not been used since before, on [clock], but for a few.
// The actors in them go to rest.
func (p *pool) trim(before int64) (freed int) {
	for ; ; freed++ {
		s := p.stale(before)
		if s == nil {
			return freed
		}
		if s.owner != nil { // its mu is held
			s.owner.rest(s)
			s.owner.mu.Unlock()
			s.owner = nil
		}
		s.close()
		p.forget()
	}
}

// stale takes out the slot that has been idle longest, with its owner's mu held if it
// has one, or none if that is not long enough, or the slot is one of the last few.
func (p *pool) stale(before int64) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.first; s != nil && p.count > keepSlots; s = s.next {
		if s.running < before && (s.owner == nil || s.owner.mu.TryLock()) {
			p.unlink(s)
			return s
		}
	}
	return nil
}

// keepSlots are not closed for being idle: a plugin that is used again begins at once.
const keepSlots = 4

// slots is how many there are.
func (p *pool) slots() int64 { return p.resident.Load() }

// close closes the slots, when no instance is left.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.first; s != nil; s = s.next {
		s.close()
		p.count--
	}
	p.first, p.last = nil, nil
}

func (p *pool) link(s *slot) {
	before := p.last
	if s.owner == nil {
		before = nil
	}
	s.prev = before
	if before == nil {
		s.next, p.first = p.first, s
	} else {
		s.next, before.next = nil, s
	}
	if s.next == nil {
		p.last = s
	} else {
		s.next.prev = s
	}
}

func (p *pool) unlink(s *slot) {
	if s.prev == nil {
		p.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		p.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}
