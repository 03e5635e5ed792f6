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

// LoadOptions say what a module is loaded as.
type LoadOptions struct {
	Name    string // the plugin's name, told to the guest
	Version string // names this version in logs and traps, told to the guest
	Config  []byte // JSON, told to the guest; empty means {}
	Limits  Limits
	// Log takes what guests print and log. It should carry the plugin's name
	// and version already. Nil discards.
	Log *slog.Logger
}

// Plugin is one compiled version of a plugin. It is safe for concurrent use.
type Plugin struct {
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

	// A runtime of its own lets a version go without a trace: wazero keeps
	// every function type that a runtime has ever seen. Machine code is shared
	// through the engine's cache all the same.
	runtime  wazero.Runtime
	module   *rewrite.Module
	compiled wazero.CompiledModule

	// The guest after its start event: what every instance begins with. If
	// pinned says why that cannot be, every instance starts anew, in a slot of its own.
	snapshot *image.Snapshot
	globals  []uint64
	scratch  span
	pinned   string
	pool     pool
	futile   atomic.Int32 // compactions in a row that were of no use

	mu     sync.Mutex
	live   int // instances that hold a reference, those that are starting included
	held   int // by who looks after its slots
	closed bool
	freed  chan struct{} // closed when nothing is left
}

// LoadStats say what loading a plugin cost.
type LoadStats struct {
	Compile time.Duration // decode, validate, compile or fetch from the cache
	Start   time.Duration // instantiate, initialise and handle the start event
	Memory  int64         // bytes of linear memory after the start event
}

