package sandbox

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// pool is the slots of a plugin. Idle ones keep the state of the actor that was
// in them last: one that comes back soon finds its slot as it left it.
//
// An actor stays if fewer others have come since its last event than there may be slots: it gets a
// new slot, and when there may be no more of them, that of the actor that has been idle longest. All other
// actors pass: they have next to no chance to find their slot again. They get the slot that their processor
// had for the last of them. Its pages are in that processor's own cache. Those of the longest idle slot
// are in no cache, or in that of another processor, so that a wake takes twice as long, and two
// processors do little more than one.
//
// While all slots are in use, actors wait in a queue. What becomes free goes to
// the first in it, so that an actor that always has work cannot keep its slot for
// ever.
//
// Locks are taken in the order Instance.mu, pool.mu. An actor that needs
// another's slot holds its own mu already, so it only tries the other's, and never
// waits for it.
type pool struct {
	module   *Module
	max      int
	resident atomic.Int64 // slots there are, those of a pinned plugin included

	// near has for each processor the slot in which the last one passed there, or none. It
	// is a hint: the slot may be in use again, or closed.
	near sync.Pool

	mu    sync.Mutex
	count int // slots there are or are being made, but for those lent
	lent  int // slots whose instance waits, which do not count
	// Idle slots, by the time of their use: those of actors that stay, behind those without
	// an owner, and those in which actors pass.
	staying, passing slotList
	came             uint32 // actors that needed a slot, so far
	returned         int    // of them, those worth a slot of their own since the last one was made
	// Who waits for a slot, or for nil, the right to make one. While there is
	// somebody, no slot is idle and count is max.
	queue []chan *slot
}

// slotList is a list of idle slots, linked through them.
type slotList struct{ first, last *slot }

// never is since when an actor had no slot that is new.
const never = math.MaxUint32

func (p *pool) init(module *Module, max int) { p.module, p.max = module, max }

// reclaim takes back the slot in which an actor's state still is. The caller
// holds the actor's mu.
func (p *pool) reclaim(s *slot) {
	p.mu.Lock()
	p.unlink(s)
	p.mu.Unlock()
}

// vacate returns a slot without owner whose memory has the given size, for an actor whose last
// event was when so many had come, or never. If all are in use it waits for one. It is on by's
// goroutine, if there is a process.
func (p *pool) vacate(size int, by Process, since uint32) (*slot, error) {
	s, back, passes, err := p.checkOut(by, since)
	if err != nil {
		return nil, err
	}
	if s != nil && s.owner != nil { // its mu is held
		s.owner.rest(s, by)
		s.owner.mu.Unlock()
		s.owner = nil
	}
	if s != nil && !s.broken {
		if err := s.memory.admit(size); err != nil {
			p.checkIn(s, nil)
			return nil, err
		}
		if s.resize(size) {
			s.passing, s.back = passes, back
			return s, nil
		}
	}
	if s != nil {
		s.close()
	}
	s, err = p.module.newSlot()
	if err == nil {
		if err = s.memory.admit(size); err == nil && !s.resize(size) {
			err = errNoMemory
		}
		if err != nil {
			s.close()
		}
	}
	if err != nil {
		p.forget()
		return nil, err
	}
	s.passing, s.back = passes, back
	return s, nil
}

// checkOut returns an idle slot, with its owner's mu held if it has one, or nil if the
// caller shall make a new one, which is counted already. passes says what for. It fails if it
// has to wait and the process is killed.
func (p *pool) checkOut(by Process, since uint32) (s *slot, back, passes bool, err error) {
	near, _ := p.near.Get().(*slot)
	p.mu.Lock()
	if near != nil {
		near.near = false
	}
	p.came++
	back = p.back(since)
	passes = !back || !p.stays()
	for {
		if s = p.pick(passes, near); s != nil {
			p.unlink(s)
			p.mu.Unlock()
			return s, back, passes, nil
		}
		if p.count < p.max {
			p.count++
			p.returned = 0
			p.mu.Unlock()
			return nil, back, passes, nil
		}
		if p.staying.first == nil && p.passing.first == nil {
			wait := make(chan *slot, 1)
			p.queue = append(p.queue, wait)
			p.mu.Unlock()
			if by == nil {
				return <-wait, back, passes, nil
			}
			s, err = p.await(wait, by)
			return s, back, passes, err
		}
		// The owners of all idle slots are about to use them.
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
	}
}

