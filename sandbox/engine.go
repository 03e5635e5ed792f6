package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rtd/sandbox/image"
)

// ErrClosed is returned when something is asked of a closed Engine, Module or
// Instance.
var ErrClosed = errors.New("closed")

// Options configure an Engine.
type Options struct {
	// CacheDir is a directory for compiled code, created if it is missing. It
	// saves a second of compilation for each Go guest at each start of the
	// process. Several processes may share it. It is a help: a file in it that is damaged
	// is noticed, and made again; one that cannot be written is a warning. But its files are
	// machine code, which is executed if its hash is right: nobody else may have write access.
	// Empty keeps compiled code in memory only.
	CacheDir string
	// CacheOptional makes it a warning, too, if CacheDir cannot be created.
	CacheOptional bool
	// Compiler is the command that compiles in a child process of its own, see [Compiler]. Nil
	// compiles in this process, which nobody can limit or interrupt. The same if CompileTime is negative.
	Compiler []string
	// CompileTime is how much time of the processor a child may take for one module, in whole
	// seconds. Default 60 s. A tenth of it may be for the part that this process repeats.
	CompileTime time.Duration
	// CompileMemory is how many bytes of memory it may have. Default 1 GiB.
	CompileMemory int64
	// Examine, if given, is asked about traps of instances whether what is left of
	// the guest is to be kept, as [Trap.PostMortem]: up to 16 MiB are copied then, beside the
	// turns of others. It is called by who handles the event, and must not block. Nil keeps nothing;
	// then slots need not remember what their guests have handled.
	Examine func(*Trap) bool
	// Log takes warnings about the cache. Nil discards.
	Log *slog.Logger
}

// Engine compiles modules and owns the resources that the plugins of a process share. It is
// safe for concurrent use.
type Engine struct {
	cache    *codeCache       // may be nil
	uncached atomic.Bool      // it was said that the cache cannot be written
	examine  func(*Trap) bool // may be nil
	store    image.Store      // of states at rest
	stacks   budget           // of guests in deep recursions
	log      *slog.Logger

	compiler      []string // may be nil
	temporary     []string // folders, for machine code that the cache has no place for
	compileTime   time.Duration
	compileMemory int64
	children      chan struct{} // has as many places as there may be children at a time

	// closing ends when Close is called, and compilations with it.
	closing context.Context
	close   context.CancelFunc

	mu      sync.Mutex
	modules map[*Module]struct{} // all whose resources are not freed yet
	closed  bool
}

// NewEngine returns an Engine. Close it in the end. An error is about CacheDir.
func NewEngine(o Options) (*Engine, error) {
	e := &Engine{
		examine: o.Examine, log: o.Log, modules: map[*Module]struct{}{},
		stacks:   budget{limit: maxAllStacks},
		compiler: o.Compiler, compileTime: o.CompileTime, compileMemory: o.CompileMemory,
		// As many as can run, and one more, so that one that takes all its time stops nobody on a small machine.
		children: make(chan struct{}, runtime.NumCPU()+1),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.compileTime == 0 {
		e.compileTime = 60 * time.Second
	}
	if e.compileMemory == 0 {
		e.compileMemory = 1 << 30
	}
	if e.compileTime < 0 {
		e.compiler = nil
	}
	if o.CacheDir != "" {
		if err := e.openCache(o); err != nil {
			return nil, err
		}
	}
	if e.compiler != nil { // else machine code need not be in a folder at all
		e.temporary = append(e.temporary, os.TempDir())
		if runtime.GOOS == "linux" {
			e.temporary = append(e.temporary, "/dev/shm") // memory, if there is no disk
		}
	}
	for _, dir := range e.places() {
		sweep(dir)
	}
	e.closing, e.close = context.WithCancel(context.Background())
	return e, nil
}

// openCache makes the folder of compiled code. That it cannot be used is an error only if it cannot be made and
// is not optional.
func (e *Engine) openCache(o Options) error {
	dir, err := filepath.Abs(o.CacheDir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil && !o.CacheOptional {
		return fmt.Errorf("make cache folder: %w; name another one (cache in [plugins] of config.toml)", err)
	}
	if err == nil {
		e.cache, err = openCache(filepath.Join(dir, wazeroVersion))
	}
	if err != nil {
		e.log.Warn("no cache folder, plugins are compiled at every start", "folder", o.CacheDir, "cause", err)
	}
	return nil
}

// Trim frees slots that have been idle for so long; their actors' states go where those of all
// idle actors are. A few of each plugin stay, and take next to no memory. It is to be called once
// in a while, and may be called from any goroutine. It returns how many it has freed.
func (e *Engine) Trim(idle time.Duration) (freed int) {
	e.mu.Lock()
	modules := make([]*Module, 0, len(e.modules))
	for p := range e.modules {
		modules = append(modules, p)
	}
	e.mu.Unlock()
	before := clock() - int64(idle)
	for _, p := range modules {
		freed += p.trim(before)
	}
	return freed
}

// EngineStats are the figures of an engine.
type EngineStats struct {
	IdleBytes int64 // of memory that holds the states of idle instances
}

// Stats returns the figures of this moment.
func (e *Engine) Stats() EngineStats { return EngineStats{IdleBytes: e.store.Bytes()} }

// Close closes all plugins and waits until their last instances are closed. Loads that compile
// end with [ErrClosed].
// When ctx ends first, it names the plugins that are still in use and frees
// nothing; it may be called again.
func (e *Engine) Close(ctx context.Context) error {
	e.close()
	e.mu.Lock()
	e.closed = true
	modules := make([]*Module, 0, len(e.modules))
	for p := range e.modules {
		modules = append(modules, p)
	}
	e.mu.Unlock()

	var inUse []string
	for _, p := range modules {
		p.Close()
		select {
		case <-p.freed:
			continue
		default:
		}
		select {
		case <-p.freed:
		case <-ctx.Done():
			inUse = append(inUse, fmt.Sprintf("%s %s (%d instances)", p.name, p.version, p.Stats().Live))
		}
	}
	if len(inUse) > 0 {
		slices.Sort(inUse)
		return fmt.Errorf("close engine: still in use: %v: %w", inUse, ctx.Err())
	}
	e.store.Close()
	return nil
}

// adopt makes e wait for p when it closes.
func (e *Engine) adopt(p *Module) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.modules[p] = struct{}{}
	return nil
}

// forget is called when p's resources are freed.
func (e *Engine) forget(p *Module) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.modules, p)
}
