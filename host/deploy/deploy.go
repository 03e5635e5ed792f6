package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"rtd/host/durable"
	"rtd/host/folder"
	"rtd/host/names"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/host/versions"
	"rtd/sandbox"
)

// Deployer deploys and rolls back plugins, in the order of each, and keeps a record. Its methods
// may be called from any goroutine.
type Deployer struct {
	plugins   *rollout.Set
	versions  *versions.Store // nil if none are kept
	settings  func(name string) release.Settings
	log       *slog.Logger
	folder    atomic.Pointer[folder.Folder] // nil before Use
	refusals  refusals
	readiness *readiness

	deploys, failures atomic.Uint64
	mu                sync.Mutex
	rollbacks         map[Rollback]uint64
}

// Options say what a [Deployer] works with.
type Options struct {
	Plugins  *rollout.Set
	Versions *versions.Store                    // where versions are kept; nil: nowhere
	Settings func(name string) release.Settings // a plugin's, as they are now
	// States returns which versions and snapshots the stored states of a plugin need, and whether that is known by now. Until it
	// is, nothing is removed of what is kept of the plugin. Nil: there are no states.
	States func(plugin string) (uses map[durable.Use]int, known bool)
	Awaits []string // plugins that will be put into the plugin folder, see [Deployer.NotBuilt]
	Log    *slog.Logger
}

// New returns a deployer of the plugins of a set, none of which has been deployed yet.
func New(o Options) *Deployer {
	d := &Deployer{
		plugins: o.Plugins, versions: o.Versions, settings: o.Settings, log: o.Log,
		readiness: newReadiness(o.Awaits), rollbacks: map[Rollback]uint64{},
	}
	d.plugins.Withdrawing, d.plugins.Withdrawn, d.plugins.Hold = d.withdrawing, d.withdrawn, d.hold
	if d.versions != nil {
		d.plugins.Snapshots = func(plugin, hash string) sandbox.Snapshots { return d.versions.Snapshots(plugin, hash) }
		d.plugins.Stored = d.stored
		if o.States != nil {
			d.versions.Needed(func(plugin string) ([]versions.Need, bool) { return d.needed(plugin, o.States) })
		}
	}
	return d
}

// Counts is what has been deployed since the start.
type Counts struct {
	Deploys, Failures uint64
	Rollbacks         map[Rollback]uint64
}

// Rollback is by what rollbacks are counted. The cause is that of a [rollout.Withdrawal], or "admin".
type Rollback struct{ Plugin, Cause string }

// Counts returns what has been counted.
func (d *Deployer) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Counts{d.deploys.Load(), d.failures.Load(), maps.Clone(d.rollbacks)}
}

func (d *Deployer) countRollback(r Rollback) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rollbacks[r]++
}

// byFolder is who deploys what lies in the plugin folder.
const byFolder = "folder"

// Deploy deploys a module as the plugin folder would, in the name of by, and then
// writes it there, so that the next start finds it. The error is [rollout.ErrUnchanged]
// if it runs already; after any other all is as before. It may be called from any
// goroutine, and waits for other deploys of this plugin.
func (d *Deployer) Deploy(ctx context.Context, name string, wasm []byte, by string) (out rollout.Outcome, err error) {
	if err := names.Check(name); err != nil {
		return out, fmt.Errorf("deploy plugin: the name %w", err)
	}
	if len(wasm) > folder.MaxFileSize {
		return out, fmt.Errorf("deploy plugin %s: it has %d bytes, at most %d are allowed", name, len(wasm), folder.MaxFileSize)
	}
	start := time.Now()
	out, err = d.plugins.Change(ctx, rollout.Change{
		Plugin: name,
		Begin:  func() (rollout.Next, error) { return rollout.Next{WASM: wasm, Settings: d.settings(name)}, nil },
		End: func(out rollout.Outcome, err error) {
			if err != nil && !errors.Is(err, rollout.ErrUnchanged) {
				if !GivenUp(ctx, err) {
					d.failures.Add(1)
					d.log.Error("plugin not deployed", "plugin", name, "version", out.Version, "by", by, "cause", err, "running", d.plugins.Version(name))
				}
				return
			}
			d.refusals.accept(name)
			if writing := d.writePlugin(name, wasm); writing != nil {
				d.log.Warn("plugin runs, but the next start will not find it", "plugin", name, "version", out.Version, "cause", writing)
			}
			if err == nil {
				d.deployed(name, wasm, by, false, start, out)
			}
		},
	})
	if err != nil && !errors.Is(err, rollout.ErrUnchanged) {
		return out, fmt.Errorf("deploy plugin %s: %w", name, err)
	}
	if err == nil {
		d.deployWaiting(ctx)
	}
	return out, err
}

