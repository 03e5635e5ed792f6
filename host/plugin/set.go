package plugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Settings say how a plugin is run: its table in config.toml.
type Settings struct {
	Topics    []string // patterns served; none means those that the module declares
	Restart   supervisor.Restart
	Strategy  supervisor.Strategy
	Intensity supervisor.Intensity
	Limits    sandbox.Limits
	Mailbox   int    // messages that may wait for one channel
	Config    []byte // JSON, told to the guest
}

// Set is the plugins of a server. Its methods may be called from any goroutine; deploys
// and removals happen one after the other.
type Set struct {
	endpoint *channels.Endpoint
	engine   *sandbox.Engine
	runtime  *supervisor.Runtime
	log      *slog.Logger
	crashes  *crashLog

	deploying sync.Mutex // held through deploys and removals

	mu      sync.Mutex
	plugins map[string]*Plugin
	closed  bool
}

// NewSet returns a set without plugins. Their channels are served through
// endpoint, whose crashes the set takes over to log and count.
func NewSet(e *channels.Endpoint, engine *sandbox.Engine, rt *supervisor.Runtime, log *slog.Logger) *Set {
	s := &Set{
		endpoint: e,
		engine:   engine,
		runtime:  rt,
		log:      log,
		crashes:  newCrashLog(log),
		plugins:  map[string]*Plugin{},
	}
	e.Crashed = s.crashed
	return s
}

// ErrUnchanged is returned by Deploy if the module and its settings are those
// that run already.
var ErrUnchanged = errors.New("this version runs already")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("shutting down")

// Deploy makes a module the current version of the plugin called name, new or
// not. It is compiled and tried first, then made current, and then the live
// channels move over, each between two of its messages. On an error all is as
// before.
func (s *Set) Deploy(ctx context.Context, name string, wasm []byte, settings Settings) error {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	old := s.get(name)
	hash := sha256.Sum256(wasm)
	if old != nil && old.current.Load().same(hash, settings) {
		return ErrUnchanged
	}
	r, err := s.load(ctx, name, wasm, hash, settings)
	if err != nil {
		return err
	}
	if old == nil {
		err = s.start(r)
	} else {
		err = old.replace(r)
	}
	if err != nil {
		r.module.Close()
	}
	return err
}

// Configure deploys the plugins whose settings have changed anew, with the
// modules that they have. It returns the errors of those that could not be; they
// run on as they were.
func (s *Set) Configure(ctx context.Context, settings func(name string) Settings) error {
	var errs []error
	for _, p := range s.list() {
		switch err := s.Deploy(ctx, p.name, p.current.Load().wasm, settings(p.name)); {
		case err == nil:
			s.log.Info("plugin reconfigured", "plugin", p.name, "version", s.Version(p.name), "topics", s.Topics(p.name))
		case !errors.Is(err, ErrUnchanged):
			errs = append(errs, fmt.Errorf("plugin %s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

// Version returns the current version of a plugin, or "" if there is no such plugin.
func (s *Set) Version(name string) string {
	if p := s.get(name); p != nil {
		return p.current.Load().version.ID
	}
	return ""
}

// Topics returns the patterns that a plugin serves.
func (s *Set) Topics(name string) []string {
	if p := s.get(name); p != nil {
		return p.current.Load().topics
	}
	return nil
}

// Remove unloads a plugin: its topics are no longer served and its channels
// close. It reports whether there was one of that name.
func (s *Set) Remove(name string) bool {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	s.mu.Lock()
	p := s.plugins[name]
	delete(s.plugins, name)
	s.mu.Unlock()
	if p == nil {
		return false
	}
	p.stop()
	return true
}

// Close unloads all plugins and accepts no more.
func (s *Set) Close() {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	s.mu.Lock()
	s.closed = true
	plugins := slices.Collect(maps.Values(s.plugins))
	clear(s.plugins)
	s.mu.Unlock()
	var stops sync.WaitGroup
	for _, p := range plugins {
		stops.Go(p.stop)
	}
	stops.Wait()
	s.crashes.close()
}

// load compiles a module and tries it.
func (s *Set) load(ctx context.Context, name string, wasm []byte, hash [sha256.Size]byte, settings Settings) (*release, error) {
	version := hex.EncodeToString(hash[:6])
	module, err := s.engine.Load(ctx, wasm, sandbox.LoadOptions{
		Name:    name,
		Version: version,
		Config:  settings.Config,
		Limits:  settings.Limits,
		Log:     s.log.With("plugin", name, "version", version),
	})
	if err != nil {
		return nil, err
	}
	topics := settings.Topics
	if len(topics) == 0 {
		topics = module.Topics()
	}
	if len(topics) == 0 {
		module.Close()
		return nil, fmt.Errorf("it declares no topics; set topics in [plugin.%s] of config.toml", name)
	}
	return newRelease(module, wasm, hash, settings, topics), nil
}

// start runs a new plugin.
func (s *Set) start(r *release) error {
	p := s.newPlugin(r)
	if err := s.endpoint.Router.Set(p, r.topics); err != nil {
		p.stop()
		return err
	}
	s.mu.Lock()
	s.plugins[p.name] = p
	s.mu.Unlock()
	return nil
}

func (s *Set) get(name string) *Plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plugins[name]
}

func (s *Set) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// list returns the plugins by name.
func (s *Set) list() []*Plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.plugins), func(a, b *Plugin) int {
		return cmp.Compare(a.name, b.name)
	})
}
