package presence

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// shard has the topics whose names have one hash, with a state of their own.
type shard struct {
	tracker *Tracker
	refs    string // how all refs of the shard begin

	mu     sync.RWMutex
	state  *State
	topics map[string]*roster
	places map[place]*tracked // of owners that are alive

	changes   *changes    // of this node that the others have yet to be told; nil: there are none
	lingering []lingering // in the order in which they are due
	timer     *time.Timer // set while there are any
	closed    bool
}

// place is one owner's key in one topic, which it can track once.
type place struct {
	owner      *owner
	topic, key string
}

// track adds a meta for o, takes over a lingering one, or replaces one that o holds or
// keeps. x is nil in the last case, because o has it already; a kept meta that is the
// same stays.
func (s *shard) track(o *owner, topic, key string, members []byte, c charge) (x *tracked, ref string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, "", ErrClosed
	}
	if x := s.places[place{o, topic, key}]; x != nil {
		was := x.standing
		if was == current {
			return nil, "", ErrTracked
		}
		if old := s.ref(x.entry.Tag); was == kept && hasMembers(x.entry.Meta, members, old) {
			x.standing = current
			return nil, old, nil
		}
		if err := x.charge.become(c); err != nil {
			return nil, "", err
		}
		x.standing = current
		return nil, s.replace(x, members), nil
	}
	if over(len(o.tracked)+len(o.asides()), s.tracker.opts.OwnerEntries) {
		return nil, "", ErrOwnerFull
	}
	r := s.topics[topic]
	var p *person
	if r != nil {
		p = r.people[key]
	}
	lingers := p != nil && p.first.lingers()
	switch {
	case lingers:
		x = p.first
	case r != nil && over(r.metas, s.tracker.opts.TopicEntries):
		return nil, "", ErrTopicFull
	default:
		x = &tracked{}
	}
	if err := x.charge.become(c); err != nil {
		return nil, "", err
	}
	x.owner = o
	if lingers {
		ref = s.replace(x, members)
	} else {
		if r == nil {
			r = s.roster(strings.Clone(topic))
		}
		if p == nil {
			p = &person{key: strings.Clone(key)}
		}
		x.entry, ref = s.enter(r.topic, p.key, members, "")
		r.join(x, p)
		s.announce(r)
	}
	s.places[place{o, r.topic, p.key}] = x
	return x, ref, nil
}

// roster adds a roster, which its announcer takes out again.
func (s *shard) roster(topic string) *roster {
	r := &roster{topic: topic, people: map[string]*person{}}
	s.topics[topic] = r
	return r
}

// update replaces the meta of o, which counts as tracked again if it was held or kept.
func (s *shard) update(o *owner, topic, key string, members []byte, c charge) (ref string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.places[place{o, topic, key}]
	switch {
	case s.closed:
		return "", ErrClosed
	case x == nil:
		return "", ErrNotTracked
	}
	if err := x.charge.become(c); err != nil {
		return "", err
	}
	x.standing = current
	return s.replace(x, members), nil
}

// untrack ends the entry of o in the topic under the key and returns it, or nil. If c is
// given the charge goes there.
func (s *shard) untrack(o *owner, topic, key string, c *charge) *tracked {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.places[place{o, topic, key}]
	if x == nil || s.closed {
		return nil
	}
	if c != nil {
		*c, x.charge = x.charge, charge{}
	}
	s.drop(x)
	return x
}

// end takes x from its owner, who has ended. If nobody else has its key it
// lingers for the time of grace; otherwise it leaves.
func (s *shard) end(x *tracked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.tracker.opts.Grace <= 0 || x.prev != nil || x.next != nil {
		s.drop(x)
		return
	}
	delete(s.places, place{x.owner, x.entry.Topic, x.entry.Key})
	x.owner, x.standing = nil, current
	s.linger(x)
}

// drop takes x, which has an owner, out of its topic.
func (s *shard) drop(x *tracked) {
	delete(s.places, place{x.owner, x.entry.Topic, x.entry.Key})
	s.leave(x)
}

func (s *shard) leave(x *tracked) {
	r := s.topics[x.entry.Topic]
	x.charge.give()
	s.remove(x.entry.Tag)
	r.leave(x)
	s.announce(r)
}

// replace gives x a new meta, which in one diff joins when the old one leaves.
func (s *shard) replace(x *tracked, members []byte) (ref string) {
	r, old := s.topics[x.entry.Topic], x.entry
	e, ref := s.enter(old.Topic, old.Key, members, s.ref(old.Tag))
	s.remove(old.Tag)
	r.replace(x, e)
	s.announce(r)
	return ref
}

func (s *shard) enter(topic, key string, members []byte, prev string) (*Entry, string) {
	ref := s.ref(s.state.Next())
	e := s.state.Add(topic, key, withRefs(members, ref, prev))
	s.added(e)
	return e, ref
}

// remove takes an entry of this node out of the state.
func (s *shard) remove(t Tag) {
	s.state.Remove(t)
	s.removed(t)
}

func (s *shard) ref(t Tag) string { return s.refs + strconv.FormatUint(t.Clock, 36) }

// announce has the queued changes broadcast.
func (s *shard) announce(r *roster) {
	if r.queue.running || s.closed {
		return
	}
	r.queue.running = true
	s.tracker.announcers.Go(func() { s.announcer(r) })
}

// announcer broadcasts the queued changes of a topic until there are no more. A topic has
// one at most, so that diffs go out in order.
func (s *shard) announcer(r *roster) {
	for {
		interval, crowded := s.tracker.interval(r.topic)
		if !s.tell(r, crowded) {
			return
		}
		s.tracker.pause(interval)
	}
}

// tell broadcasts the queued changes of a topic. told is false if there are none: then
// the announcer has ended.
func (s *shard) tell(r *roster, crowded bool) (told bool) {
	telling := s.tracker.tellingOf(r.topic)
	telling.Lock()
	defer telling.Unlock()
	s.mu.Lock()
	r.queue.crowded = crowded
	batches := r.queue.take()
	if len(batches) == 0 || s.closed {
		r.queue.running = false
		r.dropList()
		if r.metas == 0 {
			delete(s.topics, r.topic)
		}
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()
	for _, batch := range batches {
		s.tracker.broadcast(r.topic, diffOf(batch))
	}
	return true
}

// over reports whether n entries reach the limit; a negative one is none.
func over(n, limit int) bool { return limit >= 0 && n >= limit }
