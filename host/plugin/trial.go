package plugin

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// Rollout says how a version takes over from the one before. The zero value does so
// at once, for all, and for good.
type Rollout struct {
	// Stay leaves a process whose state the new version cannot take over in its
	// version until it ends. Otherwise its join is replayed.
	Stay bool
	// Watch is for how long a new version may be taken back: if its processes crash more
	// often than the plugin's intensity allows, all of them counted together.
	Watch time.Duration
	// Canary is the share of new joins that go to the new version, 0 to 1, for
	// CanaryPeriod. Then all do, unless it has crashed more often than the old one in
	// that time, or more often than the intensity allows. 0: there is no such period.
	Canary       float64
	CanaryPeriod time.Duration
}

// Withdrawal tells that a version was taken back.
type Withdrawal struct {
	Plugin        string
	Version, Hash string // the bad one
	Back          string // the version that is current now
	BackHash      string
	Cause         string // "crashes" or "canary"
	Err           error  // if Back could not be deployed: then the bad one runs on
}

// crashWindow counts the crashes of a release.
type crashWindow struct {
	mu       sync.Mutex
	all      uint64
	recent   []time.Time // not more than the intensity allows, and one
	exceeded time.Time   // when there were last more than that
}

// add counts a crash and reports whether there are more than the intensity allows.
func (w *crashWindow) add(limit supervisor.Intensity, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all++
	w.recent = append(w.recent, now)
	for now.Sub(w.recent[0]) > limit.Within {
		w.recent = w.recent[1:]
	}
	if len(w.recent) <= limit.Max {
		return false
	}
	w.recent = w.recent[1:]
	w.exceeded = now
	return true
}

func (w *crashWindow) count() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

func (w *crashWindow) exceededSince(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exceeded.After(t)
}

// trial is the time in which a version may be taken back.
type trial struct {
	release *release
	back    *release // what it goes back to
	until   time.Time

	// Of a canary, which is not the current release yet.
	share   float64
	joins   atomic.Uint64
	timer   *time.Timer
	crashes uint64      // of back, when it began
	bad     atomic.Bool // it is about to be withdrawn
}

// picks decides on a join, so that of any that follow each other the share is right.
func (t *trial) picks() bool {
	n := float64(t.joins.Add(1))
	return math.Floor(n*t.share) > math.Floor((n-1)*t.share)
}

// next is the release that a process goes on with whose guest is of old, or nil.
func (pl *Plugin) next(old *release) *release {
	if c := pl.canary.Load(); c != nil && old == c.release {
		return old
	}
	return pl.current.Load()
}

// Next implements [channels.Plugin].
func (pl *Plugin) Next(old *channels.Version, topic string) *channels.Version {
	current, c := pl.current.Load(), pl.canary.Load()
	switch {
	case c == nil:
	case old == &c.release.version:
		return old
	case old == nil && c.release.scope(topic) == current.scope(topic) && c.picks():
		return &c.release.version
	}
	return &current.version
}

// watch begins the time in which r may be taken back. A version is not watched in
// place of one that was as bad.
func (pl *Plugin) watch(r, old *release) {
	pl.watched.Store(nil)
	since := r.settings.Rollout.Watch
	if now := time.Now(); since > 0 && r.hash != old.hash && !old.crashes.exceededSince(now.Add(-since)) {
		pl.watched.Store(&trial{release: r, back: old, until: now.Add(since)})
	}
}

// countCrash counts a crash of one of the plugin's guests, by whatever version. It
// does not block.
func (pl *Plugin) countCrash(version string, d supervisor.Decision) {
	now := time.Now()
	current := pl.current.Load()
	if c := pl.canary.Load(); c != nil && c.release.version.ID == version {
		if c.release.crashes.add(c.release.settings.Intensity, now) && c.bad.CompareAndSwap(false, true) {
			pl.set.inBackground(func() { pl.set.endCanary(pl, c, "crashes") })
		}
		return
	}
	if current.version.ID != version {
		return
	}
	exceeded := current.crashes.add(current.settings.Intensity, now)
	t := pl.watched.Load()
	if t == nil || t.release != current || now.After(t.until) || !exceeded && d != supervisor.GivesUp {
		return
	}
	if pl.watched.CompareAndSwap(t, nil) {
		pl.set.inBackground(func() { pl.set.takeBack(pl, t) })
	}
}

