package presence

import "slices"

// List is the payload of a presence_state: {key: {"metas": […]}} with the keys
// in the order in which they came, each with its metas in theirs. It must not be
// modified: until the topic changes, all who ask get the same one.
//
// It includes all changes that were made before List was called. Any of these
// may still be broadcast afterwards, and all later ones will be: see the
// package's documentation.
//
// The tracker is locked only while the texts of what has changed since the last list
// are made. Of many who ask at the same time one makes the list for all.
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

// Show calls show with List, and with no diff of the topic under way. Where show
// puts the list in order with the diffs, those before it are in the list, and what
// is not in it comes in those behind. show must not wait for a diff, nor change
// anything in the tracker.
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

// Get is {"metas": […]} of one key of a topic; ok is false if it has none.
func (t *Tracker) Get(topic, key string) (metas []byte, ok bool) {
	s := t.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.topics[topic]; r != nil {
		metas = r.get(key)
	}
	return metas, metas != nil
}

// Count is how many keys are present in a topic, with how many metas. It does
// not depend on how many there are.
func (t *Tracker) Count(topic string) (keys, metas int) {
	s := t.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.topics[topic]; r != nil {
		return len(r.people), r.metas
	}
	return 0, 0
}

// Topics is a sorted list of the topics in which somebody is present.
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

// Stats is what a tracker holds at the moment.
type Stats struct {
	Owners    int // that track something
	Topics    int // with entries, or with diffs still to go out
	Entries   int
	Lingering int // entries without an owner, and places in line that they have left
}

// Stats counts. It takes the locks one after the other, so that the numbers fit
// together only while nothing changes.
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
		s.mu.RUnlock()
	}
	return n
}
