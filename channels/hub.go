package channels

import (
	"bytes"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Hub knows the subscriptions of every topic and delivers broadcasts. Its methods may be
// called from any goroutine.
//
//	broadcast ──► Hub ──► Outbox of a member
//	               │ └──► mailbox of its handler ── out ──► Guest ── push ──► Outbox
//	               └────► listeners
//
// A broadcast is encoded once for each codec and handed to the outboxes of the members, as
// by Phoenix's fastlane. It enters no guest but those that intercept it or listen to it.
// Broadcasts of one caller reach every member in their order; those of different callers
// may reach different members in different order.
type Hub struct {
	seed                    maphash.Seed
	shards                  [hubShards]hubShard
	formsFrom               int // bytes of a frame of which another form is kept; 0: none
	deliveries, undelivered atomic.Uint64

	// Of topics with history: past.go.
	keeps             atomic.Pointer[func(topic string) (Keep, bool)] // nil: no topic has one
	pastMost          atomic.Int64
	pastBytes         atomic.Int64
	unkept, recovered atomic.Uint64
	archives          archives
	orderer           Orderer // nil: no other node has a say in them
}

const hubShards = 64

type hubShard struct {
	mu     sync.RWMutex
	topics map[string]audience
	most   int                    // topics since the map was made
	aside  map[*listener]struct{} // suspended; nil while there are none
	pasts  map[string]*crowd      // topics with history; nil while there are none
	remote Remote                 // nil: there are no other nodes
	hub    *Hub
}

// audience gets the broadcasts of a topic. Of a million topics most have one member and no
// listener: they take an entry in a map, and nothing else.
type audience struct {
	only  *Subscription
	crowd *crowd // in place of only, once there was more
}

type crowd struct {
	members   []*Subscription
	listeners []*listener
	past      *past // nil: the topic has no history
	topicSize int64 // that is counted for past
}

// Subscription is one member's place in a topic. Its exported fields do not
// change once it is subscribed.
type Subscription struct {
	Topic string
	Codec Codec
	Out   Outbox

	// Guarded by the shard's mu once it is subscribed.
	before *handler // gets broadcasts in place of Out, if it intercepts them; nil for none
	place  int32    // in the list of members, or -1
	behind bool     // it was left out of the last broadcast; guarded by the topic's past
}

// Broadcasted is a broadcast as processes get it. All of them have the same copy, whose
// payload must not be changed.
type Broadcasted struct {
	Topic   string
	Event   string
	Payload []byte // JSON text, never empty; or anything if Binary
	Binary  bool

	copy *outMessage
}

// listener gets the broadcasts of a topic without being a member.
type listener struct {
	owner any
	topic string
	hear  func(Broadcasted)
	place int // in the list of listeners, or -1; guarded by the shard's mu
}

// Outbox takes frames for a client. Send may be called from any goroutine, keeps
// the order of its calls and never blocks. Callers hold locks: Send must not call
// back into this package. An outbox that overflows has its connection closed by
// somebody else, and then, as after the connection's end, drops what it is given.
//
// One that has a method Address() string says where its client is, which bounds how many handlers linger
// ([Lingering]). Clients with the same text count together.
type Outbox interface{ Send(f Frame) }

// NewHub returns a hub without topics.
func NewHub() *Hub {
	h := &Hub{seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].topics, h.shards[i].hub = map[string]audience{}, h
	}
	return h
}

// KeepForms has broadcasts keep another form of their frames, for [Frame.Form], if these have
// size bytes or more. The smallest size counts; 0 changes nothing. It is to be called before
// the first broadcast. By default none is kept, which saves an allocation for each broadcast.
func (h *Hub) KeepForms(size int) {
	if size > 0 && (h.formsFrom == 0 || size < h.formsFrom) {
		h.formsFrom = size
	}
}

