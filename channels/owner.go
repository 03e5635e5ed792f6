package channels

import (
	"errors"
	"slices"

	"rtd/channels/history"
)

// Who owns a topic with history, and how its log comes to others:
//
//	review: the owner is another ──► Give ──► HandOver ══► Handed ──► Learned
//	a topic comes into use, or something is missing ──► Learn ══► Tell of the owner ══► Learned
//
// Until a log is known, what comes is held, and members that join wait.

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
