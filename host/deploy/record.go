package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/host/versions"
)

var errNoVersions = errors.New("no versions are kept; set versions in [plugins] of config.toml, and start rtd again")

// Versions returns the kept versions of a plugin, the latest deploy first. It may be
// called from any goroutine.
func (d *Deployer) Versions(name string) ([]versions.Version, error) {
	if d.versions == nil {
		return nil, errNoVersions
	}
	return d.versions.List(name)
}

// keep notes that a version was deployed.
func (d *Deployer) keep(name string, wasm []byte, by string) {
	if d.versions == nil {
		return
	}
	if _, err := d.versions.Put(name, wasm, by, time.Now()); err != nil {
		d.log.Warn("version not kept, there will be no way back to it", "plugin", name, "version", idOf(wasm), "cause", err)
	}
}

// hold keeps the module of a version that is about to be deployed and will be named by states.
func (d *Deployer) hold(plugin string, wasm []byte) error {
	if d.versions == nil {
		return errNoVersions
	}
	return d.versions.Hold(plugin, wasm)
}

// Kept returns why a state could not be resumed, as far as the versions folder shows, or nil. It may be called from any
// goroutine.
func (d *Deployer) Kept(plugin string, use durable.Use) error {
	if d.versions == nil {
		return errNoVersions
	}
	_, _, err := d.stored(plugin, use)
	return err
}

// stored returns what a state needs to be resumed.
func (d *Deployer) stored(plugin string, use durable.Use) (wasm, snapshot []byte, err error) {
	const giveUp = "give the state up with rtd state reset"
	wasm, err = d.versions.Get(plugin, use.Version)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; put %s back from a backup, or %s", err, d.versions.File(plugin, use.Version), giveUp)
	}
	of := d.versions.Snapshots(plugin, use.Version)
	if snapshot, err = of.Find(use.Snapshot); err != nil {
		return nil, nil, fmt.Errorf("%w; put its file back into %s from a backup, or %s", err, of.Dir(), giveUp)
	}
	return wasm, snapshot, nil
}

// needed returns the versions and snapshots that stay: those of stored states, and those with which guests write states now.
func (d *Deployer) needed(plugin string, states func(string) (map[durable.Use]int, bool)) (list []versions.Need, known bool) {
	uses := d.plugins.Uses(plugin) // first: a state that is stored meanwhile is among the others then
	stored, known := states(plugin)
	for use := range stored {
		uses = append(uses, use)
	}
	for _, use := range uses {
		list = append(list, versions.Need(use))
	}
	return list, known
}

// wayBack finds what to go back to.
func (d *Deployer) wayBack(name, from, to string) (v versions.Version, wasm []byte, err error) {
	if d.versions == nil {
		return v, nil, errNoVersions
	}
	if to == "" {
		return d.versions.Previous(name, from)
	}
	if v, err = d.versions.Find(name, to); err != nil {
		return v, nil, err
	}
	wasm, err = d.versions.Get(name, v.Hash)
	return v, wasm, err
}

// rolledBack counts, logs and notes that a version was rolled back by somebody.
func (d *Deployer) rolledBack(name, from, to, cause, by string) {
	d.countRollback(Rollback{name, cause})
	d.log.Warn("plugin rolled back", "plugin", name, "version", from[:12], "to", to[:12], "by", by)
	d.withdraw(name, from, "rolled back by "+by)
}

func (d *Deployer) withdraw(name, hash, why string) {
	if d.versions == nil {
		return
	}
	if err := d.versions.Withdraw(name, hash, why); err != nil {
		d.log.Warn("version not marked as rolled back, the next start may deploy it", "plugin", name, "version", hash[:12], "cause", err)
	}
}

// withdrawing notes that a version crashes, before it is rolled back: a server that
// starts after a loss of power at that moment knows.
func (d *Deployer) withdrawing(w rollout.Withdrawal) {
	d.withdraw(w.Plugin, w.Hash, "rolled back: "+w.Cause)
}

// withdrawn notes that it was rolled back, or could not be.
func (d *Deployer) withdrawn(w rollout.Withdrawal) {
	if w.Err != nil {
		d.restore(w.Plugin, w.Hash) // it runs on
		return
	}
	d.countRollback(Rollback{w.Plugin, w.Cause})
	if d.versions == nil {
		return
	}
	if wasm, err := d.versions.Get(w.Plugin, w.BackHash); err == nil { // else it was not kept, which has been logged
		d.keep(w.Plugin, wasm, "rollback")
	}
}

// restore takes back that a version was withdrawn.
func (d *Deployer) restore(name, hash string) {
	if d.versions == nil {
		return
	}
	if err := d.versions.Restore(name, hash); err != nil {
		d.log.Warn("version is marked as rolled back, but runs on", "plugin", name, "version", hash[:12], "cause", err)
	}
}

// remembered returns what is to be deployed in place of a file that lay in the folder at
// the start: the version before, if the file's was rolled back. known says that the
// latest version kept is this one. The error says that there is no version before.
func (d *Deployer) remembered(name string, wasm []byte) (deploy []byte, known bool, err error) {
	if d.versions == nil {
		return wasm, false, nil
	}
	all, err := d.versions.List(name)
	if err != nil {
		d.log.Warn("versions cannot be read", "plugin", name, "cause", err)
		return wasm, false, nil
	}
	hash := hashOf(wasm)
	i := slices.IndexFunc(all, func(v versions.Version) bool { return v.Hash == hash })
	if i < 0 || all[i].Withdrawn == "" {
		return wasm, i == 0, nil
	}
	v := all[i]
	back, module, err := d.wayBack(name, hash, "")
	if err != nil {
		return nil, false, fmt.Errorf("the file holds version %s, which was withdrawn (%s), and there is no way back: %w; change the file, or run rtd deploy with it if it is good",
			v.ID(), v.Withdrawn, err)
	}
	d.log.Warn("the file holds a version that was rolled back; the one before it is deployed until the file changes",
		"plugin", name, "version", v.ID(), "withdrawn", v.Withdrawn, "to", back.ID())
	return module, back.Hash == all[0].Hash, nil
}

// deployLastGood deploys the latest kept version of a plugin whose file, found at the start,
// cannot be deployed: the server that wrote the file's predecessor ran on with it, too. The
// file stays refused.
func (d *Deployer) deployLastGood(ctx context.Context, name string, refused []byte) (deployed bool) {
	if d.versions == nil {
		return false
	}
	start := time.Now()
	var last versions.Version
	var wasm []byte
	_, err := d.plugins.Change(ctx, rollout.Change{
		Plugin: name,
		Begin: func() (next rollout.Next, err error) {
			if d.plugins.Runs(name) {
				return next, rollout.ErrUnchanged // something else has been deployed
			}
			if last, wasm, err = d.versions.Previous(name, hashOf(refused)); err != nil {
				return next, err
			}
			return rollout.Next{WASM: wasm, Settings: d.settings(name)}, nil
		},
		End: func(out rollout.Outcome, err error) {
			if err == nil {
				d.log.Warn("the file cannot be deployed; the last version that ran is, until the file changes",
					"plugin", name, "refused", idOf(refused), "version", out.Version)
				d.deployed(name, wasm, last.By, true, start, out)
			}
		},
	})
	switch {
	case err == nil:
		return true
	case !errors.Is(err, rollout.ErrUnchanged) && !errors.Is(err, versions.ErrNoPrevious):
		d.log.Error("the last version that ran is not deployed either", "plugin", name, "version", last.ID(), "cause", err)
	}
	return false
}

func hashOf(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}

func idOf(wasm []byte) string { return release.VersionOf(sha256.Sum256(wasm)) }
