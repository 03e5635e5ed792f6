package channels

import (
	"sync"

	"rtd/channels/presence"
)

// Payer accounts for bytes that are kept for handlers and processes and come from no client,
// such as broadcasts that wait. An actor of another package that is present somewhere names
// its payer by a method Payer.
type Payer = presence.Payer

// payerOf returns the payer for the presences of an actor, or of a member of a topic; or nil.
func payerOf(owner any) Payer {
	switch o := owner.(type) {
	case *Channel:
		return o.plugin
	case *SharedChannel:
		return o.plugin
	case *member:
		return payerOf(o.channel)
	case interface{ Payer() Payer }:
		return o.Payer()
	}
	return nil
}

// costs of a message are paid while it waits for several receivers, who share one copy. Each
// payer pays once, for as long as one of its receivers waits.
type costs struct {
	mu    sync.Mutex
	first cost // of many messages the only one
	more  []cost
}

type cost struct {
	payer Payer
	waits int
}

// of returns the cost for p, new or not. Callers hold mu.
func (s *costs) of(p Payer) *cost {
	if s.first.payer == nil {
		s.first.payer = p
	}
	if s.first.payer == p {
		return &s.first
	}
	for i := range s.more {
		if s.more[i].payer == p {
			return &s.more[i]
		}
	}
	s.more = append(s.more, cost{payer: p})
	return &s.more[len(s.more)-1]
}

// keep counts one more receiver that p pays for, if p has room for the message.
func (out *outMessage) keep(p Payer) bool {
	out.costs.mu.Lock()
	defer out.costs.mu.Unlock()
	s := out.costs.of(p)
	if s.waits == 0 && !p.Keep(out.size()) {
		return false
	}
	s.waits++
	return true
}

// give counts one receiver of p less.
func (out *outMessage) give(p Payer) {
	out.costs.mu.Lock()
	defer out.costs.mu.Unlock()
	s := out.costs.of(p)
	if s.waits--; s.waits == 0 {
		p.Give(out.size())
	}
}

func (out *outMessage) size() int {
	return messageOverhead + len(out.Topic) + len(out.Event) + len(out.Payload)
}

// Keep is called before the broadcast waits for a process that p pays for, and Give after
// that. However many processes wait, p pays once. Keep returns false if p has no room.
func (b Broadcasted) Keep(p Payer) bool { return b.copy.keep(p) }

// Give ends one [Broadcasted.Keep].
func (b Broadcasted) Give(p Payer) { b.copy.give(p) }
