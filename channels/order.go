package channels

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"rtd/channels/history"
)

// In a cluster a topic with history in memory has one order on all nodes. One of them is its owner, and numbers its broadcasts:
//
//	Broadcast ──► Orderer.Send ══► Hub.Order of the owner: it has an offset ──► members there; log
//	                                             │
//	members here; log ◄── Hub.Ordered ◄══ Orderer.SendAll, to all nodes with interest
//
// So members here wait for the way to the owner and back. Every node with members has the log, and recovers its clients out of it. It learns the log from the owner
// when the topic comes into use, or when it sees that something is missing; what comes meanwhile is held, and so are members that join.
//
// The owner is what [Orderer].Owner says, which changes when nodes come and go. An owner that is none any more hands the log to the next one, which goes on with it. If
// it went without a word, the next one begins another epoch: it cannot know what was said last. Members that were there are told so by the event recovered,
// with "complete": false, as if they had come back: what was on its way may be lost.

// Orderer says which node orders a topic, and brings it there. It is the [Remote] of the same hub, and its methods are bound in the same way.
type Orderer interface {
	// Owner returns a number for the node that orders the broadcasts of a topic; 0 is this one.
	Owner(topic string) uint64
	// Send sends a broadcast to the owner, which is not this one, and calls [Hub.Order] there. SendAll sends one that was ordered here to all nodes with
	// interest, and calls [Hub.Ordered] there. Both keep the order of their calls for a topic, and copy the payload.
	Send(owner uint64, o *Ordered)
	SendAll(o *Ordered)
	// Fits reports whether a broadcast is small enough to be sent to other nodes, and says so in the log if not.
	Fits(topic, event string, payload int) bool
	// Hand gives the log of a topic to its owner, and calls [Hub.Handed] there. Give has [Hub.HandOver] called soon, which calls Hand: there may be many
	// topics, and they must not all be on their way at once.
	Hand(owner uint64, topic string, log Archived)
	Give(owner uint64, topic string)
	// Learn asks for the log of a topic: from its owner, or, if this is the owner, from the node that would be it otherwise. It calls [Hub.Learned] with the answer,
	// later. It is called again if that is of no use.
	Learn(topic string)
	// Wanted reports whether another node has interest in a topic.
	Wanted(topic string) bool
}

// Ordered is a broadcast on its way to the node that orders it, or from there.
type Ordered struct {
	Topic, Event string
	Payload      []byte
	Binary       bool
	Position     history.Position // once it is ordered
	At           time.Time        // when it was
	Origin       string           // the node that it was made on; "" is this one
	Ref          uint64           // by which that knows who is left out; 0: nobody
	Hops         int              // nodes that have passed it on, since they saw another owner

	from uint64 // the node that says it has ordered it
}

// maxHops is how often a broadcast is passed on while nodes do not agree about the owner.
const maxHops = 3

// ordering is what a past needs whose order is that of a cluster. It is guarded by the past's mu.
type ordering struct {
	owner   uint64 // that this node knows
	known   bool   // the log is what it has to be
	giving  bool   // the log is to be handed to the owner, which this node was until now
	told    bool   // members have been told a position of it
	theirs  bool   // its epoch is that of another node
	waiting []comer
	held    []*Ordered // what came meanwhile: to be ordered, or ordered
	bytes   int        // of held
	dropped bool       // some of it had no room

	strays  map[string]uint64 // by epoch: the last one of it that another node had ordered, and that was ordered here again
	senders map[uint64]sender // of broadcasts that are under way
	ref     uint64
}

// sender is who is left out of a broadcast.
type sender struct {
	*Subscription
	member string // of a SharedChannel
	from   uint64
	since  time.Time
}

const (
	maxHeld    = 4 << 20 // bytes that are held of a topic
	maxSenders = 1 << 14
	maxStrays  = 64
	forgetSent = 30 * time.Second
)

// Sequence has topics with history in memory be ordered by one node for all. It is to be called before the first subscription, with the hub's remote.
func (h *Hub) Sequence(o Orderer) { h.orderer = o }

