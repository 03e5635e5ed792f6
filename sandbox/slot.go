package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/abi"
)

// slot is a live WebAssembly instance in which actors take turns. Between two
// turns its memory and globals are those of its owner, or the snapshot's.
//
// A slot is used by one goroutine at a time: by whoever has taken it from the
// pool. It is also the context of the calls into its guest, by which host
// functions find it.
type slot struct {
	module        *Module
	mod           api.Module
	memory        linearMemory
	counter       api.MutableGlobal   // reductions left
	globals       []api.MutableGlobal // the guest's own, in the order of Module.Globals
	inbox, handle function            // 12 KB each, so one per slot and export
	stack         [1]uint64           // parameter and result of a call
	work          *work               // counts what is done here

	// Guarded by the pool's mu while the slot is idle.
	owner      *Instance
	prev, next *slot
	passing    bool // an actor passes in it
	back       bool // and has come back to do so

	// Guarded by the pool's mu.
	idle bool // it is in the pool
	near bool // and in its hints

	state, packed []byte // reused by save and pack

	// Of the event at hand.
	of         *Instance // whose it is
	by         Process   // whose goroutine it is handled on, or nil
	effects    *effects
	output     output
	recent     *recent // and before it; nil if nobody will ask
	answer     []byte  // of the last operation in it
	time       stopwatch
	reductions int64     // spent before the counter was set last
	slice      int64     // what it was set to
	calls      *function // that runs
	stacked    int64     // what of its stack is counted
	broken     bool      // not to be used again
}

// A slice is how many reductions a guest spends until it calls yield. How long it
// takes depends on the code: some microseconds, as a rule. Most costly is code that
// reaches pages which are not there yet, or still the snapshot's, with 3 to 5 µs each on
// a virtual machine and, as a rule, up to four for each reduction. A small memory has few pages. In
// a large one slices are shorter; and those of a plugin whose guests have been seen to
// take very long are so short that a turn is half of that.
//
// One long stretch says little: a collector that clears a megabyte, or a thread that has worked for the
// network meanwhile. To yield every 64 reductions for that would make each event three times as expensive. So
// slices become an eighth of what they were, at most, until the next long stretch.
const (
	slice         = 10_000
	largeSlice    = 1_250 // of guests with more than largeMemory
	shortestSlice = 64
	shortened     = 8 // times at once, at most

	largeMemory = 8 << 20

	heavyTurn = 2_000_000     // nanoseconds
	heavyFor  = 5_000_000_000 // nanoseconds
)

// newSlot instantiates the module. The slot's content is the snapshot, if there
// is one; else nothing of the guest has run in it yet.
func (p *Module) newSlot() (*slot, error) {
	s := &slot{module: p, recent: p.engine.newRecent()}
	if err := s.memory.init(p); err != nil {
		return nil, err
	}
	ctx := experimental.WithMemoryAllocator(context.Background(), &s.memory)
	// wazero has no error for a memory that it does not get, so that is decided before.
	size := int(p.rewritten.Memory.Min) * pageSize
	if err := s.memory.admit(size); err != nil {
		s.memory.close()
		return nil, err
	}
	s.memory.want = size
	mod, err := p.machine.runtime.InstantiateModule(ctx, p.machine.compiled, moduleConfig)
	s.memory.want = 0
	if err != nil {
		s.memory.close()
		return nil, err
	}
	n := p.pool.resident.Add(1)
	s.work = &p.counters.work[n%int64(len(p.counters.work))]
	s.mod = mod
	s.counter = mod.ExportedGlobal(p.rewritten.Reductions).(api.MutableGlobal)
	for _, g := range p.rewritten.Globals {
		s.globals = append(s.globals, mod.ExportedGlobal(g.Export).(api.MutableGlobal))
	}
	s.inbox, s.handle = s.function(abi.ExportInbox), s.function(abi.ExportHandle)
	if p.globals == nil {
		if err := s.writeData(); err != nil {
			s.close()
			return nil, err
		}
		return s, nil
	}
	if !s.resize(p.snapshot.Size()) {
		s.close()
		return nil, errNoMemory
	}
	s.memory.image.Renew() // the data segments have written to it
	s.memory.image.Forget(int(p.scratch.from), int(p.scratch.to))
	s.setGlobals()
	return s, nil
}