// takeBack deploys what there was before a version that crashes too often.
func (s *Set) takeBack(pl *Plugin, t *trial) {
	w := t.withdrawal("crashes")
	if !s.tryTakeBack(pl, t, &w) {
		return
	}
	log := s.log.With("plugin", pl.name, "version", w.Version, "to", w.Back,
		"cause", "it crashed more often than max_restarts in max_seconds", "watch", t.release.settings.Rollout.Watch)
	if w.Err != nil {
		log.Error("plugin not rolled back, it runs on", "err", w.Err)
	} else {
		log.Error("plugin rolled back")
	}
	s.withdrawn(w)
}

// tryTakeBack reports whether the version was still there to be taken back.
func (s *Set) tryTakeBack(pl *Plugin, t *trial, w *Withdrawal) bool {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	if s.isClosed() || pl.current.Load() != t.release || s.get(pl.name) != pl {
		return false
	}
	settings := t.release.settings
	settings.Rollout = Rollout{}
	w.Err = s.deployTo(context.Background(), pl, t.back.wasm, t.back.hash, settings)
	return true
}

func (t *trial) withdrawal(cause string) Withdrawal {
	return Withdrawal{
		Plugin: t.release.plugin.name, Version: t.release.version.ID, Hash: t.release.hashText(),
		Back: t.back.version.ID, BackHash: t.back.hashText(), Cause: cause,
	}
}

func (s *Set) withdrawn(w Withdrawal) {
	if s.Withdrawn != nil {
		s.Withdrawn(w)
	}
}

// beginCanary lets a share of new joins begin with r. The current version stays.
func (s *Set) beginCanary(pl *Plugin, r *release) {
	o := r.settings.Rollout
	old := pl.current.Load()
	c := &trial{release: r, back: old, share: o.Canary, crashes: old.crashes.count()}
	c.timer = time.AfterFunc(o.CanaryPeriod, func() {
		s.inBackground(func() { s.judge(pl, c) })
	})
	pl.canary.Store(c)
	pl.note(r)
	s.log.Info("canary begins", "plugin", pl.name, "version", r.version.ID, "beside", old.version.ID, "share", o.Canary, "period", o.CanaryPeriod)
}

// judge ends a canary's period: it was no worse than the version that it is to replace,
// or it is withdrawn.
func (s *Set) judge(pl *Plugin, c *trial) {
	if c.release.crashes.count() > c.back.crashes.count()-c.crashes {
		s.endCanary(pl, c, "canary")
		return
	}
	s.deploying.Lock()
	defer s.deploying.Unlock()
	if s.isClosed() || pl.canary.Load() != c {
		return
	}
	err := s.missing(c.release)
	if err == nil {
		err = pl.promote(c)
	}
	if err != nil {
		pl.dropCanary(c)
		s.log.Error("canary not promoted, the version before it goes on", "plugin", pl.name, "version", c.release.version.ID, "cause", err)
		return
	}
	s.log.Info("canary promoted", "plugin", pl.name, "version", c.release.version.ID, "crashes", c.release.crashes.count())
}

// promote makes the canary's release the current one.
func (pl *Plugin) promote(c *trial) error {
	if pl.failed() {
		return errors.New("the plugin has failed")
	}
	old := pl.current.Load()
	if err := pl.replace(c.release); err != nil {
		return err
	}
	pl.watch(c.release, old)
	pl.canary.CompareAndSwap(c, nil)
	c.timer.Stop()
	return nil
}

// endCanary withdraws a canary that is bad.
func (s *Set) endCanary(pl *Plugin, c *trial, cause string) {
	s.deploying.Lock()
	ends := !s.isClosed() && pl.canary.Load() == c
	if ends {
		pl.dropCanary(c)
	}
	s.deploying.Unlock()
	if !ends {
		return
	}
	w := c.withdrawal(cause)
	s.log.Error("canary withdrawn", "plugin", pl.name, "version", w.Version, "to", w.Back,
		"crashes", c.release.crashes.count(), "crashes_before", c.back.crashes.count()-c.crashes)
	s.withdrawn(w)
}

// dropCanary moves the canary's channels back to the current version.
func (pl *Plugin) dropCanary(c *trial) {
	if !pl.canary.CompareAndSwap(c, nil) {
		return
	}
	c.timer.Stop()
	c.release.retire(pl.current.Load())
	pl.moveAll(false)
}

// EndCanary ends a plugin's canary: all goes on with the version before it. It returns
// the canary's hash, or "" if there was none.
func (s *Set) EndCanary(name string) (hash string) {
	s.deploying.Lock()
	defer s.deploying.Unlock()
	pl := s.get(name)
	if pl == nil {
		return ""
	}
	c := pl.canary.Load()
	if c == nil {
		return ""
	}
	pl.dropCanary(c)
	return c.release.hashText()
}
