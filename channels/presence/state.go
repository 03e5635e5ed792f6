package presence

import "iter"

// State is the set of all presences as one replica knows it: an add-wins observed-remove
// set after Phoenix.Tracker.State. It is a plain value without locks, wall clocks or
// goroutines.
//
// A replica adds and removes entries of its own and learns of others' by Merge. Replicas
// that have merged the same deltas, in whatever order and however often, hold the same
// entries. Only the entries of replicas that are up are reported. Each replica has its
// own view of that. A replica is up until Down is called for it.
//
// A method that changes the reported entries returns the change: all changes, applied to
// an empty set, make [State.All].
type State struct {
	self   Replica
	set    Delta
	status map[Replica]status // of those that are not up
	newest map[string]uint64  // incarnation, by name
}

type status uint8

const (
	up   status = iota
	down        // its entries are kept, and not reported
	gone        // they are forgotten, and what others say of it is ignored
)

// NewState returns an empty state of the given replica.
func NewState(self Replica) *State {
	s := &State{self: self, status: map[Replica]status{}, newest: map[string]uint64{self.Name: self.Incarnation}}
	s.set.see(Tag{Replica: self})
	return s
}

// Next returns the tag of the next change, so that the meta of a new entry can carry a
// ref made from it.
func (s *State) Next() Tag { return Tag{s.self, s.set.seen[s.self].upTo + 1} }

// Add adds an entry of this replica.
func (s *State) Add(topic, key string, meta []byte) *Entry {
	e := &Entry{Tag: s.Next(), Topic: topic, Key: key, Meta: meta}
	s.set.Add(e)
	return e
}

// Remove takes an entry out and returns it, or nil if there is none or it
// belongs to another replica: only its owner can remove an entry. The removal has
// a tag of its own, so that a replica that misses it is seen to be behind.
func (s *State) Remove(t Tag) (e *Entry, at Tag) {
	e = s.set.entries[s.self][t.Clock]
	if e == nil || t.Replica != s.self {
		return nil, Tag{}
	}
	at = s.Next()
	s.set.Remove(e, at)
	return e, at
}

// Merge takes over the entries and tags of d. Those of this replica are ignored, and
// those of replicas that are over: permanently down, or followed by a later incarnation.
// A new incarnation ends the earlier ones.
func (s *State) Merge(d *Delta) Diff {
	var over Diff
	for r := range d.seen {
		over.Leaves = append(over.Leaves, s.Begin(r).Leaves...)
	}
	diff := s.set.merge(d, func(r Replica) bool {
		return !s.over(r) && s.status[r] != gone
	})
	diff.Joins = s.reported(diff.Joins)
	diff.Leaves = append(s.reported(diff.Leaves), over.Leaves...)
	return diff.sorted()
}

// Begin says that a life of a replica has begun, if it is not known: the entries of earlier ones leave.
func (s *State) Begin(r Replica) (d Diff) {
	if r.Name == s.self.Name || r.Incarnation <= s.newest[r.Name] {
		return d
	}
	d.Leaves = s.forget(Replica{r.Name, s.newest[r.Name]})
	s.newest[r.Name] = r.Incarnation
	return d.sorted()
}

// Forget makes s as if it had never heard of the replicas of another name: their entries leave.
func (s *State) Forget(name string) (d Diff) {
	if name == s.self.Name {
		return d
	}
	d.Leaves = s.forget(Replica{name, s.newest[name]})
	delete(s.newest, name)
	return d.sorted()
}

// Full returns all entries and tags, for a peer that has missed some. It costs a copy of
// the set, without the metas.
func (s *State) Full() *Delta { return s.set.clone() }

// Clocks returns, for each replica, the clock up to which no change is missing. By it two
// replicas can see which of them is behind.
func (s *State) Clocks() map[Replica]uint64 {
	clocks := make(map[Replica]uint64, len(s.set.seen))
	for r, seen := range s.set.seen {
		clocks[r] = seen.upTo
	}
	return clocks
}

// Cloud returns how many tags s has seen out of order.
func (s *State) Cloud() int {
	n := 0
	for _, seen := range s.set.seen {
		n += len(seen.cloud)
	}
	return n
}

// Down hides the entries of a replica that is not heard of any more: they leave. They are
// kept, and go on being merged.
func (s *State) Down(r Replica) (d Diff) {
	if s.over(r) || s.status[r] != up {
		return d
	}
	s.status[r] = down
	d.Leaves = values(s.set.entries[r])
	return d.sorted()
}

// Up undoes Down or PermDown: the kept entries join, with their old refs.
func (s *State) Up(r Replica) (d Diff) {
	if s.status[r] == up {
		return d
	}
	delete(s.status, r)
	d.Joins = values(s.set.entries[r])
	return d.sorted()
}

// PermDown forgets a replica: one that has been down for long, or that says that
// it does not come back. If it does, Up and its full state restore it.
func (s *State) PermDown(r Replica) (d Diff) {
	if s.over(r) {
		return d
	}
	d.Leaves = s.forget(r)
	s.status[r] = gone
	return d.sorted()
}

// All yields the reported entries, in no order.
func (s *State) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for r, entries := range s.set.entries {
			if s.status[r] != up {
				continue
			}
			for _, e := range entries {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// holds reports whether an entry is there, reported or not.
func (s *State) holds(t Tag) bool { return s.set.entries[t.Replica][t.Clock] != nil }

// over reports whether changes of a replica are ignored: it is this one, or a former life
// of this or another one.
func (s *State) over(r Replica) bool {
	return r.Name == s.self.Name || r.Incarnation < s.newest[r.Name]
}

// Len returns the number of reported entries.
func (s *State) Len() int {
	n := 0
	for r, entries := range s.set.entries {
		if s.status[r] == up {
			n += len(entries)
		}
	}
	return n
}

// forget drops a replica and returns those of its entries that were reported.
func (s *State) forget(r Replica) []*Entry {
	entries := values(s.set.forget(r))
	if s.status[r] != up {
		entries = nil
	}
	delete(s.status, r)
	return entries
}

func (s *State) reported(entries []*Entry) []*Entry {
	kept := entries[:0]
	for _, e := range entries {
		if s.status[e.Tag.Replica] == up {
			kept = append(kept, e)
		}
	}
	return kept
}

func values(entries map[uint64]*Entry) []*Entry {
	list := make([]*Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	return list
}
