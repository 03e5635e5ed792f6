package channels

import (
	"cmp"
	"math"
	"sync"
	"time"

	"rtd/channels/presence"
)

// Endpoint is shared by all sockets of a server. Its fields are set before the first socket
// and do not change.
type Endpoint struct {
	Hub    *Hub
	Router *Router
	Limits Limits // as completed by NewEndpoint
	// Presence knows who is present in which topic. It tells the members of a
	// topic by broadcasts.
	Presence *presence.Tracker
	// Crashed, if given, is called once for each life of a handler that ended
	// in a crash, after it is decided whether another one follows, and for each
	// life that ends in order but crashes in terminate. It is called on processes of the plugin:
	// it must not block, nor call a Socket.
	Crashed func(Crash)
	// Overflowed, if given, is called once for each handler whose client is away and that ends because there is no room for what waits
	// for it. It must not block, nor call anything here.
	Overflowed func(plugin, topic string)

	elsewhere func(id string) // nil: there are no other nodes

	counts  counts
	sockets socketsByID
	lingers lingers
	nowhere Socket // of all members whose client is away

	mu     sync.Mutex // taken after a Socket's
	shared map[sharedKey]*SharedChannel
	// Durable topics that nobody can join for now, or that could not go on when they were tried last.
	refused map[sharedKey]refused
}

// NewEndpoint returns an endpoint with a hub and a router of its own.
func NewEndpoint(l Limits) *Endpoint {
	e := &Endpoint{
		Hub: NewHub(), Router: NewRouter(), Limits: l.withDefaults(),
		shared: map[sharedKey]*SharedChannel{},
	}
	e.nowhere.endpoint, e.nowhere.codec, e.nowhere.out = e, V2, nowhere{}
	e.Presence = e.newPresence(l.PresenceGrace)
	return e
}

// Limits bound the resources of one client. Zero means the default, a negative number no
// limit.
type Limits struct {
	// Joins is how many topics a socket may have joined, those being joined
	// included. Default 100, as Phoenix.
	Joins int
	// Held is how many frames of one topic may wait while its join or its end is
	// being decided. Any more are answered "overloaded". Default 1,000.
	Held int
	// Pending is how many bytes of one socket's frames may wait, held or in the
	// mailboxes of its channels. Frames beyond that are answered "overloaded".
	// Default 8 MiB.
	Pending int
	// Rate is how many frames a socket may send per second; its connection ends
	// after one more. After a quiet second as many may come at once. Default:
	// no limit.
	Rate int
	// History is how many bytes all histories may have together. What comes beyond that is sent, and not kept. Default 256 MiB.
	History int64
	// PresenceGrace is how long a key stays present whose last process has ended,
	// so that who reconnects does not flicker. Default: not at all.
	PresenceGrace time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Joins:         limit(l.Joins, 100),
		Held:          limit(l.Held, 1000),
		Pending:       limit(l.Pending, 8<<20),
		Rate:          limit(l.Rate, math.MaxInt),
		History:       cmp.Or(l.History, 256<<20),
		PresenceGrace: l.PresenceGrace,
	}
}

func limit(given, byDefault int) int {
	if given < 0 {
		return math.MaxInt
	}
	return cmp.Or(given, byDefault)
}

// start gives a join to a handler of the plugin: a new one, or the one that all
// members of the topic have. old is the member that the join replaces, or nil.
func (e *Endpoint) start(p Plugin, s *Socket, join Message, old *member) (*member, error) {
	if p.Current().scope(join.Topic) == PerTopic {
		m := &member{}
		m.init(s, join, old)
		return m, e.share(p, m)
	}
	c := newChannel(p, s, join, old)
	return c.sole, c.tree.Start(c, join.Topic)
}

// sharedKey finds a [SharedChannel]. A topic can move from one plugin to another
// while members of the first are there.
type sharedKey struct {
	plugin Plugin
	topic  string
}

// share gives a join to the handler of its topic, which it starts if need be.
func (e *Endpoint) share(p Plugin, m *member) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := sharedKey{p, m.Topic}
	c, err := e.sharedChannel(key)
	if err != nil {
		return err
	}
	m.channel = c
	c.waiting.Add(1)
	// Past the bound, as a socket has one join of the topic at a time. The
	// mailbox is open as long as c is found here.
	return c.box.Post(joinMessage{m})
}

// sharedChannel returns the handler of a topic, which is started if there is none. Callers
// hold mu.
func (e *Endpoint) sharedChannel(key sharedKey) (*SharedChannel, error) {
	if c := e.shared[key]; c != nil {
		return c, nil
	}
	if e.refuses(key) {
		return nil, ErrUnmoved
	}
	c := newSharedChannel(e, key.plugin, key.topic)
	if err := c.tree.Start(c, key.topic); err != nil {
		return nil, err
	}
	e.shared[key] = c
	return c, nil
}

// unshare makes the next join start another handler in place of c, and returns the messages
// that still wait for c.
func (e *Endpoint) unshare(c *SharedChannel) (dropped []any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.shared, sharedKey{c.plugin, c.topic})
	return c.box.Close()
}
