package rollout

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
	"sync/atomic"

	"rtd/channels"
	"rtd/host/app"
	"rtd/host/ask"
	"rtd/host/durable"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Set has the plugins of a server. Its methods may be called from any goroutine; deploys
// and removals of one plugin happen one after the other.
type Set struct {
	// Withdrawing and Withdrawn, if given, are called before and after a version is taken
	// back because it crashed too often, on a goroutine of its own, in the order of the
	// functions of a [Change]: if the server dies in between, the record of Withdrawing
	// holds. They are set before the first deploy.
	Withdrawing, Withdrawn func(Withdrawal)

	// Snapshots, if given, is where those of a version are kept, by the hash of its module: what a version
	// is when it has started is then the same in each process. It is set before the first deploy.
	Snapshots func(plugin, hash string) sandbox.Snapshots

	// Hold, if given, has the module of a version kept that has durable actors, before the first of its guests
	// starts. If that fails, or its snapshot is not kept, it is not deployed. Nil: nothing is stored of actors. It is set before the
	// first deploy.
	Hold func(plugin string, wasm []byte) error

	// Stored, if given, returns the module and the snapshot that a state needs. The error says what is missing, and what to
	// do. It is set before the first deploy.
	Stored func(plugin string, use durable.Use) (wasm, snapshot []byte, err error)

	node    *process.Node
	engine  *sandbox.Engine
	log     *slog.Logger
	crashes *app.CrashLog

	mounts mounts

	closing    context.Context // ends with Close
	close      context.CancelFunc
	turns      turns          // in which versions come and go
	underWay   sync.WaitGroup // deploys, removals and the like
	background sync.WaitGroup // goroutines that move processes, and take versions back

	mu      sync.Mutex
	plugins map[string]*plugin
	waiting map[string]*plugin // that have yet to run: their durable processes need what cannot be read at present
	groups  map[*supervisor.Group]*plugin
	started int // plugins so far
	closed  bool
}

// NewSet returns a set without plugins. Their channels are served through
// endpoint, whose crashes the set takes over to log and count.
func NewSet(e *channels.Endpoint, engine *sandbox.Engine, rt *supervisor.Runtime, log *slog.Logger) *Set {
	crashes := app.NewCrashLog(log)
	log = crashes.Log()
	s := &Set{
		node:    &process.Node{Runtime: rt, Endpoint: e, Services: ask.NewServices(rt, log), Log: log},
		engine:  engine,
		log:     log,
		crashes: crashes,
		plugins: map[string]*plugin{},
		waiting: map[string]*plugin{},
		groups:  map[*supervisor.Group]*plugin{},
		turns:   turns{byName: map[string]*turn{}},
		mounts:  mounts{all: []Mount{{Name: "socket"}}, tenants: map[string]tenant{}},
	}
	s.node.Homes = directory{s}
	s.closing, s.close = context.WithCancel(context.Background())
	e.Crashed, e.Router.Around = s.channelCrashed, s.reroute
	e.Overflowed = func(plugin, topic string) {
		log.Warn("a handler ends: what waited for its client, which is away, found no room", "plugin", plugin, "topic", topic)
	}
	return s
}

// Remember has the set's plugins use a keeper of durable actors. Without one nothing of them is remembered. keeper is called when
// a durable actor begins, and must not wait. Remember is called before the first plugin.
func (s *Set) Remember(keeper func() (durable.Keeper, error)) {
	s.node.Keeper = keeper
}

// Archive has histories of topics stored that are to be durable. Without it they are in memory alone. keeper must not wait, and is called when such a
// topic comes into use; begun returns what it has returned, or nil if it was never called. Archive is called before the first plugin.
func (s *Set) Archive(keeper func() (durable.Histories, error), begun func() durable.Histories) {
	s.node.Endpoint.Hub.Archive(process.Archive{Keeper: keeper, Begun: begun})
}

// Posted is for the keeper's owner: posts wait for an actor.
func (s *Set) Posted(a durable.Actor) {
	if pl := s.get(a.Plugin); pl != nil {
		pl.Home().Posted(a)
	}
}

// Retry has a durable actor try an item again that was set aside, see [process.Home.Retry].
func (s *Set) Retry(ctx context.Context, a durable.Actor, id durable.PostID) error {
	if pl := s.get(a.Plugin); pl != nil {
		return pl.Home().Retry(ctx, a, id)
	}
	return fmt.Errorf("plugin %s does not run", a.Plugin)
}

