package channels

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// SharedChannel is the actor behind a topic whose scope is [PerTopic]: one
// process with one guest for all who join. It starts with the first join, and
// ends after the last member has left, unless [Version].Stays. Like a [Channel]
// it outlives crashes: the guest of the next life is told who the members are,
// whose sockets and subscriptions stay.
//
// No message costs more for many members than for few; only the end of a life,
// and the beginning of the next, go over all of them.
type SharedChannel struct {
	lives
	waiting atomic.Int64 // joins in the mailbox

	// Guarded by mu.
	members  map[uint64]*member // those who have joined, by their ids
	lastID   uint64
	entered  bool     // there was a member once
	handling *Message // at hand
	joining  *member  // whose join is at hand
}

// Messages to a SharedChannel, beside *Message and leaveMessage.
type (
	joinMessage struct{ *member }
	stopMessage struct {
		*member
		reason error
	}
)

func newSharedChannel(e *Endpoint, p Plugin, topic string) *SharedChannel {
	return &SharedChannel{lives: newLives(e, p, topic, PerTopic), members: map[uint64]*member{}}
}

func (c *SharedChannel) stop(m *member, reason error) {
	m.stopped.Store(true)
	c.box.Post(stopMessage{m, reason}) // or c has ended, and is about to tell the socket
}

// named finds a member by the id that guests know.
func (c *SharedChannel) named(id string) *member {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return nil
	}
	return c.members[n]
}

// all yields those who have joined. Callers hold mu.
func (c *SharedChannel) all(yield func(*member) bool) { maps.Values(c.members)(yield) }

func (m *member) name() string { return strconv.FormatUint(m.id, 10) }

// Init begins a life. There may be members of former ones.
func (c *SharedChannel) Init(p *supervisor.Process) error {
	c.begin(p)
	return c.enter(p)
}

// Handle takes what is in the mailbox.
func (c *SharedChannel) Handle(p *supervisor.Process, msg any) (err error) {
	switch msg := msg.(type) {
	case joinMessage:
		err = c.handleJoin(p, msg)
	case *Message:
		err = c.handleIn(p, msg)
	case leaveMessage:
		err = c.handleLeave(p, msg.member, msg, reasonLeft)
	case stopMessage:
		err = c.handleLeave(p, msg.member, msg, msg.reason)
	case *outMessage:
		err = c.handleOut(p, msg, c.named, c.all)
	case renewMessage:
		err = c.renew(p, msg, c.enter, c.list, c.named)
	default:
		err = c.handleOther(p, msg, c.named)
	}
	if err != nil {
		return err
	}
	return c.endIfEmpty(p)
}

// Terminate tells the guest, and drops it with its memory.
func (c *SharedChannel) Terminate(p *supervisor.Process, reason error) {
	c.terminate(p, reason, c.named)
}

// Again says that there is another life if there is somebody to serve, the
// restart type says so and nobody ended it.
func (c *SharedChannel) Again(reason error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.final && !c.idle() && c.version != nil && c.version.Restart.Again(reason)
}

// idle reports whether there is nobody to serve. Callers hold mu.
func (c *SharedChannel) idle() bool {
	stays := c.entered && c.version.Stays
	return len(c.members) == 0 && c.waiting.Load() == 0 && !stays
}

// endIfEmpty ends a life that nobody needs.
func (c *SharedChannel) endIfEmpty(p *supervisor.Process) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p || c.guest == nil || !c.idle() {
		return nil
	}
	c.final = true
	return supervisor.Normal
}

// enter starts a guest of the current version. If there were members before, it
// is told who they are now: after a crash, or in place of a guest of an older
// version.
func (c *SharedChannel) enter(p *supervisor.Process) error {
	c.mu.Lock()
	if c.process != p {
		c.mu.Unlock()
		return nil
	}
	var first *abi.Event
	if c.entered {
		first = &abi.Event{Kind: abi.EventMembers, Name: c.topic}
		first.Payload, first.Extra = c.listMembers()
		c.event = first.Kind.String()
	}
	c.mu.Unlock()

	// Closed is the guest that is not needed, once effects are applied.
	var next opening
	reason := reasonRenewed
	defer func() { next.close(reason) }()
	err := c.open(p, first, &next)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p || errors.Is(err, errInterrupted):
		reason = cmp.Or(err, supervisor.Killed)
		return nil
	case err != nil:
		c.version = next.version
		if first != nil {
			c.final = true
			err = fmt.Errorf("replay members: %w", err)
		}
		reason = err
		return err
	}
	c.version = next.version
	c.guest, next.guest = next.guest, c.guest
	c.declare(next.effects, true)
	c.endpoint.Presence.Settle(c)
	return c.finish(c.apply(next.effects, nil, nil, c.named))
}

// listMembers writes the members and their join payloads as fields, in the order
// of joins, and likewise the assigns of each, unless nobody has any. Callers
// hold mu.
func (c *SharedChannel) listMembers() (list []byte, assigns string) {
	size, assigned := 0, 0
	for _, m := range c.members {
		size += 2*4 + 20 + len(m.params)
		assigned += len(m.socket.assigns)
	}
	list = make([]byte, 0, size)
	var all []byte
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		m := c.members[id]
		list = abi.AppendField(list, m.name())
		list = abi.AppendField(list, m.params)
		if assigned > 0 {
			all = abi.AppendField(all, m.socket.assigns)
		}
	}
	return list, string(all)
}

// list is the members as import tells them, in the order of joins.
func (c *SharedChannel) list() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := 0
	for _, m := range c.members {
		size += 3*4 + 20 + len(m.params) + len(m.socket.assigns)
	}
	list := make([]byte, 0, size)
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		list = c.members[id].appendTo(list, c.members[id].name())
	}
	return string(list)
}

