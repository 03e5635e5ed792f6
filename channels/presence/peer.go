package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// peer is another node. Its entries are in the states of all shards; shown, they are in the rosters as well:
//
//	        Merge               Up                 Down               Gone
//	unknown ────► kept, hidden ────► kept, shown ────► kept, hidden ────► unknown
//
// Merging goes on in both states. So a node that has been away comes back with what it has now, and without what it has not any more, if it is up
// when its snapshot has been merged. What has not changed comes back with its old refs.
type peer struct {
	incarnation uint64
	shown       bool
	entries     int
}

// Why Merge refuses a piece of another node, or a part of it.
var (
	// ErrPeer says that the piece is not of the node that has sent it, or of a former life of that. Nothing of it has been merged.
	ErrPeer = errors.New("presence: the piece is of another node, or of a life that is over")
	// ErrBehind says that too much is missing before the piece: the node has to send a snapshot. A part of the piece has not been merged.
	ErrBehind = errors.New("presence: too much is missing before the piece")
	// ErrDeclined says that entries are left out that may not be shown here, or have no room ([Options].PeerEntries, MaxKey, MaxMeta, Check). All others
	// have been merged. Those are missing here for as long as they are there.
	ErrDeclined = errors.New("presence: entries of another node are left out")
)

// maxEarly bounds the clocks of one shard that came before others of the same node.
const maxEarly = 1 << 16

// refsRoom is what the refs add to a meta, at most.
const refsRoom = 128

// Merge takes over a piece of another node, which that has got from [Tracker.TakeChanges] or [Tracker.Snapshot], and broadcasts what has changed if the node
// is up. Only the node itself may say what it has: from is its name. Pieces may come twice and in any order, as long as the missing ones come. A larger
// incarnation ends all that a smaller one had. The error is one of this package's; a piece can do no harm but to the entries of its node.
// The piece is the caller's again when Merge returns.
func (t *Tracker) Merge(from string, piece []byte) error {
	self, sections, declined, err := readPiece(piece, t.mayShow)
	if err != nil {
		return err
	}
	t.peering.Lock()
	defer t.peering.Unlock()
	if self.Name != from || from == t.self.Name {
		return fmt.Errorf("%w: %.100q has sent one of %.100q", ErrPeer, from, self.Name)
	}
	p := t.peers[from]
	switch {
	case p == nil:
		p = &peer{}
		t.peers[from] = p
	case self.Incarnation < p.incarnation:
		return fmt.Errorf("%w: %.100q has sent one of the life %d, after %d", ErrPeer, from, self.Incarnation, p.incarnation)
	}
	if self.Incarnation > p.incarnation {
		p.incarnation, p.entries = self.Incarnation, 0
		for i := range t.shards {
			t.shards[i].beginLife(self, p.shown)
		}
	}
	for i := range sections {
		s := &t.shards[sections[i].shard]
		n, sectionErr := s.merge(self, p, &sections[i])
		declined += n
		if sectionErr != nil {
			err = sectionErr
		}
	}
	if declined > 0 {
		t.declined.Add(uint64(declined))
		err = errors.Join(err, fmt.Errorf("%w: %d of %.100q", ErrDeclined, declined, from))
	}
	return err
}

// mayShow reports whether an entry of another node may be shown to clients here.
func (t *Tracker) mayShow(shard int, topic string, key, meta []byte) bool {
	switch {
	case t.opts.MaxKey >= 0 && len(key) > t.opts.MaxKey, t.opts.MaxMeta >= 0 && len(meta) > t.opts.MaxMeta+refsRoom:
		return false
	case !utf8.ValidString(topic), !utf8.Valid(key), len(meta) == 0 || meta[0] != '{', !utf8.Valid(meta), !json.Valid(meta):
		return false
	case t.opts.Check != nil && t.opts.Check(meta) != nil:
		return false
	}
	return t.shard(topic) == &t.shards[shard]
}

// Up shows the entries of another node: those that are kept join, and so do further ones when they are merged.
func (t *Tracker) Up(name string) {
	t.peering.Lock()
	defer t.peering.Unlock()
	p := t.peers[name]
	if p == nil && name != t.self.Name {
		p = &peer{}
		t.peers[name] = p
	}
	if p == nil || p.shown {
		return
	}
	p.shown = true
	t.eachShard(func(s *shard) Diff { return s.state.Up(Replica{name, p.incarnation}) })
}

