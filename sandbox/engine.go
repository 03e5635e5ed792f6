package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/image"
)

// ErrClosed is returned when something is asked of a closed Engine, Plugin or
// Instance.
var ErrClosed = errors.New("closed")

// wazeroVersion is the version in go.mod. wazero names its cache by it too, but
// calls it "dev" in test binaries, and would then run another version's code.
const wazeroVersion = "v1.12.0"

// Options configure an Engine.
type Options struct {
	// CacheDir is a directory for compiled code, created if it is missing. It
	// saves a second of compilation for each Go guest at each start of the
	// process. Several processes may share it. Its files are machine code that
	// is executed as it stands: nobody else may have write access.
	// Empty keeps compiled code in memory only.
	CacheDir string
	// Examine, if given, is asked about traps of instances whether what is left of
	// the guest is to be kept, as [Trap.PostMortem]: up to 16 MiB are copied then. It
	// is called by who handles the event, and must not block. Nil keeps nothing;
	// then slots need not remember what their guests have handled.
	Examine func(*Trap) bool
}

// Engine compiles modules and owns what the plugins of a process share. It is
// safe for concurrent use.
type Engine struct {
	cache   wazero.CompilationCache
	examine func(*Trap) bool // may be nil
	store   image.Store      // of states at rest

	// compiling is held while a module is compiled: wazero 1.12 hands out what it has
	// read from the cache before it is complete, if two ask for the same module.
	compiling sync.Mutex

	mu      sync.Mutex
	plugins map[*Plugin]struct{} // all whose resources are not freed yet
	closed  bool
}

// NewEngine returns an Engine. Close it in the end.
func NewEngine(o Options) (*Engine, error) {
	e := &Engine{examine: o.Examine, plugins: map[*Plugin]struct{}{}}
	if o.CacheDir == "" {
		e.cache = wazero.NewCompilationCache()
		return e, nil
	}
	var err error
	if e.cache, err = wazero.NewCompilationCacheWithDir(filepath.Join(o.CacheDir, wazeroVersion)); err != nil {
		return nil, fmt.Errorf("open compilation cache: %w", err)
	}
	return e, nil
}

// Trim frees slots that have been idle for so long, but for a few of each plugin; their
// actors' states go where those of all idle actors are. It is to be called once in a
// while, and may be called from any goroutine. It returns how many it has freed.
func (e *Engine) Trim(idle time.Duration) (freed int) {
	e.mu.Lock()
	plugins := make([]*Plugin, 0, len(e.plugins))
	for p := range e.plugins {
		plugins = append(plugins, p)
	}
	e.mu.Unlock()
	before := clock() - int64(idle)
	for _, p := range plugins {
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

// Close closes all plugins and waits until their last instances are closed.
// When ctx ends first, it names the plugins that are still in use and frees
// nothing; it may be called again.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	plugins := make([]*Plugin, 0, len(e.plugins))
	for p := range e.plugins {
		plugins = append(plugins, p)
	}
	e.mu.Unlock()

	var inUse []string
	for _, p := range plugins {
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
	return e.cache.Close(ctx)
}

// adopt makes e wait for p when it closes.
func (e *Engine) adopt(p *Plugin) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.plugins[p] = struct{}{}
	return nil
}

// forget is called when p's resources are freed.
func (e *Engine) forget(p *Plugin) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.plugins, p)
}
