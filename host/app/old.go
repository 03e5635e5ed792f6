package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rtd/host/durable"
	"rtd/host/release"
)

// oldReleases are those that were loaded once more, for states that were written with them. Each is loaded once for all
// who wait for it, one after the other, and retired when it has not been asked for and no guest of it has lived for a
// while.
type oldReleases struct {
	app     *App
	ended   context.Context // with the application
	cancel  context.CancelFunc
	loading sync.Mutex // held while one is loaded

	mu     sync.Mutex
	all    map[durable.Use]*oldRelease
	closed bool
}

// oldRelease is one of them. Its first two fields are set before done is closed.
type oldRelease struct {
	release *release.Release
	err     error // why there is none, for all who ask soon
	done    chan struct{}

	asked time.Time   // last; under mu
	timer *time.Timer // ends its time; under mu
}

const (
	// oldReleaseStays is how long one stays loaded that nobody asks for and in which nobody lives.
	oldReleaseStays = time.Minute
	// oldReleaseAgain is how long it takes until one that could not be loaded is tried again: the states of a plugin may all
	// want it at once.
	oldReleaseAgain = 5 * time.Second
)

var errEnding = errors.New("the plugin ends")

func (o *oldReleases) init(a *App) {
	o.app, o.all = a, map[durable.Use]*oldRelease{}
	o.ended, o.cancel = context.WithCancel(context.Background())
}

// ReleaseOf implements [process.App].
func (a *App) ReleaseOf(ctx context.Context, use durable.Use) (*release.Release, error) {
	if r := a.loaded(use); r != nil {
		return r, nil
	}
	r, err := a.old.get(ctx, use)
	if err != nil {
		return nil, fmt.Errorf("resume a state of version %.12s and snapshot %.12s: %w", use.Version, use.Snapshot, err)
	}
	return r, nil
}

// loaded returns a release that is loaded anyway, or nil.
func (a *App) loaded(use durable.Use) *release.Release {
	if r := a.current.Load(); r != nil && r.Use == use {
		return r
	}
	if c := a.canary.Load(); c != nil && c.Release.Use == use && !c.Release.Retired() {
		return c.Release
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.releases, func(r *release.Release) bool { return r.Use == use && !r.Retired() })
	if i < 0 {
		return nil
	}
	return a.releases[i]
}

// Uses returns what states may be written with at the moment: the releases with durable actors that are loaded, those
// included whose last guests are about to leave them.
func (a *App) Uses() (uses []durable.Use) {
	add := func(r *release.Release) {
		if r != nil && r.AnyDurable() && !slices.Contains(uses, r.Use) {
			uses = append(uses, r.Use)
		}
	}
	add(a.current.Load())
	if c := a.canary.Load(); c != nil {
		add(c.Release)
	}
	a.mu.Lock()
	for _, r := range a.releases {
		if r.Module.Stats().Live > 0 || !r.Retired() {
			add(r)
		}
	}
	a.mu.Unlock()
	a.old.mu.Lock()
	defer a.old.mu.Unlock()
	for use := range a.old.all {
		if !slices.Contains(uses, use) {
			uses = append(uses, use)
		}
	}
	return uses
}

// get waits until the release is loaded.
func (o *oldReleases) get(ctx context.Context, use durable.Use) (*release.Release, error) {
	e, err := o.ask(use)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.done:
		return e.release, e.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (o *oldReleases) ask(use durable.Use) (*oldRelease, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.all[use]
	if e == nil && !o.closed {
		e = &oldRelease{done: make(chan struct{})}
		if o.app.owner.Background(func() { o.load(use, e) }) {
			o.all[use] = e
		} else {
			e = nil
		}
	}
	if e == nil {
		return nil, errEnding
	}
	e.asked = time.Now()
	return e, nil
}

func (o *oldReleases) load(use durable.Use, e *oldRelease) {
	o.loading.Lock()
	e.release, e.err = o.app.owner.LoadOld(o.ended, use)
	o.loading.Unlock()
	if e.err != nil && o.ended.Err() != nil {
		e.err = errEnding
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	defer close(e.done)
	switch {
	case o.closed && e.release != nil:
		e.release.Retire(nil)
		e.release, e.err = nil, errEnding
	case o.closed:
	case e.err != nil:
		e.timer = time.AfterFunc(oldReleaseAgain, func() { o.expire(use, e) })
	default:
		e.timer = time.AfterFunc(oldReleaseStays, func() { o.expire(use, e) })
	}
}

// expire forgets a release that is not needed any more.
func (o *oldReleases) expire(use durable.Use, e *oldRelease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all[use] != e {
		return
	}
	if e.release != nil && (e.release.Module.Stats().Live > 0 || time.Since(e.asked) < oldReleaseStays) {
		e.timer.Reset(oldReleaseStays)
		return
	}
	delete(o.all, use)
	if e.release != nil {
		e.release.Retire(o.app.current.Load())
	}
}

// retire frees all, when nobody lives in them any more. Those that are being loaded follow.
func (o *oldReleases) retire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for use, e := range o.all {
		if e.timer != nil {
			e.timer.Stop()
		}
		if e.release != nil && e.timer != nil { // else load does it
			e.release.Retire(nil)
		}
		delete(o.all, use)
	}
}
