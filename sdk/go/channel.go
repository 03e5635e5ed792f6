package rtd

import (
	"maps"
	"slices"
	"strings"
)

// Channel handles one client's join of one topic. Its methods are called one
// at a time. An error that is no refusal crashes the process, as a panic does.
//
// A channel handler is a process like any other: it can call, spawn, monitor and so on,
// and implement [InfoHandler] and the other handlers, and [OutHandler].
type Channel interface {
	// Join decides whether the client may join. nil accepts, with the response
	// given to s.Reply("ok", …) if any; the error of [Refuse] refuses. Pushes and
	// broadcasts made here follow the reply.
	Join(s *Socket, payload []byte) error

	// HandleIn takes a message that the client pushed. The payload is JSON text, or any
	// bytes if [IsBinary].
	HandleIn(s *Socket, event string, payload []byte) error
}

// TopicChannel handles all joins of one topic, its members. The methods get the
// member at hand. After a crash, Join runs again for every member, in the order in
// which they joined; see [Socket.Replay]. None can be refused then. One that is [Durable]
// still knows its members: Join runs for others only, after Leave for those that have gone.
type TopicChannel interface {
	Channel

	// Leave is told that the member has gone, and why.
	Leave(s *Socket, reason string) error
}

// OutHandler is a [Channel] that intercepts broadcasts of its topic: they go to
// HandleOut instead of to the client, or, of a [TopicChannel], to all of its
// members.
type OutHandler interface {
	// Intercepts lists the events. It is asked once, before Join.
	Intercepts() []string

	// HandleOut takes a broadcast of one of these events: push it to the client, changed
	// or not, or do not. A broadcast by BroadcastFrom of this client does not come here.
	//
	// A TopicChannel gets each broadcast once, and pushes to the [Sockets] of its
	// members. Here s is the one that BroadcastFrom leaves out, or one that is no
	// member's.
	HandleOut(s *Socket, event string, payload []byte) error
}

// AwayHandler is a [Channel] that is told when its client's connection has broken, if linger in the plugin's table of the
// server's config has it stay for that: reason is "closed", or "taken_over" if the client came back before the connection was
// noticed to be broken. What is pushed from now on is kept, up to 100 pushes and 64 KiB, until the client is back; more
// ends the process, as the time of linger does. See sdk/recovery.md.
type AwayHandler interface {
	Away(s *Socket, reason string) error
}

// BackHandler is a [Channel] that decides, as Join does, whether a client may come back to it: the payload and s.Assigns are those of
// the new join and connection. The error of [Refuse] refuses this attempt, and the process waits on. A channel without it lets
// everybody in who has the key, and keeps the assigns of Join.
type BackHandler interface {
	Back(s *Socket, payload []byte) error
}

// Handle serves the topics that match pattern, an exact topic or a prefix
// followed by *, with channels made by create: one for each join. Call it from
// init; of several patterns that match, the first wins. The server's config can give
// the plugin other topics; one that no pattern matches goes to the first.
func Handle(pattern string, create func() Channel) {
	plugin.routes = append(plugin.routes, route{pattern, "", create})
}

// HandleTopic is [Handle] with one channel for each topic, for all who join it.
func HandleTopic(pattern string, create func() TopicChannel) {
	plugin.routes = append(plugin.routes, route{pattern, "topic", func() Channel { return create() }})
}

// Refuse returns an error for Join to return: the client gets an error reply
// with this JSON object as its response, and no other effect happens.
func Refuse(response string) error { return &refusal{"error", response} }

type refusal struct{ status, response string }

func (r *refusal) Error() string { return "refused: " + r.status + " " + r.response }

type route struct {
	pattern string
	scope   string
	create  func() Channel
}

func (r route) matches(topic string) bool {
	if prefix, ok := strings.CutSuffix(r.pattern, "*"); ok {
		return strings.HasPrefix(topic, prefix)
	}
	return topic == r.pattern
}

// channel is the process of a Channel.
type channel struct {
	Channel
	only    Socket             // of a process that has one; else it stands for the topic
	members map[string]*Socket // of the others
	joins   int                // so far
}

func (c *channel) code() any { return c.Channel }

// Sockets returns the clients of this process in the order in which they joined: of a
// [TopicChannel] its members, of another [Channel] the one that it has. Other processes
// have none.
func Sockets() []*Socket {
	c, ok := this.body.(*channel)
	if !ok {
		return nil
	}
	if _, ok := c.Channel.(TopicChannel); !ok {
		return []*Socket{&c.only}
	}
	return slices.SortedFunc(maps.Values(c.members), func(a, b *Socket) int { return a.order - b.order })
}

// rejoining is set while members join again: their clients wait for no reply.
var rejoining bool

