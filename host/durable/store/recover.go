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
	Seed   string `json:"seed,omitempty"`  // of the hashes, hexadecimal
	Check  uint32 `json:"check,omitempty"` // of Seed; 0: none
	// Restoring: a backup is being written here, or was, and has not come to its end.
	Restoring bool `json:"restoring,omitempty"`
}

// recover reads what is stored. It tries again until the bus lets it, or it cannot be, or the keeper ends. For damage of which nobody knows
// whom it concerns it waits until somebody accepts that.
func (k *Keeper) recover(ctx context.Context) error {
	accept := false
	for wait := firstAsk; ; wait = min(2*wait, lastAsk) {
		if err := k.bus.Up(ctx); err == nil {
			err = k.begin(ctx, accept)
			_, halted := errors.AsType[*halt](err)
			switch {
			case err == nil:
				return nil
			case halted:
				if err := k.wait(err); err != nil {
					return err
				}
				accept, wait = true, firstAsk
				continue
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

// begin is one attempt to recover. It accepts that something is lost of which nobody knows whom it concerns, or is a *halt.
func (k *Keeper) begin(ctx context.Context, accept bool) (err error) {
	began := time.Now()
	k.mu.Lock()
	k.actors, k.dirty, k.idle, k.bytes, k.length = map[durable.Actor]*actor{}, map[*actor]struct{}{}, nil, 0, 0
	k.plugin, k.tables = map[string]*plugin{}, map[tableName]*table{}
	k.pasts, k.soiled, k.restBytes = map[string]*past{}, map[*past]struct{}{}, 0
	k.alarms.heap, k.alarms.byWho = nil, map[durable.Actor]*alarm{}
	k.mu.Unlock()
	first, last, err := k.open(ctx, accept)
	if err != nil {
		return err
	}
	if err := k.checkFormat(ctx, last, accept); err != nil {
		return err
	}
	if err := k.putBack(ctx, accept); err != nil {
		return err
	}
	if err := k.loadRefused(ctx); err != nil {
		return err
	}
	through, err := k.loadThrough(ctx)
	if err != nil {
		return err
	}
	if last < through && !accept {
		return &halt{fmt.Errorf("%w: the log %s ends with record %d, and has had %d", bus.ErrDamaged, k.logName(), last, through), costSome}
	}
	if k.last, err = k.records.Append(ctx, last, encodeFence(rand.Text())); err != nil {
		return err // with ErrConflict another one has written meanwhile, and with ErrUnknown one fence more does no harm
	}
	old, err := k.readLog(ctx, first, through, accept)
	if err != nil {
		return err
	}
	if err := k.refuse(ctx, old.refused); err != nil {
		return err
	}
	if err := k.scan(ctx, old.touched); err != nil {
		return err
	}
	broken, err := k.scanPasts(ctx)
	if err != nil {
		return err
	}
	commits, hurt, err := k.replay(ctx, old)
	if err != nil {
		return err
	}
	if err := k.refuse(ctx, hurt); err != nil {
		return err
	}
	renewed, err := k.renewPasts(ctx, old, broken)
	if err != nil {
		return err
	}
	if accept || old.damaged || renewed {
		if err := k.checkpoint(ctx); err != nil { // so that the damage is found once
			return err
		}
		if err := k.forgetRestored(ctx); err != nil {
			return err
		}
	}
	if k.options.Begun != nil {
		k.options.Begun()
	}
	k.counts.recovery.Store(int64(time.Since(began)))
	k.log.Info("durable states are ready", "after", time.Since(began).Round(time.Millisecond), "replayed", commits)
	return nil
}

func (k *Keeper) logName() string { return logPrefix + k.options.Node }

// open opens store and log, and returns the bounds of the log.
func (k *Keeper) open(ctx context.Context, accept bool) (first, last uint64, err error) {
	if accept {
		if err := errors.Join(k.bus.AcceptStore(storeName), k.bus.AcceptLog(k.logName())); err != nil {
			return 0, 0, err
		}
	}
	if k.states, err = k.bus.Store(ctx, storeName); err == nil {
		k.records, err = k.bus.Log(ctx, k.logName())
	}
	if err == nil {
		first, last, err = k.records.Bounds(ctx)
	}
	if errors.Is(err, bus.ErrDamaged) {
		err = &halt{err, costSome}
	}
	return first, last, err
}

// errLater: what is stored was written by a later version.
var errLater = errors.New("written by a later rtd")

// checkFormat reads what the store is, or marks a new one. last is the last record that the log has ever had.
func (k *Keeper) checkFormat(ctx context.Context, last uint64, accept bool) error {
	found, err := k.states.Get(ctx, formatKey)
	if errors.Is(err, bus.ErrNotFound) {
		if last > 0 && !accept {
			return &halt{fmt.Errorf("%w: the store %s is gone; its log %s has had %d records", bus.ErrDamaged, storeName, k.logName(), last), costAll}
		}
		if k.options.Begins != nil && !accept {
			if err := k.options.Begins(); err != nil {
				return &halt{fmt.Errorf("%w: %w", bus.ErrDamaged, err), costAll}
			}
		}
		seed := make([]byte, 16)
		rand.Read(seed)
		text, err := json.Marshal(format{Format: formatNumber, Seed: hex.EncodeToString(seed), Check: checksum(hex.EncodeToString(seed))})
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
	if err != nil || f.Check != 0 && f.Check != checksum(f.Seed) {
		return fmt.Errorf("%w: the entry %q of the store %s; put the folder of the bus back from a backup", durable.ErrDamaged, formatKey, storeName)
	}
	return nil
}

// oldLog is what the log has at a start.
type oldLog struct {
	first, through uint64
	accept         bool
	lost           map[uint64]bus.Lost    // records that are damaged
	refused        map[uint64]refusal     // whom that concerns
	touched        map[durable.Actor]bool // whose entries in the leaves the log may change
	pasts          map[uint64]bool        // histories that damage concerns, by their marks
	damaged        bool
}

// readLog reads the log for the first time. Records up to through are in the leaves.
func (k *Keeper) readLog(ctx context.Context, first, through uint64, accept bool) (*oldLog, error) {
	old := &oldLog{first, through, accept, map[uint64]bus.Lost{}, map[uint64]refusal{}, map[durable.Actor]bool{}, map[uint64]bool{}, false}
	list, err := k.records.Lost()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		if l.Sequence > through {
			old.lost[l.Sequence] = l
		}
	}
	for { // the bus does not count what is lost at the beginning
		if _, is := old.lost[old.first-1]; !is {
			break
		}
		old.first--
	}
	k.length, err = k.eachCommit(ctx, old, func(c *durable.Commit, _ uint64) error {
		for a := range concerned(c) {
			old.touched[a] = true
		}
		return nil
	})
	return old, err
}

// eachCommit calls see for all commits of the log.
func (k *Keeper) eachCommit(ctx context.Context, old *oldLog, see func(c *durable.Commit, sequence uint64) error) (bytes int64, err error) {
	record := func(sequence uint64, data []byte, sound bool) error {
		if sound && len(data) > 0 && data[0] > saidFormat {
			return fmt.Errorf("%w: record %d of the log has format %d, and this one knows up to %d; use the rtd that wrote it, or a later one", errLater, sequence, data[0], saidFormat)
		}
		bytes += int64(len(data))
		if sequence <= old.through { // it was to be removed: the leaves have it, and what came after it, which may be damaged here
			return nil
		}
		group, lost, err := decodeRecord(data)
		old.damaged = old.damaged || !sound || err != nil || len(lost) > 0
		if err != nil && !old.accept {
			return &halt{fmt.Errorf("%w: record %d of the log %s: %w", bus.ErrDamaged, sequence, k.logName(), err), costSome}
		}
		for _, l := range lost {
			if l.past {
				old.pasts[l.mark] = true
				continue
			}
			name := ""
			if l.actor.Name != "" {
				name = l.actor.String()
			}
			old.refused[l.mark] = refusal{name, time.Now().UTC().Truncate(time.Second), fmt.Sprintf("record %d of the log was damaged, with an event of it", sequence)}
		}
		for _, c := range group {
			if err := see(c, sequence); err != nil {
				return err
			}
		}
		return nil
	}
	next := old.first
	for {
		lost, is := old.lost[next]
		if !is {
			break
		}
		if err := record(next, lost.Data, false); err != nil {
			return bytes, err
		}
		next++
	}
	for r, err := range k.records.Read(ctx, next) {
		sound := err == nil
		if errors.Is(err, bus.ErrDamaged) && r.Sequence > 0 {
			r.Data, err = old.lost[r.Sequence].Data, nil
		}
		if err == nil {
			err = record(r.Sequence, r.Data, sound)
		}
		if err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}

// scan reads all leaves: where they are, and what there is to know of the actors. Of those that the log touches it keeps more in memory.
func (k *Keeper) scan(ctx context.Context, touched map[durable.Actor]bool) error {
	k.mu.Lock()
	k.unread = map[string][]unread{}
	k.mu.Unlock()
	err := k.eachLeaf(ctx, leafPrefix, func(e bus.Entry, l *leaf, bad error) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		p := place{size: uint32(len(e.Value)), revision: e.Revision, hurt: bad != nil || len(l.lost) > 0}
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
		k.alarms.set(name, ringAt(e.state))
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

// replay applies the log. Those are to be refused whom it goes on with although what the leaves had of them cannot be read: messages
// may be missing.
func (k *Keeper) replay(ctx context.Context, old *oldLog) (commits int, hurt map[uint64]refusal, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	hurt = map[uint64]refusal{}
	_, err = k.eachCommit(ctx, old, func(c *durable.Commit, sequence uint64) error {
		for a := range concerned(c) {
			if k.actors[a] != nil {
				continue
			}
			k.actors[a] = &actor{name: a}
			if k.mayLose(a) {
				hurt[who(a)] = refusal{a.String(), time.Now().UTC().Truncate(time.Second), "what was stored of it before its last events was damaged"}
			}
		}
		if removesNothing(c) {
			delete(hurt, who(c.Actor)) // it was given up
		}
		k.apply(c, sequence)
		commits++
		return nil
	})
	return commits, hurt, err
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