// writeData does the part of instantiation that snapshots save.
func (s *slot) writeData() error {
	for _, d := range s.module.rewritten.Data {
		if !s.mod.Memory().Write(d.Offset, d.Bytes) {
			return fmt.Errorf("data segment of %d bytes at %#x is outside of the memory", len(d.Bytes), d.Offset)
		}
	}
	return nil
}

// resize makes the memory size bytes long. Its content is the snapshot's. It fails
// if there is no memory, or to make one smaller that is as large as its module allows.
func (s *slot) resize(size int) bool {
	if s.memory.image.Size() == size {
		return true
	}
	// WebAssembly memories only grow, and the engine knows no other way. But it
	// takes what its allocator returns as the memory from now on.
	s.memory.want = size
	_, ok := s.mod.Memory().Grow(1)
	s.memory.want = 0
	return ok
}

// close frees the instance. Nothing runs in it.
func (s *slot) close() {
	_ = s.mod.Close(context.Background()) // no files, nothing to fail
	s.memory.close()
	s.module.pool.resident.Add(-1)
}

// initialise brings the guest up to the end of its start event.
func (s *slot) initialise(e *abi.Event) error {
	for _, name := range []string{s.module.rewritten.Start, abi.ExportInitialize} {
		if f := s.function(name); name != "" && f.Function != nil {
			s.calls = &f
			if err := f.CallWithStack(s, nil); err != nil {
				return err
			}
		}
	}
	return s.deliver(e)
}

// run does work for an event of i under the limits and turns the guest's death into
// a trap, after which the slot's content is worthless. by is the process on whose
// goroutine that is, i's or another that needs the slot; nil if there is none.
func (s *slot) run(e *abi.Event, i *Instance, by Process, work func(*slot, *abi.Event) error) error {
	p := s.module
	s.of, s.by = i, by
	s.memory.denied = 0
	s.effects.begin(e.Kind)
	s.output.begin(i, p.limits.LogLines, s.recent)
	s.reductions = 0
	s.time.begin(p.limits, p.suspect.Load())
	s.setSlice(s.time.since)

	s.memory.image.Begin()
	err := s.protect(work, e)
	s.memory.image.End()

	s.note(s.time.end())
	s.reductions += s.spent()
	s.dropStack(&s.inbox, abi.ExportInbox)
	s.dropStack(&s.handle, abi.ExportHandle)
	if !s.memory.worked(s.time.used) && err == nil {
		err = errBound
	}
	s.work.events.Add(1)
	s.work.nanos.Add(s.time.used)
	s.work.reductions.Add(s.reductions)
	i.reductions.Add(s.reductions)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		trap := s.diagnose(err, e)
		p.counters.traps[trap.Kind.index()].Add(1)
		// wazero's function object keeps the stack that overflowed.
		s.broken = trap.Kind == KindStack || trap.Kind == KindInternal
		err = trap
	} else {
		s.output.end()
	}
	s.of, s.by = nil, nil
	return err
}

// setSlice lets the guest spend another slice.
func (s *slot) setSlice(now int64) {
	s.slice = slice
	if s.memory.image.Size() > largeMemory {
		s.slice = largeSlice
	}
	if now < s.module.heavy.Load() {
		s.slice = min(s.slice, s.module.short.Load())
	}
	s.counter.Set(uint64(s.slice))
}

// shorter is how long slices are after one of which so much was spent has taken too long.
func shorter(slice, spent, cost int64) int64 {
	return max(spent*(heavyTurn/2)/cost, slice/shortened, shortestSlice)
}

// spent is how many reductions of the slice at hand are spent.
func (s *slot) spent() int64 { return s.slice - int64(s.counter.Get()) }

// note takes what a stretch has cost. From one that is very long on, slices are shorter; if
// that may have been the machine's doing, the next ones are looked at more closely.
func (s *slot) note(cost int64, sure bool) {
	switch {
	case cost <= heavyTurn:
	case sure:
		s.module.short.Store(shorter(s.slice, s.spent(), cost))
		s.module.heavy.Store(s.time.since + heavyFor)
	default:
		s.module.suspect.Store(s.time.since + heavyFor)
	}
}

