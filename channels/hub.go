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
// caller reach every member in their order.
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

// Subscription is one member's place in a topic. Its fields are fixed.
type Subscription struct {
	Topic string
	Codec Codec
	Out   Outbox

	place int // in the list of members, or -1; guarded by the shard's mu
}

// Outbox takes frames for a client. Send keeps their order and never blocks; an
// outbox that overflows ends its connection.
type Outbox interface{ Send(f Frame) }

// NewHub returns a hub without topics.
func NewHub() *Hub {
	h := &Hub{seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].topics = map[string]*members{}
	}
	return h
}

// Subscribe adds s to its topic. The frames are sent to it first: between them
// and the first broadcast that s receives, none is lost.
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
	if last == 0 {
		delete(shard.topics, s.Topic)
	}
}

// Broadcast sends a message to all members of a topic but the one excepted,
// which may be nil. Encoding is all that can fail; then nobody gets it.
func (h *Hub) Broadcast(o *Outgoing, except *Subscription) error {
	var encodings frames
	shard := h.shard(o.Topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	m := shard.topics[o.Topic]
	if m == nil {
		return nil
	}
	sent := 0
	for _, s := range m.list {
		if s == except {
			continue
		}
		f, err := encodings.of(s.Codec, o)
		if err != nil {
			return err
		}
		s.Out.Send(f)
		sent++
	}
	h.deliveries.Add(uint64(sent))
	return nil
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

// frames is one message as the codecs asked for so far write it.
type frames []encoded

type encoded struct {
	codec Codec
	frame Frame
}

func (fs *frames) of(c Codec, o *Outgoing) (Frame, error) {
	for i := range *fs {
		if (*fs)[i].codec == c {
			return (*fs)[i].frame, nil
		}
	}
	f, err := c.Encode(o)
	if err != nil {
		return Frame{}, err
	}
	*fs = append(*fs, encoded{c, f})
	return f, nil
}
