package plugin

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"rtd/channels"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Plugin is one application: a tree of processes that stays while its
// versions come and go. It implements [channels.Plugin].
type Plugin struct {
	set    *Set
	name   string
	number int // in the order of starts
	group  *supervisor.Group
	names  supervisor.Names

	current  atomic.Pointer[release]
	channels atomic.Pointer[supervisor.Dynamic] // another one after a failure
	dynamics sync.Map                           // id → *dynamic, those that the guest declared
	deploys  atomic.Uint64
	canary   atomic.Pointer[trial] // a release beside the current one, if there is one
	watched  atomic.Pointer[trial] // the current one, while it may be taken back
	ran      sync.Map              // id of a declared child → *release of its last guest
	workers  processes
	mover    mover

	mu       sync.Mutex
	releases []*release // those in which there may be guests, the current one and the canary aside

	references atomic.Int64 // what its processes have open, see [Settings].References
	queued     atomic.Int64 // bytes of messages that wait, see [Settings].Pending

	master *master
	up     atomic.Pointer[supervisor.Process] // the root of the tree; nil while there is none
}

// ErrFailed is what a plugin's channels end with when its tree gives up.
var ErrFailed = errors.New("the plugin has failed")

// newPlugin makes a plugin without a tree.
func (s *Set) newPlugin(name string) *Plugin {
	pl := &Plugin{set: s, name: name, group: s.runtime.NewGroup()}
	pl.mover.plugin = pl
	pl.master = startMaster(pl)
	return pl
}

// Name implements [channels.Plugin].
func (pl *Plugin) Name() string { return pl.name }

// Supervisor implements [channels.Plugin].
func (pl *Plugin) Supervisor() *supervisor.Dynamic { return pl.channels.Load() }

// Current implements [channels.Plugin].
func (pl *Plugin) Current() *channels.Version { return &pl.current.Load().version }

// start runs the tree of a release, of a plugin that has none. It waits for the
// children's Inits; their deadlines and timeouts bound that.
func (pl *Plugin) start(r *release) error {
	pl.current.Store(r)
	pl.channels.Store(supervisor.NewDynamic(supervisor.DynamicConfig{
		Strategy:  r.settings.Strategy,
		Intensity: r.settings.Intensity,
		Shutdown:  r.shutdown(),
	}))
	if err := pl.startTree(r); err != nil {
		pl.Supervisor().Close(supervisor.Shutdown)
		return err
	}
	pl.deploys.Add(1)
	return nil
}

func (pl *Plugin) startTree(r *release) error {
	started := make(chan error, 1)
	root := pl.set.runtime.Spawn(supervisor.Spec{
		Actor:   supervisor.NewSupervisor(pl.tree(r)),
		Parent:  pl.master.process,
		Started: func(err error) { started <- err },
	})
	if err := <-started; err != nil {
		return fmt.Errorf("start plugin %s: %w", pl.name, err)
	}
	pl.up.Store(root)
	if reason := root.Reason(); reason != nil { // it may have ended before that was noted
		pl.ended(root, reason)
	}
	return nil
}

// stopTree ends the tree, if there is one, and waits for that.
func (pl *Plugin) stopTree(reason error) {
	root := pl.up.Swap(nil)
	if root == nil {
		return
	}
	root.Stop(reason)
	<-root.Done()
	for id, d := range pl.dynamics.Range {
		pl.dynamics.Delete(id)
		d.(*dynamic).Close(supervisor.Shutdown)
	}
}

// ended takes the end of a tree. If nobody asked for it, the plugin has failed:
// its topics are unavailable until a deploy starts it anew.
func (pl *Plugin) ended(root *supervisor.Process, reason error) {
	channels := pl.Supervisor()
	if !pl.up.CompareAndSwap(root, nil) {
		return
	}
	pl.set.log.Error("plugin failed", "plugin", pl.name, "version", pl.current.Load().version.ID, "cause", reason,
		"then", "its topics are unavailable until it is deployed again, its settings change, or the server gets SIGHUP")
	channels.Close(fmt.Errorf("%w: %w", ErrFailed, reason))
}

// failed reports whether the plugin has no tree, although it should.
func (pl *Plugin) failed() bool { return pl.up.Load() == nil }

// replace makes r the current version. Processes move over between two messages, with
// their states if both versions hand these on. If they do not, or declare different
// trees, the processes that the guest declared are started anew, and the channels
// with them.
func (pl *Plugin) replace(r *release) error {
	old := pl.current.Load()
	if err := pl.set.endpoint.Router.Set(pl, r.topics); err != nil {
		return err
	}
	if len(old.children)+len(r.children) == 0 || r.takesOver(old) {
		pl.current.Store(r)
	} else if err := pl.upgrade(old, r); err != nil {
		return errors.Join(err, pl.set.endpoint.Router.Set(pl, old.topics))
	}
	pl.deploys.Add(1)
	pl.note(old)
	pl.Supervisor().Configure(r.settings.Strategy, r.settings.Intensity)
	old.retire(r) // freed with the last process that leaves it
	pl.moveAll(r.settings.Rollout.Stay)
	return nil
}

// upgrade stops the tree, but for the channels' mailboxes and subscriptions, and
// starts the new version's. If that does not start, the old one comes back.
func (pl *Plugin) upgrade(old, r *release) error {
	pl.stopTree(supervisor.ForRestart)
	pl.current.Store(r)
	err := pl.startTree(r)
	if err == nil {
		return nil
	}
	pl.current.Store(old)
	if again := pl.startTree(old); again != nil {
		pl.Supervisor().Close(fmt.Errorf("%w: %w", ErrFailed, again))
		return errors.Join(err, again)
	}
	return err
}

// note keeps a release in view in which guests may live beside the current one's.
func (pl *Plugin) note(r *release) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.releases = append(slices.DeleteFunc(pl.releases, func(old *release) bool {
		return old.module.Stats().Live == 0
	}), r)
}

// stop ends the tree, and with it the channels, then all other processes, and
// waits for that.
func (pl *Plugin) stop() {
	pl.set.endpoint.Router.Remove(pl)
	if c := pl.canary.Swap(nil); c != nil {
		c.timer.Stop()
		defer c.release.module.Close()
	}
	pl.stopTree(supervisor.Shutdown)
	if d := pl.Supervisor(); d != nil {
		d.Close(supervisor.Shutdown)
	}
	pl.master.stop()
	if r := pl.current.Load(); r != nil {
		r.stopped()
		r.module.Close()
	}
}

// queue counts bytes of a message that is to wait, if there is room.
func (pl *Plugin) queue(bytes int) error {
	if pl.queued.Add(int64(bytes)) > int64(pl.current.Load().settings.Pending) {
		pl.queued.Add(-int64(bytes))
		return abi.CodeFull
	}
	return nil
}

// unqueue is for a message that waits no longer. The sender's plugin accounts; Go
// code has none.
func (pl *Plugin) unqueue(bytes int) {
	if pl != nil {
		pl.queued.Add(-int64(bytes))
	}
}

// crashed logs and counts the crash of a process that is no channel, whose guest was of
// release r.
func (pl *Plugin) crashed(process string, r *release, reason error, d supervisor.Decision, restarts int) {
	pl.set.crashes.add(crash{
		plugin: pl.name, version: r.version.ID, process: process,
		reason: reason, decision: d, restarts: restarts,
	})
	pl.countCrash(r.version.ID, d)
}