// deliver writes an event where the guest wants it and has it handled.
func (s *slot) deliver(e *abi.Event) error {
	size := e.Size()
	limit := s.module.limits.Memory
	if size > math.MaxInt32 || int64(size) > limit {
		return fmt.Errorf("%w: %s, its memory limit is %s", ErrTooLarge, byteSize(int64(size)), byteSize(limit))
	}
	at, err := s.call(&s.inbox, uint32(size))
	if err != nil {
		return err
	}
	if at == 0 {
		return fmt.Errorf("%w: its inbox refused %s", ErrTooLarge, byteSize(int64(size)))
	}
	room, ok := s.mod.Memory().Read(at, uint32(size))
	if !ok {
		return &protocolError{fmt.Sprintf("inbox(%d) returned %#x, memory ends at %#x", size, at, s.mod.Memory().Size())}
	}
	abi.AppendEvent(room[:0], e)
	result, err := s.call(&s.handle, uint32(size))
	if err != nil {
		return err
	}
	if room, ok := s.mod.Memory().Read(at, uint32(size)); ok { // it may have moved
		clear(room)
	}
	if result != 0 {
		return &protocolError{fmt.Sprintf("handle returned %d, want 0", int32(result))}
	}
	return nil
}

func (s *slot) call(f *function, arg uint32) (uint32, error) {
	s.stack[0] = uint64(arg)
	s.calls = f
	err := f.CallWithStack(s, s.stack[:])
	return uint32(s.stack[0]), err
}

// protect keeps a panic that leaves wazero from ending the process.
func (s *slot) protect(work func(*slot, *abi.Event) error, e *abi.Event) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &internalError{fmt.Sprint(r), debug.Stack()}
		}
	}()
	return work(s, e)
}

// save appends the state in the slot to dst, as far as it differs from the
// snapshot, and makes it the snapshot's again:
//
//	uvarint  globals that differ
//	  uvarint index, uvarint bits xor the snapshot's, for each
//	the memory's delta
func (s *slot) save(dst []byte) []byte {
	return s.memory.image.Save(s.appendGlobals(dst, true))
}

// diff appends what save would, and leaves the state in the slot.
func (s *slot) diff(dst []byte) []byte {
	return s.memory.image.Diff(s.appendGlobals(dst, false))
}

// appendGlobals appends those that differ, and makes them the snapshot's if revert is set.
func (s *slot) appendGlobals(dst []byte, revert bool) []byte {
	count := 0
	for n, g := range s.globals {
		if g.Get() != s.module.globals[n] {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	for n, g := range s.globals {
		if v, was := g.Get(), s.module.globals[n]; v != was {
			dst = binary.AppendUvarint(dst, uint64(n))
			dst = binary.AppendUvarint(dst, v^was)
			if revert {
				g.Set(was)
			}
		}
	}
	return dst
}

// load makes a state of save the slot's, which is the snapshot and has the
// state's memory size.
func (s *slot) load(state []byte) error {
	count, at := binary.Uvarint(state)
	state = state[max(at, 0):]
	for range count {
		n, bits, rest, ok := cutGlobal(state)
		if !ok || n >= uint64(len(s.globals)) {
			return errState
		}
		s.globals[n].Set(s.module.globals[n] ^ bits)
		state = rest
	}
	return s.memory.image.Load(state)
}

func cutGlobal(state []byte) (n, bits uint64, rest []byte, ok bool) {
	n, at := binary.Uvarint(state)
	bits, at2 := binary.Uvarint(state[max(at, 0):])
	if at <= 0 || at2 <= 0 {
		return 0, 0, nil, false
	}
	return n, bits, state[at+at2:], true
}

// scrub makes the slot's content the snapshot's, after a guest that died.
func (s *slot) scrub() {
	s.setGlobals()
	s.memory.image.Reset()
}

func (s *slot) readGlobals() []uint64 {
	values := make([]uint64, len(s.globals))
	for n, g := range s.globals {
		values[n] = g.Get()
	}
	return values
}

func (s *slot) setGlobals() {
	for n, g := range s.globals {
		g.Set(s.module.globals[n])
	}
}

// slot is a context.Context that never ends: limits of time are kept by yield.

func (s *slot) Deadline() (time.Time, bool) { return time.Time{}, false }
func (s *slot) Done() <-chan struct{}       { return nil }
func (s *slot) Err() error                  { return nil }

// slotKey is how host functions find the slot that calls them.
type slotKey struct{}

func (s *slot) Value(key any) any {
	if _, ok := key.(slotKey); ok {
		return s
	}
	return nil
}
