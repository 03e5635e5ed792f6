package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/abi"
	"rtd/sandbox/image"
	"rtd/sandbox/rewrite"
)

// LoadOptions are the surroundings of a module.
type LoadOptions struct {
	Name    string // the plugin's name, told to the guest
	Version string // names this version in logs and traps, told to the guest
	Config  []byte // JSON, told to the guest; empty means {}
	Limits  Limits
	// Log takes the lines that guests print and log. It should carry the plugin's name
	// and version already. Nil discards.
	Log *slog.Logger
	// Snapshots, if given, has the snapshot of a former process that loaded this module under this name and
	// version with this config and Limits.Memory, and gets it otherwise. Then the guest is not started, so
	// that it writes nothing to the log either. Nil: each Load makes a snapshot of its own.
	Snapshots Snapshots
	// Kept, if given, is a snapshot of such a place: the module begins with it, and with the Config and
	// Limits.Memory that it is of. Snapshots is not used. Load fails with [ErrSnapshot] if it is of another module, name or
	// version; with [ErrDamaged] if it is not as it was written; with [ErrPinned].
	Kept []byte
}

// Module is one compiled version of a plugin. It is safe for concurrent use.
type Module struct {
	engine   *Engine
	name     string
	version  string
	config   []byte
	limits   Limits
	log      *slog.Logger
	size     int
	topics   []string
	declared []abi.Effect
	loaded   LoadStats
	counters counters

	rewritten *rewrite.Module
	machine   *machine

	// The guest after its start event, with which every instance begins. If
	// pinned says why that cannot be, every instance starts anew, in a slot of its own.
	snapshot   *image.Snapshot
	globals    []uint64
	scratch    span
	snapshotID snapshotID // names both
	unkept     error      // why the next process does not find them; nil: it does
	pinned     string
	pool       pool
	futile     atomic.Int32 // compactions in a row that were of no use
	memory     budget       // that all instances have
	stacks     budget       // that have grown
	symbols    symbols      // of traps
	examining  atomic.Int32 // goroutines that have slots in which guests have died
	heavy      atomic.Int64 // until when, on [clock], its guests get short slices
	short      atomic.Int64 // how long those are
	suspect    atomic.Int64 // and until when the system is asked what they use

	mu     sync.Mutex
	live   int // instances that hold a reference, those that are starting included
	held   int // by who looks after its slots, or has one in which a guest has died
	closed bool
	freed  chan struct{} // closed when nothing is left
}

// LoadStats are the costs of loading a plugin.
type LoadStats struct {
	Compile time.Duration // decode, validate, compile or fetch from the cache
	Start   time.Duration // instantiate, initialise and handle the start event
	Memory  int64         // bytes of linear memory after the start event, or in the kept snapshot
}

// Stats count events since a plugin was loaded.
type Stats struct {
	Live    int64         // instances now
	Slots   int64         // WebAssembly instances now, in which they take turns
	Started int64         // instances started, failed ones included
	Events  int64         // events delivered, start events included
	Time    time.Duration // of processor, in guests and in the host on their behalf
	// Reductions are calls and rounds of loops, about.
	Reductions int64
	// Memory are the bytes that count against Limits.TotalMemory, which is MemoryLimit.
	Memory, MemoryLimit int64
	// Traps are counted by kind; kinds that did not happen are missing, and so are those of
	// [Instance.Fault], in which no guest died.
	Traps map[TrapKind]int64
}

type counters struct {
	started atomic.Int64
	traps   [len(trapKinds)]atomic.Int64
	// work is counted after each event. Slots share a few counters, each in a
	// cache line of its own, so that processors need not wait for each other's.
	work [8]work
}

type work struct {
	events, nanos, reductions atomic.Int64
	_                         [40]byte
}