// Discard throws an item away that was set aside.
func (s *Set) Discard(ctx context.Context, a durable.Actor, id durable.PostID) error {
	if pl := s.get(a.Plugin); pl != nil {
		return pl.Home().Discard(ctx, a, id)
	}
	return fmt.Errorf("plugin %s does not run", a.Plugin)
}

// Durable returns what says whether an actor of a plugin is durable; nil if none is, or there is no such plugin.
func (s *Set) Durable(plugin string) func(kind durable.Kind, name string) bool {
	pl := s.get(plugin)
	if pl == nil || !pl.Release().AnyDurable() {
		return nil
	}
	return pl.Release().Durable
}

// DurableNames returns the names of processes that a plugin declares durable one by one, see [release.Release.DurableNames].
func (s *Set) DurableNames(plugin string) []string {
	if pl := s.get(plugin); pl != nil {
		return pl.Release().DurableNames()
	}
	return nil
}

// Awake reports whether the handler of a durable topic is in memory.
func (s *Set) Awake(a durable.Actor) bool {
	pl := s.get(a.Plugin)
	return pl != nil && s.node.Endpoint.Awake(pl.App, a.Name)
}

// Restate changes what is stored of a durable actor, by a function: of one that is awake between two of its events, which notices nothing but what is
// stored then.
func (s *Set) Restate(ctx context.Context, a durable.Actor, change func() error) error {
	pl := s.get(a.Plugin)
	switch {
	case pl != nil && a.Kind == durable.Process:
		return pl.Home().Restate(ctx, a, change)
	case pl != nil && s.Awake(a):
		return s.node.Endpoint.Restate(ctx, pl.App, a.Name, change)
	}
	return change()
}

// Due is for the keeper's owner: an actor wants to be awake.
func (s *Set) Due(a durable.Actor) {
	if pl := s.get(a.Plugin); pl != nil {
		pl.Home().Due(a)
	}
}

// plugin is an application, with the trial of its version.
type plugin struct {
	*app.App
	set     *Set
	number  int                   // in the order of starts
	watched atomic.Pointer[trial] // of the current version, while it may be taken back
	canary  atomic.Pointer[trial] // of the second release, if there is one
}

var _ app.Owner = (*plugin)(nil)

// newPlugin makes a plugin without a tree.
func (s *Set) newPlugin(name string) *plugin {
	pl := &plugin{set: s}
	pl.App = app.New(name, pl, s.node, s.crashes)
	return pl
}

// Background implements [app.Owner].
func (pl *plugin) Background(f func()) bool { return pl.set.inBackground(f) }

// directory is the set as processes see it.
type directory struct{ set *Set }

// Called implements [process.Directory].
func (d directory) Called(name string) *process.Home {
	if pl := d.set.get(name); pl != nil {
		return pl.Home()
	}
	return nil
}

// Of implements [process.Directory].
func (d directory) Of(g *supervisor.Group) *process.Home {
	d.set.mu.Lock()
	defer d.set.mu.Unlock()
	if pl := d.set.groups[g]; pl != nil {
		return pl.Home()
	}
	return nil
}

