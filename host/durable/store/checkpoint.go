package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// Bounds of a batch: what is written to leaves at once. Splitting makes more of them, and few.
const (
	maxBatch      = 500 // actors
	maxBatchBytes = 4 << 20
	readers       = 4 // of leaves at once
)

// change is an actor as a checkpoint writes it.
type change struct {
	actor    *actor
	sequence uint64
	entry    entry
	anew     bool
	clear    bool
	order    uint64 // the hash from its end on: who shares a leaf is together
}

// checkpointAll makes checkpoints until the keeper ends.
func (k *Keeper) checkpointAll() {
	var failed time.Duration // how long to wait after a failure
	for {
		timer := time.NewTimer(max(k.options.CheckpointEvery, failed))
		select {
		case <-timer.C:
		case <-k.full:
		case <-k.ended.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		k.forgetPasts(time.Now())
		err := k.Checkpoint(k.ended)
		switch {
		case err == nil:
			failed = 0
		case k.ended.Err() != nil:
			return
		default:
			if failed == 0 {
				k.log.Warn("durable states are in the log alone; it is tried again", "cause", err)
			}
			failed = min(max(2*failed, 100*time.Millisecond), 5*time.Second)
			if !k.sleep(failed) {
				return
			}
		}
	}
}

// Checkpoint writes what has changed to the leaves, and removes the records that are not needed any more. The keeper does so by itself, too.
func (k *Keeper) Checkpoint(ctx context.Context) error {
	if err := k.ready(); err != nil {
		return err
	}
	return k.checkpoint(ctx)
}

func (k *Keeper) checkpoint(ctx context.Context) error {
	k.checkpoints.Lock()
	defer k.checkpoints.Unlock()
	began := time.Now()
	k.mu.Lock()
	through, length := k.last, k.length
	changes := make([]change, 0, len(k.dirty))
	for a := range k.dirty {
		changes = append(changes, change{a, a.changed, entry{name: a.name.Name, state: a.state, posts: a.posts}, a.anew, a.clear, 0})
	}
	k.mu.Unlock()
	soiled := k.soiledPasts()
	if len(changes)+len(soiled) == 0 && length == 0 {
		return nil
	}
	for i := range changes {
		c := &changes[i]
		c.entry.hash = k.hash(c.entry.name)
		c.order = bits.Reverse64(c.entry.hash)
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.actor.name.Plugin, b.actor.name.Plugin), cmp.Compare(a.actor.name.Kind, b.actor.name.Kind), cmp.Compare(a.order, b.order))
	})
	for len(changes) > 0 {
		n, err := k.writeBatch(ctx, changes)
		if err != nil {
			return err
		}
		changes = changes[n:]
	}
	if err := k.writePasts(ctx, soiled); err != nil {
		return err
	}
	if err := k.purge(ctx, through, length); err != nil {
		return err
	}
	k.counts.checkpoints.Add(1)
	k.counts.took.Store(int64(time.Since(began)))
	return nil
}

// held reports whether a backup needs the log as it is. It does not if it takes so long that commits would have to wait: then it fails.
func (k *Keeper) held() bool { return k.holds > 0 && k.length < maxLog/2 }

// purge removes records that are in the leaves, unless a backup needs them.
func (k *Keeper) purge(ctx context.Context, through uint64, length int64) error {
	k.mu.Lock()
	held := k.held()
	k.mu.Unlock()
	if held {
		return nil
	}
	note := bus.Write{Key: k.throughKey(), Value: strconv.AppendUint(nil, through, 10), Last: bus.Any}
	if _, err := k.states.Put(ctx, note); err != nil {
		return err
	}
	if err := errors.Join(k.records.Purge(ctx, through), k.records.Forget(through)); err != nil {
		return err
	}
	k.mu.Lock()
	k.length -= length
	k.loosen()
	k.mu.Unlock()
	return nil
}

// loosen wakes those who wait for checkpoints.
func (k *Keeper) loosen() {
	if k.free != nil {
		close(k.free)
		k.free = make(chan struct{})
	}
}

// visit is a leaf, and what changes in it.
type visit struct {
	table   *table
	number  uint64
	place   place
	found   bool // it is stored
	changes []change
	leaf    *leaf
	err     error
}

