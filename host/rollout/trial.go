package rollout

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"rtd/host/app"
	"rtd/host/release"
	"rtd/supervisor"
)

// Withdrawal tells that a version was taken back.
type Withdrawal struct {
	Plugin        string
	Version, Hash string // the bad one
	Back          string // the version that is current now
	BackHash      string
	Cause         string // "crashes", "canary", or "state": a durable process could not move to it
	Err           error  // if Back could not be made current again: then the bad one runs on
}

// trial is the time in which a version may be taken back.
type trial struct {
	release *release.Release
	back    *release.Release // what it goes back to
	until   time.Time
	timer   *time.Timer
	bad     atomic.Bool // it is about to be withdrawn

	// Of a canary, which is not the current release yet.
	canary  *app.Canary
	crashes uint64 // of back, when it began
}

// watch begins the time in which r may be taken back, and retires old unless r would go
// back to it. A version is not watched in place of one that was as bad, unless that was
// on trial itself: then r goes back to the same version as that. With other settings a
// version is on the same trial.
func (pl *plugin) watch(r, old *release.Release) {
	before := pl.watched.Load()
	var t *trial
	switch now, since := time.Now(), r.Settings.Rollout.Watch; {
	case r.Hash == old.Hash:
		r.Fate = old.Fate
		if before != nil && now.Before(before.until) {
			t = &trial{release: r, back: before.back, until: before.until}
		}
	default:
		old.Fate.Decide(release.Verdict{State: release.Replaced, Now: r.Version.ID})
		back := old
		if before != nil && before.bad.Load() {
			back = before.back
		}
		if cause := unwatched(r, back, now); cause != "" {
			r.Fate.Decide(release.Verdict{State: release.Unwatched, Cause: cause})
			break
		}
		r.Fate.Watched(since)
		t = &trial{release: r, back: back, until: now.Add(since)}
	}
	if t != nil {
		t.timer = time.AfterFunc(time.Hour, func() {
			pl.set.inBackground(func() { pl.trust(t) })
		})
	}
	pl.endTrial(t)
	if t != nil { // only now, as a trial that is over before it is the plugin's is not ended by anybody
		t.timer.Reset(time.Until(t.until))
	}
	if t == nil || t.back != old {
		old.Retire(r)
	}
}

// unwatched says why r, which could go back to another release, is not watched, if it is
// not.
func unwatched(r, back *release.Release, now time.Time) string {
	since := r.Settings.Rollout.Watch
	switch {
	case since <= 0:
		return "watch is 0 in its table of config.toml"
	case r.Hash == back.Hash:
		return "it is the version that one would go back to"
	case back.Crashes.ExceededSince(now.Add(-since)):
		return "the version before it crashed as often"
	}
	return ""
}

// trust ends the trial of a version that did not crash too often.
func (pl *plugin) trust(t *trial) {
	if t.bad.Load() || !pl.watched.CompareAndSwap(t, nil) {
		return
	}
	t.release.Fate.Decide(release.Verdict{State: release.Trusted})
	t.back.Retire(t.release)
}

// endTrial puts next, which may be nil, in place of the present trial. The release to
// which that would have gone back is retired, unless next would go back to it, too.
func (pl *plugin) endTrial(next *trial) {
	t := pl.watched.Swap(next)
	if t == nil {
		return
	}
	t.timer.Stop()
	if next == nil || next.back != t.back {
		t.back.Retire(t.release)
	}
}

// CountCrash counts a crash of one of the plugin's guests, by whatever version. It
// does not block. It implements [app.Owner].
func (pl *plugin) CountCrash(version string, d supervisor.Decision) {
	now := time.Now()
	current := pl.Release()
	if c := pl.canary.Load(); c != nil && c.release.Version.ID == version {
		if c.release.Crashes.Add(c.release.Settings.Intensity, now) && c.bad.CompareAndSwap(false, true) {
			pl.set.inBackground(func() { pl.set.endCanary(pl, c, "crashes") })
		}
		return
	}
	if current.Version.ID != version {
		return
	}
	exceeded := current.Crashes.Add(current.Settings.Intensity, now)
	t := pl.watched.Load()
	if t == nil || t.release != current || now.After(t.until) || !exceeded && d != supervisor.GivesUp {
		return
	}
	if t.bad.CompareAndSwap(false, true) {
		pl.set.inBackground(func() {
			pl.set.takeBack(pl, t, "crashes", "it crashed more often than max_restarts in max_seconds")
		})
	}
}

