package store

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"rtd/host/bus"
	"rtd/host/durable"
)

// Load implements [durable.Keeper].
func (k *Keeper) Load(ctx context.Context, name durable.Actor) (*durable.State, error) {
	if err := k.failed(); err != nil {
		return nil, err
	}
	if err := checkActor(name); err != nil {
		return nil, err
	}
	if err := k.refusal(name); err != nil {
		return nil, err
	}
	a, err := k.take(ctx, name, true, false)
	if err != nil {
		return nil, err
	}
	defer k.drop(a)
	k.mu.Lock()
	anew, state, revision := a.anew, a.state, a.revision
	k.mu.Unlock()
	if !anew && revision > 0 {
		e, err := k.read(ctx, name)
		if err != nil {
			return nil, err
		}
		if e != nil && e.state != nil {
			s := *e.state
			s.Guest, s.Held = bytes.Clone(s.Guest), bytes.Clone(s.Held) // not the whole leaf
			state = &s
		}
	}
	if state == nil {
		return nil, fmt.Errorf("%w: %v", durable.ErrNone, name)
	}
	return state, nil
}

// Posts implements [durable.Keeper].
func (k *Keeper) Posts(name durable.Actor) []durable.Post {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.actors[name]; a != nil {
		return slices.Clip(a.posts)
	}
	return nil
}

// Uses implements [durable.Keeper].
func (k *Keeper) Uses(name string) map[durable.Use]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	uses := map[durable.Use]int{}
	if p := k.plugin[name]; p != nil {
		for use, n := range p.uses {
			uses[use.Value()] = n
		}
	}
	return uses
}

// Actors implements [durable.Keeper]. They are those that there are when it begins.
func (k *Keeper) Actors(ctx context.Context, plugin string, kind durable.Kind) iter.Seq2[durable.Actor, error] {
	return func(yield func(durable.Actor, error) bool) {
		var names []string
		err := k.stored(ctx, tableName{plugin, kind}, func(name string, s *durable.State, _ int) { names = append(names, name) }, func(string, error) {})
		if err != nil {
			yield(durable.Actor{}, err)
			return
		}
		for _, name := range names {
			if !yield(durable.Actor{Plugin: plugin, Kind: kind, Name: name}, nil) {
				return
			}
		}
	}
}

// stored has a function see all states of a table, with how many posts wait for it: those in memory, and the others in their leaves. Another
// sees those in leaves that cannot be read.
func (k *Keeper) stored(ctx context.Context, name tableName, see func(name string, s *durable.State, posts int), bad func(name string, cause error)) error {
	if err := k.ready(); err != nil {
		return err
	}
	k.checkpoints.Lock() // leaves stay as they are
	defer k.checkpoints.Unlock()
	type changed struct {
		state *durable.State
		posts int
	}
	newer := map[string]changed{}
	k.mu.Lock()
	for a := range k.dirty {
		if a.name.Plugin == name.plugin && a.name.Kind == name.kind && a.anew {
			newer[a.name.Name] = changed{a.state, len(a.posts)}
		}
	}
	t := k.tables[name]
	k.mu.Unlock()
	for name, c := range newer {
		if c.state != nil {
			see(name, c.state, c.posts)
		}
	}
	if t == nil {
		return nil
	}
	return k.eachLeaf(ctx, t.key, func(e bus.Entry, l *leaf, err error) error {
		if err != nil {
			for _, name := range namesIn(e.Value) {
				bad(name, fmt.Errorf("%w: the part of the store that has it", durable.ErrDamaged))
			}
			return nil
		}
		for _, name := range l.names(k.hash) {
			if _, is := newer[name]; !is && l.find(name) == nil {
				bad(name, fmt.Errorf("%w: what is stored of it", durable.ErrDamaged))
			}
		}
		for i := range l.entries {
			e := &l.entries[i]
			if _, is := newer[e.name]; !is && e.state != nil {
				see(e.name, e.state, len(e.posts))
			}
		}
		return nil
	})
}

// eachLeaf reads all leaves whose keys begin with a prefix. It hands on why one cannot be decoded.
func (k *Keeper) eachLeaf(ctx context.Context, prefix string, see func(bus.Entry, *leaf, error) error) error {
	return eachEntry(ctx, k.states, prefix, func(e bus.Entry) error {
		number, err := parseKey(e.Key)
		var l *leaf
		if err == nil {
			l, err = decodeLeaf(e.Value, number, k.hash)
		}
		return see(e, l, err)
	})
}

// eachEntry reads all entries of a store whose keys begin with a prefix. One that changes meanwhile comes again, later.
func eachEntry(ctx context.Context, s *bus.Store, prefix string, see func(bus.Entry) error) error {
	const page = 500
	for after, more := uint64(0), true; more; {
		var list []bus.Entry
		var err error
		if list, more, err = s.List(ctx, prefix, after, page); err != nil {
			return unavailable(err)
		}
		for _, e := range list {
			after = e.Revision
			if err := see(e); err != nil {
				return err
			}
		}
	}
	return nil
}
