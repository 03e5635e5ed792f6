package rollout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox"
)

// Errors of releases that a state needs.
var (
	errNothingKept  = errors.New("no versions are kept; set versions in [plugins] of config.toml to the folder that has them, and start rtd again")
	errKeepsNothing = errors.New("it has durable actors, whose states need their version later, and no versions are kept; set versions in [plugins] of config.toml, and start rtd again")
	errDoesNotLoad  = errors.New("its module does not load any more")
	errOtherRtd     = errors.New("start the version of rtd that wrote the state, and deploy a version there that takes the state over")
)

// forgets returns why a release cannot have the durable actors that it declares: their states would name a snapshot that
// the next server does not have. It is nil if all is well.
func (s *Set) forgets(r *release.Release) error {
	cause := r.Module.Unkept()
	switch {
	case s.Hold == nil || !r.AnyDurable() || cause == nil:
		return nil
	case s.Snapshots == nil:
		return errKeepsNothing
	case errors.Is(cause, sandbox.ErrPinned):
		return fmt.Errorf("it has durable actors, and their memory cannot be stored: %w; build it without that, or declare nothing durable", cause)
	}
	return fmt.Errorf("it has durable actors, and their states could not be resumed later, as its snapshot is not kept: %w; mend that, and deploy it again", cause)
}

// hold has the module of a release kept, if states will name it.
func (s *Set) hold(plugin string, r *release.Release) error {
	if s.Hold == nil || !r.AnyDurable() {
		return nil
	}
	if err := s.Hold(plugin, r.WASM); err != nil {
		return fmt.Errorf("it has durable actors, and their states could not be resumed later, as its module is not kept: %w; mend that, and deploy it again", err)
	}
	return nil
}

// LoadOld implements [app.Owner].
func (pl *plugin) LoadOld(ctx context.Context, use durable.Use) (*release.Release, error) {
	s := pl.set
	if s.Stored == nil {
		return nil, errNothingKept
	}
	wasm, snapshot, err := s.Stored(pl.Name(), use)
	if err != nil {
		return nil, err
	}
	hash, settings := sha256.Sum256(wasm), pl.Release().Settings
	o := s.options(pl, hash, settings)
	o.Kept = snapshot
	module, err := s.engine.Load(ctx, wasm, o)
	switch {
	case errors.Is(err, sandbox.ErrSnapshot):
		return nil, fmt.Errorf("%w; %w", err, errOtherRtd)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errDoesNotLoad, err)
	}
	r, err := pl.oldOf(module, wasm, hash, settings, snapshot)
	if err == nil && r.Use != use {
		err = errors.New("what is kept in its place is another one")
	}
	if err != nil {
		module.Close()
		return nil, fmt.Errorf("%w: %w", errDoesNotLoad, err)
	}
	s.log.Info("version loaded again, for states that it wrote", "plugin", pl.Name(), "version", r.Version.ID, "snapshot", use.Snapshot[:12])
	return r, nil
}

// oldOf makes a release of a module that begins with a kept snapshot, and of settings, as far as they are not those of the snapshot.
func (pl *plugin) oldOf(module *sandbox.Module, wasm []byte, hash [sha256.Size]byte, settings release.Settings, snapshot []byte) (*release.Release, error) {
	info, err := sandbox.ReadSnapshotInfo(snapshot)
	if err != nil {
		return nil, err
	}
	settings.Config, settings.Limits.Memory = info.Config, info.Memory
	return pl.App.LoadOld(module, wasm, hash, settings)
}

// Uses returns which versions and snapshots of a plugin are in use: states may be written with them.
func (s *Set) Uses(plugin string) []durable.Use {
	if pl := s.get(plugin); pl != nil {
		return pl.App.Uses()
	}
	return nil
}