// DryRun tries a module as Deploy would, and how the live processes of the plugin would
// move to it; nothing changes. See [rollout.Set.Rehearse].
func (d *Deployer) DryRun(ctx context.Context, name string, wasm []byte) (out rollout.Outcome, err error) {
	if err := names.Check(name); err != nil {
		return out, fmt.Errorf("try plugin: the name %w", err)
	}
	out.Version, out.Hash = idOf(wasm), hashOf(wasm)
	out.Moving, err = d.plugins.Rehearse(ctx, name, func() (rollout.Next, error) {
		return rollout.Next{WASM: wasm, Settings: d.settings(name)}, nil
	})
	if err != nil {
		return out, fmt.Errorf("try plugin %s: %w", name, err)
	}
	return out, nil
}

// writePlugin puts a module into the plugin folder, which then does not tell of it: what
// has become of the plugin until then would be undone.
func (d *Deployer) writePlugin(name string, wasm []byte) error {
	f := d.folder.Load()
	if f == nil {
		return errors.New("the plugin folder is not open yet")
	}
	return f.Write(name, wasm)
}

// deployed counts and logs what was deployed, and keeps it, unless it is known as the
// latest version already. It is called in the plugin's order.
func (d *Deployer) deployed(name string, wasm []byte, by string, known bool, since time.Time, out rollout.Outcome) {
	d.deploys.Add(1)
	if !out.Canary { // that was logged
		d.log.Info("plugin deployed", "plugin", name, "version", out.Version, "by", by, "topics", d.plugins.Topics(name),
			"took", time.Since(since).Round(time.Millisecond))
	}
	if !known {
		d.keep(name, wasm, by)
	}
}

// Rollback makes a kept version of a plugin current again: the latest one before the
// current that was not rolled back itself, or the one whose hash begins with to. The
// version that ran is marked, so that later rollbacks pass over it; so is a canary, which
// alone ends if there is one and to is empty. If the version is taken back by itself in
// that moment, that is all. The plugin folder is left alone. The outcome is that of the
// version that runs now. It may be called from any goroutine, and waits for deploys of
// this plugin.
func (d *Deployer) Rollback(ctx context.Context, name, to, by string) (out rollout.Outcome, err error) {
	var from string
	var back versions.Version
	var wasm []byte
	out, err = d.plugins.Change(ctx, rollout.Change{
		Plugin: name,
		Begin: func() (next rollout.Next, err error) {
			if from = d.plugins.Hash(name); from == "" {
				return next, errors.New("there is no such plugin")
			}
			ended := d.plugins.EndCanary(name, func(canary string) { d.rolledBack(name, canary, from, "admin", by) })
			if ended != "" && to == "" {
				return next, errCanaryEnded
			}
			if back, wasm, err = d.wayBack(name, from, to); err != nil {
				return next, err
			}
			settings := d.settings(name)
			settings.Rollout = release.Rollout{} // at once, for all
			return rollout.Next{WASM: wasm, Settings: settings, Over: from}, nil
		},
		End: func(_ rollout.Outcome, err error) {
			if err == nil {
				d.rolledBack(name, from, back.Hash, "admin", by)
				d.keep(name, wasm, "rollback by "+by)
			}
		},
	})
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errCanaryEnded), errors.Is(err, rollout.ErrOvertaken) && to == "":
		return d.plugins.Running(name), nil
	case back.Hash != "":
		return out, fmt.Errorf("roll back plugin %s to version %s: %w", name, back.ID(), err)
	}
	return out, fmt.Errorf("roll back plugin %s: %w", name, err)
}

var errCanaryEnded = errors.New("the canary has ended")
