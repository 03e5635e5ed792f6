package channels

import (
	"cmp"
	"errors"
	"math"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Endpoint is what all sockets of a server share. Its fields are set before the
// first socket and do not change.
type Endpoint struct {
	Hub    *Hub
	Router *Router
	Limits Limits // as completed by NewEndpoint
	// Crashed, if given, is called once for each life of a channel that ended
	// in a crash, after the decision what follows. It is called on the process
	// of the plugin's supervisor: it must not block, nor call a Socket.
	Crashed func(Crash)

	counts counts
}

// NewEndpoint returns an endpoint with a hub and a router of its own.
func NewEndpoint(l Limits) *Endpoint {
	return &Endpoint{Hub: NewHub(), Router: NewRouter(), Limits: l.withDefaults()}
}

// Limits bound what one client may take. Zero means the default, a negative
// number none.
type Limits struct {
	// Joins is how many topics a socket may have joined, those being joined
	// included. Default 100, as Phoenix.
	Joins int
	// Held is how many frames of one topic may wait while its join or its end is
	// being decided. Those beyond are answered "overloaded". Default 1,000.
	Held int
	// Pending is how many bytes of one socket's frames may wait, held or in the
	// mailboxes of its channels. Those beyond are answered "overloaded".
	// Default 8 MiB.
	Pending int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Joins:   limit(l.Joins, 100),
		Held:    limit(l.Held, 1000),
		Pending: limit(l.Pending, 8<<20),
	}
}

func limit(given, byDefault int) int {
	if given < 0 {
		return math.MaxInt
	}
	return cmp.Or(given, byDefault)
}

// Plugin is an application that serves topics. Values are compared, so that the
// type must be comparable. Its methods may be called from any goroutine; callers
// hold locks, so that they must not block, nor call back into this package.
type Plugin interface {
	// Name identifies it to people.
	Name() string
	// Supervisor supervises its channels, with the topic as their group. A
	// supervisor that has ended for good must be closed: until then the joins
	// that it has taken wait.
	Supervisor() *supervisor.Dynamic
	// Current is the version that new lives begin with; never nil.
	Current() *Version
}

// Version is one version of a plugin. It does not change. Versions are the same
// if their pointers are.
type Version struct {
	ID      string // for people
	Restart supervisor.Restart
	// Mailbox is how many messages may wait for one channel; those beyond are
	// answered "overloaded". A channel keeps the bound that it was joined with.
	// Default 1,000.
	Mailbox int
	// New starts a guest for a channel of this topic, which closes it. It may
	// take its time, and be called from several goroutines.
	New func(topic string) (Guest, error)
}

// Guest is the code behind one life of a channel. It is used by one goroutine
// at a time.
type Guest interface {
	// Handle takes one event and returns the effects, among them at most one
	// reply. They are valid until Release, Close or the next Handle. An error
	// that wraps [ErrTooLarge] leaves the guest as it was; after any other it is
	// dead, and its effects do not count.
	Handle(e *abi.Event) ([]abi.Effect, error)
	// Release says that the effects of the last Handle have been applied.
	Release()
	// Close is called once, also for a dead guest.
	Close()
}

// ErrTooLarge is wrapped by a [Guest]'s error if it has no room for an event.
// The sender is told; nothing has crashed.
var ErrTooLarge = errors.New("event too large for the guest")

// Crash tells of a life that crashed.
type Crash struct {
	Plugin   string
	Version  string // ID of the one that crashed
	Topic    string
	Event    string // that it was handling; phx_join for a replay too
	Reason   error
	Decision supervisor.Decision
	Restarts int // of this channel before this crash
}

// Stats are an endpoint's gauges, and its counters since its start.
type Stats struct {
	Sockets        int64  // connected now
	Channels       int64  // joined now, or being joined
	MessagesIn     uint64 // well-formed frames of clients
	RepliesPushes  uint64 // frames sent that are no broadcast
	Broadcasts     uint64 // asked for by guests
	Deliveries     uint64 // of broadcasts, one for each member
	JoinsAccepted  uint64
	JoinsRefused   uint64 // by the handler
	JoinsCrashed   uint64
	JoinsUnmatched uint64 // no plugin, an unavailable one, or too many joins
	Overloaded     uint64 // messages that found no room
	Stale          uint64 // messages with an old join_ref, dropped
	Malformed      uint64 // frames that end their connection
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
