package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
)

// Names on the bus.
const (
	storeName = "durable"
	logPrefix = "durable-" // of the log of a node
	formatKey = "format"
)

// format is what the key "format" of the store has.
type format struct {
	Format int    `json:"format"`
	Seed   string `json:"seed,omitempty"` // of the hashes, hexadecimal
	// Restoring: a backup is being written here, or was, and has not come to its end.
	Restoring bool `json:"restoring,omitempty"`
}

// recover reads what is stored. It tries again until the bus lets it, or it cannot be, or the keeper ends.
func (k *Keeper) recover(ctx context.Context) error {
	for wait := firstAsk; ; wait = min(2*wait, lastAsk) {
		if err := k.bus.Up(ctx); err == nil {
			err = k.begin(ctx)
			switch {
			case err == nil:
				return nil
			case errors.Is(err, bus.ErrDamaged), errors.Is(err, bus.ErrUnfit), errors.Is(err, durable.ErrDamaged), errors.Is(err, errLater):
				k.log.Error("durable states cannot be used", "cause", err)
				return k.die(err)
			}
			k.fail(fmt.Errorf("%w: %w", errStarting, err))
		}
		if !k.sleep(wait) {
			return k.ended.Err()
		}
	}
}

// begin is one attempt to recover.
func (k *Keeper) begin(ctx context.Context) (err error) {
	began := time.Now()
	k.mu.Lock()
	k.actors, k.dirty, k.idle, k.bytes, k.length = map[durable.Actor]*actor{}, map[*actor]struct{}{}, nil, 0, 0
	k.plugin, k.tables = map[string]*plugin{}, map[tableName]*table{}
	k.alarms.heap, k.alarms.byWho = nil, map[durable.Actor]*alarm{}
	k.mu.Unlock()
	if k.states, err = k.bus.Store(ctx, storeName); err != nil {
		return err
	}
	if err := k.checkFormat(ctx); err != nil {
		return err
	}
	if k.records, err = k.bus.Log(ctx, logPrefix+k.options.Node); err != nil {
		return err
	}
	if err := k.takeOver(ctx); err != nil {
		return err
	}
	first, _, err := k.records.Bounds(ctx)
	if err != nil {
		return err
	}
	touched, err := k.touched(ctx, first)
	if err != nil {
		return err
	}
	if err := k.scan(ctx, touched); err != nil {
		return err
	}
	commits, err := k.replay(ctx, first)
	if err != nil {
		return err
	}
	k.counts.recovery.Store(int64(time.Since(began)))
	k.log.Info("durable states are ready", "after", time.Since(began).Round(time.Millisecond), "replayed", commits)
	return nil
}

// errLater: what is stored was written by a later version.
var errLater = errors.New("written by a later rtd")

// checkFormat reads what the store is, or marks a new one.
func (k *Keeper) checkFormat(ctx context.Context) error {
	found, err := k.states.Get(ctx, formatKey)
	if errors.Is(err, bus.ErrNotFound) {
		seed := make([]byte, 16)
		rand.Read(seed)
		text, err := json.Marshal(format{Format: formatNumber, Seed: hex.EncodeToString(seed)})
		if err != nil {
			return err
		}
		k.seed = seed
		_, err = k.states.Put(ctx, bus.Write{Key: formatKey, Value: text})
		return err // with ErrConflict it is read at the next attempt
	}
	if err != nil {
		return err
	}
	var f format
	if err := json.Unmarshal(found.Value, &f); err != nil || f.Format < 1 {
		return fmt.Errorf("%w: the entry %q of the store %s", durable.ErrDamaged, formatKey, storeName)
	}
	if f.Format > formatNumber {
		return fmt.Errorf("%w: it has format %d, and this one knows up to %d; use the rtd that wrote it, or a later one", errLater, f.Format, formatNumber)
	}
	if f.Restoring {
		return fmt.Errorf("%w: a restore has not come to its end; restore again, into an empty folder", durable.ErrDamaged)
	}
	k.seed, err = hex.DecodeString(f.Seed)
	if err != nil {
		return fmt.Errorf("%w: the entry %q of the store %s", durable.ErrDamaged, formatKey, storeName)
	}
	return nil
}

// takeOver makes the next append of any other keeper of this log fail.
func (k *Keeper) takeOver(ctx context.Context) error {
	_, last, err := k.records.Bounds(ctx)
	if err != nil {
		return err
	}
	k.last, err = k.records.Append(ctx, last, encodeFence(rand.Text()))
	return err // with ErrConflict another one has written meanwhile, and with ErrUnknown one fence more does no harm
}