// back says whether an actor is worth a slot of its own whose last event was then. p.mu is held.
func (p *pool) back(since uint32) bool { return since != never && int64(p.came-since) <= int64(p.max) }

// stays says whether an actor that is back gets a slot of its own now. p.mu is held.
//
// A new slot takes ten times as long as a move, and memory. Beyond a few there is one more when so many
// that are worth it have found another in their slot; meanwhile they pass.
func (p *pool) stays() bool {
	p.returned++
	return p.count < keepSlots || p.count >= p.max || p.returned >= worthSlot
}

// soonStays says whether the actor in a slot passes for the last times: it comes back soon, and there
// may be more slots.
func (p *pool) soonStays(s *slot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.passing && s.back && p.count < p.max
}

// await waits in the queue for a slot, or for the right to make one, while others have
// the scheduler of the process.
func (p *pool) await(wait chan *slot, by Process) (s *slot, err error) {
	by.Block(func() {
		select {
		case s = <-wait:
		case <-by.Killed():
			err = &endedError{errKilled}
		}
	})
	if err == nil {
		return s, nil
	}
	p.mu.Lock()
	at := slices.Index(p.queue, wait)
	if at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
	}
	p.mu.Unlock()
	if at >= 0 {
		return nil, err
	}
	if s = <-wait; s == nil { // it comes just now, for others to have it
		p.forget()
	} else {
		p.checkIn(s, nil)
	}
	return nil, err
}

// pick chooses an idle slot, or none if a new one is better.
// If it has an owner, that owner's mu is taken. p.mu is held.
func (p *pool) pick(passes bool, near *slot) *slot {
	if passes {
		if near != nil && near.idle && near.passing && near.available() {
			return near
		}
		if s := p.passing.latest(); s != nil {
			return s
		}
	}
	if s := p.vacant(); s != nil {
		return s
	}
	if p.count < p.max {
		return nil
	}
	if s := p.oldest(); s != nil && s.available() {
		return s
	}
	if s := p.staying.earliest(); s != nil {
		return s
	}
	return p.passing.latest()
}

// vacant is a slot without an owner, if there is one. p.mu is held.
func (p *pool) vacant() *slot {
	for _, s := range []*slot{p.staying.first, p.passing.last} {
		if s != nil && s.owner == nil {
			return s
		}
	}
	return nil
}

// oldest is the slot that has been idle longest, if there is one. p.mu is held.
func (p *pool) oldest() *slot {
	s, passing := p.staying.first, p.passing.first
	if s == nil || passing != nil && passing.time.since < s.time.since {
		return passing
	}
	return s
}

// available says whether an idle slot has no owner, or one that is not about to use it,
// whose mu is taken.
func (s *slot) available() bool { return s.owner == nil || s.owner.mu.TryLock() }

func (l *slotList) earliest() *slot {
	s := l.first
	for s != nil && !s.available() {
		s = s.next
	}
	return s
}

func (l *slotList) latest() *slot {
	s := l.last
	for s != nil && !s.available() {
		s = s.prev
	}
	return s
}

