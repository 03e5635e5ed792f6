package app

import (
	"context"
	"errors"
	"time"

	"rtd/channels"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/supervisor"
)

// rehearsalPatience is how long to wait for processes that are busy, after all were asked.
const rehearsalPatience = 10 * time.Second

// Rehearse tries how the processes, if there are any, would move to a loaded release.
// Each process is copied between two of its messages; the copy exports its state and a
// guest of the release imports it, both apart from all others. Nothing changes for
// anybody. When ctx ends no more of them are asked. The error is the one of [App.Replace], if that would fail for a durable process.
func (a *App) Rehearse(ctx context.Context, next *release.Release) (*Moving, error) {
	move := newMoving(a)
	move.try = true
	if old := a.current.Load(); old != nil && !a.Failed() {
		if err := a.unmovable(ctx, next, next.Settings.Rollout.Stay); err != nil {
			return nil, err
		}
		move.moved.Stored = a.stored(old)
		move.rehearse(ctx, next, old)
	}
	move.settle("", channels.Unmoved, nil)
	if ctx.Err() == nil {
		late, cancel := context.WithTimeout(ctx, rehearsalPatience)
		defer cancel()
		move.Wait(late)
	}
	return move, nil
}

// unmovablePatience is how long the moves of durable processes are tried before a release becomes current. Those that were not tried by
// then move or are refused afterwards.
const unmovablePatience = 10 * time.Second

// unmovable says why the durable processes cannot go on with a release, if one cannot.
func (a *App) unmovable(ctx context.Context, to *release.Release, stay bool) error {
	ctx, cancel := context.WithTimeout(ctx, unmovablePatience)
	defer cancel()
	return a.home.Unmovable(ctx, to, stay, atATime())
}

// stored is how many durable actors are stored, as far as that is known.
func (a *App) stored(r *release.Release) (n int) {
	if a.node.Keeper == nil || !r.AnyDurable() {
		return 0
	}
	keeper, err := a.node.Keeper()
	if err != nil {
		return 0 // then they cannot be reached, either
	}
	for _, states := range keeper.Uses(a.name) {
		n += states
	}
	return n
}

// rehearse asks all processes, as few at a time as when they move.
func (m *Moving) rehearse(ctx context.Context, next, old *release.Release) {
	settled := make(chan struct{}, atATime())
	window := window{settled: settled, room: atATime(), patience: patience}
	try := func(process string, ask asking) {
		if ctx.Err() != nil {
			return
		}
		window.enter()
		m.one(process, ask)(func(channels.Renewal, error) {
			select {
			case settled <- struct{}{}:
			default: // nobody waits for this one any more
			}
		})
	}
	sameTree, restarted := next.SameTree(old), 0
	workers := map[*supervisor.Process]*process.Worker{}
	m.app.home.EachWorker(func(p *supervisor.Process, w *process.Worker) { workers[p] = w })
	for p, w := range workers {
		if !sameTree && w.InTree() {
			restarted++
			continue
		}
		try(w.Label(), func(done func(channels.Renewal, error)) { process.Rehearse(p, next, done) })
	}
	if !sameTree {
		m.restarted(restarted+m.app.Supervisor().Len(), old)
		return
	}
	var handlers []handler
	all := make(chan struct{})
	m.app.Supervisor().EachThen(func(c supervisor.Child) { handlers = append(handlers, c.(handler)) }, func() { close(all) })
	<-all
	for _, h := range handlers {
		try(h.Topic(), func(done func(channels.Renewal, error)) {
			h.Inspect(func(g channels.Guest, members string) {
				done(process.RehearseHandler(g, next, h.Topic(), members))
			}, func() { done(channels.Unmoved, nil) })
		})
	}
}

var errTree = errors.New("the versions declare different trees, or settings of theirs: the tree begins anew, channels with it")