// Configure deploys the plugins whose settings have changed anew, with the modules that
// they have. It returns the errors of plugins that could not be deployed; they run on as
// they were.
func (s *Set) Configure(ctx context.Context, settings func(name string) release.Settings) error {
	var errs []error
	for _, p := range s.list() {
		err := s.configure(ctx, p.Name(), settings)
		for errors.Is(err, ErrOvertaken) { // with what is current now
			err = s.configure(ctx, p.Name(), settings)
		}
		if err != nil && !errors.Is(err, ErrUnchanged) {
			errs = append(errs, fmt.Errorf("plugin %s: %w", p.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// configure is Configure for one plugin. Its canary begins again.
func (s *Set) configure(ctx context.Context, name string, settings func(name string) release.Settings) error {
	var canary []byte
	_, err := s.Change(ctx, Change{
		Plugin: name,
		Begin: func() (Next, error) {
			pl := s.get(name)
			if pl == nil {
				return Next{}, ErrUnchanged // it was removed
			}
			to, r := settings(name), pl.Release()
			if c := pl.canary.Load(); c != nil && c.release.Settings.Equal(to) {
				return Next{}, ErrUnchanged
			} else if c != nil {
				canary = c.release.WASM
			}
			return Next{WASM: r.WASM, Settings: to, Over: r.HashText()}, nil
		},
		End: func(_ Outcome, err error) {
			if err == nil {
				s.log.Info("plugin reconfigured", "plugin", name, "version", s.Version(name), "topics", s.Topics(name))
			}
		},
	})
	if canary != nil && (err == nil || errors.Is(err, ErrUnchanged)) {
		if err := s.Deploy(ctx, name, canary, settings(name)); err != nil {
			return fmt.Errorf("its canary: %w", err)
		}
	}
	return err
}

// Version returns the current version of a plugin, or "" if there is no such plugin.
func (s *Set) Version(name string) string {
	if p := s.get(name); p != nil {
		return p.Release().Version.ID
	}
	return ""
}

// Names returns the names of the plugins, those that have failed included.
func (s *Set) Names() (names []string) {
	for _, p := range s.list() {
		names = append(names, p.Name())
	}
	return names
}

// Runs reports whether there is a plugin of that name which has not failed.
func (s *Set) Runs(name string) bool {
	p := s.get(name)
	return p != nil && !p.Failed()
}

// Running tells of the current version of a plugin as [Set.Change] does; the zero
// Outcome if there is no such plugin.
func (s *Set) Running(name string) (out Outcome) {
	s.changes(name, func() {
		if p := s.get(name); p != nil {
			r := p.Release()
			out = Outcome{Version: r.Version.ID, Hash: r.HashText(), Fate: r.Fate}
		}
	})
	return out
}

// Hash returns the SHA-256 of the current version's module in hexadecimal digits, or ""
// if there is no such plugin.
func (s *Set) Hash(name string) string {
	if p := s.get(name); p != nil {
		return p.Release().HashText()
	}
	return ""
}

// Topics returns the patterns that a plugin serves.
func (s *Set) Topics(name string) []string {
	if p := s.get(name); p != nil {
		return p.Release().Topics
	}
	return nil
}

// Remove unloads a plugin: its topics are no longer served and its channels
// close. It reports whether there was one of that name.
func (s *Set) Remove(name string) (removed bool) {
	s.deploys(name, func(t *turn) {
		t.changing.Lock()
		defer t.changing.Unlock()
		if p := s.forget(name); p != nil {
			p.stop()
			removed = true
		} else if p := s.noLonger(name); p != nil {
			s.discard(p, nil)
		}
	})
	return removed
}

// Close unloads all plugins and accepts no more.
func (s *Set) Close() {
	defer s.background.Wait()
	s.close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.underWay.Wait() // what comes later does not begin
	s.mu.Lock()
	plugins := slices.SortedFunc(maps.Values(s.plugins), func(a, b *plugin) int { return cmp.Compare(b.number, a.number) })
	waiting := slices.Collect(maps.Values(s.waiting))
	clear(s.waiting)
	s.mu.Unlock()
	for _, pl := range waiting {
		s.discard(pl, nil)
	}
	var rest sync.WaitGroup
	for _, pl := range plugins {
		if s.needed(pl, plugins) {
			rest.Wait() // for those that depend on it, which started later
		}
		rest.Go(pl.stop)
	}
	rest.Wait()
	s.node.Services.Close()
	s.mu.Lock()
	clear(s.plugins)
	clear(s.groups)
	s.mu.Unlock()
	s.crashes.Close()
}

// inBackground runs f on a goroutine that Close waits for. After Close it does nothing
// and returns false.
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
func (s *Set) missing(r *release.Release) error {
	var names []string
	for _, name := range r.Depends {
		if !s.Runs(name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil
	}
	return &WaitingError{names}
}

// needed says whether one of several plugins depends on pl.
func (s *Set) needed(pl *plugin, by []*plugin) bool {
	return slices.ContainsFunc(by, func(other *plugin) bool { return slices.Contains(other.Release().Depends, pl.Name()) })
}

// load compiles a module and tries it.
func (s *Set) load(ctx context.Context, pl *plugin, wasm []byte, hash [sha256.Size]byte, settings release.Settings) (*release.Release, error) {
	o := s.options(pl, hash, settings)
	if s.Snapshots != nil {
		o.Snapshots = s.Snapshots(pl.Name(), hex.EncodeToString(hash[:]))
	}
	module, err := s.engine.Load(ctx, wasm, o)
	if err != nil {
		return nil, err
	}
	r, err := pl.Load(module, wasm, hash, settings)
	if err == nil {
		err = cmp.Or(s.missing(r), s.forgets(r))
	}
	if err != nil {
		module.Close()
		return nil, err
	}
	return r, nil
}

// options are those of all loads of a module.
func (s *Set) options(pl *plugin, hash [sha256.Size]byte, settings release.Settings) sandbox.LoadOptions {
	version := release.VersionOf(hash)
	return sandbox.LoadOptions{
		Name: pl.Name(), Version: version, Config: settings.Config, Limits: settings.Limits,
		Log: s.log.With("plugin", pl.Name(), "version", version),
	}
}

// start runs a new plugin. Its processes may be reached as soon as they start, its
// topics when all have; the topics are its own before, so that processes subscribe
// to them in init.
func (s *Set) start(pl *plugin, r *release.Release) error {
	defer r.Fate.Decide(release.Verdict{State: release.Unwatched, Cause: "there is no version before it"})
	if err := s.mounts.enter(pl.Name(), tenantOf(r)); err != nil {
		return err
	}
	router := s.node.Endpoint.Router
	pl.Claim(r)
	if err := router.Claim(pl.App, r.Topics); err != nil {
		s.mounts.leave(pl.Name())
		return err
	}
	s.put(pl)
	err := pl.Start(r)
	if err == nil {
		err = router.Set(pl.App, r.Topics)
	}
	if err != nil {
		s.mounts.leave(pl.Name())
		s.forget(pl.Name())
		pl.Abandon()
	}
	return err
}

// discard ends a plugin that has not come to run, for a reason. One whose durable processes wait for what is stored of them keeps its topics:
// clients hear "unavailable" until it is tried again.
func (s *Set) discard(pl *plugin, why error) {
	s.mu.Lock()
	if waits := errors.Is(why, channels.ErrNotStored) && !s.closed; waits {
		s.waiting[pl.Name()] = pl
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.node.Endpoint.Router.Remove(pl.App)
	pl.Discard()
}

// noLonger returns the plugin of a name that waits, which is to be tried again, or is not wanted any more.
func (s *Set) noLonger(name string) *plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.waiting[name]
	delete(s.waiting, name)
	return pl
}

// replace makes r the current release of a plugin that runs, see [app.App.Replace].
func (s *Set) replace(pl *plugin, r *release.Release, stay bool) error {
	return s.makeWay(pl, r, func() error { return pl.Replace(r, stay) })
}

// restart runs a plugin again that has failed. The release before is not retired yet.
func (s *Set) restart(pl *plugin, r *release.Release) error {
	old := pl.Release()
	err := s.makeWay(pl, r, func() error { return pl.Restart(r) })
	if err == nil {
		pl.Regranted(old, r)
	}
	return err
}

// makeWay gives a plugin the topics of its next release, and a place at the mounts, for use, which
// makes that current. If that fails all is as before.
func (s *Set) makeWay(pl *plugin, r *release.Release, use func() error) error {
	old := pl.Release()
	if err := s.mounts.enter(pl.Name(), tenantOf(r)); err != nil {
		return err
	}
	defer func() { s.mounts.settle(pl.Name(), tenantOf(pl.Release())) }()
	router := s.node.Endpoint.Router
	if err := router.Set(pl.App, r.Topics); err != nil {
		return err
	}
	if err := use(); err != nil {
		return errors.Join(err, router.Set(pl.App, old.Topics))
	}
	return nil
}

// stop ends a plugin, and waits for that.
func (pl *plugin) stop() {
	router, mounts := pl.set.node.Endpoint.Router, &pl.set.mounts
	router.Close(pl.App)
	defer mounts.leave(pl.Name())
	defer router.Remove(pl.App) // what its last handlers say is for no other plugin
	if c := pl.canary.Swap(nil); c != nil {
		pl.EndCanary(c.canary)
		c.timer.Stop()
		c.release.Fate.Decide(release.Verdict{State: release.Removed})
		defer c.release.Module.Close()
	}
	pl.endTrial(nil)
	if r := pl.Release(); r != nil {
		r.Fate.Decide(release.Verdict{State: release.Removed})
	}
	pl.Stop()
}

// TreeFailed decides about a plugin whose tree has ended unasked. It is started again if
// crashes of a former version count among the causes, and not only those of its current
// one; else its topics are unavailable until a deploy starts it. A new tree has lives of
// one version only, so that this happens once. It implements [app.Owner].
func (pl *plugin) TreeFailed(reason error) {
	s := pl.set
	s.changes(pl.Name(), func() {
		if s.get(pl.Name()) != pl || !pl.Failed() {
			return // it was removed, or is started already
		}
		current := pl.Release()
		log := s.log.With("plugin", pl.Name(), "version", current.Version.ID)
		if others := pl.OthersToBlame(); len(others) > 0 {
			err := pl.Run(current)
			if err == nil {
				log.Warn("plugin started again, its tree gave up for crashes of other versions", "cause", reason, "of", others)
				return
			}
			reason = err
		}
		log.Error("plugin failed", "cause", reason,
			"then", "its topics are unavailable until it is deployed again, its settings change, or the server gets SIGHUP")
	})
}

func (s *Set) put(pl *plugin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	pl.number = s.started
	s.plugins[pl.Name()] = pl
	s.groups[pl.Home().Group] = pl
}

func (s *Set) forget(name string) *plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	pl := s.plugins[name]
	delete(s.plugins, name)
	if pl != nil {
		delete(s.groups, pl.Home().Group)
	}
	return pl
}

func (s *Set) get(name string) *plugin {
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
func (s *Set) list() []*plugin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.plugins), func(a, b *plugin) int {
		return cmp.Compare(a.Name(), b.Name())
	})
}

// Services returns the services of the host that guests can ask.
func (s *Set) Services() *ask.Services { return s.node.Services }

// Whereis returns the process that a plugin knows by a name, or nil.
func (s *Set) Whereis(plugin, name string) *supervisor.Process {
	if pl := s.get(plugin); pl != nil {
		return pl.Home().Names.Whereis(name)
	}
	return nil
}

// Kept returns the counts of a plugin's budget.
func (s *Set) Kept(plugin string) process.Kept {
	if pl := s.get(plugin); pl != nil {
		return pl.Home().Kept()
	}
	return process.Kept{}
}

// Stats returns the figures of all plugins, by name.
func (s *Set) Stats() (all []app.Stats) {
	for _, pl := range s.list() {
		all = append(all, pl.Stats())
	}
	return all
}

// Processes returns the tree of a plugin, with no more than limit children under
// each supervisor of those that come and go. It is false if there is no such plugin; that of
// [ask.HostName] is there if there are services.
func (s *Set) Processes(ctx context.Context, name string, limit int) (tree app.Tree, ok bool) {
	if name == ask.HostName {
		return app.Services(ctx, s.node.Services, limit)
	}
	pl := s.get(name)
	if pl == nil {
		return app.Tree{}, false
	}
	return pl.Processes(ctx, limit), true
}

// ErrNoPlugin is returned by Connect if the plugin is not there, or has failed.
var ErrNoPlugin = errors.New("there is no such plugin, or it has failed")

// Connect asks a plugin about a client, see [process.Home.Connect].
func (s *Set) Connect(ctx context.Context, plugin, mount string, info []byte) (process.Connection, error) {
	pl := s.get(plugin)
	if pl == nil || pl.Failed() {
		return process.Connection{}, ErrNoPlugin
	}
	return pl.Home().Connect(ctx, mount, info)
}

// OnCrash has f called with every crash, see [app.CrashLog.Tell]. It is set before the first
// deploy.
func (s *Set) OnCrash(f func(app.Crash)) { s.crashes.Tell(f) }

// Crashes returns the counts since the start, of removed plugins too.
func (s *Set) Crashes() []app.CrashCount { return s.crashes.Counts() }

func (s *Set) channelCrashed(c channels.Crash) {
	s.crashes.Add(app.Crash{
		Plugin: c.Plugin, Version: c.Version, Topic: c.Topic, Event: c.Event,
		Reason: c.Reason, Decision: c.Decision, Restarts: c.Restarts,
	})
	if pl := s.get(c.Plugin); pl != nil && !process.Blameless(c.Reason) {
		pl.CountCrash(c.Version, c.Decision)
	}
}