// Load compiles a module, checks that it keeps the contract of package abi,
// and starts the guest once, for the snapshot, unless that is kept: a guest that traps then is no plugin, and the
// topic patterns that it declares are the plugin's. Every error is one line that
// tells the author of the module what to change; those of the trial wrap a
// [*Trap].
//
// The end of ctx ends the compilation, if that is a child's, see [Options].Compiler; the trial ends by the
// limits of time. Loads do not wait for each other, unless as many children compile as there may be.
func (e *Engine) Load(ctx context.Context, wasm []byte, o LoadOptions) (*Module, error) {
	p, err := e.load(ctx, wasm, o)
	if err != nil {
		return nil, fmt.Errorf("load plugin %s %s: %w", o.Name, o.Version, err)
	}
	return p, nil
}

func (e *Engine) load(ctx context.Context, wasm []byte, o LoadOptions) (*Module, error) {
	if o.Kept != nil {
		info, err := ReadSnapshotInfo(o.Kept)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		o.Config, o.Limits.Memory = info.Config, info.Memory
	}
	limits, err := o.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Config) == 0 {
		o.Config = []byte("{}")
	}
	p := &Module{
		engine: e, name: o.Name, version: o.Version, config: slices.Clone(o.Config),
		limits: limits, log: o.Log, size: len(wasm),
		live:  1, // this function, so that Engine.Close waits for it
		freed: make(chan struct{}),
	}
	p.pool.init(p, limits.Slots)
	p.memory.limit, p.stacks.limit = limits.TotalMemory, maxStacks
	if err := e.adopt(p); err != nil {
		return nil, err
	}
	defer p.release()
	if err := p.compile(ctx, wasm); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.begin(wasm, o); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// compile turns the module into machine code, unless it breaks the contract.
func (p *Module) compile(ctx context.Context, wasm []byte) error {
	begin := time.Now()
	var err error
	if p.rewritten, err = rewrite.Rewrite(wasm, rewrite.Options{YieldModule: yieldModule, YieldName: yieldName, TakeData: true}); err != nil {
		return err
	}
	if err := checkModule(p.rewritten, p.limits.Memory); err != nil {
		return err
	}
	p.pinned = strings.Join(p.rewritten.Pinned, "; ")
	if p.machine, err = p.engine.machineOf(ctx, p.rewritten.WASM, p.log); err != nil {
		return err
	}
	p.rewritten.WASM = nil // compiled
	p.loaded.Compile = time.Since(begin)
	return checkContract(p.machine.compiled)
}

// trial starts the guest once. That shows whether it works at all, and gives the
// snapshot.
func (p *Module) trial() error {
	begin := time.Now()
	var err error
	if p.snapshot, err = image.NewSnapshot(nil); err != nil {
		return err
	}
	i := &Instance{module: p}
	s, err := p.newSlot()
	if err != nil {
		return err
	}
	defer s.close()
	s.effects = newEffects(p.limits, "", nil)
	defer s.effects.free()
	if err := s.run(p.startEvent(), i, nil, (*slot).initialise); err != nil {
		return err
	}
	p.loaded.Start = time.Since(begin)
	p.loaded.Memory = int64(s.memory.image.Size())
	p.declare(s.effects)
	if p.pinned != "" {
		p.log.Warn("guest cannot be hibernated, every instance stays in memory", "cause", p.pinned)
		return nil
	}
	var started []byte
	for n := 0; ; n++ { // what it survived counts
		started, p.globals = bytes.Clone(s.memory.image.Bytes()), s.readGlobals()
		if n == settling || !s.settle(i) {
			break
		}
	}
	p.rewritten.Data = nil // the snapshot has it
	p.snapshot, err = image.NewSnapshot(started)
	return err
}

// starts says that there is no snapshot yet and there will be one.
func (p *Module) starts() bool { return p.globals == nil && p.pinned == "" }

// settling is how often a guest is told to collect its garbage before the snapshot is taken. What a
// collector sets up when it runs for the first time is then in the snapshot, and not in the state of each
// instance. The second time collects what the first has left; and SDKs prepare for the first events of an instance.
const settling = 2

// settle has the guest collect its garbage. It returns false if the guest did not survive that.
func (s *slot) settle(i *Instance) bool {
	err := s.run(&abi.Event{Kind: abi.EventIdle}, i, nil, (*slot).deliver)
	s.work.events.Add(-1) // nobody has sent it
	if trap := (*Trap)(nil); errors.As(err, &trap) {
		s.module.counters.traps[trap.Kind.index()].Add(-1)
		return false
	}
	return true
}