// Subscribe adds s, which must be new, to its topic. The frames are sent to it first: no
// broadcast comes before them, and none after them is missed.
//
// A client that was subscribed before the reply to its join could get a broadcast ahead of
// the state to which it applies. One that was subscribed after the reply could miss a
// broadcast, and never know.
func (h *Hub) Subscribe(s *Subscription, first ...Frame) {
	h.subscribe(s, nil, first)
}

// subscribe subscribes s, which is that of m unless m is nil. In a topic with history, m is told what it missed before.
func (h *Hub) subscribe(s *Subscription, m *member, first []Frame) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	h.put(shard, s, m, first, comeback{})
}

// put is subscribe for callers that hold the shard's mu. again says whether m comes back to a handler.
func (h *Hub) put(shard *hubShard, s *Subscription, m *member, first []Frame, again comeback) {
	for _, f := range first {
		s.Out.Send(f)
	}
	if p := h.pastOf(shard, s.Topic); p != nil && m != nil {
		h.recover(p, m, again)
	}
	if _, found := shard.topics[s.Topic]; !found {
		s.place = 0
		shard.set(s.Topic, audience{only: s})
		return
	}
	shard.crowd(s.Topic).add(s)
}

// Unsubscribe removes s, if it is subscribed. No broadcast is sent to it after
// Unsubscribe has returned.
func (h *Hub) Unsubscribe(s *Subscription) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.take(s)
}

func (shard *hubShard) take(s *Subscription) {
	switch a := shard.topics[s.Topic]; {
	case a.crowd != nil:
		a.crowd.remove(s)
		shard.dropIfEmpty(s.Topic, a.crowd)
	case a.only == s:
		s.place = -1
		shard.drop(s.Topic)
	}
}

// replace subscribes m in place of a member that was away: nothing that both could get is missed, or comes twice.
func (h *Hub) replace(was *Subscription, m *member, first []Frame, again comeback) {
	shard := h.shard(m.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	remote, used := shard.remote, shard.has(m.Topic)
	shard.remote = nil // as one goes the other comes: the topic is in use all the time
	shard.take(was)
	h.put(shard, &m.Subscription, m, first, again)
	if shard.remote = remote; !used {
		shard.tell(m.Topic, true)
	}
}

// mute has a subscription lead nowhere, but for what its handler intercepts.
func (h *Hub) mute(s *Subscription) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.Codec, s.Out = V2, nowhere{}
}

