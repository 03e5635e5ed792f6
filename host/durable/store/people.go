package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	Posts    int    // that wait
	Cause    string // why it is refused, as it is damaged; "": it is not
}

// List returns up to limit actors of a plugin, with those that are damaged, whose names begin with prefix and come after a given name, in order. It reads all
// of the plugin's states.
func (k *Keeper) List(ctx context.Context, plugin string, kind durable.Kind, prefix, after string, limit int) (list []Info, err error) {
	limit = max(limit, 1)
	first := func() {
		slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.Actor.Name, b.Actor.Name) })
		list = list[:min(len(list), limit)]
	}
	add := func(i Info) {
		if i.Actor.Name > after && strings.HasPrefix(i.Actor.Name, prefix) {
			list = append(list, i)
			if len(list) >= 2*limit+1000 {
				first()
			}
		}
	}
	refused := k.refusedOf(plugin, kind)
	err = k.stored(ctx, tableName{plugin, kind}, func(name string, s *durable.State, posts int) {
		a := durable.Actor{Plugin: plugin, Kind: kind, Name: name}
		i := Info{a, s.Revision, len(s.Guest) + len(s.Held), s.At, s.Due, s.Version, s.Snapshot, posts, ""}
		if cause := k.refusal(a); cause != nil {
			i.Cause = cause.Error()
		}
		delete(refused, name)
		add(i)
	}, func(name string, cause error) {
		delete(refused, name)
		add(Info{Actor: durable.Actor{Plugin: plugin, Kind: kind, Name: name}, Cause: cause.Error()})
	})
	for name, cause := range refused { // nothing is stored of them besides what was damaged
		add(Info{Actor: durable.Actor{Plugin: plugin, Kind: kind, Name: name}, Cause: fmt.Sprintf("%v: %s", durable.ErrDamaged, cause)})
	}
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

// Remove removes an actor, and the posts for it. Of one in a leaf that cannot be read it also removes what cannot be read beside it, but for what still has the name of
// another actor.
// The error is ErrConflict if it is committed at the same time.
func (k *Keeper) Remove(ctx context.Context, name durable.Actor) error {
	if err := k.failed(); err != nil {
		return err
	}
	refused := k.refusal(name) != nil
	a, err := k.take(ctx, name, true, false)
	damaged := errors.Is(err, durable.ErrDamaged)
	if err != nil && !damaged {
		return err
	}
	var last uint64
	if !damaged {
		k.mu.Lock()
		last = a.revision
		nothing := last == 0 && len(a.posts) == 0
		k.mu.Unlock()
		k.drop(a)
		switch {
		case nothing && refused:
			return k.admitAgain(ctx, name)
		case nothing:
			return fmt.Errorf("%w: %v", durable.ErrNone, name)
		}
	}
	if err := k.Commit(ctx, &durable.Commit{Actor: name, Last: last}); err != nil || !refused {
		return err
	}
	if last > 0 { // its leaf may have an older entry that cannot be read: that goes, too
		if err := k.Commit(ctx, &durable.Commit{Actor: name}); err != nil {
			return err
		}
	}
	return k.admitAgain(ctx, name)
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
