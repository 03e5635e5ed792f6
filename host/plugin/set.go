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
	"strings"
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
	Mailbox   int      // messages that may wait for one process
	Rate      int      // messages of clients that its handlers take in a second, all together
	Scope     string   // abi.ScopeJoin or ScopeTopic; "" is what the module declares for each pattern
	Stays     bool     // a topic's handler stays when its last member has left
	Depends   []string // plugins that must run first, beside those that the module declares
	Grants    []string // patterns of topics that are not its own, which it may publish and subscribe to
	Allows    []string // what it may that its manifest asks for: "connect", "disconnect"
	Config    []byte   // JSON, told to the guest
	Rollout   Rollout  // how a new version takes over; no part of what it runs under

	// What the plugin's processes may have, all together; channel handlers count
	// too, but joins are not refused for them.
	Processes  int // live ones, when another is spawned
	References int // timers, monitors, links and open requests; and names, apart
	Pending    int // bytes of messages to other processes that wait
}

// Set is the plugins of a server. Its methods may be called from any goroutine; deploys
// and removals happen one after the other.
type Set struct {
	// Withdrawn, if given, is called when a version was taken back because it
	// crashed too often, on a goroutine of its own. It is set before the first deploy.
	Withdrawn func(Withdrawal)

	endpoint *channels.Endpoint
	engine   *sandbox.Engine
	runtime  *supervisor.Runtime
	log      *slog.Logger
	crashes  *crashLog
	waits    waits
	group    *supervisor.Group // of the host's own processes
	services supervisor.Names  // for them

	deploying  sync.Mutex     // held through deploys and removals
	background sync.WaitGroup // goroutines that move processes, and take versions back

	mu      sync.Mutex
	plugins map[string]*Plugin
	groups  map[*supervisor.Group]*Plugin
	started int // plugins so far
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
		group:    rt.NewGroup(),
		groups:   map[*supervisor.Group]*Plugin{},
	}
	e.Crashed = s.channelCrashed
	return s
}

// ErrUnchanged is returned by Deploy if the module and its settings are those
// that run already.
var ErrUnchanged = errors.New("this version runs already")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("shutting down")

// Deploy makes a module the current version of the plugin called name, new or
// not. It is compiled and tried first, then made current, and then the live
// processes move over, each between two of its messages; or, if there is to be a canary,
// some of the new joins begin with it first, see [Rollout]. On an error all is as
// before.
func (s *Set) Deploy(ctx context.Context, name string, wasm []byte, settings Settings) error {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	if name == hostName {
		return fmt.Errorf("a plugin cannot be called %s: choose another name for its file", hostName)
	}
	pl := s.get(name)
	hash := sha256.Sum256(wasm)
	if pl == nil {
		return s.deployFirst(ctx, name, wasm, hash, settings)
	}
	if c := pl.canary.Load(); c != nil {
		if c.release.same(hash, settings) {
			return ErrUnchanged
		}
		pl.dropCanary(c) // whatever comes is meant to come in its place
	}
	if !pl.failed() && pl.current.Load().same(hash, settings) {
		return ErrUnchanged
	}
	return s.deployTo(ctx, pl, wasm, hash, settings)
}

// deployFirst runs a plugin that there was not.
func (s *Set) deployFirst(ctx context.Context, name string, wasm []byte, hash [sha256.Size]byte, settings Settings) error {
	pl := s.newPlugin(name)
	r, err := s.load(ctx, pl, wasm, hash, settings)
	if err == nil {
		if err = s.start(pl, r); err != nil {
			r.module.Close()
		}
	}
	if err != nil {
		pl.master.stop()
	}
	return err
}

// deployTo makes a module the next version of a plugin.
func (s *Set) deployTo(ctx context.Context, pl *Plugin, wasm []byte, hash [sha256.Size]byte, settings Settings) error {
	r, err := s.load(ctx, pl, wasm, hash, settings)
	if err != nil {
		return err
	}
	old := pl.current.Load()
	isNew := hash != old.hash
	switch {
	case pl.failed():
		err = s.restart(pl, r)
	case isNew && settings.Rollout.Canary > 0 && settings.Rollout.CanaryPeriod > 0:
		s.beginCanary(pl, r)
		return nil
	default:
		err = pl.replace(r)
	}
	if err != nil {
		r.module.Close()
		return err
	}
	pl.watch(r, old)
	return nil
}