// records calls see for all commits of the log.
func (k *Keeper) eachCommit(ctx context.Context, from uint64, see func(c *durable.Commit, sequence uint64) error) (bytes int64, err error) {
	for r, err := range k.records.Read(ctx, from) {
		if err != nil {
			return 0, err
		}
		if len(r.Data) > 0 && r.Data[0] > formatNumber {
			return 0, fmt.Errorf("%w: record %d of the log has format %d, and this one knows up to %d; use the rtd that wrote it, or a later one", errLater, r.Sequence, r.Data[0], formatNumber)
		}
		group, err := decodeRecord(r.Data)
		if err != nil {
			return 0, fmt.Errorf("%w: record %d of the log %s%s: %w; what it has was acknowledged, so nothing is done without it", durable.ErrDamaged, r.Sequence, logPrefix, k.options.Node, err)
		}
		bytes += int64(len(r.Data))
		for _, c := range group {
			if err := see(c, r.Sequence); err != nil {
				return 0, err
			}
		}
	}
	return bytes, nil
}

// touched returns the actors whose entries in the leaves the log may change.
func (k *Keeper) touched(ctx context.Context, first uint64) (map[durable.Actor]bool, error) {
	touched := map[durable.Actor]bool{}
	var err error
	k.length, err = k.eachCommit(ctx, first, func(c *durable.Commit, _ uint64) error {
		touched[c.Actor] = true
		for i := range c.Posts {
			touched[c.Posts[i].To] = true
		}
		return nil
	})
	return touched, err
}

// scan reads all leaves: where they are, and what there is to know of the actors. Of those that the log touches it keeps more in memory.
func (k *Keeper) scan(ctx context.Context, touched map[durable.Actor]bool) error {
	k.mu.Lock()
	k.unread = map[string][]unread{}
	k.mu.Unlock()
	err := k.eachLeaf(ctx, leafPrefix, func(e bus.Entry, l *leaf, bad error) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		p := place{size: uint32(len(e.Value)), revision: e.Revision}
		if bad != nil {
			number, err := parseKey(e.Key)
			if err != nil {
				return fmt.Errorf("%w: %q is no key of a leaf", durable.ErrDamaged, e.Key)
			}
			k.log.Error("durable states cannot be read", "key", e.Key, "cause", bad)
			key := e.Key[:strings.LastIndexByte(e.Key, '.')]
			k.unread[key] = append(k.unread[key], unread{number, p})
			return nil
		}
		name := tableName{l.plugin, l.kind}
		t := k.tables[name]
		if t == nil {
			t = newTable(name)
			k.tables[name] = t
		}
		p.depth = l.depth
		t.set(l.number, p)
		if len(l.lost) > 0 {
			k.log.Error("durable states cannot be read", "plugin", l.plugin, "kind", l.kind, "key", e.Key, "actors", len(l.lost))
		}
		for i := range l.entries {
			k.meet(l, &l.entries[i], touched)
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tables {
		t.place(k.unread[t.key])
		delete(k.unread, t.key)
	}
	return err
}

// meet takes note of an actor in a leaf.
func (k *Keeper) meet(l *leaf, e *entry, touched map[durable.Actor]bool) {
	name := durable.Actor{Plugin: l.plugin, Kind: l.kind, Name: e.name}
	m := metaOf(name, e.state)
	p := k.pluginOf(l.plugin)
	p.count(l.kind, m, 1)
	if e.state != nil {
		k.alarms.set(name, e.state.Due)
	}
	if !touched[name] && len(e.posts) == 0 {
		return
	}
	k.actors[name] = &actor{name: name, meta: m, posts: e.posts}
	for i := range e.posts {
		p.bytes += int64(postBytes(&e.posts[i]))
		p.waiting++
	}
}

// replay applies the log.
func (k *Keeper) replay(ctx context.Context, first uint64) (commits int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err = k.eachCommit(ctx, first, func(c *durable.Commit, sequence uint64) error {
		k.ensure(c.Actor)
		for i := range c.Posts {
			k.ensure(c.Posts[i].To)
		}
		k.apply(c, sequence)
		commits++
		return nil
	})
	return commits, err
}

// ensure has an actor in memory, of which there is nothing stored if it is not.
func (k *Keeper) ensure(name durable.Actor) {
	if k.actors[name] == nil {
		k.actors[name] = &actor{name: name}
	}
}

// tellPosted tells of the posts that are there for some actors.
func (k *Keeper) tellPosted(of func(durable.Actor) bool) {
	if k.options.Posted == nil {
		return
	}
	k.mu.Lock()
	var waiting []durable.Actor
	for name, a := range k.actors {
		if len(a.posts) > 0 && of(name) {
			waiting = append(waiting, name)
		}
	}
	k.mu.Unlock()
	for _, a := range waiting {
		k.options.Posted(a)
	}
}
