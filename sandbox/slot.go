package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
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
	plugin        *Plugin
	mod           api.Module
	memory        linearMemory
	counter       api.MutableGlobal   // reductions left
	globals       []api.MutableGlobal // the guest's own, in the order of Module.Globals
	inbox, handle api.Function        // 12 KB each, so one per slot and export
	stack         [1]uint64           // parameter and result of a call
	work          *work               // counts what is done here

	// Guarded by the pool's mu while the slot is idle.
	owner      *Instance
	prev, next *slot

	state, packed []byte // reused by save and pack

	// Of the event at hand.
	of         *Instance // whose it is
	effects    *effects
	output     output
	recent     *recent // and before it; nil if nobody will ask
	answer     []byte  // of the last operation in it
	due        int64   // when it must be done, on [clock]
	running    int64   // since when it has the processor
	turn       int64   // how long it may have it, in nanoseconds
	cpu        int64   // what it had before, in nanoseconds
	reductions int64   // spent before the counter was set last
	checks     uint8   // of the time, in host functions
	broken     bool    // not to be used again
}

// slice is how many reductions a guest spends until it calls yield: some
// microseconds, or 20 ms of the costliest code that anybody has come up with.
const slice = 4_000

// firstTurn and turn are how long a guest may have the processor, in nanoseconds,
// until it lets others run: at first in an event, and later. To let others run
// takes some microseconds even if there are none, since an idle processor is woken
// to look for them, so that what is done soon should not be interrupted. But those
// that wait beside guests in long loops get one turn for each of them.
const (
	firstTurn = 200_000
	turn      = 50_000
)

// newSlot instantiates the module. The slot's content is the snapshot, if there
// is one; else nothing of the guest has run in it yet.
func (p *Plugin) newSlot() (*slot, error) {
	s := &slot{plugin: p, recent: p.engine.newRecent()}
	if err := s.memory.init(p); err != nil {
		return nil, err
	}
	ctx := experimental.WithMemoryAllocator(context.Background(), &s.memory)
	mod, err := p.runtime.InstantiateModule(ctx, p.compiled, moduleConfig)
	if err != nil {
		s.memory.close()
		return nil, err
	}
	n := p.pool.resident.Add(1)
	s.work = &p.counters.work[n%int64(len(p.counters.work))]
	s.mod = mod
	s.counter = mod.ExportedGlobal(p.module.Reductions).(api.MutableGlobal)
	for _, g := range p.module.Globals {
		s.globals = append(s.globals, mod.ExportedGlobal(g.Export).(api.MutableGlobal))
	}
	s.inbox = mod.ExportedFunction(abi.ExportInbox)
	s.handle = mod.ExportedFunction(abi.ExportHandle)
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
	for _, d := range s.plugin.module.Data {
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
	s.plugin.pool.resident.Add(-1)
}

// initialise brings the guest up to the end of its start event.
func (s *slot) initialise(e *abi.Event) error {
	for _, name := range []string{s.plugin.module.Start, abi.ExportInitialize} {
		if f := s.mod.ExportedFunction(name); name != "" && f != nil {
			if err := f.CallWithStack(s, nil); err != nil {
				return err
			}
		}
	}
	return s.deliver(e)
}

// run does work for an event under the limits and turns the guest's death into
// a trap, after which the slot's content is worthless.
func (s *slot) run(e *abi.Event, i *Instance, work func(*slot, *abi.Event) error) error {
	p := s.plugin
	s.of = i
	s.memory.denied = 0
	s.effects.begin(e.Kind)
	s.output.begin(i, p.limits.LogLines, s.recent)
	s.running = clock()
	s.due = s.running + int64(p.limits.Deadline)
	s.cpu, s.reductions, s.turn = 0, 0, firstTurn
	s.counter.Set(slice)

	s.memory.image.Begin()
	err := s.protect(work, e)
	s.memory.image.End()

	s.reductions += slice - int64(s.counter.Get())
	s.cpu += clock() - s.running
	s.work.events.Add(1)
	s.work.nanos.Add(s.cpu)
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
	s.of = nil
	return err
}

// yield is called by the guest when its slice is over. After a turn it lets others
// run, the garbage collector among them, or ends the guest if its time is up.
func (s *slot) yield() {
	s.reductions += slice - int64(s.counter.Get())
	s.counter.Set(slice)
	now := clock()
	if now-s.running < s.turn {
		return
	}
	if now > s.due {
		panic(errDeadline)
	}
	if s.of.cut.Load() {
		panic(&endedError{errInterrupted})
	}
	s.turn = turn
	s.pause(now)
	runtime.Gosched()
	s.resume()
}

// pause and resume enclose what others do while the guest stands still.
func (s *slot) pause(now int64) {
	s.cpu += now - s.running
	s.memory.image.End()
}

func (s *slot) resume() {
	s.memory.image.Resume()
	s.running = clock()
}

// check ends the guest, with its stack, if its time is up. It is for host
// functions that take up to some tens of microseconds, a few of which may pass
// until the clock is looked at.
func (s *slot) check() {
	if s.checks++; s.checks%8 == 0 && clock() > s.due {
		panic(errDeadline)
	}
}

// sleep waits for d, or ends the guest when its time is up. Meanwhile it does not have
// the processor.
func (s *slot) sleep(d time.Duration) {
	now := clock()
	left := time.Duration(s.due - now)
	s.pause(now)
	time.Sleep(min(d, left))
	s.resume()
	if d > left {
		panic(errDeadline)
	}
}

// deliver writes an event where the guest wants it and has it handled.
func (s *slot) deliver(e *abi.Event) error {
	size := e.Size()
	limit := s.plugin.limits.Memory
	if size > math.MaxInt32 || int64(size) > limit {
		return fmt.Errorf("%w: %s, its memory limit is %s", ErrTooLarge, byteSize(int64(size)), byteSize(limit))
	}
	at, err := s.call(s.inbox, uint32(size))
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
	result, err := s.call(s.handle, uint32(size))
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

func (s *slot) call(f api.Function, arg uint32) (uint32, error) {
	s.stack[0] = uint64(arg)
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
	count := 0
	for n, g := range s.globals {
		if g.Get() != s.plugin.globals[n] {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	for n, g := range s.globals {
		if v, was := g.Get(), s.plugin.globals[n]; v != was {
			dst = binary.AppendUvarint(dst, uint64(n))
			dst = binary.AppendUvarint(dst, v^was)
			g.Set(was)
		}
	}
	return s.memory.image.Save(dst)
}

// load makes a state of save the slot's, which is the snapshot and has the
// state's memory size.
func (s *slot) load(state []byte) error {
	count, at := binary.Uvarint(state)
	state = state[max(at, 0):]
	for range count {
		n, at := binary.Uvarint(state)
		bits, at2 := binary.Uvarint(state[max(at, 0):])
		if at <= 0 || at2 <= 0 || n >= uint64(len(s.globals)) {
			return errState
		}
		s.globals[n].Set(s.plugin.globals[n] ^ bits)
		state = state[at+at2:]
	}
	return s.memory.image.Load(state)
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
		g.Set(s.plugin.globals[n])
	}
}

// slot is a context.Context that never ends: deadlines are kept by yield.

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
