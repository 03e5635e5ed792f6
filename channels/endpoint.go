package channels

import (
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Endpoint is what all sockets of a server share.
type Endpoint struct {
	Hub    *Hub
	Router *Router
	Limits Limits
	// Crashed, if given, is called once for each life of a channel that ended
	// in a crash, after the decision what follows. It must not block.
	Crashed func(Crash)

	counts counts
}

// NewEndpoint returns an endpoint with a hub and a router of its own.
func NewEndpoint(l Limits) *Endpoint {
	return &Endpoint{Hub: NewHub(), Router: NewRouter(), Limits: l.withDefaults()}
}

// Limits bound what one client may take. Zero means the default.
type Limits struct {
	// Joins is how many topics a socket may have joined. Default 100, as Phoenix.
	Joins int
	// Held is how many frames of one topic wait while its join is being
	// decided. Those beyond are answered "overloaded". Default 1,000.
	Held int
	// Pending is how many bytes of frames may wait in mailboxes for one socket's handlers.
	// Those beyond are answered "overloaded". Default 8 MiB.
	Pending int
}

func (l Limits) withDefaults() Limits {
	if l.Joins == 0 {
		l.Joins = 100
	}
	if l.Held == 0 {
		l.Held = 1000
	}
	if l.Pending == 0 {
		l.Pending = 8 << 20
	}
	return l
}

// Plugin is an application that serves topics. Its methods may be called from
// any goroutine.
type Plugin interface {
	// Name identifies it; the value itself is compared.
	Name() string
	// Supervisor supervises its channels, with the topic as their group.
	Supervisor() *supervisor.Dynamic
	// Current is the version that new lives begin with.
	Current() *Version
}

// Version is one version of a plugin. It does not change.
type Version struct {
	ID      string // for logs
	Restart supervisor.Restart
	Mailbox int // messages that may wait for one channel
	// New starts a guest for a channel of this topic. The caller closes it.
	New func(topic string) (Guest, error)
}

// Guest is the code behind one life of a channel. It is used by one goroutine
// at a time.
type Guest interface {
	// Handle takes one event. The effects are valid until the next call. An
	// error that wraps [ErrTooLarge] leaves the guest as it was; after any
	// other it is dead.
	Handle(e *abi.Event) ([]abi.Effect, error)
	Close()
}

// Crash tells of a life that crashed.
type Crash struct {
	Plugin   string
	Version  string
	Topic    string
	Event    string // that it was handling; "" if none
	Reason   error
	Decision supervisor.Decision
	Restarts int // of this channel so far
}

// Stats are an endpoint's counters since its start, and gauges.
type Stats struct {
	Sockets        int64  // connected now
	Channels       int64  // joined now
	MessagesIn     uint64 // frames of clients
	RepliesPushes  uint64 // replies and pushes sent
	Broadcasts     uint64
	Deliveries     uint64 // of broadcasts, one for each member
	JoinsAccepted  uint64
	JoinsRefused   uint64 // by the handler
	JoinsCrashed   uint64
	JoinsUnmatched uint64 // no plugin, or too many joins
	Overloaded     uint64 // messages answered "overloaded"
	Stale          uint64 // messages with an old join_ref, dropped
	Malformed      uint64 // frames that ended their connection
}

type counts struct {
	sockets, channels                                                       atomic.Int64
	in, direct, broadcasts                                                  atomic.Uint64
	accepted, refused, joinCrashed, unmatched, overloaded, stale, malformed atomic.Uint64
}

// Stats returns the figures of this moment.
func (e *Endpoint) Stats() Stats {
	c := &e.counts
	return Stats{
		Sockets:        c.sockets.Load(),
		Channels:       c.channels.Load(),
		MessagesIn:     c.in.Load(),
		RepliesPushes:  c.direct.Load(),
		Broadcasts:     c.broadcasts.Load(),
		Deliveries:     e.Hub.deliveries.Load(),
		JoinsAccepted:  c.accepted.Load(),
		JoinsRefused:   c.refused.Load(),
		JoinsCrashed:   c.joinCrashed.Load(),
		JoinsUnmatched: c.unmatched.Load(),
		Overloaded:     c.overloaded.Load(),
		Stale:          c.stale.Load(),
		Malformed:      c.malformed.Load(),
	}
}