// handleJoin lets the guest decide on a join.
func (c *SharedChannel) handleJoin(p *supervisor.Process, msg joinMessage) error {
	m := msg.member
	c.mu.Lock()
	if c.process != p {
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	}
	c.waiting.Add(-1)
	if m.stopped.Load() { // its socket has closed
		if !m.ended {
			m.end(nil)
		}
		c.mu.Unlock()
		return nil
	}
	c.lastID++
	m.id = c.lastID
	c.event, c.joining = eventJoin, m
	c.mu.Unlock()

	effects, err := c.ask(p, m.joinEvent(m.name()), nil)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return nil
	}
	reply := joinReply(effects)
	switch {
	case errors.Is(err, errInterrupted):
		c.joining = nil
		c.waiting.Add(1)
		c.box.Post(msg) // for the next life
		return nil
	case errors.Is(err, ErrTooLarge):
		reply = refusal(reasonTooLarge)
	case err != nil:
		return fmt.Errorf("join: %w", err) // Exited answers it
	}
	c.joining = nil
	c.declare(effects, false)
	if m.checkAnswer(reply) != nil {
		if reply.status == statusOK {
			return c.turnAway(m, effects)
		}
		reply = refusal(reasonJoinCrash)
	}
	if reply.status != statusOK {
		m.refuse(reply)
		stop := c.apply(effects, nil, nil, c.named)
		m.end(nil)
		return c.finish(stop)
	}
	m.joined, c.entered = true, true
	c.members[m.id] = m
	m.before = c
	m.answer(reply)
	stop := c.apply(effects, m, nil, c.named)
	m.socket.accepted(m)
	return c.finish(stop)
}

// turnAway ends a join that the guest accepted with a response that the client
// cannot be sent. For a Channel that is a crash; here the others have no
// part in it, and the guest is told that the member leaves. Callers hold mu.
func (c *SharedChannel) turnAway(m *member, effects []abi.Effect) error {
	m.unserved(true)
	stop := c.apply(effects, nil, nil, c.named)
	m.joined, c.entered = true, true
	c.members[m.id] = m
	c.stop(m, reasonUnsent)
	return c.finish(stop)
}

// handleIn lets the guest handle a member's message.
func (c *SharedChannel) handleIn(p *supervisor.Process, msg *Message) error {
	m := msg.member
	c.mu.Lock()
	if c.process != p {
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	}
	m.socket.pending.Add(-msg.size)
	if m.stopped.Load() { // dropped, as in Phoenix
		c.mu.Unlock()
		return nil
	}
	c.event, c.handling = msg.Event, msg
	c.mu.Unlock()

	effects, err := c.ask(p, c.messageEvent(msg, m.name()), msg)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p:
		return nil
	case errors.Is(err, errInterrupted):
		c.handling = nil
		m.replyCrashed(msg)
		return nil
	case errors.Is(err, ErrTooLarge):
		msg.replyTooLarge()
	case err != nil:
		return err // Exited answers it
	}
	stop := c.apply(effects, m, msg, c.named)
	if !c.endsUnanswered(stop, effects, msg) {
		c.handling = nil
	}
	return c.finish(stop)
}

// handleLeave takes a member out, because its client or its socket says so, and
// tells the guest.
func (c *SharedChannel) handleLeave(p *supervisor.Process, m *member, msg any, reason error) error {
	c.mu.Lock()
	switch {
	case c.process != p:
		c.mu.Unlock()
		c.putBack(msg)
		return nil
	case m.ended: // it left before its socket closed, or was not accepted
		c.mu.Unlock()
		return nil
	case !m.joined: // its join has yet to come
		m.end(nil)
		c.mu.Unlock()
		return nil
	}
	delete(c.members, m.id)
	if leave, ok := msg.(leaveMessage); ok {
		m.leave(&leave.Message)
		m.endJoined(false)
	} else {
		m.end(nil) // the socket knows what the client is to be told
	}
	c.event = eventLeave
	c.mu.Unlock()

	return c.tell(p, &abi.Event{
		Kind: abi.EventLeave, Name: c.topic, Payload: []byte(supervisor.Detail(reason)), Detail: m.name(),
	}, c.named)
}

// Exited tells the members what they have to know, and after the last life takes
// the channel from the endpoint and its members from their sockets.
func (c *SharedChannel) Exited(reason error, decision supervisor.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.exited(reason, decision)
	crashed := c.begun && supervisor.IsCrash(reason)
	if msg := c.handling; msg != nil && decision == supervisor.Restarts {
		msg.member.replyCrashed(msg)
	}
	if m := c.joining; m != nil {
		m.unserved(crashed)
		m.end(nil)
	}
	c.handling, c.joining = nil, nil
	if decision == supervisor.Restarts {
		return
	}
	c.endpoint.Presence.Leave(c)
	var late []*member
	for _, msg := range c.endpoint.unshare(c) {
		switch msg := msg.(type) {
		case *Message:
			msg.member.socket.pending.Add(-msg.size)
		case leaveMessage:
			msg.member.leave(&msg.Message)
		case joinMessage:
			late = append(late, msg.member)
		default:
			drop(msg)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		c.members[id].endJoined(failed)
	}
	c.members = nil
	for _, m := range late {
		if m.ended {
			continue
		}
		if failed {
			m.unserved(crashed)
			m.end(nil)
		} else {
			m.socket.joinAgain(m) // c ended just before
		}
	}
}

var _ interface {
	supervisor.Child
	handler
} = (*SharedChannel)(nil)