// Configure deploys the plugins whose settings have changed anew, with the
// modules that they have. It returns the errors of those that could not be; they
// run on as they were.
func (s *Set) Configure(ctx context.Context, settings func(name string) Settings) error {
	var errs []error
	for _, p := range s.list() {
		to, canary := settings(p.name), p.canary.Load()
		if canary != nil && canary.release.settings.equal(to) {
			continue
		}
		switch err := s.Deploy(ctx, p.name, p.current.Load().wasm, to); {
		case err == nil:
			s.log.Info("plugin reconfigured", "plugin", p.name, "version", s.Version(p.name), "topics", s.Topics(p.name))
		case !errors.Is(err, ErrUnchanged):
			errs = append(errs, fmt.Errorf("plugin %s: %w", p.name, err))
		}
		if canary != nil {
			if err := s.Deploy(ctx, p.name, canary.release.wasm, to); err != nil {
				errs = append(errs, fmt.Errorf("canary of plugin %s: %w", p.name, err))
			}
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

// Hash returns the SHA-256 of the current version's module in hexadecimal digits, or ""
// if there is no such plugin.
func (s *Set) Hash(name string) string {
	if p := s.get(name); p != nil {
		return p.current.Load().hashText()
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
	p := s.take(name)
	if p == nil {
		return false
	}
	p.stop()
	return true
}

// Close unloads all plugins and accepts no more.
func (s *Set) Close() {
	defer s.background.Wait() // for those that wait for the lock, too
	s.deploying.Lock()
	defer s.deploying.Unlock()
	s.mu.Lock()
	s.closed = true
	plugins := slices.SortedFunc(maps.Values(s.plugins), func(a, b *Plugin) int { return cmp.Compare(b.number, a.number) })
	s.mu.Unlock()
	var rest sync.WaitGroup
	for _, pl := range plugins {
		if s.needed(pl, plugins) {
			rest.Wait() // for those that depend on it, which started later
		}
		rest.Go(pl.stop)
	}
	rest.Wait()
	s.mu.Lock()
	clear(s.plugins)
	clear(s.groups)
	s.mu.Unlock()
	s.crashes.close()
}

// inBackground runs f on a goroutine that Close waits for. After Close it does not, and
// returns false.
func (s *Set) inBackground(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.background.Go(f)
	return true
}

// WaitingError says that a plugin cannot run before others do.
type WaitingError struct{ For []string }

func (e *WaitingError) Error() string {
	return "it depends on plugins that do not run: " + strings.Join(e.For, ", ")
}

// missing returns those plugins that r depends on and that do not run.
func (s *Set) missing(r *release) error {
	var names []string
	for _, name := range r.depends {
		if pl := s.get(name); pl == nil || pl.failed() {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil
	}
	return &WaitingError{names}
}

// needed says whether one of several plugins depends on pl.
func (s *Set) needed(pl *Plugin, by []*Plugin) bool {
	return slices.ContainsFunc(by, func(other *Plugin) bool { return other.dependsOn(pl.name) })
}

// load compiles a module and tries it.
func (s *Set) load(ctx context.Context, pl *Plugin, wasm []byte, hash [sha256.Size]byte, settings Settings) (*release, error) {
	version := hex.EncodeToString(hash[:6])
	module, err := s.engine.Load(ctx, wasm, sandbox.LoadOptions{
		Name:    pl.name,
		Version: version,
		Config:  settings.Config,
		Limits:  settings.Limits,
		Log:     s.log.With("plugin", pl.name, "version", version),
	})
	if err != nil {
		return nil, err
	}
	topics := settings.Topics
	if len(topics) == 0 {
		topics = module.Topics()
	}
	r, err := newRelease(pl, module, wasm, hash, settings, topics)
	switch {
	case err != nil:
	case len(topics)+len(r.children) == 0:
		err = fmt.Errorf("it declares neither topics nor processes; set topics in [plugin.%s] of config.toml", pl.name)
	default:
		err = cmp.Or(r.checkCapabilities(pl.name), s.missing(r))
	}
	if err != nil {
		module.Close()
		return nil, err
	}
	return r, nil
}

// start runs a new plugin. Its processes may be reached as soon as they start, its
// topics when all have.
func (s *Set) start(pl *Plugin, r *release) error {
	pl.current.Store(r) // what others find by its name has a version
	s.put(pl)
	err := pl.start(r)
	if err == nil {
		err = s.endpoint.Router.Set(pl, r.topics)
	}
	if err != nil {
		s.take(pl.name)
		pl.stopTree(supervisor.Shutdown)
		pl.Supervisor().Close(supervisor.Shutdown)
	}
	return err
}

// restart runs a plugin again that has failed.
func (s *Set) restart(pl *Plugin, r *release) error {
	old := pl.current.Load()
	if err := s.endpoint.Router.Set(pl, r.topics); err != nil {
		return err
	}
	if err := pl.start(r); err != nil {
		pl.current.Store(old)
		return errors.Join(err, s.endpoint.Router.Set(pl, old.topics))
	}
	old.retire(r)
	return nil
}

func (s *Set) put(pl *Plugin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	pl.number = s.started
	s.plugins[pl.name] = pl
	s.groups[pl.group] = pl
}

func (s *Set) take(name string) *Plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.plugins[name]
	delete(s.plugins, name)
	if pl != nil {
		delete(s.groups, pl.group)
	}
	return pl
}

// ofGroup returns the plugin whose processes are in a group.
func (s *Set) ofGroup(g *supervisor.Group) *Plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[g]
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
