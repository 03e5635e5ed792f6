package gateway

import (
	"maps"
	"sync"

	"rtd/host/gateway/longpoll"
	"rtd/host/gateway/wire"
)

// Stats has the present numbers of a gateway, and its counts since the start.
type Stats struct {
	Connections int // those about to be accepted included
	Visitors    int // connections that are none of these, or not yet
	Polls       longpoll.Stats
	Accepted    uint64 // connections, and sessions of long polling
	FramesOut   uint64 // written to connections
	Refused     map[string]uint64
	Closed      map[CloseFrame]uint64 // connections that rtd closed
}

// Stats returns them. Its maps are the caller's.
func (g *Gateway) Stats() Stats {
	return Stats{
		Connections: g.conns.len(), Visitors: g.gate.Len(), Polls: g.polls.Stats(),
		Accepted: g.accepted.Load(), FramesOut: g.framesOut.Load(),
		Refused: g.refusals.counts.all(), Closed: g.closed.all(),
	}
}

// Poller says how connections are waited for, in the words of package wire.
func (g *Gateway) Poller() string {
	if g.config.Server.TLSCert != "" {
		return wire.Goroutines
	}
	return g.poller.Kind()
}

// tally counts rare things by what they are; the zero value has counted nothing.
type tally[K comparable] struct {
	mu sync.Mutex
	of map[K]uint64
}

func (t *tally[K]) add(what K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[K]uint64{}
	}
	t.of[what]++
}

// all returns a copy.
func (t *tally[K]) all() map[K]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.of)
}
