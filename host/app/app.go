package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/supervisor"
)

// App is one plugin as an application: a tree of processes that stays while its releases
// come and go. It implements [channels.Plugin] and [process.App]. Its methods may be
// called from any goroutine. Package rollout calls those that change the current release
// one after the other.
type App struct {
	name    string
	owner   Owner
	node    *process.Node
	crashes *CrashLog
	home    *process.Home

	current  atomic.Pointer[release.Release]
	canary   atomic.Pointer[Canary]
	channels atomic.Pointer[supervisor.Dynamic] // another one after a failure
	deploys  atomic.Uint64
	mover    mover
	old      oldReleases
	moving   atomic.Pointer[Moving] // the last time that all were asked to move

	mu       sync.Mutex
	releases []*release.Release // those in which there may be guests, some of them current or the canary

	master *master
	gaveUp sync.Map // id of a supervisor that has given up → the versions to blame; see blame

	downing sync.Mutex                         // held while up becomes nil, and until the channels of a tree that failed are closed
	up      atomic.Pointer[supervisor.Process] // the root of the tree; nil while there is none
}

// Owner decides which releases an application runs, and is told of failures and crashes.
// Its methods may be called from any goroutine. All except Regranted and LoadOld must not block.
type Owner interface {
	// Background runs f on a goroutine of its own that the owner waits for in the end; after
	// that it does not, and returns false.
	Background(f func()) bool
	// TreeFailed is called, on such a goroutine, when the tree has ended without having
	// been asked to.
	TreeFailed(reason error)
	// CountCrash is called for each crash of a process that is no channel.
	CountCrash(version string, d supervisor.Decision)
	// Refused is called when a durable process has ended because a version does not take its state over.
	Refused(version string, reason error)
	// Regranted is called when r comes into use in place of old. Their grants may differ.
	Regranted(old, r *release.Release)
	// LoadOld loads a release for states that need it, see [release.NewOld]. It is called on a goroutine
	// of Background, and may take long.
	LoadOld(ctx context.Context, use durable.Use) (*release.Release, error)
}

// Canary is a second release, with which a share of the new joins begins.
type Canary struct {
	Release *release.Release
	Share   float64 // 0 to 1

	joins atomic.Uint64
}

// picks decides about a join, so that any series of joins has the right share.
func (c *Canary) picks() bool {
	n := float64(c.joins.Add(1))
	return math.Floor(n*c.Share) > math.Floor((n-1)*c.Share)
}

// ErrFailed is what a plugin's channels end with when its tree gives up.
var ErrFailed = errors.New("the plugin has failed")

// failedError is [ErrFailed] with the cause. To clients every cause is a failure, after
// which they come back, and no crash of their channels. The cause may be a text of a
// guest, so that nothing depends on it.
type failedError struct{ cause error }

func (e *failedError) Error() string { return ErrFailed.Error() + ": " + e.cause.Error() }

func (e *failedError) Is(target error) bool {
	return target == ErrFailed || target == supervisor.ErrIntensity || target == supervisor.Shutdown
}

// New makes an application without a tree.
func New(name string, owner Owner, n *process.Node, crashes *CrashLog) *App {
	a := &App{name: name, owner: owner, node: n, crashes: crashes}
	a.home = process.NewHome(a, n)
	a.mover.app = a
	a.old.init(a)
	a.master = startMaster(a)
	return a
}

// Discard ends an application that has not been started.
func (a *App) Discard() {
	a.old.cancel()
	a.master.stop()
	a.old.retire()
}

// Home is what its processes share.
func (a *App) Home() *process.Home { return a.home }

// Load makes a release of a module for this application.
func (a *App) Load(module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings release.Settings) (*release.Release, error) {
	return a.adopt(release.New(a.name, module, wasm, hash, settings))
}

// LoadOld is Load for a release that was here before, see [release.NewOld].
func (a *App) LoadOld(module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings release.Settings) (*release.Release, error) {
	return a.adopt(release.NewOld(a.name, module, wasm, hash, settings))
}

// adopt has handlers of a release start here.
func (a *App) adopt(r *release.Release, err error) (*release.Release, error) {
	if err != nil {
		return nil, err
	}
	r.Version.New = func(p *supervisor.Process, topic string) (channels.Guest, error) {
		return a.home.NewHandler(r, p, topic)
	}
	if a.node.Keeper == nil { // as on a stage: nothing is remembered
		r.Version.Durable = nil
	}
	r.Version.Wake = func(p *supervisor.Process, topic string) (channels.Durable, error) {
		return a.home.WakeHandler(r, p, topic)
	}
	return r, nil
}

