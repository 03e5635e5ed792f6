package channels

import (
	"bytes"
	"context"
	"sync"
)

// What other nodes broadcast to topics with a durable history is stored here in the same way as what is broadcast here. It waits for that in one
// queue, as whoever brings it must not wait:
//
//	Deliver ──► foreigners ──► Prepare ──► archive, some at a time ──► Release

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
	a := shard.topics[o.Topic]
	durable := a.crowd != nil && a.crowd.past != nil && a.crowd.past.archived != nil
	shard.mu.RUnlock()
	if !durable {
		return false
	}
	f := &h.archives.foreign
	f.mu.Lock()
	defer f.mu.Unlock()
	size := sizeOf(o)
	if f.bytes+size > maxForeign {
		h.archives.refused.Add(1)
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

// take returns the first that wait, about as many as are stored at a time.
func (f *foreigners) take() []Outgoing {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for size := 0; n < len(f.list) && size <= maxSay; n++ {
		size += sizeOf(&f.list[n])
		f.bytes -= sizeOf(&f.list[n])
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