// writeBatch writes the first of the changes, as many as go at once, and returns how many.
func (k *Keeper) writeBatch(ctx context.Context, changes []change) (n int, err error) {
	visits, n := k.visits(changes)
	k.readLeaves(ctx, visits)
	var leaves []*leaf
	var tables []*table
	var writes []bus.Write
	bytes := 0
	for i := range visits {
		v := &visits[i]
		if v.err != nil {
			return 0, v.err
		}
		for _, c := range v.changes {
			e := c.entry
			if old := v.leaf.find(e.name); !c.anew && old != nil {
				e.state = old.state
			}
			if c.clear {
				v.leaf.clear(e.name, k.hash)
			}
			v.leaf.put(e)
		}
		for _, l := range v.leaf.split() {
			w := bus.Write{Key: v.table.leafKey(l.number), Value: l.encode()}
			if l.number == v.number && v.found {
				w.Last = v.place.revision
			}
			bytes += len(w.Key) + len(w.Value)
			leaves, tables, writes = append(leaves, l), append(tables, v.table), append(writes, w)
		}
	}
	if bytes > bus.MaxWriteBytes || len(writes) > bus.MaxWrites { // leaves were split, and many
		return k.writeBatch(ctx, changes[:n/2])
	}
	first, err := k.writeAll(ctx, writes)
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, l := range leaves {
		tables[i].set(l.number, place{l.depth, len(l.lost) > 0, uint32(len(writes[i].Value)), first + uint64(i)})
	}
	for i := range changes[:n] {
		k.clean(changes[i].actor, changes[i].sequence)
	}
	k.loosen()
	return n, nil
}

// visits tells which leaves the first of the changes belong to, as many as go at once, and how many changes those are.
func (k *Keeper) visits(changes []change) (visits []visit, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	bytes := 0
	for ; n < len(changes) && n < maxBatch && bytes < maxBatchBytes; n++ {
		c := &changes[n]
		bytes += c.entry.size()
		if last := len(visits) - 1; last >= 0 && visits[last].table.has(c.actor.name) &&
			(!visits[last].found || covers(visits[last].number, visits[last].place.depth, c.entry.hash)) {
			visits[last].changes = changes[n-len(visits[last].changes) : n+1]
			continue
		}
		t := k.table(tableName{c.actor.name.Plugin, c.actor.name.Kind})
		v := visit{table: t, changes: changes[n : n+1]}
		v.number, v.place, v.found = t.find(c.entry.hash)
		if !v.found && len(t.leaves) > 0 {
			v.err = fmt.Errorf("%w: the part of the store that has %v cannot be read", durable.ErrDamaged, c.actor.name)
		}
		if bytes += leafBytes; v.found {
			bytes += int(v.place.size)
		}
		visits = append(visits, v)
	}
	return visits, n
}

func (t *table) has(name durable.Actor) bool { return t.plugin == name.Plugin && t.kind == name.Kind }

// readLeaves reads the leaves that are visited.
func (k *Keeper) readLeaves(ctx context.Context, visits []visit) {
	var group sync.WaitGroup
	for first := range min(readers, len(visits)) {
		group.Go(func() {
			for i := first; i < len(visits); i += readers {
				v := &visits[i]
				switch {
				case v.err != nil:
				case !v.found:
					v.leaf = &leaf{plugin: v.table.plugin, kind: v.table.kind}
				default:
					v.leaf, v.err = k.readLeaf(ctx, v.table, v.number)
				}
				if bad, ok := errors.AsType[*badLeaf](v.err); ok { // it goes on with what is lost in it, and what is new
					v.leaf = &leaf{plugin: v.table.plugin, kind: v.table.kind, number: v.number, depth: v.place.depth}
					v.leaf.lose(bad.value)
					v.err = nil
				}
			}
		})
	}
	group.Wait()
}

// writeAll stores leaves, and returns the revision of the first. It asks until it is known.
func (k *Keeper) writeAll(ctx context.Context, writes []bus.Write) (first uint64, err error) {
	first, err = k.states.WriteAll(ctx, writes)
	for wait := firstAsk; errors.Is(err, bus.ErrUnknown); wait = min(2*wait, lastAsk) {
		if !k.sleep(wait) {
			return 0, err
		}
		unknown := err
		if first, err = k.states.WriteAll(ctx, writes); errors.Is(err, bus.ErrDown) || errors.Is(err, bus.ErrFull) {
			err = unknown
		}
	}
	if errors.Is(err, bus.ErrConflict) {
		return 0, k.die(fmt.Errorf("somebody else writes the states of this node, %s: %w", k.options.Node, err))
	}
	return first, err
}
