package app

import (
	"runtime"
	"sync"
	"time"

	"rtd/channels"
	"rtd/host/process"
	"rtd/supervisor"
)

// mover asks the processes of a plugin to move to another release, a few at a time: moves
// are in the same run queue as all messages, which would have to wait behind ten thousand
// of them.
type mover struct {
	app *App

	mu      sync.Mutex
	queue   []asking // each asks one process
	running bool
	moved   [channels.Stayed + 1]uint64 // what has become of them, ever
}

// patience is how long to wait for a process to move before another is asked as well. A
// process that waits for something itself must not hold up the others; if many do, the
// patience with them shrinks.
const (
	patience      = 50 * time.Millisecond
	leastPatience = time.Millisecond
)

// asking asks one process to move, and has done called when it has.
type asking func(done func(became channels.Renewal, lost error))

// MoveAll asks all processes to renew themselves. With keep those whose state cannot be
// taken over stay as they are. The channels are asked when all that have started are
// known.
func (a *App) MoveAll(keep bool) *Moving {
	m := &a.mover
	move := newMoving(a)
	a.moving.Store(move)
	a.home.EachWorker(func(p *supervisor.Process, w *process.Worker) {
		m.add(move.one(w.Label(), func(done func(channels.Renewal, error)) { process.Renew(p, keep, done) }))
	})
	a.Supervisor().EachThen(func(c supervisor.Child) {
		h := c.(handler)
		m.add(move.one(h.Topic(), func(done func(channels.Renewal, error)) { h.Renew(keep, done) }))
	}, func() { move.settle("", channels.Unmoved, nil) })
	return move
}

// Moving returns the last move of all processes, or nil.
func (a *App) Moving() *Moving { return a.moving.Load() }

// handler is a channel handler as its plugin sees it.
type handler interface {
	Topic() string
	Renew(keep bool, done func(became channels.Renewal, lost error))
	Inspect(look func(g channels.Guest, members string), dropped func())
}

func (m *mover) add(a asking) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, a)
	if !m.running {
		m.running = m.app.owner.Background(m.run)
	}
}

// run works off the queue. It ends by itself: processes that end meanwhile say so.
func (m *mover) run() {
	start, before := time.Now(), m.counts()
	settled := make(chan struct{}, atATime())
	window := window{settled: settled, room: atATime(), patience: patience}
	for ask := m.next(); ask != nil; ask = m.next() {
		window.enter()
		ask(func(became channels.Renewal, _ error) {
			m.count(became)
			select {
			case settled <- struct{}{}:
			default: // nobody waits for this one any more
			}
		})
	}
	window.drain()
	now := m.counts()
	if now != before {
		m.app.node.Log.Info("processes moved", "plugin", m.app.name, "version", m.app.current.Load().Version.ID,
			"with_state", now[channels.Migrated]-before[channels.Migrated],
			"anew", now[channels.Replayed]-before[channels.Replayed],
			"stay", now[channels.Stayed]-before[channels.Stayed],
			"took", time.Since(start).Round(time.Millisecond))
	}
}

// atATime is how many processes move at a time: half of the processors are for others.
func atATime() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// window bounds how many processes move at a time.
type window struct {
	settled  <-chan struct{} // one has moved
	room     int
	inside   int
	patience time.Duration
}

// enter waits until there is room for one more.
func (w *window) enter() {
	if w.inside == w.room {
		w.leave()
	}
	w.inside++
}

// drain waits for those that are inside.
func (w *window) drain() {
	for w.inside > 0 {
		w.leave()
	}
}

// leave waits for one to move, or gives it up.
func (w *window) leave() {
	w.inside--
	select {
	case <-w.settled:
		w.patience = patience
		return
	default:
	}
	late := time.NewTimer(w.patience)
	defer late.Stop()
	select {
	case <-w.settled:
		w.patience = patience
	case <-late.C:
		w.patience = max(w.patience/2, leastPatience)
	}
}

// next returns the next question, or nil if there is none.
func (m *mover) next() asking {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		m.queue, m.running = nil, false
		return nil
	}
	ask := m.queue[0]
	m.queue[0] = nil
	m.queue = m.queue[1:]
	return ask
}

func (m *mover) count(became channels.Renewal) {
	if became == channels.Unmoved {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moved[became]++
}

func (m *mover) counts() [channels.Stayed + 1]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moved
}