// Name implements [channels.Plugin].
func (a *App) Name() string { return a.name }

// Supervisor implements [channels.Plugin].
func (a *App) Supervisor() *supervisor.Dynamic { return a.channels.Load() }

// Current implements [channels.Plugin].
func (a *App) Current() *channels.Version { return &a.current.Load().Version }

// Next implements [channels.Plugin].
func (a *App) Next(old *channels.Version, topic string) *channels.Version {
	current, c := a.current.Load(), a.canary.Load()
	switch {
	case c == nil:
	case old == &c.Release.Version:
		return old
	case old == nil && c.Release.Scope(topic) == current.Scope(topic) && c.picks():
		return &c.Release.Version
	}
	return &current.Version
}

// MayUse implements [channels.Plugin].
func (a *App) MayUse(topic string) bool { return a.May(a.node.Endpoint.Router.Owners(), topic) }

// May says whether the application's processes may publish to a topic, subscribe to it, and be present
// there, if these are the owners: it is the application's own, or granted.
func (a *App) May(owners *channels.Owners, topic string) bool {
	if owners.Of(topic) == channels.Plugin(a) {
		return true
	}
	if r := a.current.Load(); r != nil && r.Grants(topic) {
		return true
	}
	c := a.canary.Load()
	return c != nil && c.Release.Grants(topic)
}

// Keep implements [channels.Payer].
func (a *App) Keep(bytes int) bool { return a.home.Keep(bytes) }

// Give implements [channels.Payer].
func (a *App) Give(bytes int) { a.home.Give(bytes) }

// Services implements [ask.Account].
func (a *App) Services() []string { return a.current.Load().Settings.Services }

// Release implements [process.App]. It is nil before the first.
func (a *App) Release() *release.Release { return a.current.Load() }

// After implements [process.App].
func (a *App) After(old *release.Release) *release.Release {
	if c := a.canary.Load(); c != nil && old == c.Release {
		return old
	}
	return a.current.Load()
}

// Spawn implements [process.App].
func (a *App) Spawn(w *process.Worker, link *supervisor.Process) *supervisor.Process {
	return a.master.spawn(w, link)
}

// Crashed implements [process.App].
func (a *App) Crashed(name string, r *release.Release, reason error, d supervisor.Decision, restarts int) {
	a.crashes.Add(Crash{
		Plugin: a.name, Version: r.Version.ID, Process: name,
		Reason: reason, Decision: d, Restarts: restarts,
	})
	switch {
	case process.Blameless(reason):
	case errors.Is(reason, channels.ErrUnmoved):
		a.owner.Refused(r.Version.ID, reason)
	default:
		a.owner.CountCrash(r.Version.ID, d)
	}
}

// Claim makes r current before the application starts, for others that find the
// application by its name.
func (a *App) Claim(r *release.Release) { a.current.Store(r) }

// Start runs the tree of a release, of an application that has none. It waits for the
// children's Inits; their deadlines and timeouts bound that.
func (a *App) Start(r *release.Release) error {
	if err := a.Run(r); err != nil {
		return err
	}
	a.deploys.Add(1)
	return nil
}

// Run is Start without a new version.
func (a *App) Run(r *release.Release) error {
	a.current.Store(r)
	a.channels.Store(supervisor.NewDynamic(supervisor.DynamicConfig{
		Strategy:  r.Settings.Strategy,
		Intensity: r.Settings.Intensity,
		Shutdown:  r.Shutdown(),
	}))
	if err := a.startTree(r); err != nil {
		a.Supervisor().Close(supervisor.Shutdown)
		return err
	}
	return nil
}

// Abandon ends the rest of a Start that failed or was in vain.
func (a *App) Abandon() {
	a.stopTree(supervisor.Shutdown)
	a.Supervisor().Close(supervisor.Shutdown)
}

// Restart is Start for an application that has failed. On an error its release is as it was.
func (a *App) Restart(r *release.Release) error {
	old := a.current.Load()
	if err := a.Start(r); err != nil {
		a.current.Store(old)
		return err
	}
	old.ReplacedBy(r)
	return nil
}

// Failed reports whether the tree has ended without having been asked to.
func (a *App) Failed() bool { return a.up.Load() == nil }