// Refused takes a version back to which a durable process cannot move, though that went well when it was tried: its state has changed
// since, or there were too many to be tried. It implements [app.Owner].
func (pl *plugin) Refused(version string, reason error) {
	s := pl.set
	s.inBackground(func() {
		var t *trial
		s.changes(pl.Name(), func() { t = pl.watched.Load() }) // when the version's own deploy is over
		if t != nil && t.release.Version.ID == version && !time.Now().After(t.until) && t.bad.CompareAndSwap(false, true) {
			s.takeBack(pl, t, "state", "a durable process cannot move to it: "+reason.Error())
		}
	})
}

// takeBack makes the version before one that is bad current again, for a cause and a reason in words. It is still
// loaded, so that nothing is compiled. If another version was deployed in place of the
// bad one by then, the bad one is only marked.
func (s *Set) takeBack(pl *plugin, t *trial, cause, reason string) {
	s.changes(pl.Name(), func() {
		if s.get(pl.Name()) != pl {
			return // it was removed
		}
		w := t.withdrawal(pl.Name(), cause)
		bad := pl.Release()
		if bad.Hash != t.release.Hash {
			w.Back, w.BackHash = bad.Version.ID, bad.HashText()
			s.announce(s.Withdrawing, w)
			return
		}
		back, err := s.wayBack(pl, t, bad)
		if err == nil {
			s.announce(s.Withdrawing, w)
			if err = pl.goBack(back, bad); err != nil {
				back.Retire(bad)
			} else if c := pl.canary.Load(); c != nil && c.release.Hash == back.Hash {
				pl.dropCanary(c) // all try it now, and as such it must not be withdrawn
			}
		}
		if w.Err = err; err == nil {
			bad.Fate.Decide(release.Verdict{State: release.Withdrawn, Cause: w.Cause, Now: w.Back})
		} else {
			bad.Fate.Decide(release.Verdict{State: release.Stuck, Cause: err.Error(), Now: w.Version})
		}
		s.logTakenBack(pl, t, w, reason)
		s.announce(s.Withdrawn, w)
	})
}

// wayBack returns the release to which a bad one goes back, under the settings of the bad
// one.
func (s *Set) wayBack(pl *plugin, t *trial, bad *release.Release) (*release.Release, error) {
	now := pl.watched.Load()
	if now != nil && now.back == t.back && t.back.Settings.Equal(bad.Settings) {
		return t.back, s.missing(t.back)
	}
	return s.load(context.Background(), pl, t.back.WASM, t.back.Hash, bad.Settings)
}

// goBack makes an older release current again, which is not watched: so two bad ones
// do not take turns.
func (pl *plugin) goBack(to, bad *release.Release) (err error) {
	to.ReplacedBy(nil)
	if pl.Failed() {
		err = pl.set.restart(pl, to)
	} else {
		err = pl.set.replace(pl, to, false)
	}
	if err != nil {
		return err
	}
	to.Fate.Decide(release.Verdict{State: release.Unwatched, Cause: "it is the version that one would go back to"})
	if t := pl.watched.Swap(nil); t != nil {
		t.timer.Stop()
		if t.back != to {
			t.back.Retire(to)
		}
	}
	bad.Retire(to)
	return nil
}

func (s *Set) logTakenBack(pl *plugin, t *trial, w Withdrawal, reason string) {
	log := s.log.With("plugin", pl.Name(), "version", w.Version, "to", w.Back, "watch", t.release.Settings.Rollout.Watch)
	if w.Err != nil {
		log.Error("plugin not rolled back, it runs on", "cause", w.Err, "although", reason)
	} else {
		log.Error("plugin rolled back", "cause", reason)
	}
}

func (t *trial) withdrawal(plugin, cause string) Withdrawal {
	return Withdrawal{
		Plugin: plugin, Version: t.release.Version.ID, Hash: t.release.HashText(),
		Back: t.back.Version.ID, BackHash: t.back.HashText(), Cause: cause,
	}
}

func (s *Set) announce(whom func(Withdrawal), w Withdrawal) {
	if whom != nil {
		whom(w)
	}
}