// ordered reports whether a topic that keeps has its order from a cluster.
func (h *Hub) sequenced(keep Keep) bool {
	return h.orderer != nil && !(keep.Durable && h.archives.archive != nil)
}

// elsewhere sends a broadcast of a topic that nobody uses here to its owner, if that is another node.
func (h *Hub) elsewhere(o *Outgoing) bool {
	if h.orderer == nil {
		return false
	}
	keep, has := (*h.keeps.Load())(o.Topic)
	if !has || !h.sequenced(keep) {
		return false
	}
	owner := h.orderer.Owner(o.Topic)
	if owner == 0 {
		return false
	}
	h.orderer.Send(owner, &Ordered{Topic: o.Topic, Event: o.Name, Payload: o.Payload, Binary: o.Binary})
	return true
}

// order is broadcastKept in a topic that has its order from a cluster. Callers hold the shard's mu and the past's.
func (h *Hub) order(o *Outgoing, except *Subscription, c *crowd) error {
	p := c.past
	if !h.orderer.Fits(o.Topic, o.Name, len(o.Payload)) { // members here get it, and it has no position
		h.unkept.Add(1)
		b := broadcast{Outgoing: o, formsFrom: h.formsFrom}
		h.deliver(&b, except, c.members, c.listeners, nil)
		return b.failed
	}
	h.review(o.Topic, p)
	r := p.order
	if r.owner == 0 && r.known {
		return h.orderHere(&Ordered{At: orderedAt()}, o, except, c)
	}
	ref, ok := r.note(o, except)
	if !ok {
		h.unkept.Add(1)
		return nil
	}
	said := &Ordered{Topic: o.Topic, Event: o.Name, Payload: o.Payload, Binary: o.Binary, Ref: ref}
	if r.owner != 0 {
		h.orderer.Send(r.owner, said)
	} else {
		said.Payload = bytes.Clone(o.Payload)
		h.hold(p, said)
	}
	return nil
}

// note remembers who is left out of a broadcast.
func (r *ordering) note(o *Outgoing, except *Subscription) (ref uint64, ok bool) {
	if except == nil && o.except == "" && o.from == 0 {
		return 0, true
	}
	now := time.Now()
	if len(r.senders) >= maxSenders {
		for ref, s := range r.senders {
			if now.Sub(s.since) > forgetSent {
				delete(r.senders, ref)
			}
		}
		if len(r.senders) >= maxSenders {
			return 0, false
		}
	}
	if r.senders == nil {
		r.senders = map[uint64]sender{}
	}
	r.ref++
	r.senders[r.ref] = sender{except, o.except, o.from, now}
	return r.ref, true
}

// sender returns who is left out of a broadcast, and forgets it.
func (r *ordering) sender(o *Ordered) (s sender) {
	if o.Origin == "" && o.Ref != 0 {
		s = r.senders[o.Ref]
		delete(r.senders, o.Ref)
	}
	return s
}

// hold keeps a broadcast until the log is known.
func (h *Hub) hold(p *past, o *Ordered) {
	r := p.order
	if r.bytes += len(o.Payload) + keptSize; r.bytes > maxHeld {
		r.dropped = true
		r.bytes -= len(o.Payload) + keptSize
		h.unkept.Add(1)
		return
	}
	r.held = append(r.held, o)
}

// orderHere gives a broadcast its position, and sends it to members here and to the other nodes. Callers hold the shard's mu and the past's.
func (h *Hub) orderHere(said *Ordered, o *Outgoing, except *Subscription, c *crowd) error {
	said.Position, c.past.order.told = c.past.log.Next(), true
	k := h.newKept(o, said.At, said.Position)
	err := h.keepAndSend(k, except, c)
	said.Topic, said.Event, said.Payload, said.Binary = k.Topic, k.Name, k.Payload, k.Binary
	h.orderer.SendAll(said)
	return err
}

// orderedAt is the time, as exact as it is told to other nodes.
func orderedAt() time.Time { return time.Now().Truncate(time.Microsecond) }

