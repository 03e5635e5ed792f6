package sandbox

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rtd/sandbox/abi"
	"rtd/sandbox/image"
)

// ErrTooLarge says that a guest has no room for an event. The guest lives on.
var ErrTooLarge = errors.New("event too large for the guest")

// Instance is one actor's guest, with a memory of its own. It handles one event
// at a time; a second Handle waits. Different instances run in parallel.
//
// An instance is no WebAssembly instance. It has one of its plugin's slots while it
// handles an event, and for as long afterwards as nobody else needs that. Then it
// is only what its memory differs by from the snapshot.
type Instance struct {
	module  *Module
	topic   string
	process Process // nil if it has none

	reductions atomic.Int64 // spent so far

	mu        sync.Mutex // held while an event is handled; guards all below
	trap      *Trap      // what the guest died of, if it did
	slot      *slot      // its state is in there, also while it handles an event,
	idle      image.Ref  // or here; if in neither, it is the snapshot
	compacted uint32     // bytes of its state when it was compacted last
	took      int64      // nanoseconds that the last event has taken
	effects   *effects   // of the last event, until Release
	pages     uint32     // of its memory while it is idle
	left      uint32     // how many actors the pool had seen when it was used last
	states    uint32     // that were asked for since it was compacted
	closed    bool
}

// Start makes an instance in the state that the guest had after its start event,
// as the body of process, which may be nil. topic is for log lines; without one,
// the guest cannot push or broadcast. The error is [ErrClosed], or a [*Trap] if
// the plugin has to start every instance anew and this one fails.
func (p *Module) Start(topic string, process Process) (*Instance, error) {
	i := new(Instance)
	if err := p.StartIn(i, topic, process); err != nil {
		return nil, err
	}
	return i, nil
}

// StartIn is Start for who keeps an instance within something else. i is the zero value, and
// stays where it is; after an error it is of no use.
func (p *Module) StartIn(i *Instance, topic string, process Process) error {
	if err := p.acquire(); err != nil {
		return err
	}
	p.counters.started.Add(1)
	i.module, i.topic, i.process = p, topic, process
	if p.pinned != "" {
		if err := i.startPinned(); err != nil {
			p.release()
			return err
		}
	}
	return nil
}

// Topic is the one that the instance was started with.
func (i *Instance) Topic() string { return i.topic }

// Handle gives the guest an event and returns the effects that it asks for. They
// and their payloads are valid until Release, Close or the next Handle. e's
// payload is copied and may be reused at once. While all slots are in use Handle
// waits for its turn, which the others' limits of time bound.
//
// An error is [ErrTooLarge], after which the instance goes on, or a [*Trap],
// after which it is dead: every further Handle returns the same trap, and
// there is nothing to do but Close.
func (i *Instance) Handle(e *abi.Event) ([]abi.Effect, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.trap != nil:
		return nil, i.trap
	case i.closed:
		return nil, ErrClosed
	}
	resident, fresh := i.slot != nil, i.idle.IsZero()
	from := int64(0) // of one that is resident the stopwatch knows it
	if !resident {
		from = clock()
	}
	s, err := i.wake()
	if err != nil {
		i.took = clock() - from
		i.trap = i.module.lost(err, e)
		return nil, i.trap
	}
	if !resident {
		s.recent.begin(fresh)
	}
	s.recent.handle(e)
	if i.effects == nil {
		i.effects = newEffects(i.module.limits, i.topic, i.process)
	}
	s.effects, i.slot = i.effects, s
	err = s.run(e, i, i.process, (*slot).deliver)
	s.effects, s.answer = nil, nil
	if resident {
		from = s.time.begun
	}
	i.took = s.time.since - from
	if err != nil && errors.As(err, &i.trap) {
		i.slot = nil
		i.dropEffects()
		i.bury(s, i.trap)
		return nil, i.trap
	}
	if i.module.pinned == "" {
		i.module.pool.checkIn(s, i)
	}
	if err != nil {
		i.dropEffects()
		return nil, err
	}
	return i.effects.list, nil
}

// Took is how long the last Handle has taken, by the clock, waiting for a slot included. It is for who called that.
func (i *Instance) Took() time.Duration { return time.Duration(i.took) }

// Release says that the effects of the last Handle are no longer used.
func (i *Instance) Release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dropEffects()
}

// Close ends the guest and forgets its state. It waits for an event that is
// being handled. Closing twice does nothing.
func (i *Instance) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	i.closed = true
	i.dropEffects()
	i.forget()
	if s := i.slot; s != nil {
		i.slot = nil
		if i.module.pinned == "" {
			i.module.pool.reclaim(s)
		}
		i.module.retire(s)
	}
	i.module.release()
}

// log is what the guest's output goes to. It is made when there is some.
func (i *Instance) log() *slog.Logger {
	log := i.module.log
	if i.topic != "" {
		log = log.With("topic", i.topic)
	}
	if i.process != nil && i.process.Name() != "" {
		log = log.With("process", i.process.Name())
	}
	return log
}

func (i *Instance) dropEffects() {
	if i.effects != nil {
		i.effects.free()
		i.effects = nil
	}
}

// startPinned gives the instance a slot of its own, in which the guest starts.
func (i *Instance) startPinned() error {
	s, err := i.module.newSlot()
	if err != nil {
		return i.module.lost(err, i.module.startEvent())
	}
	s.effects = newEffects(i.module.limits, i.topic, i.process)
	err = s.run(i.module.startEvent(), i, i.process, (*slot).initialise)
	s.effects.free()
	s.effects = nil
	if err != nil {
		s.close()
		return err
	}
	i.slot = s
	return nil
}
