package channels

import (
	"bytes"
	"context"
	"sync"

	"rtd/channels/history"
)

// What other nodes broadcast to topics with a durable history is stored here in the same way as what is broadcast here. It waits for that in one
// queue, as whoever brings it must not wait:
//
//	Deliver ──► foreigners ──► Prepare ──► archive, some at a time ──► Release
//
// This node stores what other nodes say as long as the topic is in use here. While it is not, and while this node is down, they go on without it. So the
// positions of such a history have an epoch that begins with each use, and not that of the archive: who comes back later is told that something may be
// missing. The same happens if something is lost while the topic is in use: members are told by the event recovered, with "complete": false.

// foreigners are the broadcasts of other nodes that wait to be stored.
type foreigners struct {
	mu    sync.Mutex // after a shard's
	list  []Outgoing
	bytes int
	wake  chan struct{}
}

// maxForeign bounds the bytes of what waits.
const maxForeign = 16 << 20

// storeForeign has a broadcast stored that another node made, if its topic has a durable history.
func (h *Hub) storeForeign(o *Outgoing) bool {
	shard := h.shard(o.Topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	a := shard.topics[o.Topic]
	durable := a.crowd != nil && a.crowd.past != nil && a.crowd.past.archived != nil
	if !durable {
		return false
	}
	f := &h.archives.foreign
	f.mu.Lock()
	defer f.mu.Unlock()
	size := sizeOf(o)
	if f.bytes+size > maxForeign {
		h.archives.refused.Add(1)
		a.crowd.past.archived.lost.Store(true)
		return true
	}
	f.bytes += size
	f.list = append(f.list, *o)
	last := &f.list[len(f.list)-1]
	last.Payload = bytes.Clone(o.Payload)
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return true
}

func sizeOf(o *Outgoing) int { return len(o.Topic) + len(o.Name) + len(o.Payload) + keptSize }

// take returns the first that wait, as many as are stored at a time.
func (f *foreigners) take() []Outgoing {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for total := 0; n < len(f.list); n++ {
		size := sizeOf(&f.list[n])
		if total += size; total > maxSay && n > 0 {
			break
		}
		f.bytes -= size
	}
	some := f.list[:n:n]
	if f.list = f.list[n:]; len(f.list) == 0 {
		f.list = nil
	}
	return some
}

// runForeign stores what other nodes said, and sends it then, until ctx ends.
func (h *Hub) runForeign(ctx context.Context) {
	for {
		some := h.archives.foreign.take()
		if len(some) == 0 {
			select {
			case <-h.archives.foreign.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		h.sayForeign(ctx, some)
	}
}

// sayForeign stores and sends some broadcasts, in order.
func (h *Hub) sayForeign(ctx context.Context, some []Outgoing) {
	var batch []*Said
	store := func() {
		if len(batch) == 0 {
			return
		}
		err := h.archives.archive.Store(ctx, batch)
		for _, s := range batch {
			if err != nil {
				s.past.archived.lost.Store(true)
				s.Drop()
			} else {
				s.Release()
			}
		}
		batch = nil
	}
	for i := range some {
		o := &some[i]
		s, err := h.prepare(ctx, o.Topic, o.Name, o.Binary)
		switch {
		case err != nil: // it is counted
			h.missedIn(o.Topic)
		case s == nil: // the history is not durable any more
			store()
			_ = h.Broadcast(o, nil) // it counts members whose codec cannot write it
		default:
			s.Payload, s.foreign = o.Payload, true
			batch = append(batch, s)
		}
	}
	store()
}

// Missed says that broadcasts of other nodes may have been lost on the way here, such as by a reset link: members of topics with a durable history are told so, and
// whoever comes back to one of before. It takes as long as there are topics with history.
func (h *Hub) Missed() {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		for topic, c := range shard.pasts {
			if c.past.archived == nil {
				continue
			}
			c.past.mu.Lock()
			if c.past.archived.ready {
				h.tellMissed(topic, c)
			} // else it has an epoch of its own when it is
			c.past.mu.Unlock()
		}
		shard.mu.RUnlock()
	}
}

// missedIn notes that something is lost in one topic.
func (h *Hub) missedIn(topic string) {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	if c := shard.pasts[topic]; c != nil && c.past.archived != nil {
		c.past.archived.lost.Store(true)
	}
}

// tellMissed begins another epoch, and tells members that something is missing before it. Callers hold the shard's mu and the past's.
func (h *Hub) tellMissed(topic string, c *crowd) {
	p := c.past
	p.archived.lost.Store(false)
	p.log.Renew(history.NewEpoch())
	ref := quoted(p.log.Position())
	o := Outgoing{Kind: Broadcast, Ref: ref, Topic: topic, Name: eventRecovered, Payload: recoveredPayload(gapMissed, ref, 0)}
	b := broadcast{Outgoing: &o, formsFrom: h.formsFrom}
	for _, s := range c.members {
		s.behind = !b.send(s)
	}
}

// shownEpoch is the epoch of positions in a topic whose archive has another one perhaps.
func (h *Hub) shownEpoch(topic, archived string) string {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	if shard.remote != nil {
		return history.NewEpoch()
	}
	return archived
}
