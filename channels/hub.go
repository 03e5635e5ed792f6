package channels

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Hub knows who is subscribed to which topic and delivers broadcasts. Its
// methods may be called from any goroutine.
//
// A broadcast never enters a guest: it is encoded once for each codec and handed
// to the outboxes of the members, as by Phoenix's fastlane. Broadcasts of one
// caller reach every member in their order; those of different callers may reach
// different members in different order.
type Hub struct {
	seed       maphash.Seed
	shards     [hubShards]hubShard
	deliveries atomic.Uint64
}

const hubShards = 64

type hubShard struct {
	mu     sync.RWMutex
	topics map[string]*members
}

type members struct{ list []*Subscription }

// Subscription is one member's place in a topic. Its fields do not change once
// it is subscribed.
type Subscription struct {
	Topic string
	Codec Codec
	Out   Outbox

	place int // in the list of members, or -1; guarded by the shard's mu
}

// Outbox takes frames for a client. Send may be called from any goroutine, keeps
// the order of its calls and never blocks. Callers hold locks: Send must not call
// back into this package. An outbox that overflows has its connection closed by
// somebody else, and then, as after the connection's end, drops what it is given.
type Outbox interface{ Send(f Frame) }

// NewHub returns a hub without topics.
func NewHub() *Hub {
	h := &Hub{seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].topics = map[string]*members{}
	}
	return h
}

// Subscribe adds s, which must be new, to its topic. The frames are sent to it
// first: no broadcast comes before them, and none after them is missed.
func (h *Hub) Subscribe(s *Subscription, first ...Frame) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for _, f := range first {
		s.Out.Send(f)
	}
	m := shard.topics[s.Topic]
	if m == nil {
		m = &members{}
		shard.topics[s.Topic] = m
	}
	s.place = len(m.list)
	m.list = append(m.list, s)
}

// Unsubscribe removes s, if it is subscribed. No broadcast is sent to it after
// Unsubscribe has returned.
func (h *Hub) Unsubscribe(s *Subscription) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	m := shard.topics[s.Topic]
	if m == nil || s.place < 0 || s.place >= len(m.list) || m.list[s.place] != s {
		return
	}
	last := len(m.list) - 1
	m.list[s.place] = m.list[last]
	m.list[s.place].place = s.place
	m.list[last] = nil
	m.list = m.list[:last]
	s.place = -1
	switch {
	case last == 0:
		delete(shard.topics, s.Topic)
	case cap(m.list) > 64 && last < cap(m.list)/4: // most of a crowd has left
		m.list = append(make([]*Subscription, 0, 2*last), m.list...)
	}
}

// Broadcast sends a message to all members of a topic but the one excepted,
// which may be nil. Encoding is all that can fail; members for whose codec it
// does are left out.
func (h *Hub) Broadcast(o *Outgoing, except *Subscription) error {
	var encodings encodings
	shard := h.shard(o.Topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	m := shard.topics[o.Topic]
	if m == nil {
		return nil
	}
	sent := 0
	var failed error
	for _, s := range m.list {
		if s == except {
			continue
		}
		e := encodings.of(s.Codec, o)
		if e.err != nil {
			failed = e.err
			continue
		}
		s.Out.Send(e.frame)
		sent++
	}
	h.deliveries.Add(uint64(sent))
	return failed
}

// Members is the number of subscriptions to a topic.
func (h *Hub) Members(topic string) int {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	if m := shard.topics[topic]; m != nil {
		return len(m.list)
	}
	return 0
}

func (h *Hub) shard(topic string) *hubShard {
	return &h.shards[maphash.String(h.seed, topic)%hubShards]
}

// encodings is one message as the codecs asked for so far write it.
type encodings []encoding

type encoding struct {
	codec Codec
	frame Frame
	err   error
}

func (es *encodings) of(c Codec, o *Outgoing) *encoding {
	for i := range *es {
		if e := &(*es)[i]; e.codec == c {
			return e
		}
	}
	f, err := c.Encode(o)
	*es = append(*es, encoding{c, f, err})
	return &(*es)[len(*es)-1]
}