// Replace makes r the current release. Processes move over between two messages, with
// their states if both releases hand these on; with stay those whose state r cannot take
// over remain. If the releases do not hand states on, or declare different trees, the
// processes that the guest declared are started anew, and the channels with them. The
// release before is not retired yet. Before all that is tried whether the states of durable processes move, see
// [process.Home.Unmovable]; if one does not, nothing has happened.
func (a *App) Replace(r *release.Release, stay bool) error {
	old := a.current.Load()
	if err := a.unmovable(a.old.ended, r, stay); err != nil {
		return err
	}
	restarted := 0 // processes of the tree, the channels among them
	if r.SameTree(old) && !a.ending() {
		a.current.Store(r)
	} else {
		restarted = a.Supervisor().Len()
		a.home.EachWorker(func(_ *supervisor.Process, w *process.Worker) {
			if w.InTree() {
				restarted++
			}
		})
		if err := a.upgrade(old, r); err != nil {
			return err
		}
	}
	a.deploys.Add(1)
	a.note(old)
	a.Supervisor().Configure(r.Settings.Strategy, r.Settings.Intensity)
	old.ReplacedBy(r)
	a.owner.Regranted(old, r)
	a.MoveAll(stay).restarted(restarted, old)
	return nil
}

// upgrade stops the tree, except the channels' mailboxes and subscriptions, and starts
// the new release's tree. If that does not start, the old one comes back.
func (a *App) upgrade(old, r *release.Release) error {
	if !a.stopTree(supervisor.ForRestart) { // it has failed meanwhile
		err := a.Run(r)
		if err != nil {
			a.current.Store(old)
		}
		return err
	}
	a.current.Store(r)
	err := a.startTree(r)
	if err == nil {
		return nil
	}
	a.current.Store(old)
	if again := a.startTree(old); again != nil {
		a.Supervisor().Close(&failedError{again})
		return errors.Join(err, again)
	}
	return err
}

// Canary returns the canary, or nil.
func (a *App) Canary() *Canary { return a.canary.Load() }

// BeginCanary has a share of new joins begin with another release.
func (a *App) BeginCanary(c *Canary) {
	old := a.current.Load()
	a.canary.Store(c)
	a.owner.Regranted(old, c.Release)
	a.note(c.Release)
}

// EndCanary has all joins begin with the current release. It reports whether c was the canary.
// Its processes move with the next MoveAll.
func (a *App) EndCanary(c *Canary) bool { return a.canary.CompareAndSwap(c, nil) }

func (a *App) startTree(r *release.Release) error {
	a.gaveUp.Clear()
	started := make(chan error, 1)
	root := a.node.Runtime.Spawn(supervisor.Spec{
		Actor:   supervisor.NewSupervisor(a.tree(r)),
		Parent:  a.master.process,
		Started: func(err error) { started <- err },
	})
	if err := <-started; err != nil {
		return fmt.Errorf("start plugin %s: %w", a.name, err)
	}
	a.up.Store(root)
	a.remember(r)
	if reason := root.Reason(); reason != nil { // it may have ended before that was noted
		a.ended(root, reason)
	}
	return nil
}

// stopTree ends the tree, if there is one, and waits for that. It reports whether there was.
func (a *App) stopTree(reason error) bool {
	a.downing.Lock()
	root := a.up.Swap(nil)
	a.downing.Unlock()
	if root == nil {
		return false
	}
	root.Stop(reason)
	<-root.Done()
	a.home.CloseDynamics()
	return true
}

// ended takes the end of a tree. If the tree was not asked to end, the application has
// failed, and its channels with it.
func (a *App) ended(root *supervisor.Process, reason error) {
	a.downing.Lock()
	channels := a.Supervisor() // those of this tree, if it is the one that is up
	failed := a.up.CompareAndSwap(root, nil)
	if failed {
		channels.Close(&failedError{reason})
	}
	a.downing.Unlock()
	if failed {
		a.owner.Background(func() { a.owner.TreeFailed(reason) })
	}
}

// note remembers a release besides the current one in which guests live, or may start.
func (a *App) note(r *release.Release) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.releases = append(slices.DeleteFunc(a.releases, func(old *release.Release) bool {
		return old.Retired() && old.Module.Stats().Live == 0
	}), r)
}

// Stop ends the tree, and with it the channels, then all other processes, and
// waits for that.
func (a *App) Stop() {
	a.old.cancel()
	defer a.old.retire()
	a.stopTree(supervisor.Shutdown)
	if d := a.Supervisor(); d != nil {
		d.Close(supervisor.Shutdown)
	}
	a.master.stop()
	if r := a.current.Load(); r != nil {
		r.Stopped()
		r.Module.Close()
	}
}