// takeOrder orders what was held, or came from another node. Callers hold the shard's mu and the past's.
func (h *Hub) takeOrder(said *Ordered, c *crowd) {
	if !c.past.order.isNew(said, c.past.log.Position().Epoch) {
		return
	}
	o, except := c.past.order.outgoing(said)
	said.At = orderedAt()
	_ = h.orderHere(said, o, except, c) // it counts members whose codec cannot write it
}

// isNew reports whether what another node may have ordered is still to be ordered here. Several nodes may bring it.
func (r *ordering) isNew(said *Ordered, epoch string) bool {
	at := said.Position
	if at.Offset == 0 {
		return true
	}
	if at.Epoch == epoch || at.Offset <= r.strays[at.Epoch] {
		return false // it is in the log that this node has got, or was ordered before
	}
	if len(r.strays) >= maxStrays {
		r.strays = nil
	}
	if r.strays == nil {
		r.strays = map[string]uint64{}
	}
	r.strays[at.Epoch] = at.Offset
	return true
}

func (r *ordering) outgoing(said *Ordered) (o *Outgoing, except *Subscription) {
	s := r.sender(said)
	return &Outgoing{
		Kind: Broadcast, Topic: said.Topic, Name: said.Event, Payload: said.Payload, Binary: said.Binary, except: s.member, from: s.from,
	}, s.Subscription
}

// Order orders a broadcast that another node sends to this one. The error is that of [CheckPublish].
func (h *Hub) Order(said *Ordered) error {
	if err := CheckPublish(said.Topic, said.Event, said.Payload, said.Binary); err != nil {
		return err
	}
	if owner := h.orderer.Owner(said.Topic); owner != 0 {
		if said.Hops++; said.Hops > maxHops {
			h.unkept.Add(1)
			return nil
		}
		h.orderer.Send(owner, said)
		return nil
	}
	h.BeginHistory(said.Topic)
	if h.withOrder(said.Topic, func(c *crowd) {
		h.review(said.Topic, c.past)
		switch r := c.past.order; {
		case r.owner != 0: // since a moment ago
			h.orderer.Send(r.owner, said)
		case r.known:
			h.takeOrder(said, c)
		default:
			held := *said
			held.Payload = bytes.Clone(said.Payload)
			h.hold(c.past, &held)
		}
	}) {
		return nil
	}
	// This node has no history of the topic, for want of room or as its config is another one: it gets there without a position.
	return h.Broadcast(&Outgoing{Kind: Broadcast, Topic: said.Topic, Name: said.Event, Payload: said.Payload, Binary: said.Binary}, nil)
}

// Ordered takes a broadcast that another node has ordered, which is the owner of its topic, or thinks so. The error is that of [CheckPublish].
//
// It thinks so as long as it does not see the owner, such as when the way between these two is cut, and to others is not. What it orders then has an epoch of its own. The
// owner orders that again, in the other one, so that nobody who sees both misses it.
func (h *Hub) Ordered(from uint64, said *Ordered) error {
	said.from = from
	if err := CheckPublish(said.Topic, said.Event, said.Payload, said.Binary); err != nil {
		return err
	}
	if !h.withOrder(said.Topic, func(c *crowd) {
		h.review(said.Topic, c.past)
		switch r := c.past.order; {
		case !r.known:
			held := *said
			held.Payload = bytes.Clone(said.Payload)
			h.hold(c.past, &held)
		case r.owner == 0:
			h.takeOrder(said, c)
		case from != r.owner && said.Position.Epoch != c.past.log.Position().Epoch:
			h.stray(said, r)
		default:
			h.follow(said, c)
		}
	}) {
		return h.Deliver(said.Topic, said.Event, said.Payload, said.Binary)
	}
	return nil
}

// stray sends what another node has ordered to the owner of its topic.
func (h *Hub) stray(said *Ordered, r *ordering) {
	if said.Hops++; said.Hops > maxHops {
		h.unkept.Add(1)
		return
	}
	h.orderer.Send(r.owner, said)
}