// Down hides the entries of another node: they leave, and are kept.
func (t *Tracker) Down(name string) {
	t.peering.Lock()
	defer t.peering.Unlock()
	if p := t.peers[name]; p != nil && p.shown {
		p.shown = false
		t.eachShard(func(s *shard) Diff { return s.state.Down(Replica{name, p.incarnation}) })
	}
}

// Gone forgets another node: its entries leave, and are not kept. If it comes back, whatever its incarnation, it is as if it came for the first time: it has to send a
// snapshot. No piece of before may be merged after Gone.
func (t *Tracker) Gone(name string) {
	t.peering.Lock()
	defer t.peering.Unlock()
	if t.peers[name] != nil {
		delete(t.peers, name)
		t.eachShard(func(s *shard) Diff { return s.state.Forget(name) })
	}
}

func (t *Tracker) eachShard(change func(s *shard) Diff) {
	for i := range t.shards {
		t.shards[i].peerChanges(change)
	}
}

// beginLife begins another life of a node.
func (s *shard) beginLife(r Replica, shown bool) {
	s.peerChanges(func(s *shard) (d Diff) {
		d = s.state.Begin(r)
		if !shown {
			s.state.Down(r)
		}
		return d
	})
}

// peerChanges makes a change that may be about all entries of another node. The rosters get it by and by, so that nobody waits long for the shard. Callers hold
// the tracker's peering: nothing else changes those entries meanwhile.
func (s *shard) peerChanges(change func(s *shard) Diff) {
	const most = 1000
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for d := change(s); ; {
		joins, leaves := min(most, len(d.Joins)), min(most, len(d.Leaves))
		s.apply(Diff{d.Joins[:joins], d.Leaves[:leaves]})
		if d = (Diff{d.Joins[joins:], d.Leaves[leaves:]}); len(d.Joins)+len(d.Leaves) == 0 {
			return
		}
		s.mu.Unlock()
		s.mu.Lock()
	}
}

// merge takes over a section, and says how many of its entries have no room.
func (s *shard) merge(self Replica, p *peer, from *section) (declined int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	seen := s.state.set.seen.of(self)
	if from.after > seen.upTo && uint64(len(seen.cloud)+len(from.removed))+from.upTo-from.after > maxEarly {
		return 0, fmt.Errorf("%w: shard %d is at %d, the piece is behind %d", ErrBehind, from.shard, seen.upTo, from.after)
	}
	room := len(from.entries)
	if limit := s.tracker.opts.PeerEntries; limit >= 0 {
		room = limit - p.entries
	}
	kept := from.entries[:0]
	for _, e := range from.entries {
		switch {
		case seen.has(e.Tag.Clock): // it is there, or not any more
		case room <= 0:
			declined++
			continue
		default:
			room--
			s.share(e)
		}
		kept = append(kept, e)
	}
	from.entries = kept
	before := len(s.state.set.entries[self])
	s.apply(s.state.Merge(from.delta(self)))
	p.entries += len(s.state.set.entries[self]) - before
	return declined, nil
}

// share has an entry that is new here use the names that are here.
func (s *shard) share(e *Entry) {
	if r := s.topics[e.Topic]; r != nil {
		e.Topic = r.topic
		if p := r.people[e.Key]; p != nil {
			e.Key = p.key
		}
	}
}

// apply brings a change to other nodes' entries into the rosters. What joins comes first: a key of which an entry is replaced keeps its place.
func (s *shard) apply(d Diff) {
	for _, e := range d.Joins {
		r := s.topics[e.Topic]
		if r == nil {
			r = s.roster(e.Topic)
		}
		p := r.people[e.Key]
		if p == nil {
			p = &person{key: e.Key}
		}
		e.place = &tracked{entry: e}
		lingers := p.first
		r.join(e.place, p)
		s.announce(r)
		if lingers != nil && lingers.lingers() { // its owner has come to another node
			s.leave(lingers)
		}
	}
	for _, e := range d.Leaves {
		if e.place == nil {
			continue
		}
		r := s.topics[e.Topic]
		r.leave(e.place)
		e.place = nil
		s.announce(r)
	}
}
