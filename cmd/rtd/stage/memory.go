package stage

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"rtd/host/durable"
)

// Memory keeps durable actors for as long as the stage is there, and knows what would be stored of their events. It is a
// [durable.Keeper].
type Memory struct {
	posted, due func(durable.Actor)

	mu     sync.Mutex
	closed bool
	alarms map[durable.Actor]*time.Timer
	states map[durable.Actor]*durable.State
	posts  map[durable.Actor][]durable.Post
	stored []Stored
}

// Stored is a commit: how many bytes an event would write, besides what the log and its neighbours add.
type Stored struct {
	Actor durable.Actor
	State int // bytes of the guest's memory, as far as it differs from the snapshot
	Held  int // of what the host holds for it: timers, names and so on
	Posts int // of messages to durable actors
}

// newMemory makes a memory that tells of posts, and of actors that want to be awake.
func newMemory(posted, due func(durable.Actor)) *Memory {
	return &Memory{posted: posted, due: due, alarms: map[durable.Actor]*time.Timer{}, states: map[durable.Actor]*durable.State{}, posts: map[durable.Actor][]durable.Post{}}
}

// Stored returns what was stored since it was asked last, in order.
func (m *Memory) Stored() []Stored {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.stored
	m.stored = nil
	return stored
}

// Load implements [durable.Keeper].
func (m *Memory) Load(_ context.Context, a durable.Actor) (*durable.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.states[a]; s != nil {
		return s, nil
	}
	return nil, durable.ErrNone
}

// Commit implements [durable.Keeper].
func (m *Memory) Commit(_ context.Context, c *durable.Commit) error {
	if err := m.commit(c); err != nil {
		return err
	}
	for i := range c.Posts {
		m.posted(c.Posts[i].To)
	}
	return nil
}

func (m *Memory) commit(c *durable.Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last uint64
	if s := m.states[c.Actor]; s != nil {
		last = s.Revision
	}
	if last != c.Last {
		return fmt.Errorf("%w: %v is at revision %d, not %d", durable.ErrConflict, c.Actor, last, c.Last)
	}
	stored := Stored{Actor: c.Actor}
	m.posts[c.Actor] = slices.DeleteFunc(m.posts[c.Actor], func(p durable.Post) bool { return c.State == nil || slices.Contains(c.Took, p.ID) })
	if c.State == nil {
		delete(m.states, c.Actor)
	} else {
		m.states[c.Actor] = c.State
		stored.State, stored.Held = len(c.State.Guest), len(c.State.Held)
	}
	for _, p := range c.Posts {
		m.posts[p.To] = append(m.posts[p.To], p)
		stored.Posts += len(p.Payload)
	}
	m.stored = append(m.stored, stored)
	m.alarm(c)
	return nil
}

// alarm sets when an actor is woken. mu is held.
func (m *Memory) alarm(c *durable.Commit) {
	if old := m.alarms[c.Actor]; old != nil {
		old.Stop()
		delete(m.alarms, c.Actor)
	}
	if c.State != nil && !c.State.Due.IsZero() && !m.closed {
		m.alarms[c.Actor] = time.AfterFunc(time.Until(c.State.Due), func() { m.due(c.Actor) })
	}
}

// close ends alarms.
func (m *Memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, t := range m.alarms {
		t.Stop()
	}
}

// Posts implements [durable.Keeper].
func (m *Memory) Posts(a durable.Actor) []durable.Post {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.posts[a])
}

// Actors implements [durable.Keeper].
func (m *Memory) Actors(_ context.Context, plugin string, kind durable.Kind) iter.Seq2[durable.Actor, error] {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.states))
	m.mu.Unlock()
	return func(yield func(durable.Actor, error) bool) {
		for _, a := range all {
			if a.Plugin == plugin && a.Kind == kind && !yield(a, nil) {
				return
			}
		}
	}
}

// Uses implements [durable.Keeper].
func (m *Memory) Uses(plugin string) map[durable.Use]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	uses := map[durable.Use]int{}
	for a, s := range m.states {
		if a.Plugin == plugin {
			uses[durable.Use{Version: s.Version, Snapshot: s.Snapshot}]++
		}
	}
	return uses
}

// Err implements [durable.Keeper].
func (m *Memory) Err() error { return nil }

// Up implements [durable.Keeper].
func (m *Memory) Up(context.Context) error { return nil }

// Announce implements [durable.Keeper]. Nothing was there before.
func (m *Memory) Announce(string) {}

var _ durable.Keeper = (*Memory)(nil)
