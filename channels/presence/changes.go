package presence

import (
	"cmp"
	"errors"
	"iter"
	"slices"
)

// The other nodes are told of the entries of this one by pieces, which [Tracker.Merge] of theirs takes:
//
//	Track, Leave, … ──► changes of the shard ──► TakeChanges ──► to all that are connected
//	entries of the state ──────────────────────► Snapshot ─────► to one that has come, or has missed something
//
// A piece is a part of a [Delta]: a run of clocks, those entries of the run that are still there, and the clocks of entries before
// it that are not. Runs need not come in order, nor once: a snapshot and the changes that are made meanwhile may be sent in turns. What is
// in neither of the two is nowhere: a change is in the state when the snapshot of its shard begins, or is taken after that.

// changes are those of one shard that have not been taken. They take memory for the entries that were added and are still there, and
// for those that were there before and are not, however many changes there were.
type changes struct {
	taken   uint64   // up to which clock they were
	added   []*Entry // since then, in order; some are not there any more
	most    int      // of them, before those that are not there are dropped
	removed []uint64 // clocks up to taken
}

// added notes an entry of this node.
func (s *shard) added(e *Entry) {
	c := s.changes
	if c == nil {
		return
	}
	if len(c.added) >= c.most {
		c.added = s.present(c.added)
		c.most = max(1024, 2*len(c.added))
	}
	c.added = append(c.added, e)
	s.tracker.signal()
}

// removed notes that an entry of this node has gone.
func (s *shard) removed(t Tag) {
	c := s.changes
	if c == nil {
		return
	}
	if t.Clock <= c.taken {
		c.removed = append(c.removed, t.Clock)
	}
	s.tracker.signal()
}

// present drops entries of this node that are not there any more.
func (s *shard) present(list []*Entry) []*Entry {
	return slices.DeleteFunc(list, func(e *Entry) bool { return !s.state.holds(e.Tag) })
}

// ErrConnected says that a tracker cannot be connected any more.
var ErrConnected = errors.New("presence: the tracker has a name already, or has been used without one")

// Connect makes the tracker a replica among others. self is the name of this node, which no other one may have, and a number that is
// larger each time when it starts, such as the time. It must be called once, before anything is tracked; else the error is
// [ErrConnected]. From then on changes are collected, and changed is called when there are some, once until [Tracker.TakeChanges] is
// called. It is called with locks held, from any goroutine: it must not block, nor call back.
//
// A tracker that is not connected collects nothing.
func (t *Tracker) Connect(self Replica, changed func()) error {
	t.peering.Lock()
	defer t.peering.Unlock()
	for i := range t.shards {
		t.shards[i].mu.Lock()
		defer t.shards[i].mu.Unlock()
	}
	for i := range t.shards {
		if s := &t.shards[i]; s.changes != nil || s.state.Next().Clock > 1 {
			return ErrConnected
		}
	}
	t.self, t.changed = self, changed
	for i := range t.shards {
		s := &t.shards[i]
		s.state, s.changes = NewState(self), &changes{}
	}
	return nil
}

// signal says that there is something to take. Callers hold a shard's mutex.
func (t *Tracker) signal() {
	if !t.untaken.Load() && !t.untaken.Swap(true) {
		t.changed()
	}
}

// TakeChanges returns changes of this node that have not been taken, or nil if there are none. A piece has 256 KiB at most, or one entry:
// more than one may wait. All nodes are to get each piece, unless they get a [Tracker.Snapshot] that begins later. What nobody takes does not pile up.
func (t *Tracker) TakeChanges() []byte {
	t.taking.Lock()
	defer t.taking.Unlock()
	t.untaken.Store(false)
	w := writer{self: t.self}
	for i := range t.shards {
		if !t.shards[i].take(&w, i) {
			break
		}
	}
	return w.piece
}

// take writes the changes of a shard. all is false if the piece is full.
func (s *shard) take(w *writer, number int) (all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, now := s.changes, s.state.Next().Clock-1
	if c == nil || c.taken == now {
		return true
	}
	c.added = s.present(c.added)
	slices.Sort(c.removed)
	removed, added, upTo := w.section(number, c.taken, c.removed, c.added, now)
	c.removed, c.added, c.taken = c.removed[removed:], c.added[added:], upTo
	if all = len(c.removed)+len(c.added) == 0; all {
		*c = changes{taken: now}
	}
	return all
}

// Snapshot yields all entries of this node, in pieces like those of TakeChanges; at least one. What is taken from the tracker
// from then on may be sent before, between or behind its pieces, and what was taken earlier as well. The loop's body may take
// its time: no lock is held, and the pieces are made one at a time.
func (t *Tracker) Snapshot() iter.Seq[[]byte] {
	return func(yield func(piece []byte) bool) {
		w := writer{self: t.self}
		for i := range t.shards {
			list, now := t.shards[i].own()
			for after := uint64(0); after < now; {
				var n int
				if _, n, after = w.section(i, after, nil, list, now); n < len(list) {
					list = list[n:]
					if !yield(w.take()) {
						return
					}
				}
			}
		}
		yield(w.take())
	}
}

// own returns the entries of this node, in order, and its clock.
func (s *shard) own() (list []*Entry, now uint64) {
	s.mu.RLock()
	list, now = values(s.state.set.entries[s.state.self]), s.state.Next().Clock-1
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Entry) int { return cmp.Compare(a.Tag.Clock, b.Tag.Clock) })
	return list, now
}