// follow takes the next broadcast of the owner. Callers hold the shard's mu and the past's.
func (h *Hub) follow(said *Ordered, c *crowd) {
	p := c.past
	switch next := p.log.Next(); {
	case said.Position.Epoch == next.Epoch && said.Position.Offset < next.Offset: // it was told before
	case said.Position == next:
		o, except := p.order.outgoing(said)
		p.order.told = true
		_ = h.keepAndSend(h.newKept(o, said.At, said.Position), except, c)
	default:
		held := *said
		held.Payload = bytes.Clone(said.Payload)
		p.order.known = false
		h.hold(p, &held)
		h.orderer.Learn(said.Topic)
	}
}

// withOrder calls f with the crowd of a topic that has its order from a cluster. f has the locks of both.
func (h *Hub) withOrder(topic string, f func(c *crowd)) bool {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	a := shard.topics[topic]
	if a.crowd == nil || a.crowd.past == nil || a.crowd.past.order == nil {
		return false
	}
	a.crowd.past.mu.Lock()
	defer a.crowd.past.mu.Unlock()
	f(a.crowd)
	return true
}

// newOrdering begins the order of a topic that comes into use.
func (h *Hub) newOrdering(topic string, p *past) {
	p.order = &ordering{owner: h.orderer.Owner(topic)}
	h.orderer.Learn(topic)
}

// review takes over who owns a topic. Callers hold the past's mu.
func (h *Hub) review(topic string, p *past) {
	r, owner := p.order, h.orderer.Owner(topic)
	was := r.owner
	if owner == was {
		return
	}
	r.owner = owner
	if was == 0 {
		r.giving = r.known
		for _, said := range r.held {
			h.orderer.Send(owner, said)
		}
	}
	switch {
	case owner == 0:
		r.known, r.giving = r.giving, false // it was given to nobody, and nobody else has ordered anything
		if r.held, r.bytes, r.dropped = nil, 0, false; r.known {
			return
		}
	case r.giving:
		h.orderer.Give(owner, topic)
	}
	r.held, r.bytes, r.dropped, r.known = nil, 0, false, false
	h.orderer.Learn(topic)
}

// maxHanded bounds the bytes of a log that is given to another node at a time, about.
const maxHanded = 1 << 20

// archive returns the newest of the log.
func (p *past) archive(most int) Archived {
	a := Archived{Epoch: p.log.Position().Epoch, Last: p.log.Position().Offset}
	for offset, k := range p.log.Page(0, p.log.Len()) {
		a.Messages = append(a.Messages, PastMessage{offset, k.at, k.Name, k.Payload, k.Binary})
	}
	size := 0
	for i := len(a.Messages) - 1; i >= 0; i-- {
		if size += len(a.Messages[i].Payload) + keptSize; size > most {
			a.Messages = a.Messages[i+1:]
			break
		}
	}
	return a
}

// OwnersChanged has topics take over their owners. It is to be called when what [Orderer].Owner says has changed, and takes as long as there are topics with history.
func (h *Hub) OwnersChanged() { h.eachOrder(func(topic string, c *crowd) { h.review(topic, c.past) }) }

// Doubt has topics learned again that a node orders, as some of what it ordered may be lost on the way.
func (h *Hub) Doubt(owner uint64) {
	h.eachOrder(func(topic string, c *crowd) {
		h.review(topic, c.past)
		if r := c.past.order; r.owner == owner && r.known {
			r.known = false
			h.orderer.Learn(topic)
		}
	})
}

func (h *Hub) eachOrder(f func(topic string, c *crowd)) {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		for topic, c := range shard.pasts {
			if c.past.order == nil {
				continue
			}
			c.past.mu.Lock()
			f(topic, c)
			c.past.mu.Unlock()
		}
		shard.mu.RUnlock()
	}
}

// ErrNotOwner says that a node does not order a topic, and ErrNotYet that it cannot tell its log yet.
var (
	ErrNotOwner = errors.New("another node orders the topic")
	ErrNotYet   = errors.New("the topic's history is not known yet")
)