// Stats count what has happened to a plugin since it was loaded.
type Stats struct {
	Live    int64         // instances now
	Slots   int64         // WebAssembly instances now, in which they take turns
	Started int64         // instances started, failed ones included
	Events  int64         // events delivered, start events included
	Time    time.Duration // of processor, in guests and in what the host did for them
	// Reductions are calls and rounds of loops, about.
	Reductions int64
	Traps      map[TrapKind]int64 // by kind; kinds that did not happen are missing
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
// and starts the guest once, for the snapshot: what traps there is no plugin, and the
// topic patterns that it declares are the plugin's. Every error is one line that
// tells the author of the module what to change; those of the trial wrap a
// [*Trap].
//
// ctx is looked at between the steps: compilation cannot be interrupted, the
// trial ends by the deadline.
func (e *Engine) Load(ctx context.Context, wasm []byte, o LoadOptions) (*Plugin, error) {
	p, err := e.load(ctx, wasm, o)
	if err != nil {
		return nil, fmt.Errorf("load plugin %s %s: %w", o.Name, o.Version, err)
	}
	return p, nil
}

func (e *Engine) load(ctx context.Context, wasm []byte, o LoadOptions) (*Plugin, error) {
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
	p := &Plugin{
		engine: e, name: o.Name, version: o.Version, config: slices.Clone(o.Config),
		limits: limits, log: o.Log, size: len(wasm),
		live:  1, // this function, so that Engine.Close waits for it
		freed: make(chan struct{}),
	}
	p.pool.init(p, limits.Slots)
	if err := e.adopt(p); err != nil {
		return nil, err
	}
	defer p.release()
	if err := p.compile(ctx, wasm); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.trial(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// compile turns the module into machine code, unless it breaks the contract.
func (p *Plugin) compile(ctx context.Context, wasm []byte) error {
	begin := time.Now()
	wasm, err := screen(wasm, p.limits.Memory)
	if err != nil {
		return err
	}
	if p.module, err = rewrite.Rewrite(wasm, rewrite.Options{YieldModule: yieldModule, YieldName: yieldName, TakeData: true}); err != nil {
		return err
	}
	p.pinned = strings.Join(p.module.Pinned, "; ")
	p.engine.compiling.Lock()
	defer p.engine.compiling.Unlock()
	config := wazero.NewRuntimeConfig().
		WithCompilationCache(p.engine.cache).
		WithDebugInfoEnabled(false) // never parse a stranger's DWARF in the host
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := addHostModules(ctx, p.runtime); err != nil {
		return err
	}
	if p.compiled, err = compileModule(ctx, p.runtime, p.module.WASM); err != nil {
		return err
	}
	p.module.WASM = nil // compiled
	p.loaded.Compile = time.Since(begin)
	return checkContract(p.compiled)
}

// trial starts the guest once. That shows whether it works at all, and gives the
// snapshot.
func (p *Plugin) trial() error {
	begin := time.Now()
	var err error
	if p.snapshot, err = image.NewSnapshot(nil); err != nil {
		return err
	}
	i := &Instance{plugin: p}
	s, err := p.newSlot()
	if err != nil {
		return err
	}
	defer s.close()
	s.effects = newEffects(p.limits, "", nil)
	defer s.effects.free()
	if err := s.run(p.startEvent(), i, (*slot).initialise); err != nil {
		return err
	}
	p.loaded.Start = time.Since(begin)
	p.loaded.Memory = int64(s.memory.image.Size())
	p.topics, p.scratch = slices.Clone(s.effects.topics), s.effects.scratch
	for _, e := range s.effects.list {
		e.Payload = slices.Clone(e.Payload)
		p.declared = append(p.declared, e)
	}
	if p.pinned != "" {
		p.log.Warn("guest cannot be hibernated, every instance stays in memory", "cause", p.pinned)
		return nil
	}
	started := bytes.Clone(s.memory.image.Bytes())
	p.globals = s.readGlobals()
	if s.settle(i) {
		started, p.globals = s.memory.image.Bytes(), s.readGlobals()
	}
	p.module.Data = nil // the snapshot has it
	p.snapshot, err = image.NewSnapshot(started)
	return err
}

// settle has the guest collect its garbage before the snapshot is taken: what a
// collector sets up when it runs for the first time is then in the snapshot, and
// not in the state of each instance. The second time collects what the first
// has left. It returns false if the guest did not survive that.
func (s *slot) settle(i *Instance) bool {
	for range 2 {
		err := s.run(&abi.Event{Kind: abi.EventIdle}, i, (*slot).deliver)
		s.work.events.Add(-1) // nobody has sent it
		if trap := (*Trap)(nil); errors.As(err, &trap) {
			s.plugin.counters.traps[trap.Kind.index()].Add(-1)
			return false
		}
	}
	return true
}

// retire takes a slot back whose state is not needed any more.
func (p *Plugin) retire(s *slot) {
	if p.pinned != "" {
		s.close()
		return
	}
	if !s.broken {
		s.scrub()
	}
	p.pool.release(s, nil)
}

// compacts says whether guests are told to collect their garbage: until that
// was of no use a few times.
func (p *Plugin) compacts() bool { return p.futile.Load() < 8 }

func (p *Plugin) compacted(before, after int) {
	if after < before-before/4 {
		p.futile.Store(0)
	} else {
		p.futile.Add(1)
	}
}

// Name returns the name under which the plugin was loaded.
func (p *Plugin) Name() string { return p.name }

// Version returns the version under which the plugin was loaded.
func (p *Plugin) Version() string { return p.version }

// Topics returns the topic patterns that the guest declared when it started,
// in its order, each once. There may be none.
func (p *Plugin) Topics() []string { return slices.Clone(p.topics) }

// Declared returns what else the guest declared when it started, in its order:
// effects of the kinds child, depends and handles. Nobody may change it.
func (p *Plugin) Declared() []abi.Effect { return p.declared }

// Size returns the size of the module in bytes.
func (p *Plugin) Size() int { return p.size }

// LoadStats returns what loading the plugin cost.
func (p *Plugin) LoadStats() LoadStats { return p.loaded }

// Stats returns what has happened so far.
func (p *Plugin) Stats() Stats {
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
	return s
}

// Close lets no further instance start. The plugin's memory and machine code
// are freed when its last instance is closed, which may be now.
func (p *Plugin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.freeIfUnused()
}

// trim is [pool.trim]. Meanwhile the plugin is not freed.
func (p *Plugin) trim(before int64) (freed int) {
	if !p.hold() {
		return 0
	}
	defer p.letGo()
	return p.pool.trim(before)
}

// hold keeps the plugin from being freed until letGo, unless it is closed already.
func (p *Plugin) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.held++
	return true
}

func (p *Plugin) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	p.freeIfUnused()
}

// acquire counts an instance in; every success is followed by one release.
func (p *Plugin) acquire() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("start instance of %s %s: %w", p.name, p.version, ErrClosed)
	}
	p.live++
	return nil
}

func (p *Plugin) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
	p.freeIfUnused()
}

// freeIfUnused expects p.mu to be held.
func (p *Plugin) freeIfUnused() {
	if !p.closed || p.live+p.held > 0 {
		return
	}
	ctx := context.Background() // freeing is not to be interrupted
	p.pool.close()
	if p.snapshot != nil {
		p.snapshot.Close()
	}
	if p.compiled != nil {
		_ = p.compiled.Close(ctx) // never fails: it drops a reference
	}
	if p.runtime != nil {
		_ = p.runtime.Close(ctx) // closes host modules, which hold nothing
	}
	p.engine.forget(p)
	close(p.freed)
}

// startEvent is the first event of every instance.
func (p *Plugin) startEvent() *abi.Event {
	return &abi.Event{Kind: abi.EventStart, Name: p.name, Payload: p.config, Detail: p.version}
}

// moduleConfig is the same for every instance: anonymous, so that there may be
// many; no "_start", which is for programs and not for guests; and a random
// source that wazero would otherwise allocate (5 KB), although nobody reads it.
var moduleConfig = wazero.NewModuleConfig().
	WithName("").
	WithStartFunctions().
	WithRandSource(rand.Reader)