// setInterceptor puts a handler, or nobody, before a subscription.
func (h *Hub) setInterceptor(s *Subscription, by *handler) {
	shard := h.shard(s.Topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s.before = by
}

// listen has hear called for every broadcast of a topic from now on, until the
// returned function is called.
func (h *Hub) listen(owner any, topic string, hear func(Broadcasted)) (cancel func()) {
	shard := h.shard(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	l := &listener{owner: owner, topic: topic, hear: hear}
	h.pastOf(shard, topic)
	shard.listen(l)
	return func() { h.unlisten(l) }
}

func (h *Hub) unlisten(l *listener) {
	shard := h.shard(l.topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	delete(shard.aside, l)
	shard.unlisten(l)
}

// Suspend stops the listeners for which denied says so: when it returns, their functions are
// not called any more. It asks about every listener that has an owner, in the topics for
// which among says so.
func (h *Hub) Suspend(among func(topic string) bool, denied func(owner any, topic string) bool) {
	for i := range h.shards {
		h.shards[i].suspend(among, denied)
	}
}

// Resume lets suspended listeners listen again for which allowed says so, unless they were
// cancelled meanwhile.
func (h *Hub) Resume(allowed func(owner any, topic string) bool) {
	for i := range h.shards {
		h.resume(&h.shards[i], allowed)
	}
}

func (shard *hubShard) suspend(among func(topic string) bool, denied func(owner any, topic string) bool) {
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for topic, a := range shard.topics {
		if a.crowd == nil || len(a.crowd.listeners) == 0 || !among(topic) {
			continue
		}
		for _, l := range slices.Backward(a.crowd.listeners) { // those behind l may take places before it
			if l.owner == nil || !denied(l.owner, topic) {
				continue
			}
			shard.unlisten(l)
			if shard.aside == nil {
				shard.aside = map[*listener]struct{}{}
			}
			shard.aside[l] = struct{}{}
		}
	}
}

func (h *Hub) resume(shard *hubShard, allowed func(owner any, topic string) bool) {
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for l := range shard.aside {
		if allowed(l.owner, l.topic) {
			delete(shard.aside, l)
			h.pastOf(shard, l.topic)
			shard.listen(l)
		}
	}
}

func (shard *hubShard) listen(l *listener) {
	c := shard.crowd(l.topic)
	l.place = len(c.listeners)
	c.listeners = append(c.listeners, l)
}

func (shard *hubShard) unlisten(l *listener) {
	if l.place < 0 {
		return
	}
	c := shard.topics[l.topic].crowd
	last := len(c.listeners) - 1
	c.listeners[l.place] = c.listeners[last]
	c.listeners[l.place].place = l.place
	c.listeners[last] = nil
	c.listeners = c.listeners[:last]
	l.place = -1
	shard.dropIfEmpty(l.topic, c)
}

// Broadcast sends a message to the listeners of a topic, and to all members but the one
// excepted, which may be nil. Only encoding can fail: members whose codec cannot write the
// message are left out and counted.
func (h *Hub) Broadcast(o *Outgoing, except *Subscription) error {
	shard := h.shard(o.Topic)
	shard.mu.RLock()
	a, used := shard.topics[o.Topic]
	if !used && !o.passing && !o.foreign && h.keeps.Load() != nil {
		shard.mu.RUnlock()
		if h.elsewhere(o) {
			return nil
		}
		h.BeginHistory(o.Topic)
		shard.mu.RLock()
		a = shard.topics[o.Topic]
	}
	defer shard.mu.RUnlock()
	one := [1]*Subscription{a.only}
	members, listeners := one[:], []*listener(nil)
	switch {
	case a.crowd != nil && a.crowd.past != nil && !o.passing:
		if a.crowd.past.archived == nil {
			return h.broadcastKept(o, except, shard, a.crowd)
		}
		h.unkept.Add(1) // it was not prepared: the topic has got a durable history just now
		members, listeners = a.crowd.members, a.crowd.listeners
	case a.crowd != nil:
		members, listeners = a.crowd.members, a.crowd.listeners
	case a.only == nil:
		shard.relay(o)
		return nil
	}
	b := broadcast{Outgoing: o, formsFrom: h.formsFrom}
	h.deliver(&b, except, members, listeners, nil)
	shard.relay(o)
	return b.failed
}

// deliver gives a broadcast to members and listeners. p is the topic's history, if it is part of that.
func (h *Hub) deliver(b *broadcast, except *Subscription, members []*Subscription, listeners []*listener, p *past) {
	var sent, undelivered uint64
	for _, s := range members {
		switch {
		case s == except:
			p.leaveOut(s)
		case s.before != nil && s.before.intercepts(b.Name):
			p.leaveOut(s)
			b.divert(s.before)
		case p == nil && b.send(s), p != nil && b.tell(s, p):
			sent++
		default:
			undelivered++
		}
	}
	for _, l := range listeners {
		l.hear(b.message().Broadcasted)
	}
	h.deliveries.Add(sent)
	if undelivered > 0 {
		h.undelivered.Add(undelivered)
	}
}

// uses reports whether a topic has members, listeners or a history.
func (h *Hub) uses(topic string) bool {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.has(topic)
}

// Members is the number of subscriptions to a topic.
func (h *Hub) Members(topic string) int {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.topics[topic].len()
}

func (h *Hub) shard(topic string) *hubShard {
	return &h.shards[maphash.String(h.seed, topic)%hubShards]
}

// len is the number of members.
func (a audience) len() int {
	switch {
	case a.crowd != nil:
		return len(a.crowd.members)
	case a.only != nil:
		return 1
	}
	return 0
}

// crowd returns the crowd of a topic, and makes it if there is none yet.
func (shard *hubShard) crowd(topic string) *crowd {
	a := shard.topics[topic]
	if a.crowd == nil {
		a.crowd = &crowd{}
		if a.only != nil {
			a.crowd.add(a.only)
			a.only = nil
		}
		shard.set(topic, a)
	}
	return a.crowd
}

func (shard *hubShard) has(topic string) bool {
	_, used := shard.topics[topic]
	return used
}

func (shard *hubShard) set(topic string, a audience) {
	n := len(shard.topics)
	shard.topics[topic] = a
	if len(shard.topics) > n {
		shard.most = max(shard.most, len(shard.topics))
		shard.tell(topic, true)
	}
}

func (shard *hubShard) dropIfEmpty(topic string, c *crowd) {
	switch {
	case len(c.members) > 0 || len(c.listeners) > 0:
	case c.past == nil:
		shard.drop(topic)
	case c.past.order != nil && c.past.order.owner != 0 && !c.past.order.giving:
		shard.hub.dropPast(shard, topic) // its owner has it
	}
}

func (shard *hubShard) drop(topic string) {
	delete(shard.topics, topic)
	if n := len(shard.topics); shard.most > 64 && n < shard.most/4 { // a map never gets smaller
		smaller := make(map[string]audience, 2*n)
		maps.Copy(smaller, shard.topics)
		shard.topics, shard.most = smaller, n
	}
	shard.tell(topic, false)
}

func (c *crowd) add(s *Subscription) {
	s.place = int32(len(c.members))
	c.members = append(c.members, s)
}

func (c *crowd) remove(s *Subscription) {
	if s.place < 0 || int(s.place) >= len(c.members) || c.members[s.place] != s {
		return
	}
	last := len(c.members) - 1
	c.members[s.place] = c.members[last]
	c.members[s.place].place = s.place
	c.members[last] = nil
	c.members = c.members[:last]
	s.place = -1
	if cap(c.members) > 64 && last < cap(c.members)/4 { // most of them have left
		c.members = append(make([]*Subscription, 0, 2*last), c.members...)
	}
}

// broadcast is a message on its way to many: it is encoded, and copied, at most
// once for all who get it in the same form.
type broadcast struct {
	*Outgoing
	formsFrom int // as the hub's
	encodings []encoding
	copied    *outMessage
	diverted  []*handler // of those that take it for all members
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

// divert gives the message to a handler that intercepts it.
func (b *broadcast) divert(by *handler) {
	if by.forAll() {
		if slices.Contains(b.diverted, by) {
			return
		}
		b.diverted = append(b.diverted, by)
	}
	by.intercept(b.message())
}

// message is a copy that outlives the guest's effects.
func (b *broadcast) message() *outMessage {
	if b.copied == nil {
		b.copied = &outMessage{
			Broadcasted: Broadcasted{Topic: b.Topic, Event: b.Name, Payload: bytes.Clone(b.Payload), Binary: b.Binary},
			except:      b.except,
		}
		b.copied.copy = b.copied
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
	if b.formsFrom > 0 && len(f.Data) >= b.formsFrom {
		f.other = &otherForm{}
	}
	b.encodings = append(b.encodings, encoding{c, f, err})
	return &b.encodings[len(b.encodings)-1]
}

// TopicMembers is a topic and how many subscriptions it has.
type TopicMembers struct {
	Topic   string
	Members int
}

// Topics lists at most limit topics that have members and begin with prefix, in order,
// starting behind the topic after. It looks at every topic there is.
func (h *Hub) Topics(prefix, after string, limit int) []TopicMembers {
	var found []TopicMembers
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		for topic, a := range shard.topics {
			if n := a.len(); n > 0 && topic > after && strings.HasPrefix(topic, prefix) {
				found = append(found, TopicMembers{topic, n})
			}
		}
		shard.mu.RUnlock()
	}
	slices.SortFunc(found, func(a, b TopicMembers) int { return strings.Compare(a.Topic, b.Topic) })
	return found[:min(len(found), limit)]
}
