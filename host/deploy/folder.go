package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rtd/host/folder"
	"rtd/host/rollout"
	"rtd/sandbox"
)

// Use says which plugin folder it is, before Run.
func (d *Deployer) Use(f *folder.Folder) { d.folder.Store(f) }

// Run deploys what changes in the plugin folder: the changes of each plugin one
// after the other, those of several at the same time, so that none waits for another's
// compiler. It returns when the folder is closed. When all has been decided about that was
// there at the start, and [Options].Awaits, it calls ready, unless ctx has ended by then.
func (d *Deployer) Run(ctx context.Context, ready func()) {
	f := d.folder.Load()
	loaded := f.Ready()
	queues := changeQueues{
		deploy: func(c folder.Change) { d.deployChange(ctx, c) },
		places: make(chan struct{}, changesAtATime), byName: map[string][]folder.Change{},
	}
	defer queues.working.Wait()
	for {
		select {
		case <-loaded:
			loaded = nil
			queues.working.Go(func() {
				queues.initial.Wait()
				select {
				case <-d.readiness.decided:
				case <-ctx.Done():
				}
				if ctx.Err() == nil {
					ready()
				}
			})
		case c, ok := <-f.Changes():
			if !ok {
				return
			}
			queues.add(c)
		}
	}
}

// changesAtATime is for how many plugins there may be changes under way: each has a module in
// memory as a whole, and another that waits. The folder holds further ones back.
const changesAtATime = 8

// changeQueues are the changes that wait, by plugin. One goroutine adds to them.
type changeQueues struct {
	deploy  func(folder.Change)
	places  chan struct{}
	working sync.WaitGroup
	initial sync.WaitGroup // changes marked Initial

	mu     sync.Mutex
	byName map[string][]folder.Change // those behind the one at work
}

func (q *changeQueues) add(c folder.Change) {
	if c.Initial {
		q.initial.Add(1)
	}
	if q.join(c) {
		return
	}
	q.places <- struct{}{}
	q.mu.Lock()
	q.byName[c.Name] = nil
	q.mu.Unlock()
	q.working.Go(func() {
		defer func() { <-q.places }()
		for more := true; more; c, more = q.next(c.Name) {
			q.deploy(c)
			q.done(c)
		}
	})
}

// join lets a change wait behind the one of its plugin that is at work, if there is one,
// and takes the place of those that wait already: what was put into the folder
// meanwhile is no longer there. An error says nothing about what was there before.
func (q *changeQueues) join(c folder.Change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting, busy := q.byName[c.Name]
	if !busy {
		return false
	}
	waiting = slices.DeleteFunc(waiting, func(old folder.Change) bool {
		outdated := (old.Err == nil) == (c.Err == nil)
		if outdated {
			q.done(old)
		}
		return outdated
	})
	q.byName[c.Name] = append(waiting, c)
	return true
}

func (q *changeQueues) done(c folder.Change) {
	if c.Initial {
		q.initial.Done()
	}
}

// next returns what is to be done next; or false, and the plugin is not busy any more.
func (q *changeQueues) next(name string) (c folder.Change, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.byName[name]
	if len(waiting) == 0 {
		delete(q.byName, name)
		return c, false
	}
	q.byName[name] = waiting[1:]
	return waiting[0], true
}

func (d *Deployer) deployChange(ctx context.Context, c folder.Change) {
	d.change(ctx, c, nil)
	if c.Removed {
		d.Retry(ctx)
	}
	d.deployWaiting(ctx)
	d.readiness.decide(c)
}

// change does what a change of the folder asks for. Again, if given, is that it could not
// be done before. It reports whether a plugin runs now that did not before, or in another
// version.
func (d *Deployer) change(ctx context.Context, c folder.Change, again *Refusal) (deployed bool) {
	log := d.log.With("plugin", c.Name, "file", c.File)
	switch {
	case c.Err != nil && GivenUp(ctx, c.Err):
		log.Info("build given up, rtd stops")
		return false
	case c.Err != nil:
		d.failures.Add(1)
		log.Error("plugin not built or not readable", "cause", c.Err)
		return false
	case c.Removed:
		d.refusals.accept(c.Name)
		if d.plugins.Remove(c.Name) {
			log.Info("plugin unloaded, its file is gone")
		}
		return false
	}
	start := time.Now()
	wasm, known := c.WASM, false
	refuse := func(err error) {
		var waiting *rollout.WaitingError
		if errors.As(err, &waiting) {
			d.refusals.refuse(c, waiting.For, err)
			log.Info("plugin waits for others", "for", waiting.For)
			return
		}
		d.refusals.refuse(c, nil, err)
		if GivenUp(ctx, err) {
			log.Info("deploy given up, rtd stops", "running", d.plugins.Version(c.Name))
			return
		}
		d.failures.Add(1)
		log.Error("plugin not deployed", "cause", err, "running", d.plugins.Version(c.Name))
	}
	_, err := d.plugins.Change(ctx, rollout.Change{
		Plugin: c.Name,
		Begin: func() (next rollout.Next, err error) {
			if again != nil && !d.refusals.has(c.Name, again) {
				return next, rollout.ErrUnchanged // something else has happened to it
			}
			if c.Initial {
				if wasm, known, err = d.remembered(c.Name, wasm); err != nil {
					refuse(err)
					return next, err
				}
			}
			return rollout.Next{WASM: wasm, Settings: d.settings(c.Name)}, nil
		},
		End: func(out rollout.Outcome, err error) {
			d.refusals.accept(c.Name)
			switch {
			case err == nil:
				d.deployed(c.Name, wasm, byFolder, known, start, out)
			case !errors.Is(err, rollout.ErrUnchanged):
				refuse(err)
			}
		},
	})
	if c.Initial && again == nil && err != nil && ctx.Err() == nil && !d.refusals.waits(c.Name) {
		return d.deployLastGood(ctx, c.Name, wasm)
	}
	return err == nil
}

// GivenUp reports whether err is no fault of a plugin: who has asked for it has gone meanwhile,
// as when rtd stops.
func GivenUp(ctx context.Context, err error) bool {
	return errors.Is(err, rollout.ErrClosed) || errors.Is(err, sandbox.ErrClosed) ||
		ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}