// beginCanary lets a share of new joins begin with r. The current version stays.
func (s *Set) beginCanary(pl *plugin, r *release.Release) error {
	if err := s.mounts.enter(pl.Name(), tenantOf(r)); err != nil {
		return err
	}
	o := r.Settings.Rollout
	old := pl.Release()
	c := &trial{release: r, back: old, crashes: old.Crashes.Count(), canary: &app.Canary{Release: r, Share: o.Canary}}
	r.Fate.Watched(o.CanaryPeriod + o.Watch)
	c.timer = time.AfterFunc(o.CanaryPeriod, func() {
		s.inBackground(func() { s.judge(pl, c) })
	})
	pl.canary.Store(c)
	pl.BeginCanary(c.canary)
	s.log.Info("canary begins", "plugin", pl.Name(), "version", r.Version.ID, "beside", old.Version.ID, "share", o.Canary, "period", o.CanaryPeriod)
	return nil
}

// judge ends a canary's period: it was no worse than the version that it is to replace,
// or it is withdrawn.
func (s *Set) judge(pl *plugin, c *trial) {
	if c.release.Crashes.Count() > c.back.Crashes.Count()-c.crashes {
		s.endCanary(pl, c, "canary")
		return
	}
	s.changes(pl.Name(), func() {
		if pl.canary.Load() != c {
			return
		}
		err := s.missing(c.release)
		if err == nil {
			err = pl.promote(c)
		}
		if err != nil {
			c.release.Fate.Decide(release.Verdict{State: release.Stuck, Cause: err.Error(), Now: c.back.Version.ID})
			pl.dropCanary(c)
			s.log.Error("canary not promoted, the version before it goes on", "plugin", pl.Name(), "version", c.release.Version.ID, "cause", err)
			return
		}
		s.log.Info("canary promoted", "plugin", pl.Name(), "version", c.release.Version.ID, "crashes", c.release.Crashes.Count())
	})
}

// promote makes the canary's release the current one.
func (pl *plugin) promote(c *trial) error {
	if pl.Failed() {
		return errors.New("the plugin has failed")
	}
	old := pl.Release()
	if err := pl.set.replace(pl, c.release, c.release.Settings.Rollout.Stay); err != nil {
		return err
	}
	pl.watch(c.release, old)
	pl.canary.CompareAndSwap(c, nil)
	pl.App.EndCanary(c.canary)
	c.timer.Stop()
	return nil
}

// endCanary withdraws a canary that is bad.
func (s *Set) endCanary(pl *plugin, c *trial, cause string) {
	s.changes(pl.Name(), func() {
		if pl.canary.Load() != c {
			return
		}
		w := c.withdrawal(pl.Name(), cause)
		s.announce(s.Withdrawing, w)
		c.release.Fate.Decide(release.Verdict{State: release.Withdrawn, Cause: cause, Now: w.Back})
		pl.dropCanary(c)
		s.log.Error("canary withdrawn", "plugin", pl.Name(), "version", w.Version, "to", w.Back,
			"crashes", c.release.Crashes.Count(), "crashes_before", c.back.Crashes.Count()-c.crashes)
		s.announce(s.Withdrawn, w)
	})
}

// dropCanary moves the canary's channels back to the current version.
func (pl *plugin) dropCanary(c *trial) {
	if !pl.canary.CompareAndSwap(c, nil) {
		return
	}
	pl.App.EndCanary(c.canary)
	c.timer.Stop()
	c.release.Fate.Decide(release.Verdict{State: release.Replaced, Now: pl.Release().Version.ID})
	c.release.Retire(pl.Release())
	pl.Regranted(c.release, pl.Release())
	pl.set.mounts.settle(pl.Name(), tenantOf(pl.Release()))
	pl.MoveAll(false)
}

// EndCanary ends a plugin's canary: all goes on with the version before it. It calls
// gone, if given, with the canary's hash, as the functions of a [Change] are called, and
// returns the hash, or "" if there was none.
func (s *Set) EndCanary(name string, gone func(hash string)) (hash string) {
	s.changes(name, func() {
		pl := s.get(name)
		if pl == nil || pl.canary.Load() == nil {
			return
		}
		c := pl.canary.Load()
		pl.dropCanary(c)
		hash = c.release.HashText()
		if gone != nil {
			gone(hash)
		}
	})
	return hash
}
