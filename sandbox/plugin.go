package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/abi"
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
	loaded   LoadStats
	counters counters

	// A runtime of its own lets a version go without a trace: wazero keeps
	// every function type that a runtime has ever seen. Machine code is shared
	// through the engine's cache all the same.
	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	// starting has room for as many starts as there are cores. A Go guest takes
	// milliseconds of CPU to start: if a thousand did so side by side, each would
	// miss its deadline.
	starting chan struct{}

	mu     sync.Mutex
	live   int // instances that hold a reference, those that are starting included
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
	Live    int64              // instances now
	Started int64              // instances started, failed ones and Load's own included
	Events  int64              // events delivered, start events included
	Time    time.Duration      // spent in guests and in what the host did for them
	Traps   map[TrapKind]int64 // by kind; kinds that did not happen are missing
}

type counters struct {
	started, events, nanos atomic.Int64
	traps                  [len(trapKinds)]atomic.Int64
}

// Load compiles a module, checks that it keeps the contract of package abi,
// and starts one instance for a trial: what traps there is no plugin, and the
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
		starting: make(chan struct{}, runtime.GOMAXPROCS(0)),
		live:     1, // this function, so that Engine.Close waits for it
		freed:    make(chan struct{}),
	}
	if err := e.adopt(p); err != nil {
		return nil, err
	}
	defer p.release()
	if err := p.compile(ctx, wasm); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.trial(ctx); err != nil {
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
	config := wazero.NewRuntimeConfig().
		WithCompilationCache(p.engine.cache).
		WithCloseOnContextDone(true). // look at the watch in loops and calls
		WithDebugInfoEnabled(false)   // never parse a stranger's DWARF in the host
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := addHostModules(ctx, p.runtime); err != nil {
		return err
	}
	if p.compiled, err = compileModule(ctx, p.runtime, wasm); err != nil {
		return err
	}
	p.loaded.Compile = time.Since(begin)
	return checkContract(p.compiled)
}

// trial starts the instance that shows whether the module works at all.
func (p *Plugin) trial(ctx context.Context) error {
	begin := time.Now()
	i, err := p.Start(ctx, nil)
	if err != nil {
		return err
	}
	p.loaded.Start = time.Since(begin)
	p.loaded.Memory = int64(len(i.memory.bytes))
	p.topics = slices.Clone(i.effects.topics)
	i.Close()
	return nil
}

// Name returns the name under which the plugin was loaded.
func (p *Plugin) Name() string { return p.name }

// Version returns the version under which the plugin was loaded.
func (p *Plugin) Version() string { return p.version }

// Topics returns the topic patterns that the guest declared when it started,
// in its order, each once. There may be none.
func (p *Plugin) Topics() []string { return slices.Clone(p.topics) }

// Size returns the size of the module in bytes.
func (p *Plugin) Size() int { return p.size }

// LoadStats returns what loading the plugin cost.
func (p *Plugin) LoadStats() LoadStats { return p.loaded }

// Stats returns what has happened so far.
func (p *Plugin) Stats() Stats {
	s := Stats{
		Started: p.counters.started.Load(),
		Events:  p.counters.events.Load(),
		Time:    time.Duration(p.counters.nanos.Load()),
		Traps:   map[TrapKind]int64{},
	}
	for i, kind := range trapKinds {
		if n := p.counters.traps[i].Load(); n > 0 {
			s.Traps[kind] = n
		}
	}
	p.mu.Lock()
	s.Live = int64(p.live)
	p.mu.Unlock()
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
	if !p.closed || p.live > 0 {
		return
	}
	ctx := context.Background() // freeing is not to be interrupted
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
	return &abi.Event{Kind: abi.EventStart, Name: p.name, Payload: p.config, Version: p.version}
}

// moduleConfig is the same for every instance: anonymous, so that there may be
// many; no "_start", which is for programs and not for guests; and a random
// source that wazero would otherwise allocate (5 KB), although nobody reads it.
var moduleConfig = wazero.NewModuleConfig().
	WithName("").
	WithStartFunctions().
	WithRandSource(rand.Reader)
