package app

import (
	"context"
	"errors"
	"sync"

	"rtd/channels"
	"rtd/host/release"
)

// Moving counts the outcomes of a move of all processes to another version, or of a
// rehearsal. Its methods may be called from any goroutine.
type Moving struct {
	app *App
	try bool // nobody moves

	mu    sync.Mutex
	left  int // how many have not settled, and one for who asks
	moved Moved
	done  chan struct{} // closed when none is left
}

// Moved counts the processes of a plugin, by what has become of them.
type Moved struct {
	WithState int // their state moved with them
	Anew      int // they began with a replay of the join, or with init
	Stayed    int // they remain in their version
	Refused   int // durable ones: they end, and their state stays
	Left      int // that is not known yet
	Lost      int // of all that have settled, those whose state was there and not taken over
	Stored    int // of a rehearsal: durable actors, in memory or not; those that sleep move when they wake
	// Losses are the first of those.
	Losses []Loss
}

// Loss is a state that was not taken over.
type Loss struct {
	Process string // a channel's topic, or what the log calls another process
	Cause   string
	Stays   bool // in its version, with its state
	Refused bool // it is durable: it ends, and its state stays
}

// maxLosses is how many losses are told and logged one by one.
const maxLosses = 10

func newMoving(a *App) *Moving { return &Moving{app: a, left: 1, done: make(chan struct{})} }

// Wait waits until all have settled, or the context ends, and returns the counts of that
// moment.
func (m *Moving) Wait(ctx context.Context) Moved {
	select {
	case <-m.done:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := m.moved
	moved.Left = m.left
	return moved
}

// one counts a process in, and has its outcome counted.
func (m *Moving) one(process string, a asking) asking {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left++
	return func(done func(channels.Renewal, error)) {
		a(func(became channels.Renewal, lost error) {
			m.settle(process, became, lost)
			done(became, lost)
		})
	}
}

// settle counts the outcome for a process. A lost state is a warning.
func (m *Moving) settle(process string, became channels.Renewal, lost error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch became {
	case channels.Migrated:
		m.moved.WithState++
	case channels.Replayed:
		m.moved.Anew++
	case channels.Stayed:
		m.moved.Stayed++
	}
	refused := became == channels.Unmoved && errors.Is(lost, channels.ErrUnmoved)
	if refused {
		m.moved.Refused++
	}
	if lost != nil {
		m.lose(Loss{process, "", became == channels.Stayed, refused}, lost)
	}
	if m.left--; m.left > 0 {
		return
	}
	if more := m.moved.Lost - maxLosses; more > 0 && !m.try {
		m.app.node.Log.Warn("more states were not taken over by the new version", "plugin", m.app.name,
			"version", m.app.current.Load().Version.ID, "more", more, "all", m.moved.Lost)
	}
	close(m.done)
}

// restarted counts the processes of a tree that was started anew. They have begun without
// the states that an old release would have handed on.
func (m *Moving) restarted(n int, old *release.Release) {
	if n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moved.Anew += n
	if old.Exports {
		m.lose(Loss{Process: "the tree"}, errTree)
		m.moved.Lost += n - 1
	}
}

// lose notes a state that was not taken over. m.mu is held.
func (m *Moving) lose(loss Loss, lost error) {
	loss.Cause = lost.Error()
	if len(loss.Cause) > maxCauseSize {
		loss.Cause = loss.Cause[:maxCauseSize]
	}
	if m.moved.Lost++; m.moved.Lost > maxLosses {
		return
	}
	// A new slice: Wait has given out the old one.
	m.moved.Losses = append(m.moved.Losses[:len(m.moved.Losses):len(m.moved.Losses)], loss)
	if m.try || loss.Refused { // the line of its end says so
		return
	}
	then := "it begins anew, its state is lost"
	if loss.Stays {
		then = "it stays in its version"
	}
	m.app.node.Log.Warn("state not taken over by the new version", "plugin", m.app.name,
		"version", m.app.current.Load().Version.ID, "process", loss.Process, "cause", loss.Cause, "then", then)
}
