package presence

import "slices"

// List returns the payload of a presence_state: {key: {"metas": […]}}, with keys and
// metas in the order in which they came. It must not be modified: until the topic
// changes, all callers get the same one.
//
// It includes all changes that were made before List was called. Any of these
// may still be broadcast afterwards, and all later ones will be: see the
// package's documentation.
//
// The tracker is locked only while texts are made of the entries that have changed since
// the last list. Of many callers at the same time one makes the list for all.
func (t *Tracker) List(topic string) []byte {
	s := t.shard(topic)
	s.mu.RLock()
	r, now := s.topics[topic], uint64(0)
	if r != nil {
		now = r.version
	}
	s.mu.RUnlock()
	if r == nil {
		return []byte(`{}`)
	}

	r.listing.Lock()
	defer r.listing.Unlock()
	if r.list == nil || r.listed < now {
		s.mu.RLock()
		pages := r.pages()
		r.listed = r.version
		s.mu.RUnlock()
		r.list = listOf(pages)
	}
	return r.list
}

// Show calls show with List, while no diff of the topic is under way. If show sends the
// list by the same way as the diffs, every earlier diff is contained in it, and every
// other change comes in a later diff. show must not wait for a diff, nor change anything
// in the tracker.
func (t *Tracker) Show(topic string, show func(list []byte)) {
	telling := t.tellingOf(topic)
	telling.RLock()
	defer telling.RUnlock()
	show(t.List(topic))
}

func listOf(pages [][]byte) []byte {
	size := len(`{}`) + len(pages)
	for _, text := range pages {
		size += len(text)
	}
	b := append(make([]byte, 0, size), '{')
	for i, text := range pages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, text...)
	}
	return append(b, '}')
}

// Get returns {"metas": […]} of one key of a topic; ok is false if the key is not
// present.
func (t *Tracker) Get(topic, key string) (metas []byte, ok bool) {
	s := t.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.topics[topic]; r != nil {
		metas = r.get(key)
	}
	return metas, metas != nil
}

// Count returns how many keys are present in a topic, with how many metas. Its cost does
// not depend on their number.
func (t *Tracker) Count(topic string) (keys, metas int) {
	s := t.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.topics[topic]; r != nil {
		return len(r.people), r.metas
	}
	return 0, 0
}

// Topics returns the topics in which somebody is present, sorted.
func (t *Tracker) Topics() []string {
	var topics []string
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for topic, r := range s.topics {
			if r.metas > 0 {
				topics = append(topics, topic)
			}
		}
		s.mu.RUnlock()
	}
	slices.Sort(topics)
	return topics
}

// Stats are the gauges of a tracker.
type Stats struct {
	Owners    int // that track something, or have something aside
	Topics    int // with entries, or with diffs still to go out
	Entries   int // of all nodes
	Lingering int // entries without an owner, and places in line that they have left

	Peers    int    // other nodes of which something is known
	Foreign  int    // entries of other nodes, those of nodes that are down included
	Early    int    // changes of other nodes that came before others, which are missing
	Declined uint64 // entries of other nodes that there ever were and that may not be shown, or have no room
}

// Stats returns the figures of this moment. It takes the locks one after the other, so
// that they fit together only while nothing changes.
func (t *Tracker) Stats() (n Stats) {
	for i := range t.owners {
		os := &t.owners[i]
		os.mu.Lock()
		n.Owners += len(os.byID)
		os.mu.Unlock()
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n.Topics += len(s.topics)
		n.Lingering += len(s.lingering)
		n.Entries += s.state.Len()
		n.Early += s.state.Cloud()
		s.mu.RUnlock()
	}
	t.peering.Lock()
	defer t.peering.Unlock()
	n.Peers, n.Declined = len(t.peers), t.declined.Load()
	for _, p := range t.peers {
		n.Foreign += p.entries
	}
	return n
}
