package presence

import "slices"

// aside is an entry that its owner may not have now. Nobody sees it, and it gets another
// ref when it comes back.
type aside struct {
	topic, key string
	members    []byte // of the meta
	standing   standing
	charge     charge
}

// Suspend takes entries out of their topics, without a grace, and sets them aside for
// [Tracker.Resume]: those for which denied says so, in the topics for which among does. They
// still belong to their owner: they end with it, and by Untrack. Lingering entries have no
// owner that denied could be asked about. They leave the topics for which moved says so,
// which are among the same.
//
// Suspend looks at every topic, but only at the presences in those that it is about. An entry
// that is tracked meanwhile may be missed: the caller sees to it that there is none.
func (t *Tracker) Suspend(among func(topic string) bool, denied func(owner any, topic string) bool, moved func(topic string) bool) {
	there, found := false, map[*owner]struct{}{}
	for i := range t.shards {
		if t.shards[i].ownersIn(among, found) {
			there = true
		}
	}
	for o := range found {
		t.suspend(o.id, among, denied)
	}
	if !there {
		return
	}
	for i := range t.shards {
		t.shards[i].leaveMoved(moved)
	}
}

// ownersIn adds the owners that are present in some topics, and reports whether there are
// any entries, lingering ones included.
func (s *shard) ownersIn(among func(topic string) bool, found map[*owner]struct{}) (there bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for topic, r := range s.topics {
		if r.metas == 0 || !among(topic) {
			continue
		}
		there = true
		for p := r.first; p != nil; p = p.next {
			for x := p.first; x != nil; x = x.next {
				if x.owner != nil {
					found[x.owner] = struct{}{}
				}
			}
		}
	}
	return there
}

// suspend sets entries of one owner aside.
func (t *Tracker) suspend(id any, among func(topic string) bool, denied func(owner any, topic string) bool) {
	os, o := t.lock(id)
	defer os.mu.Unlock()
	var some []*tracked
	for _, x := range o.tracked {
		if among(x.entry.Topic) && denied(id, x.entry.Topic) {
			some = append(some, x)
		}
	}
	for _, x := range some {
		t.setAside(os, id, o, x)
	}
}

// setAside expects os to be locked.
func (t *Tracker) setAside(os *owners, id any, o *owner, x *tracked) {
	e := x.entry
	var c charge
	members, err := membersOf(e.Meta)
	if err != nil || t.shard(e.Topic).untrack(o, e.Topic, e.Key, &c) == nil {
		return // the tracker is closed
	}
	o.setAsides(append(o.asides(), aside{e.Topic, e.Key, members, x.standing, c}))
	os.remove(id, o, x)
	t.suspended.Store(true)
}

// Resume tracks the entries again that were set aside, if allowed says so. An entry for
// which its topic has no room any more is forgotten.
func (t *Tracker) Resume(allowed func(owner any, topic string) bool) {
	if !t.suspended.Swap(false) {
		return
	}
	for i := range t.owners {
		os := &t.owners[i]
		os.mu.Lock()
		for id, o := range os.byID {
			still := o.asides()
			o.aside = nil
			still = slices.DeleteFunc(still, func(a aside) bool { return allowed(id, a.topic) && t.takeBack(os, id, o, a) })
			if o.setAsides(still); len(still) > 0 {
				t.suspended.Store(true)
			}
			os.forget(id, o)
		}
		os.mu.Unlock()
	}
}

// takeBack expects os to be locked.
func (t *Tracker) takeBack(os *owners, id any, o *owner, a aside) bool {
	c := a.charge
	a.charge.give() // and taken again, unless others have taken the room
	x, _, err := t.shard(a.topic).track(o, a.topic, a.key, a.members, c)
	if err == nil && x != nil {
		x.standing = a.standing
		os.add(id, o, x)
	}
	return true
}

// leaveMoved lets entries leave that linger in topics for which moved says so.
func (s *shard) leaveMoved(moved func(topic string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, l := range s.lingering {
		if l.x.owner == nil && l.x.person != nil && l.x.until == l.until && moved(l.x.entry.Topic) {
			s.leave(l.x)
		}
	}
}

// takeAside forgets an entry that the owner has aside, and reports whether there was one.
func (o *owner) takeAside(topic, key string) bool {
	n := len(o.asides())
	o.dropAside(func(a aside) bool { return a.topic == topic && a.key == key })
	return len(o.asides()) < n
}

// dropAside forgets the entries that an owner has aside, if gone says so.
func (o *owner) dropAside(gone func(aside) bool) {
	o.setAsides(slices.DeleteFunc(o.asides(), func(a aside) bool {
		if gone(a) {
			a.charge.give()
			return true
		}
		return false
	}))
}
