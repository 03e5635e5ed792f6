package rollout_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"rtd/host/durable"
)

// keeper keeps actors in memory, and fails when it is told to.
type keeper struct {
	posted func(durable.Actor)

	mu     sync.Mutex
	states map[durable.Actor]*durable.State
	posts  map[durable.Actor][]durable.Post
	fails  error // what Commit returns
	down   error // what all return
	refuse func(*durable.Commit) error
	held   map[string]chan bool  // commits of an actor wait for that, once
	stored map[durable.Actor]int // commits
}

func newKeeper() *keeper {
	return &keeper{states: map[durable.Actor]*durable.State{}, posts: map[durable.Actor][]durable.Post{}, stored: map[durable.Actor]int{}}
}

func (k *keeper) set(fails, down error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails, k.down = fails, down
}

// refusing has Commit fail as f says.
func (k *keeper) refusing(f func(*durable.Commit) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = f
}

// state returns what is stored of an actor, or nil.
func (k *keeper) state(a durable.Actor) *durable.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.states[a]
}

func (k *keeper) commits(a durable.Actor) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stored[a]
}

func (k *keeper) Load(_ context.Context, a durable.Actor) (*durable.State, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch s := k.states[a]; {
	case k.down != nil:
		return nil, k.down
	case s == nil:
		return nil, durable.ErrNone
	default:
		return s, nil
	}
}

func (k *keeper) Commit(_ context.Context, c *durable.Commit) error {
	k.mu.Lock()
	var last uint64
	if s := k.states[c.Actor]; s != nil {
		last = s.Revision
	}
	switch {
	case k.down != nil:
		defer k.mu.Unlock()
		return k.down
	case k.fails != nil:
		defer k.mu.Unlock()
		return k.fails
	case c.Last != last:
		defer k.mu.Unlock()
		return fmt.Errorf("%w: %d, not %d", durable.ErrConflict, last, c.Last)
	}
	if k.refuse != nil {
		if err := k.refuse(c); err != nil {
			defer k.mu.Unlock()
			return err
		}
	}
	k.stored[c.Actor]++
	k.states[c.Actor] = c.State
	if c.State == nil {
		delete(k.states, c.Actor)
		delete(k.posts, c.Actor)
	}
	k.posts[c.Actor] = slices.DeleteFunc(k.posts[c.Actor], func(p durable.Post) bool { return slices.Contains(c.Took, p.ID) })
	for _, p := range c.Posts {
		k.posts[p.To] = append(k.posts[p.To], p)
	}
	k.mu.Unlock()
	for _, p := range c.Posts {
		k.posted(p.To)
	}
	return nil
}

func (k *keeper) Posts(a durable.Actor) []durable.Post {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.posts[a])
}

func (k *keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.down
}

func (k *keeper) Actors(_ context.Context, plugin string, kind durable.Kind) iter.Seq2[durable.Actor, error] {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := slices.Collect(maps.Keys(k.states))
	return func(yield func(durable.Actor, error) bool) {
		for _, a := range all {
			if a.Plugin == plugin && a.Kind == kind && !yield(a, nil) {
				return
			}
		}
	}
}

func (k *keeper) Up(context.Context) error { return k.Err() }
func (k *keeper) Announce(string)          {}

func (k *keeper) Uses(plugin string) map[durable.Use]int {
	uses, _ := k.uses(plugin)
	return uses
}
