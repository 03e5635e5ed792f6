package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"rtd/host/app"
	"rtd/host/ask"
	"rtd/host/release"
)

// Change makes a module the next version of a plugin. Its functions are called in order
// with all other changes of this plugin's versions, so that their records are in the
// right order. They must not call Deploy, Change or Remove.
type Change struct {
	Plugin string
	// Begin returns the module to deploy, when other deploys of the plugin are over.
	Begin func() (Next, error)
	// End, if given, is called with the outcome, before anything else happens to the
	// plugin's versions: the version is current, or a canary; or it runs already
	// ([ErrUnchanged]); or all is as before.
	End func(Outcome, error)
}

// Next is a module that is to be the next version.
type Next struct {
	WASM     []byte
	Settings release.Settings
	// Over, if given, is the hash of the version that must still be current: else the
	// error is [ErrOvertaken].
	Over string
}

// Outcome is the result of a change.
type Outcome struct {
	Version string // its ID
	Hash    string
	Canary  bool          // it is one: the version before it is current
	Fate    *release.Fate // of a version that runs, by this change or already
	Moving  *app.Moving   // of the processes that there were; nil if none were asked to move
}

// ErrUnchanged is returned by Deploy if the module and its settings are those
// that run already.
var ErrUnchanged = errors.New("this version runs already")

// ErrOvertaken says that another version has become current meanwhile, for example
// because a version was taken back.
var ErrOvertaken = errors.New("another version has become current meanwhile")

// ErrClosed is returned after Close.
var ErrClosed = ask.ErrClosed

// Deploy makes a module the current version of the plugin called name, new or
// not. It is compiled and tried first, then made current, and then the live
// processes move over, each between two of its messages; or, if there is to be a canary,
// some of the new joins begin with it first, see [release.Rollout]. On an error all is as
// before. Deploys of other plugins are not waited for.
func (s *Set) Deploy(ctx context.Context, name string, wasm []byte, settings release.Settings) error {
	_, err := s.Change(ctx, Change{Plugin: name, Begin: func() (Next, error) { return Next{WASM: wasm, Settings: settings}, nil }})
	return err
}

// Change is Deploy for callers that keep a record of versions.
func (s *Set) Change(ctx context.Context, c Change) (out Outcome, err error) {
	if c.Plugin == ask.HostName {
		return out, fmt.Errorf("a plugin cannot be called %s: choose another name for its file", ask.HostName)
	}
	deployed := s.deploys(c.Plugin, func(t *turn) {
		var next Next
		if next, err = c.Begin(); err == nil {
			out, err = s.change(ctx, t, &c, next)
		}
	})
	if !deployed {
		err = ErrClosed
	}
	return out, err
}

// change expects t.deploying to be held.
func (s *Set) change(ctx context.Context, t *turn, c *Change, next Next) (out Outcome, err error) {
	hash := sha256.Sum256(next.WASM)
	out.Version, out.Hash = release.VersionOf(hash), hex.EncodeToString(hash[:])
	pl, r := s.get(c.Plugin), (*release.Release)(nil)
	fresh := pl == nil
	if fresh {
		if pl = s.noLonger(c.Plugin); pl == nil {
			pl = s.newPlugin(c.Plugin)
		}
	}
	if fresh || pl.running(hash, next.Settings) == nil {
		r, err = s.load(ctx, pl, next.WASM, hash, next.Settings)
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	if err == nil && r != nil {
		err = s.hold(c.Plugin, r)
	}
	switch {
	case err != nil:
	case s.isClosed(): // meanwhile
		err = ErrClosed
	case fresh:
		err = s.start(pl, r)
	default:
		before := pl.Moving()
		out.Canary, err = s.deployTo(pl, r, next, hash)
		if now := pl.Moving(); now != before {
			out.Moving = now
		}
	}
	if err != nil && r != nil {
		r.Module.Close()
	}
	if err != nil && fresh {
		s.discard(pl, err)
	}
	if now := pl.running(hash, next.Settings); now != nil && (err == nil || errors.Is(err, ErrUnchanged)) {
		out.Fate = now.Fate
	}
	if c.End != nil {
		c.End(out, err)
	}
	return out, err
}

// deployTo makes r the next release of an existing plugin. Without r the module is the
// one that runs.
func (s *Set) deployTo(pl *plugin, r *release.Release, next Next, hash [sha256.Size]byte) (canary bool, err error) {
	old := pl.Release()
	if next.Over != "" && next.Over != old.HashText() {
		return false, ErrOvertaken
	}
	if c := pl.canary.Load(); c != nil && !c.release.Same(hash, next.Settings) {
		pl.dropCanary(c) // whatever comes is meant to come in its place
	}
	if r == nil || pl.running(hash, next.Settings) != nil {
		return false, ErrUnchanged
	}
	rollout := next.Settings.Rollout
	switch {
	case pl.Failed():
		err = s.restart(pl, r)
	case hash != old.Hash && rollout.Canary > 0 && rollout.CanaryPeriod > 0:
		err = s.beginCanary(pl, r)
		return err == nil, err
	default:
		err = s.replace(pl, r, rollout.Stay)
	}
	if err != nil {
		return false, err
	}
	pl.watch(r, old)
	return false, nil
}

// running returns the release of a module under some settings, if it is the canary, or
// current while there is none; or nil.
func (pl *plugin) running(hash [sha256.Size]byte, settings release.Settings) *release.Release {
	r := pl.Release()
	if c := pl.canary.Load(); c != nil && c.release.Same(hash, settings) {
		return c.release
	}
	if r == nil || pl.Failed() || !r.Same(hash, settings) {
		return nil
	}
	return r
}