// retire takes a slot back whose state is not needed any more.
func (p *Module) retire(s *slot) {
	if p.pinned != "" {
		s.close()
		return
	}
	if !s.broken {
		s.scrub()
		s.memory.vacated()
	}
	p.pool.checkIn(s, nil)
}

// compacts says whether guests are told to collect their garbage: until that
// was of no use a few times.
func (p *Module) compacts() bool { return p.futile.Load() < 8 }

// compacted notes that a guest has collected: by how many bytes its state had grown, and how many of them are gone.
func (p *Module) compacted(grown, gone int) {
	if gone > grown/4 {
		p.futile.Store(0)
	} else {
		p.futile.Add(1)
	}
}

// Name returns the name under which the plugin was loaded.
func (p *Module) Name() string { return p.name }

// Version returns the version under which the plugin was loaded.
func (p *Module) Version() string { return p.version }

// Topics returns the topic patterns that the guest declared when it started,
// in its order, each once. There may be none.
func (p *Module) Topics() []string { return slices.Clone(p.topics) }

// Declared returns all that the guest asked for when it started, in its order: effects of
// the kinds handles, scratch, child, depends and wants. Nobody may change it.
func (p *Module) Declared() []abi.Effect { return p.declared }

// Size returns the size of the module in bytes.
func (p *Module) Size() int { return p.size }

// LoadStats returns the costs of loading the plugin.
func (p *Module) LoadStats() LoadStats { return p.loaded }

// Stats returns the counts so far.
func (p *Module) Stats() Stats {
	s := Stats{
		Started: p.counters.started.Load(),
		Traps:   map[TrapKind]int64{},
	}
	for i := range p.counters.work {
		w := &p.counters.work[i]
		s.Events += w.events.Load()
		s.Time += time.Duration(w.nanos.Load())
		s.Reductions += w.reductions.Load()
	}
	for i, kind := range trapKinds {
		if n := p.counters.traps[i].Load(); n > 0 {
			s.Traps[kind] = n
		}
	}
	p.mu.Lock()
	s.Live = int64(p.live)
	p.mu.Unlock()
	s.Slots = p.pool.slots()
	s.Memory, s.MemoryLimit = p.memory.used.Load(), p.memory.limit
	return s
}

// Close lets no further instance start. The plugin's memory and machine code
// are freed when its last instance is closed, which may be now.
func (p *Module) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.freeIfUnused()
}

// trim is [pool.trim]. Meanwhile the plugin is not freed.
func (p *Module) trim(before int64) (freed int) {
	if !p.hold() {
		return 0
	}
	defer p.letGo()
	return p.pool.trim(before)
}

// hold keeps the plugin from being freed until letGo, unless it is closed already.
func (p *Module) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.held++
	return true
}

func (p *Module) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	p.freeIfUnused()
}

// acquire counts an instance in; every success is followed by one release.
func (p *Module) acquire() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("start instance of %s %s: %w", p.name, p.version, ErrClosed)
	}
	p.live++
	return nil
}

func (p *Module) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
	p.freeIfUnused()
}

// freeIfUnused expects p.mu to be held.
func (p *Module) freeIfUnused() {
	if !p.closed || p.live+p.held > 0 {
		return
	}
	p.pool.close()
	if p.snapshot != nil {
		p.snapshot.Close()
	}
	if p.machine != nil {
		p.machine.close()
	}
	p.engine.forget(p)
	close(p.freed)
}

// startEvent is the first event of every instance.
func (p *Module) startEvent() *abi.Event {
	return &abi.Event{Kind: abi.EventStart, Name: p.name, Payload: p.config, Detail: p.version}
}

// moduleConfig is the same for every instance: anonymous, so that there may be
// many; no "_start", which is for programs and not for guests; and a random
// source that wazero would otherwise allocate (5 KB), although nobody reads it.
var moduleConfig = wazero.NewModuleConfig().
	WithName("").
	WithStartFunctions().
	WithRandSource(rand.Reader)
