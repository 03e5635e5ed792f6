package rtd

import "strings"

// Channel handles one client's join of one topic. Its methods are called one
// at a time. An error that is no refusal crashes the process, as a panic does.
//
// A channel handler is a process like any other: it can call, spawn, monitor and so on,
// and implement [InfoHandler] and the other handlers.
type Channel interface {
	// Join decides whether the client may join. nil accepts, with the response
	// given to s.Reply("ok", …) if any; the error of [Refuse] refuses. Pushes and
	// broadcasts made here follow the reply.
	Join(s *Socket, payload []byte) error

	// HandleIn takes a message that the client pushed.
	HandleIn(s *Socket, event string, payload []byte) error
}

// TopicChannel handles all joins of one topic, its members. The methods get the
// member at hand. After a crash, Join runs again for every member, in the order in
// which they joined; see [Socket.Replay]. None can be refused then.
type TopicChannel interface {
	Channel

	// Leave is told that the member has gone, and why.
	Leave(s *Socket, reason string) error
}

// Handle serves the topics that match pattern, an exact topic or a prefix
// followed by *, with channels made by create: one for each join. Call it from
// init; of several patterns that match, the first wins. The server's config can give
// the plugin other topics; one that no pattern matches goes to the first.
func Handle(pattern string, create func() Channel) {
	plugin.routes = append(plugin.routes, route{pattern, "", create})
}

// HandleTopic is [Handle] with one channel for each topic, whoever joins.
func HandleTopic(pattern string, create func() TopicChannel) {
	plugin.routes = append(plugin.routes, route{pattern, "topic", func() Channel { return create() }})
}

// Refuse returns an error for Join to return: the client gets an error reply
// with this JSON object as its response, and nothing else happens.
func Refuse(response string) error { return &refusal{response} }

type refusal struct{ response string }

func (r *refusal) Error() string { return "join refused: " + r.response }

// Socket is the handler's side of a client that joined. It is valid until the client
// leaves or the process ends: keep it to push from other handlers.
type Socket struct {
	topic  string
	member string // "" if the process has one only
	replay bool
}

// Topic is the topic joined.
func (s *Socket) Topic() string { return s.topic }

// Member tells the members of a [TopicChannel] apart. It is the same after a crash.
func (s *Socket) Member() string { return s.member }

// Replay reports that the client joined earlier and does not know of this call of
// Join: the process was restarted after a crash, or moved to a new version of the
// plugin. Do not greet twice.
func (s *Socket) Replay() bool { return s.replay }

// Reply answers the message or join at hand, whoever's it is; status is "ok" or
// "error" by convention. response is a JSON value; nil stands for {}. There is one
// reply to a message; none is fine as well.
func (s *Socket) Reply(status string, response []byte) {
	if !replaying {
		effect(record{kind: effectReply, name: status, payload: response})
	}
}

// Push sends a message to this client alone. payload is a JSON object; nil
// stands for {}, here and below.
func (s *Socket) Push(event string, payload []byte) {
	effect(record{kind: effectPush, name: event, payload: payload, detail: s.member})
}

// Broadcast sends a message to everybody on the topic, this client included.
func (s *Socket) Broadcast(event string, payload []byte) {
	effect(record{kind: effectBroadcast, name: event, payload: payload})
}

// BroadcastFrom sends a message to everybody on the topic but this client.
func (s *Socket) BroadcastFrom(event string, payload []byte) {
	effect(record{kind: effectBroadcastFrom, name: event, payload: payload, detail: s.member})
}

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
	only    Socket             // of a process that has one
	members map[string]*Socket // of the others
}

// replaying is set while members join again: their clients wait for no reply.
var replaying bool

// openChannel makes the instance the process of a channel, if this is its first event.
func openChannel(e record) error {
	if _, open := this.body.(*channel); open && (e.detail != "" || e.kind == eventMembers) {
		return nil
	}
	if len(plugin.routes) == 0 {
		return errText("no channel: call rtd.Handle or rtd.HandleTopic from init")
	}
	chosen := plugin.routes[0]
	for _, r := range plugin.routes {
		if r.matches(e.name) {
			chosen = r
			break
		}
	}
	reseed()
	c := &channel{Channel: chosen.create()}
	this.body = c
	wantTerminate(c.Channel)
	return nil
}

func (c *channel) handle(e record) error {
	switch e.kind {
	case eventJoin:
		err := c.join(Socket{e.name, e.detail, e.flags&flagReplay != 0}, e.payload)
		if r, ok := err.(*refusal); ok {
			delete(c.members, e.detail)
			effect(record{kind: effectReply, name: "error", payload: []byte(r.response)})
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
		if t, ok := c.Channel.(TopicChannel); ok && s != nil {
			return t.Leave(s, string(e.payload))
		}
		return nil
	case eventMembers:
		return c.rejoin(e)
	}
	return handle(c.Channel, e)
}

func (c *channel) join(s Socket, payload []byte) error {
	if s.member == "" {
		c.only = s
		return c.Join(&c.only, payload)
	}
	if c.members == nil {
		c.members = map[string]*Socket{}
	}
	c.members[s.member] = &s
	return c.Join(&s, payload)
}

func (c *channel) socket(member string) *Socket {
	if member == "" {
		return &c.only
	}
	return c.members[member]
}

// rejoin lets all members join who had joined before a crash. Its payload is a list of
// each with the payload of the join.
func (c *channel) rejoin(e record) error {
	replaying = true
	defer func() { replaying = false }()
	member, known := "", false
	for field := range fields(e.payload) {
		if known = !known; known {
			member = string(field)
			continue
		}
		if err := c.join(Socket{e.name, member, true}, field); err != nil {
			return err
		}
	}
	return nil
}
