package channels

import (
	"bytes"
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