// Tell returns the messages of a topic that this node orders behind an offset of an epoch, the oldest first and as many as fit; those of another epoch from the first. The
// error is [ErrNotOwner] or [ErrNotYet].
func (h *Hub) Tell(topic, epoch string, after uint64) (log Archived, err error) {
	if h.orderer.Owner(topic) != 0 {
		return log, ErrNotOwner
	}
	h.BeginHistory(topic)
	if !h.withOrder(topic, func(c *crowd) {
		h.review(topic, c.past)
		switch r := c.past.order; {
		case r.owner != 0:
			err = ErrNotOwner
		case !r.known:
			err = ErrNotYet
		default:
			r.told = true
			log = c.past.part(epoch, after)
		}
	}) {
		err = ErrNotOwner
	}
	return log, err
}

// part returns the messages behind an offset, as many as fit.
func (p *past) part(epoch string, after uint64) Archived {
	a := Archived{Epoch: p.log.Position().Epoch, Last: p.log.Position().Offset}
	if epoch != a.Epoch {
		after = 0
	}
	size := 0
	for offset, k := range p.log.Page(after, p.log.Len()) {
		if size += len(k.Payload) + keptSize; size > maxHanded && len(a.Messages) > 0 {
			break
		}
		a.Messages = append(a.Messages, PastMessage{offset, k.at, k.Name, k.Payload, k.Binary})
	}
	return a
}

// HandOver hands the log of a topic to its owner, if this node was that and has not yet. It returns false if this node still is, by what it sees.
func (h *Hub) HandOver(topic string) (over bool) {
	over = true
	h.withOrder(topic, func(c *crowd) {
		h.review(topic, c.past)
		r := c.past.order
		if r.giving {
			h.orderer.Hand(r.owner, topic, c.past.archive(maxHanded))
			r.giving = false
		}
		over = r.owner != 0
	})
	return over
}

// HistoryIsHere reports whether this node can tell the history of a topic by itself.
func (h *Hub) HistoryIsHere(topic string) bool {
	if h.orderer == nil || h.orderer.Owner(topic) == 0 {
		return true
	}
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	a := shard.topics[topic]
	if a.crowd == nil || a.crowd.past == nil {
		keep, has := Keep{}, false
		if keeps := h.keeps.Load(); keeps != nil {
			keep, has = (*keeps)(topic)
		}
		return has && !h.sequenced(keep)
	}
	p := a.crowd.past
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order == nil || p.order.known
}

// Standing returns how far a topic is that this node follows: what is behind it is to be learned.
func (h *Hub) Standing(topic string) (at history.Position, needed bool) {
	h.withOrder(topic, func(c *crowd) {
		at, needed = c.past.log.Position(), !c.past.order.known
		if !c.past.order.told {
			at = history.Position{}
		}
	})
	return at, needed
}

// Handed takes the log of a topic from the node that has ordered it until now.
func (h *Hub) Handed(topic string, log Archived) {
	if h.orderer.Owner(topic) != 0 {
		return // it is asked for, if need be
	}
	h.BeginHistory(topic)
	h.withOrder(topic, func(c *crowd) {
		h.review(topic, c.past)
		if r := c.past.order; r.owner == 0 && r.known {
			h.missed(topic, &log, c)
		}
	})
	h.Learned(topic, 0, &log)
}

// missed tells members what they have not got: while nodes did not see each other, both ordered the topic, and this node goes on. The epoch is another one, so
// that whoever comes back is told as well. Callers hold the shard's mu and the past's.
func (h *Hub) missed(topic string, log *Archived, c *crowd) {
	p := c.past
	last := Ordered{Position: history.Position{Epoch: log.Epoch, Offset: log.Last}}
	if log.Last == 0 || !p.order.isNew(&last, p.log.Position().Epoch) {
		return
	}
	h.counted(p, func() { p.log.Renew(history.NewEpoch()) })
	p.order.theirs = false
	h.tellGap(topic, history.GapEpoch, c)
}

