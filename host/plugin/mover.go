package plugin

import (
	"runtime"
	"sync"
	"time"

	"rtd/channels"
	"rtd/supervisor"
)

// mover asks the processes of a plugin to move to another release, a few at a time: they
// have the same run queue as the messages of all others, who would have to wait behind
// ten thousand of them.
type mover struct {
	plugin *Plugin

	mu      sync.Mutex
	queue   []func(done func(channels.Renewal)) // each asks one process
	running bool
	moved   [channels.Stayed + 1]uint64 // what has become of them, ever
}

// patience is how long to wait for a process to move before another is asked as well. One
// that waits for something itself must not hold up the others; if many do, they are
// waited for less and less.
const (
	patience      = 50 * time.Millisecond
	leastPatience = time.Millisecond
)

// moveAll asks all processes to renew themselves. With keep those whose state cannot be
// taken over stay as they are.
func (pl *Plugin) moveAll(keep bool) {
	m := &pl.mover
	pl.workers.each(func(p *supervisor.Process) {
		m.add(func(done func(channels.Renewal)) {
			r := renewal{keep, done}
			if p.Post(r) != nil {
				r.Dropped()
			}
		})
	})
	pl.Supervisor().Each(func(c supervisor.Child) {
		m.add(func(done func(channels.Renewal)) {
			c.(interface {
				Renew(keep bool, done func(channels.Renewal))
			}).Renew(keep, done)
		})
	})
}

func (m *mover) add(ask func(done func(channels.Renewal))) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, ask)
	if !m.running {
		m.running = m.plugin.set.inBackground(m.run)
	}
}

// run works off the queue. It ends by itself: processes that end meanwhile say so.
func (m *mover) run() {
	start, before := time.Now(), m.counts()
	settled := make(chan struct{}, moving())
	window := window{settled: settled, room: moving(), patience: patience}
	for ask := m.take(); ask != nil; ask = m.take() {
		window.enter()
		ask(func(became channels.Renewal) {
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
		m.plugin.set.log.Info("processes moved", "plugin", m.plugin.name, "version", m.plugin.current.Load().version.ID,
			"with_state", now[channels.Migrated]-before[channels.Migrated],
			"anew", now[channels.Replayed]-before[channels.Replayed],
			"stay", now[channels.Stayed]-before[channels.Stayed],
			"took", time.Since(start).Round(time.Millisecond))
	}
}

// moving is how many processes move at a time: half of the processors are for others.
func moving() int { return max(1, runtime.GOMAXPROCS(0)/2) }

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

// take returns the next, or nil if there is none.
func (m *mover) take() func(done func(channels.Renewal)) {
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
