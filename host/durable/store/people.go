package store

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"rtd/host/durable"
)

// What people do with states, by commands.

// Info is an actor as a list has it.
type Info struct {
	Actor    durable.Actor
	Revision uint64
	Bytes    int // of Guest and Held
	At       time.Time
	Due      time.Time // zero: never
	Version  string
	Snapshot string
	Posts    int // that wait
}

// List returns up to limit actors of a plugin whose names begin with prefix and come after a given name, in order. It reads all
// of the plugin's states.
func (k *Keeper) List(ctx context.Context, plugin string, kind durable.Kind, prefix, after string, limit int) (list []Info, err error) {
	limit = max(limit, 1)
	first := func() {
		slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.Actor.Name, b.Actor.Name) })
		list = list[:min(len(list), limit)]
	}
	err = k.stored(ctx, tableName{plugin, kind}, func(name string, s *durable.State, posts int) {
		if name <= after || !strings.HasPrefix(name, prefix) {
			return
		}
		list = append(list, Info{durable.Actor{Plugin: plugin, Kind: kind, Name: name}, s.Revision, len(s.Guest) + len(s.Held), s.At, s.Due, s.Version, s.Snapshot, posts})
		if len(list) >= 2*limit+1000 {
			first()
		}
	})
	first()
	return list, err
}

// SetAside returns the posts that were set aside, of all plugins, the oldest first.
func (k *Keeper) SetAside() (all []durable.Post) {
	k.mu.Lock()
	for _, a := range k.actors {
		for i := range a.posts {
			if a.posts[i].Aside != nil {
				all = append(all, a.posts[i])
			}
		}
	}
	k.mu.Unlock()
	slices.SortFunc(all, func(p, q durable.Post) int {
		return cmp.Or(p.Aside.At.Compare(q.Aside.At), cmp.Compare(p.ID.String(), q.ID.String()))
	})
	return all
}

// Remove removes an actor, and the posts for it. Of one that cannot be read it also removes the others that cannot be read beside it.
// The error is ErrConflict if it is committed at the same time.
func (k *Keeper) Remove(ctx context.Context, name durable.Actor) error {
	s, err := k.Load(ctx, name)
	switch {
	case errors.Is(err, durable.ErrDamaged):
		return k.Commit(ctx, &durable.Commit{Actor: name})
	case errors.Is(err, durable.ErrNone) && len(k.Posts(name)) > 0:
		return k.Commit(ctx, &durable.Commit{Actor: name})
	case err != nil:
		return err
	}
	return k.Commit(ctx, &durable.Commit{Actor: name, Last: s.Revision})
}

// Put stores a state that comes from somewhere else, in place of what there is. Its revision and its time are made here.
func (k *Keeper) Put(ctx context.Context, name durable.Actor, s durable.State) error {
	old, err := k.Load(ctx, name)
	switch {
	case errors.Is(err, durable.ErrNone):
		s.Revision, s.Born = 1, rand.Uint64()
	case err != nil:
		return err
	default:
		s.Revision, s.Born = old.Revision+1, old.Born
	}
	s.At = time.Now()
	return k.Commit(ctx, &durable.Commit{Actor: name, Last: s.Revision - 1, State: &s})
}
