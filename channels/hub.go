package channels

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Hub knows who is subscribed to which topic and delivers broadcasts. Its
// methods may be called from any goroutine.
//
// A broadcast enters no guest but those that intercept it or listen to it: it is
// encoded once for each codec and handed to the outboxes of the members, as by
// Phoenix's fastlane. Broadcasts of one caller reach every member in their order;
// those of different callers may reach different members in different order.
type Hub struct {
	seed                    maphash.Seed
	shards                  [hubShards]hubShard
	deliveries, undelivered atomic.Uint64
}

const hubShards = 64

type hubShard struct {
	mu     sync.RWMutex
	topics map[string]*members
}

// members are who gets the broadcasts of a topic.
type members struct {
	list      []*Subscription
	listeners []*listener
}

// Subscription is one member's place in a topic. Its exported fields do not
// change once it is subscribed.
type Subscription struct {
	Topic string
	Codec Codec
	Out   Outbox

	// Guarded by the shard's mu once it is subscribed.
	place  int         // in the list of members, or -1
	before interceptor // gets broadcasts in place of Out, if it wants them; nil for none
}

// interceptor takes broadcasts that are meant for members. It is called with
// the lock of a shard held.
type interceptor interface {
	// intercepts reports whether it takes the broadcasts of an event.
	intercepts(event string) bool
	// intercept takes one.
	intercept(b *outMessage)
	// forAll reports whether it takes a broadcast once for all members of the topic
	// that it stands before.
	forAll() bool
}

// Broadcasted is a broadcast as processes get it. Its payload must not be
// changed.
type Broadcasted struct {
	Topic   string
	Event   string
	Payload []byte // JSON text, never empty; or anything if Binary
	Binary  bool
}

// listener is a place in a topic that is no member's.
type listener struct {
	topic string
	hear  func(Broadcasted)
	place int // in the list of listeners, or -1; guarded by the shard's mu
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
	m := shard.members(s.Topic)
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
	if cap(m.list) > 64 && last < cap(m.list)/4 { // most of a crowd has left
		m.list = append(make([]*Subscription, 0, 2*last), m.list...)
	}
	shard.dropIfEmpty(s.Topic, m)
}

// setInterceptor puts i, or nobody, before a subscription.
func (h *Hub) setInterceptor(s *Subscription, i interceptor) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.before = i
}

// listen has hear called for every broadcast of a topic from now on, until the
// returned function is called.
func (h *Hub) listen(topic string, hear func(Broadcasted)) (cancel func()) {
	shard := h.shard(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	m := shard.members(topic)
	l := &listener{topic: topic, hear: hear, place: len(m.listeners)}
	m.listeners = append(m.listeners, l)
	return func() { h.unlisten(l) }
}

func (h *Hub) unlisten(l *listener) {
	shard := h.shard(l.topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if l.place < 0 {
		return
	}
	m := shard.topics[l.topic]
	last := len(m.listeners) - 1
	m.listeners[l.place] = m.listeners[last]
	m.listeners[l.place].place = l.place
	m.listeners[last] = nil
	m.listeners = m.listeners[:last]
	l.place = -1
	shard.dropIfEmpty(l.topic, m)
}

// Broadcast sends a message to all members of a topic but the one excepted,
// which may be nil, and to its listeners. Encoding is all that can fail; members
// for whose codec it does are left out.
func (h *Hub) Broadcast(o *Outgoing, except *Subscription) error {
	shard := h.shard(o.Topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	m := shard.topics[o.Topic]
	if m == nil {
		return nil
	}
	b := broadcast{Outgoing: o}
	var sent, undelivered uint64
	for _, s := range m.list {
		switch {
		case s == except:
		case s.before != nil && s.before.intercepts(o.Name):
			b.give(s.before)
		case b.send(s):
			sent++
		default:
			undelivered++
		}
	}
	for _, l := range m.listeners {
		l.hear(b.message().Broadcasted)
	}
	h.deliveries.Add(sent)
	if undelivered > 0 {
		h.undelivered.Add(undelivered)
	}
	return b.failed
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

// members returns those of a topic, which is made if there is none yet.
func (shard *hubShard) members(topic string) *members {
	m := shard.topics[topic]
	if m == nil {
		m = &members{}
		shard.topics[topic] = m
	}
	return m
}

func (shard *hubShard) dropIfEmpty(topic string, m *members) {
	if len(m.list) == 0 && len(m.listeners) == 0 {
		delete(shard.topics, topic)
	}
}

// broadcast is a message on its way to many: it is encoded, and copied, at most
// once for all who get it in the same form.
type broadcast struct {
	*Outgoing
	encodings []encoding
	copied    *outMessage
	told      []interceptor // of those that take it for all members
	failed    error
}

// encoding is the message as one codec writes it.
type encoding struct {
	codec Codec
	frame Frame
	err   error
}

// send sends the message to a member, if its codec can write it.
func (b *broadcast) send(s *Subscription) bool {
	e := b.encoding(s.Codec)
	if e.err != nil {
		b.failed = e.err
		return false
	}
	s.Out.Send(e.frame)
	return true
}

// give gives the message to an interceptor.
func (b *broadcast) give(i interceptor) {
	if i.forAll() {
		if slices.Contains(b.told, i) {
			return
		}
		b.told = append(b.told, i)
	}
	i.intercept(b.message())
}

// message is a copy that outlives the guest's effects.
func (b *broadcast) message() *outMessage {
	if b.copied == nil {
		b.copied = &outMessage{
			Broadcasted: Broadcasted{Topic: b.Topic, Event: b.Name, Payload: bytes.Clone(b.Payload), Binary: b.Binary},
			except:      b.except,
		}
		if len(b.Payload) == 0 && !b.Binary {
			b.copied.Payload = []byte(`{}`)
		}
	}
	return b.copied
}

func (b *broadcast) encoding(c Codec) *encoding {
	for i := range b.encodings {
		if e := &b.encodings[i]; e.codec == c {
			return e
		}
	}
	f, err := c.Encode(b.Outgoing)
	b.encodings = append(b.encodings, encoding{c, f, err})
	return &b.encodings[len(b.encodings)-1]
}

// TopicMembers is a topic and how many subscriptions it has.
type TopicMembers struct {
	Topic   string
	Members int
}

// Topics lists topics with members that begin with prefix, sorted, from the one
// after a given one on, at most limit. It looks at every topic there is.
func (h *Hub) Topics(prefix, after string, limit int) []TopicMembers {
	var found []TopicMembers
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		for topic, m := range shard.topics {
			if len(m.list) > 0 && topic > after && strings.HasPrefix(topic, prefix) {
				found = append(found, TopicMembers{topic, len(m.list)})
			}
		}
		shard.mu.RUnlock()
	}
	slices.SortFunc(found, func(a, b TopicMembers) int { return strings.Compare(a.Topic, b.Topic) })
	return found[:min(len(found), limit)]
}