// Learned takes the log of a topic as its owner knows it, or, on the owner, as the one before has left it. log is nil if nobody has one. The messages are dense, up
// to Last; what is in them must not be changed.
func (h *Hub) Learned(topic string, owner uint64, log *Archived) {
	shard := h.shard(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a := shard.topics[topic]
	if a.crowd == nil || a.crowd.past == nil || a.crowd.past.order == nil {
		return
	}
	c, p := a.crowd, a.crowd.past
	p.mu.Lock()
	h.review(topic, p)
	r := p.order
	if r.owner != owner || r.known {
		p.mu.Unlock()
		return
	}
	// Those who wait are told all that is known once it is: until then they get nothing of it, or it would come twice, and too early.
	coming := slices.DeleteFunc(r.waiting, func(w comer) bool { return w.Subscription.place < 0 })
	r.waiting = nil
	for _, w := range coming {
		c.remove(&w.Subscription)
	}
	if r.giving && log != nil && log.Epoch != p.log.Position().Epoch { // the owner has another log, and is to know that there was this one
		h.orderer.Hand(r.owner, topic, p.archive(maxHanded))
		r.giving = false
	}
	if gap := h.adopt(topic, log, c); gap != "" {
		h.tellGap(topic, gap, c)
	}
	r.known = true
	for _, w := range coming { // what is held comes behind that, to them as to the others
		c.add(&w.Subscription)
		h.recoverLocked(p, w.member, w.again)
	}
	held, dropped := r.held, r.dropped
	r.held, r.bytes, r.dropped = nil, 0, false
	for _, said := range held {
		switch {
		case r.owner == 0:
			h.takeOrder(said, c)
		case said.Position.Epoch != p.log.Position().Epoch && said.from != r.owner:
			h.stray(said, r)
		case said.Position.Epoch != p.log.Position().Epoch:
			dropped = true // the log is newer than that, or there is a newer one by now
		case r.known:
			h.follow(said, c)
		default:
			h.hold(p, said) // something is missing again
		}
	}
	if dropped && r.owner != 0 && r.known {
		r.known = false
		h.orderer.Learn(topic)
	}
	p.mu.Unlock()
}

// adopt makes a log that of the topic. What members have missed goes to them; the gap says that some of it is gone. Callers hold the shard's mu and the past's.
func (h *Hub) adopt(topic string, log *Archived, c *crowd) (gap history.Gap) {
	p := c.past
	at := p.log.Position()
	if log == nil {
		if p.order.told || at.Offset > 0 { // the node that ordered it is gone, and with it what only that knew
			gap = history.GapEpoch
		}
		if gap != "" || p.order.theirs {
			h.counted(p, func() { p.log = history.New[*kept](history.Position{Epoch: history.NewEpoch()}) })
			p.order.theirs = false
		}
		return gap
	}
	p.order.theirs = true
	first := log.Last + 1 - uint64(len(log.Messages))
	switch {
	case log.Epoch == at.Epoch && log.Last >= at.Offset && first <= at.Offset+1:
		for _, m := range log.Messages[at.Offset+1-first:] {
			said := &Ordered{Topic: topic, Event: m.Event, Payload: m.Payload, Binary: m.Binary}
			o, _ := p.order.outgoing(said)
			p.order.told = true
			_ = h.keepAndSend(h.newKept(o, m.At, history.Position{Epoch: log.Epoch, Offset: m.Offset}), nil, c)
		}
		return ""
	case !p.order.told:
	case log.Epoch == at.Epoch && log.Last >= at.Offset:
		gap = history.GapGone
	default:
		gap = history.GapEpoch
	}
	h.counted(p, func() {
		p.log = history.New[*kept](history.Position{Epoch: log.Epoch, Offset: first - 1})
	})
	for _, m := range log.Messages {
		o := Outgoing{Topic: topic, Name: m.Event, Payload: m.Payload, Binary: m.Binary}
		h.append(p, h.newKept(&o, m.At, history.Position{Epoch: log.Epoch, Offset: m.Offset}))
	}
	return gap
}

// tellGap tells all members that they may have missed something, and where they stand. Callers hold the shard's mu and the past's.
func (h *Hub) tellGap(topic string, gap history.Gap, c *crowd) {
	c.past.order.told = true
	ref := quoted(c.past.log.Position())
	payload := recoveredPayload(gap, ref, 0)
	for _, s := range c.members {
		f, err := s.Codec.Encode(&Outgoing{Kind: Broadcast, Ref: ref, Topic: topic, Name: eventRecovered, Payload: payload})
		if err == nil {
			s.Out.Send(f)
		}
		s.behind = false
	}
}