// checkIn puts a slot back. If it has an owner, whose mu the caller holds, the
// owner's state stays in it until somebody else needs the slot, which may be now.
func (p *pool) checkIn(s *slot, owner *Instance) {
	if s.broken { // then it has no owner
		s.close()
		p.forget()
		return
	}
	s.owner = owner
	p.mu.Lock()
	var wait chan<- *slot
	near := false
	surplus := p.count > p.max // some waited for a while
	if owner != nil {
		owner.left = p.came
	}
	if !surplus {
		if wait = p.waiter(); wait == nil {
			p.link(s)
			near = s.passing && !s.near
			s.near = s.near || near
		}
	}
	p.mu.Unlock()
	if near {
		p.near.Put(s)
	}
	if !surplus && wait == nil {
		return
	}
	if owner != nil {
		owner.rest(s, owner.process)
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

// trim closes slots that have not been used since before, on [clock]. A few stay, without what
// they have written: their pages are the snapshot's again. The actors in all of them go to rest.
func (p *pool) trim(before int64) (freed int) {
	for {
		s, stays := p.stale(before)
		if s == nil {
			return freed
		}
		if s.owner != nil { // its mu is held
			s.owner.rest(s, nil)
			s.owner.mu.Unlock()
			s.owner = nil
		}
		switch {
		case s.broken:
			p.checkIn(s, nil)
		case stays:
			s.memory.empty()
			s.state, s.packed = nil, nil
			p.checkIn(s, nil)
		default:
			s.close()
			p.forget()
			freed++
		}
	}
}

// shed empties idle slots, the longest idle first, and has actors leave them, until the
// plugin may have so many bytes more, or no slot is left for it.
func (p *pool) shed(bytes int64) {
	for budget := &p.module.memory; budget.used.Load()+bytes > budget.limit; {
		s := p.settled()
		if s == nil {
			return
		}
		if s.owner != nil { // its mu is held
			s.owner.restNow(s)
			s.owner.mu.Unlock()
		}
		if !s.broken {
			s.memory.empty()
		}
		p.checkIn(s, nil)
	}
}

// settled takes out the slot that has been idle longest of those that count for
// something. If it has an owner, that owner's mu is held.
func (p *pool) settled() *slot {
	return p.takeOut(func(s *slot) bool { return s.memory.counted > 0 })
}

// stale takes out the slot that has been idle longest, with its owner's mu held if it
// has one, or none if that is not long enough. One of the last few stays, and is taken out only
// if there is something in it.
func (p *pool) stale(before int64) (s *slot, stays bool) {
	s = p.takeOut(func(s *slot) bool {
		stays = p.count <= keepSlots
		return s.time.since < before && !(stays && s.owner == nil && s.memory.counted == 0)
	})
	return s, stays
}

// takeOut takes out the first idle slot that is wanted, with its owner's mu held if it has one.
func (p *pool) takeOut(wanted func(*slot) bool) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, first := range []*slot{p.staying.first, p.passing.first} {
		for s := first; s != nil; s = s.next {
			if wanted(s) && s.available() {
				p.unlink(s)
				return s
			}
		}
	}
	return nil
}

// keepSlots are not closed for being idle: a plugin that is used again need not make any.
const keepSlots = 4

// worthSlot is how many actors have to come back to another's slot before there is one more.
const worthSlot = 32

// slots is how many there are.
func (p *pool) slots() int64 { return p.resident.Load() }

// close closes the slots, when no instance is left.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, first := range []*slot{p.staying.first, p.passing.first} {
		for s := first; s != nil; s = s.next {
			s.idle = false
			s.close()
			p.count--
		}
	}
	p.staying, p.passing = slotList{}, slotList{}
}

func (p *pool) list(s *slot) *slotList {
	if s.passing {
		return &p.passing
	}
	return &p.staying
}

func (p *pool) link(s *slot) {
	l := p.list(s)
	before := l.last
	if s.owner == nil && !s.passing {
		before = nil
	}
	s.prev, s.idle = before, true
	if before == nil {
		s.next, l.first = l.first, s
	} else {
		s.next, before.next = nil, s
	}
	if s.next == nil {
		l.last = s
	} else {
		s.next.prev = s
	}
}

func (p *pool) unlink(s *slot) {
	l := p.list(s)
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next, s.idle = nil, nil, false
}
