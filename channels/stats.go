package channels

import "sync/atomic"

// Stats are an endpoint's gauges, and its counters since its start.
type Stats struct {
	Sockets        int64  // connected now
	Channels       int64  // joins of topics, those being decided included
	Shared         int    // topics with one handler for all members
	MessagesIn     uint64 // well-formed frames of clients
	RepliesPushes  uint64 // frames sent, without broadcasts
	Broadcasts     uint64 // asked for by guests
	Deliveries     uint64 // of broadcasts, one for each member
	Intercepted    uint64 // broadcasts that handlers took in place of their clients
	Undelivered    uint64 // messages that a member's codec cannot carry: binary ones for V1
	JoinsAccepted  uint64
	JoinsRefused   uint64 // by the handler
	JoinsCrashed   uint64
	JoinsOvertaken uint64 // that their clients had given up before their turn
	JoinsUnmatched uint64 // no plugin, an unavailable one, or too many joins
	Overloaded     uint64 // messages that found no room, or were too many for their plugin, and broadcasts for handlers that intercept
	OverRate       uint64 // frames that were too many, and end their connection
	Stale          uint64 // messages with an old join_ref, dropped
	Malformed      uint64 // frames that cannot be read, and end their connection
	HistoryBytes   int64  // that all histories take, about
	HistoryUnkept  uint64 // broadcasts that histories had no room for
	Recovered      uint64 // messages that clients were told after they had been away

	Lingering       int    // handlers of one join whose client is away
	Resumed         uint64 // joins that found the handler of the one before
	LingerTimeouts  uint64 // handlers whose client did not come back in time
	LingerCrowded   uint64 // those that had to go for others
	LingerOverflows uint64 // those for which more came than is kept
	HistoryRefused  uint64 // broadcasts of durable histories that could not be stored, and were not sent
}

type counts struct {
	sockets, channels                         atomic.Int64
	in, direct, broadcasts, intercepted       atomic.Uint64
	accepted, refused, joinCrashed, unmatched atomic.Uint64
	overtaken                                 atomic.Uint64
	overloaded, overRate, stale, malformed    atomic.Uint64
	handlers                                  atomic.Uint64 // there ever were
}

// Stats returns the figures of this moment.
func (e *Endpoint) Stats() Stats {
	e.mu.Lock()
	shared := len(e.shared)
	e.mu.Unlock()
	c := &e.counts
	return Stats{
		Sockets:        c.sockets.Load(),
		Channels:       c.channels.Load(),
		Shared:         shared,
		MessagesIn:     c.in.Load(),
		RepliesPushes:  c.direct.Load(),
		Broadcasts:     c.broadcasts.Load(),
		Deliveries:     e.Hub.deliveries.Load(),
		Intercepted:    c.intercepted.Load(),
		Undelivered:    e.Hub.undelivered.Load(),
		JoinsAccepted:  c.accepted.Load(),
		JoinsRefused:   c.refused.Load(),
		JoinsCrashed:   c.joinCrashed.Load(),
		JoinsUnmatched: c.unmatched.Load(),
		JoinsOvertaken: c.overtaken.Load(),
		Overloaded:     c.overloaded.Load(),
		OverRate:       c.overRate.Load(),
		Stale:          c.stale.Load(),
		Malformed:      c.malformed.Load(),
		HistoryBytes:   e.Hub.pastBytes.Load(),
		HistoryUnkept:  e.Hub.unkept.Load(),
		Recovered:      e.Hub.recovered.Load(),

		Lingering:       e.lingers.len(),
		Resumed:         e.lingers.resumed.Load(),
		LingerTimeouts:  e.lingers.over.Load(),
		LingerCrowded:   e.lingers.crowded.Load(),
		LingerOverflows: e.lingers.overflowed.Load(),
		HistoryRefused:  e.Hub.archives.refused.Load(),
	}
}
