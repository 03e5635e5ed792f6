package sandbox

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"rtd/sandbox/abi"
	"rtd/sandbox/image"
)

// The state of an instance at rest, in the engine's store:
//
//	byte     plain or packed
//	bytes    what slot.save wrote, packed if that saves something
const (
	plain  = 0
	packed = 1

	// packOver is from how many bytes on a state is worth packing.
	packOver = 2 << 10
	// compactOver is by how many bytes a state may grow until its guest is
	// told to collect its garbage.
	compactOver = 16 << 10
	compactBusy = 256 << 10 // of an actor that comes back soon, while there are few slots

	// A guest of which State is asked after each event collects after so many of them, or sooner if its
	// state has grown by compactFast: to collect takes milliseconds in Go.
	compactStates = 256
	compactFast   = 64 << 10

	// restFree is how large a state may be that is kept in any case: the number of
	// processes bounds them.
	restFree = 4 << 10

	// keepState is how large a slot's buffers may be and still be kept. One
	// large state should not be paid for by its slot for ever.
	keepState = 1 << 20
)

var (
	errNoMemory = errors.New("the system has no memory for a slot")
	errState    = errors.New("idle state is damaged")
)

// wake returns a slot with the instance's state. i.mu is held.
func (i *Instance) wake() (*slot, error) {
	p := i.module
	if s := i.slot; s != nil {
		i.slot = nil
		if p.pinned == "" {
			p.pool.reclaim(s)
		}
		return s, nil
	}
	if i.idle.IsZero() {
		return p.pool.vacate(p.snapshot.Size(), i.process, never)
	}
	// What it has at rest makes room for what it has at work.
	atRest := int64(i.idle.Size())
	p.memory.used.Add(-atRest)
	s, err := p.pool.vacate(int(i.pages)*pageSize, i.process, i.left)
	if err == nil {
		if err = s.unpack(p.engine.store.Get(i.idle)); err != nil {
			s.broken = true
			p.pool.checkIn(s, nil)
		}
	}
	if err != nil {
		p.memory.used.Add(atRest)
		return nil, err
	}
	p.engine.store.Free(i.idle)
	i.idle = image.Ref{}
	return s, nil
}

// rest moves the instance's state from its slot into the store, and leaves the
// snapshot in the slot, or a broken slot. If there is no room, the instance is
// dead. i.mu is held. by is the process on whose goroutine that is, if there is one.
func (i *Instance) rest(s *slot, by Process) {
	i.slot = nil
	state := i.save(s, s.state[:0])
	if len(state) > int(i.compacted)+compactOver && i.module.compacts() && !i.busy(s, state) {
		state = i.compact(s, state, by)
	}
	i.keep(s, state)
}

// busy says that the actor in s rests only until it has a slot of its own. To let its guest collect garbage takes two
// milliseconds in Go, of those who wait for the slot.
func (i *Instance) busy(s *slot, state []byte) bool {
	return len(state) <= int(i.compacted)+compactBusy && i.module.pool.soonStays(s)
}

// restNow is rest without a word to the guest.
func (i *Instance) restNow(s *slot) {
	i.slot = nil
	i.keep(s, i.save(s, s.state[:0]))
}

// keep puts the state into the store, now that s has the snapshot.
func (i *Instance) keep(s *slot, state []byte) {
	p := i.module
	s.state = state
	freed := s.memory.counted
	if !s.broken {
		s.memory.vacated()
	}
	stored := s.pack(state)
	n := int64(len(stored))
	if !s.broken && p.memory.used.Load()+n > p.memory.limit { // then the slot may keep no pages
		s.memory.empty()
	}
	// Where it takes no more than it has taken it is no reason to end a guest.
	if n <= restFree || n-n/64 <= freed {
		p.memory.used.Add(n)
	} else if !p.memory.spend(n) {
		stored = nil
	}
	if stored == nil {
		i.trap = p.lost(p.errMemory(), &abi.Event{Kind: abi.EventIdle})
	} else if ref, err := p.engine.store.Put(stored); err != nil {
		p.memory.spend(-int64(len(stored)))
		i.trap = p.lost(err, &abi.Event{Kind: abi.EventIdle})
	} else {
		i.idle = ref
	}
	s.trim()
}

// save is [slot.save], and notes the size that the memory must have to load it.
func (i *Instance) save(s *slot, dst []byte) []byte {
	i.pages = uint32(s.memory.image.Size() / pageSize)
	return s.save(dst)
}

// compact lets the guest collect its garbage, and returns its state afterwards. A
// guest that dies of that, or keeps as much as before, is not asked again until
// it has grown.
func (i *Instance) compact(s *slot, state []byte, by Process) []byte {
	before := append([]byte(nil), state...)
	if s.load(before) != nil {
		s.broken = true
		return state
	}
	if i.collects(s, by) {
		state = i.save(s, state[:0])
	} else { // as if it had not been asked; its memory may have grown, i.pages has not
		state = append(state[:0], before...)
	}
	i.noteCompacted(len(before), len(state))
	return state
}

// collects gives the guest in s an idle event. If it has died of it the slot's content is the snapshot.
func (i *Instance) collects(s *slot, by Process) (alive bool) {
	s.effects = newEffects(i.module.limits, i.topic, i.process)
	err := s.run(&abi.Event{Kind: abi.EventIdle}, i, by, (*slot).deliver)
	s.effects.free()
	s.effects = nil
	if err != nil {
		s.scrub()
		i.log().Warn("guest did not survive being told to collect its garbage; it goes on as it was", "cause", err)
	}
	return err == nil
}

func (i *Instance) noteCompacted(before, after int) {
	i.module.compacted(before-int(i.compacted), before-after)
	i.compacted, i.states = uint32(after), 0
}

// forget drops the state in the store.
func (i *Instance) forget() {
	if !i.idle.IsZero() {
		i.module.engine.store.Free(i.idle)
		i.module.memory.spend(-int64(i.idle.Size()))
		i.idle = image.Ref{}
	}
}

// pack returns what to store of a state. It is valid until the next pack.
func (s *slot) pack(state []byte) []byte {
	s.packed = append(s.packed[:0], plain)
	if n := s2.MaxEncodedLen(len(state)); n > 0 && len(state) >= packOver { // it is negative from 4 GiB on
		if cap(s.packed) < 1+n {
			s.packed = append(make([]byte, 0, 1+n), plain)
		}
		if short := s2.Encode(s.packed[1:cap(s.packed)], state); len(short) < len(state)-len(state)/8 {
			s.packed[0] = packed
			return s.packed[:1+len(short)]
		}
	}
	return append(s.packed, state...)
}

// unpack makes what pack returned the slot's state.
func (s *slot) unpack(stored []byte) error {
	if stored[0] == plain {
		return s.load(stored[1:])
	}
	state, err := s2.Decode(s.state[:cap(s.state)], stored[1:])
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	s.state = state
	err = s.load(state)
	s.trim()
	return err
}

// trim drops buffers that have become large.
func (s *slot) trim() {
	if cap(s.state) > keepState {
		s.state = nil
	}
	if cap(s.packed) > keepState {
		s.packed = nil
	}
}