// openChannel makes the instance the process of a channel, if this is its first event.
func openChannel(e record) error {
	if _, open := this.body.(*channel); open && (e.detail != "" || e.kind == eventMembers) {
		return nil
	}
	reseed()
	c, err := newChannel(e.name)
	if err != nil {
		return err
	}
	this.body = c
	wantTerminate(c.Channel)
	if _, ok := c.Channel.(AwayHandler); ok {
		effect(record{kind: effectWants, name: "away"})
	}
	if _, ok := c.Channel.(BackHandler); ok {
		effect(record{kind: effectWants, name: "back"})
	}
	if o, ok := c.Channel.(OutHandler); ok {
		for _, event := range o.Intercepts() {
			effect(record{kind: effectIntercept, name: event})
		}
	}
	return nil
}

// newChannel makes the channel of a topic.
func newChannel(topic string) (*channel, error) {
	if len(plugin.routes) == 0 {
		return nil, errText("no channel: call rtd.Handle or rtd.HandleTopic from init")
	}
	chosen := plugin.routes[0]
	for _, r := range plugin.routes {
		if r.matches(topic) {
			chosen = r
			break
		}
	}
	return &channel{Channel: chosen.create(), only: Socket{topic: topic}}, nil
}

func (c *channel) handle(e record) error {
	switch e.kind {
	case eventJoin:
		err := c.join(Socket{topic: e.name, member: e.detail, assigns: e.extra, replay: e.flags&flagReplay != 0}, e.payload)
		if r, ok := err.(*refusal); ok {
			delete(c.members, e.detail)
			effect(record{kind: effectReply, name: r.status, payload: []byte(r.response)})
			return nil
		}
		return err
	case eventMessage:
		s := c.socket(e.detail)
		if s == nil {
			return errText("a message of member " + e.detail + ", who has not joined")
		}
		return c.HandleIn(s, e.name, e.payload)
	case eventLeave:
		s := c.socket(e.detail)
		delete(c.members, e.detail)
		return c.leave(s, string(e.payload))
	case eventMembers:
		return c.rejoin(e)
	case eventOut:
		o, ok := c.Channel.(OutHandler)
		if !ok {
			return nil
		}
		s := c.socket(e.detail)
		if s == nil {
			s = &c.only // who was to be left out has left
		}
		return o.HandleOut(s, e.name, e.payload)
	case eventAway:
		if h, ok := c.Channel.(AwayHandler); ok {
			return h.Away(&c.only, string(e.payload))
		}
		return nil
	case eventBack:
		return c.back(e)
	}
	return handle(c.Channel, e)
}

// back lets a client back. If it is refused, the assigns stay those of before.
func (c *channel) back(e record) error {
	h, ok := c.Channel.(BackHandler)
	if !ok {
		return nil
	}
	before := c.only
	c.only.assigns, c.only.replay = e.extra, false
	err := h.Back(&c.only, e.payload)
	if r, ok := err.(*refusal); ok {
		c.only = before
		effect(record{kind: effectReply, name: r.status, payload: []byte(r.response)})
		return nil
	}
	return err
}

func (c *channel) join(s Socket, payload []byte) error { return c.Join(c.add(s), payload) }

// add keeps a socket until its client leaves.
func (c *channel) add(s Socket) *Socket {
	c.joins++
	s.order = c.joins
	if s.member == "" {
		c.only = s
		return &c.only
	}
	if c.members == nil {
		c.members = map[string]*Socket{}
	}
	c.members[s.member] = &s
	return &s
}

func (c *channel) socket(member string) *Socket {
	if member == "" {
		return &c.only
	}
	return c.members[member]
}

// rejoin is told who is there, after a crash or when a durable channel wakes: a list of members, each with
// the payload of its join, and in extra one of their assigns, if there are any. Those that the channel does not know
// join, and those that it knows beyond them leave.
func (c *channel) rejoin(e record) error {
	rejoining = true
	defer func() { rejoining = false }()
	for _, s := range c.gone(e.payload) {
		delete(c.members, s.member)
		if err := c.leave(s, Shutdown+": closed"); err != nil {
			return err
		}
	}
	list, assigns := e.payload, []byte(e.extra)
	for len(list) > 0 {
		var member, payload, given []byte
		member, list, _ = cutField(list)
		payload, list, _ = cutField(list)
		given, assigns, _ = cutField(assigns)
		if c.members[string(member)] != nil {
			continue
		}
		if err := c.join(Socket{topic: e.name, member: string(member), assigns: string(given), replay: true}, payload); err != nil {
			return err
		}
	}
	return nil
}

// gone returns the members that are not in a list, in the order of their joins.
func (c *channel) gone(list []byte) (gone []*Socket) {
	for len(list) > 0 {
		var member []byte
		member, list, _ = cutField(list)
		_, list, _ = cutField(list)
		if s := c.members[string(member)]; s != nil {
			s.there = true
		}
	}
	for _, s := range c.members {
		if s.there {
			s.there = false
			continue
		}
		gone = append(gone, s)
		for i := len(gone) - 1; i > 0 && gone[i-1].order > gone[i].order; i-- { // package slices would make every guest larger
			gone[i-1], gone[i] = gone[i], gone[i-1]
		}
	}
	return gone
}

// leave tells the channel that a member has gone.
func (c *channel) leave(s *Socket, reason string) error {
	if t, ok := c.Channel.(TopicChannel); ok && s != nil {
		return t.Leave(s, reason)
	}
	return nil
}
