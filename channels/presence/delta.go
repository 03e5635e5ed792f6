package presence

import "maps"

// Entry is one meta of one key in one topic. It does not change, and may be
// shared by any number of states: an update is a removal and a new entry.
type Entry struct {
	Tag        Tag
	Topic, Key string
	Meta       []byte // JSON object as clients see it, phx_ref included

	// Its place in the roster, if it is of another node and reported there; guarded by the mutex of the tracker's shard.
	place *tracked
}

// Delta is a part of a [State], or all of it: some entries, and the set of tags that it
// has seen. A tag in the set without an entry belongs to an entry that was removed.
//
// The zero Delta is empty. A node that has peers notes its additions and removals in one,
// and sends it from time to time. Deltas may be merged with each other on the way, and
// come in any order, late and repeatedly; [State.Full] makes up for a lost one. A Delta
// is not safe for concurrent use.
type Delta struct {
	entries map[Replica]map[uint64]*Entry // all of them seen
	seen    tags
}

// Add notes an entry that [State.Add] has returned.
func (d *Delta) Add(e *Entry) {
	d.see(e.Tag)
	d.put(e)
}

// Remove notes an entry and tag that [State.Remove] has returned.
func (d *Delta) Remove(e *Entry, at Tag) {
	d.see(e.Tag)
	d.see(at)
	d.drop(e.Tag)
}

// Merge adds the entries and tags of o to d. It does not change o.
func (d *Delta) Merge(o *Delta) { d.merge(o, func(Replica) bool { return true }) }

// merge takes over the entries and tags in o of the wanted replicas, and returns the
// change, in no order. It is the join of the lattice:
//
//	entries  (mine ∩ theirs) ∪ (mine not seen by o) ∪ (theirs not seen by d)
//	seen     mine ∪ theirs
//
// The cost depends on the size of o alone.
func (d *Delta) merge(o *Delta, want func(Replica) bool) Diff {
	var diff Diff
	for r, seen := range o.seen {
		if !want(r) {
			continue
		}
		mine, theirs := d.entries[r], o.entries[r]
		remove := func(clock uint64) {
			if e := mine[clock]; e != nil && theirs[clock] == nil {
				d.drop(e.Tag)
				diff.Leaves = append(diff.Leaves, e)
			}
		}
		if seen.len() < uint64(len(mine)) {
			for clock := range seen.all() {
				remove(clock)
			}
		} else {
			for clock := range mine {
				if seen.has(clock) {
					remove(clock)
				}
			}
		}
		for _, e := range theirs {
			if !d.seen.has(e.Tag) {
				d.put(e)
				diff.Joins = append(diff.Joins, e)
			}
		}
		d.see(Tag{Replica: r}) // makes a place for it
		d.seen[r].merge(seen)
	}
	return diff
}

// forget makes d as if it had never heard of a replica, and returns the entries that it
// held of it.
func (d *Delta) forget(r Replica) map[uint64]*Entry {
	entries := d.entries[r]
	delete(d.entries, r)
	delete(d.seen, r)
	return entries
}

func (d *Delta) clone() *Delta {
	c := &Delta{entries: make(map[Replica]map[uint64]*Entry, len(d.entries)), seen: make(tags, len(d.seen))}
	for r, entries := range d.entries {
		c.entries[r] = maps.Clone(entries)
	}
	for r, seen := range d.seen {
		c.seen[r] = &clocks{seen.after, seen.upTo, maps.Clone(seen.cloud)}
	}
	return c
}

func (d *Delta) see(t Tag) {
	if d.seen == nil {
		d.seen = tags{}
	}
	d.seen.of(t.Replica).add(t.Clock)
}

func (d *Delta) put(e *Entry) {
	if d.entries == nil {
		d.entries = map[Replica]map[uint64]*Entry{}
	}
	entries := d.entries[e.Tag.Replica]
	if entries == nil {
		entries = map[uint64]*Entry{}
		d.entries[e.Tag.Replica] = entries
	}
	entries[e.Tag.Clock] = e
}

func (d *Delta) drop(t Tag) {
	entries := d.entries[t.Replica]
	delete(entries, t.Clock)
	if len(entries) == 0 {
		delete(d.entries, t.Replica)
	}
}
