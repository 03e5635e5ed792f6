package channels

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// SharedChannel is the actor behind a topic whose scope is [PerTopic]: one process with
// one guest for all who join. It begins with the first join and ends after the last
// member has left, unless [Version].Stays. Like a [Channel] it outlives crashes:
//
//	       first life
//	            ▼
//	┌──► joins, messages ──refused─────────────────► error reply for that one
//	│           │         ──leave, …───────────────► phx_close for that one
//	│           │         ──nobody is left─────────► gone
//	│           crash
//	│           ▼
//	│    restart type, intensity ──no──────────────► phx_error for all; gone
//	│           yes
//	│           ▼
//	└─ok── next life: members ──crashed────────────► phx_error for all; gone
//
// Join, message and leave carry a number that names the member for as long as the
// handler exists. The guest pushes to any member by that number; without one, to the
// member at hand. The event join has the assigns of the client who joins, the event
// members has those of all, unless nobody has any.
//
// After a crash, and when the state does not move to a new version, the guest of the
// next life gets the event members: the joins are not decided again. Only the message at
// hand is answered "crashed", or the join at hand "join crashed". A crash in the only
// member's join, with none waiting, ends the handler without a restart. If a new version
// declares another scope for the topic, its handlers crash for good: the clients join
// again, and find a handler of the other kind.
//
// No message costs more for many members than for few. Only the end of a life, and the
// beginning of the next, go over all of them.
//
// Why do a closed socket and a duplicate join wait their turn in the mailbox? Each
// concerns one member of many, and the guest has to hear of it between two events. The
// messages of that member that wait are skipped. So one client cannot get rid of a
// shared handler that is stuck; the guest's deadline does.
//
// Why may joins and leaves go past the bound of the mailbox? There is at most one of each
// for a socket and topic, and sockets have limits of their own. After a restart of the
// server all clients of a topic come at once: to answer all but the first thousand
// "overloaded" would bring them back again and again.
//
// Why do the effects of a refused join count, when those of a Channel do not? The handler
// lives on and may have something to say to the members: that somebody knocked. Only its
// pushes to the refused client are dropped.
//
// Why does a crash in a join restart the handler, for members that had no part in it? Its
// memory is in an unknown state, and serves them too. A guest that does not want to be
// restarted by bad payloads refuses them.
type SharedChannel struct {
	handler
	waiting atomic.Int64 // joins in the mailbox
	dozing  bool         // it will be asked whether to sleep; only for its process
	active  bool         // since it was asked last; likewise
	trying  bool         // it will try to wake; likewise

	// Guarded by mu.
	members  map[string]*member // those who have joined, by their ids
	entered  bool               // there was a member once
	handling *Message           // at hand
	joining  *member            // whose join is at hand
}

// Messages to a SharedChannel besides *Message and leaveMessage.
type (
	joinMessage    struct{ *member }
	dismissMessage struct {
		*member
		reason error
	}
)

func newSharedChannel(e *Endpoint, p Plugin, topic string) *SharedChannel {
	c := &SharedChannel{members: map[string]*member{}}
	c.init(e, p, topic)
	c.shared = true
	return c
}

func (c *SharedChannel) dismiss(m *member, reason error) {
	m.dismissed.Store(true)
	c.box.Post(dismissMessage{m, reason}) // or c has ended, and is about to tell the socket
}

// named finds a member by the id that guests know.
func (c *SharedChannel) named(id string) *member { return c.members[id] }

// inOrder is the ids of the members in the order of joins: their refs count up. Callers
// hold mu.
func (c *SharedChannel) inOrder() []string {
	return slices.SortedFunc(maps.Keys(c.members), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}

// all yields those who have joined. Callers hold mu.
func (c *SharedChannel) all(yield func(*member) bool) { maps.Values(c.members)(yield) }

// PresenceOwner returns the owner, for [Endpoint].Presence, of a member's presences: the
// member itself, who has joined or is about to. It ends with the membership, and outlives
// the guests that track for it. ok is false if there is no such member. The membership may
// end while a guest tracks for it: the caller asks again afterwards.
func (c *SharedChannel) PresenceOwner(id string) (owner any, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.joining
	if m == nil || m.id != id {
		m = c.named(id)
	}
	if m == nil {
		return nil, false
	}
	m.tracked = true
	return m, true
}

// Handles returns the plugin and the topic of an owner of presences. Only the members of a
// SharedChannel are owners.
func (m *member) Handles() (Plugin, string) { return m.channel.(*SharedChannel).Handles() }

// Init begins a life. There may be members of former ones.
func (c *SharedChannel) Init(p *supervisor.Process) error {
	c.begin(p)
	if c.remembers() {
		c.box.Post(wakeMessage{})
		return nil
	}
	return c.enter(p)
}

// Handle takes what is in the mailbox.
func (c *SharedChannel) Handle(p *supervisor.Process, msg any) (err error) {
	if c.durable {
		if again, err := c.awake(p, msg); !again {
			return err
		}
	}
	switch msg := msg.(type) {
	case joinMessage:
		err = c.handleJoin(p, msg)
	case *Message:
		err = c.handleIn(p, msg)
	case leaveMessage:
		err = c.handleLeave(p, msg.member, msg, reasonLeft)
	case dismissMessage:
		err = c.handleLeave(p, msg.member, msg, msg.reason)
	case *outMessage:
		err = c.handleOut(p, msg, c.named, c.all)
	case renewMessage:
		err = c.renew(p, msg, c.enter, c.importList, c.named)
	case inspectMessage:
		c.inspect(msg, c.importList)
	case wakeMessage:
		c.trying = false // it is awake
	default:
		err = c.handleOther(p, msg, c.named)
	}
	if err != nil {
		return err
	}
	if c.durable {
		c.tryLater(p)
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
	return !c.final && (c.durable || !c.idle()) && c.version != nil && c.version.Restart.Again(reason)
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
	switch {
	case c.process != p || !c.idle():
		return nil
	case c.durable:
		return c.doze(p)
	case c.guest == nil:
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
		first.Payload, first.Extra = c.membersFields()
		c.keepPresences()
		c.event = first.Kind.String()
	}
	c.mu.Unlock()

	// Closed is the guest that is not needed, once effects are applied.
	var next successor
	reason := Replaced
	defer func() { next.close(reason) }()
	err := c.startGuest(p, first, &next)

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

// keepPresences lets members stay present whose joins will be replayed. Callers hold mu.
func (c *SharedChannel) keepPresences() {
	for _, m := range c.members {
		if m.tracked {
			c.endpoint.Presence.Keep(m)
		}
	}
}

// membersFields writes the members and their join payloads as fields, in the order
// of joins, and likewise the assigns of each, unless nobody has any. Callers
// hold mu.
func (c *SharedChannel) membersFields() (list []byte, assigns string) {
	size, assigned := 0, 0
	for _, m := range c.members {
		size += 2*4 + len(m.id) + len(m.params())
		assigned += len(m.socket.assigns)
	}
	list = make([]byte, 0, size)
	var all []byte
	for _, id := range c.inOrder() {
		m := c.members[id]
		list = abi.AppendField(list, m.id)
		list = abi.AppendField(list, m.params())
		if assigned > 0 {
			all = abi.AppendField(all, m.socket.assigns)
		}
	}
	return list, string(all)
}

// importList is the members as import tells them, in the order of joins.
func (c *SharedChannel) importList() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := 0
	for _, m := range c.members {
		size += 3*4 + len(m.id) + len(m.params()) + len(m.socket.assigns)
	}
	list := make([]byte, 0, size)
	for _, id := range c.inOrder() {
		list = c.members[id].appendTo(list)
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
	if m.dismissed.Load() { // its socket has closed
		if !m.ended {
			m.end(nil)
		}
		c.mu.Unlock()
		return nil
	}
	if !m.catchUp() {
		m.end(nil)
		c.mu.Unlock()
		return nil
	}
	m.id = string(p.Runtime().AppendRef(make([]byte, 0, 24), p.Runtime().NewRef()))
	c.event, c.joining = eventJoin, m
	c.mu.Unlock()

	effects, err := c.ask(p, m.joinEvent(), &Message{member: m, Ref: m.ref()})

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return nil
	}
	reply := replyIn(effects)
	switch {
	case errors.Is(err, errInterrupted):
		c.joining = nil
		m.untrack()
		c.waiting.Add(1)
		c.box.Post(msg) // for the next life
		return nil
	case errors.Is(err, ErrNotStored):
		c.joining = nil
		m.refuse(whyNot(err))
		m.end(nil)
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
	m.before = &c.handler
	m.answer(reply)
	stop := c.apply(effects, m, nil, c.named)
	m.socket.accepted(m, false)
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
	c.dismiss(m, reasonUnsent)
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
	if m.dismissed.Load() { // dropped, as in Phoenix
		c.mu.Unlock()
		return nil
	}
	c.event, c.handling = msg.Event, msg
	c.mu.Unlock()

	effects, err := c.ask(p, c.messageEvent(p, msg), msg)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p:
		return nil
	case errors.Is(err, errInterrupted):
		c.handling = nil
		m.replyCrashed(msg)
		return nil
	case errors.Is(err, ErrNotStored):
		c.handling = nil
		msg.refuse(whyNot(err))
		return nil
	case errors.Is(err, ErrTooLarge):
		msg.replyTooLarge()
	case err != nil:
		return err // Exited answers it
	}
	stop := c.apply(effects, m, msg, c.named)
	if !c.endsUnanswered(p, stop, effects, msg) {
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

	if c.guest == nil { // when it wakes it is told who is there
		return nil
	}
	return c.handleEvent(p, &abi.Event{
		Kind: abi.EventLeave, Name: c.topic, Payload: []byte(supervisor.Detail(reason)), Detail: m.id,
	}, c.named)
}

// Exited answers the message or join at hand if the life crashed. After the last life it
// tells the members of the end, takes the channel from the endpoint, and the members from
// their sockets.
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
	if c.durable && decision == supervisor.GivesUp && !errors.Is(reason, ErrUnmoved) { // which is refused already
		c.endpoint.refuse(c.plugin, c.topic, Refusal{Cause: reason.Error()})
	}
	c.endpoint.Presence.Leave(c)
	var late []*member
	var wake bool
	for _, msg := range c.endpoint.unshare(c) {
		switch msg := msg.(type) {
		case *Message:
			msg.member.socket.pending.Add(-msg.size)
		case leaveMessage:
			msg.member.leave(&msg.Message)
		case joinMessage:
			late = append(late, msg.member)
		case wakeMessage:
			wake = true
		case sleepMessage:
		default: // a timer, or that a post waits: whoever wakes hears of it again
			c.drop(msg)
			wake = true
		}
	}
	for _, id := range c.inOrder() {
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
	if wake && errors.Is(reason, reasonAsleep) {
		_ = c.endpoint.Wake(c.plugin, c.topic, nil) // or the plugin ends
	}
}

var _ interface {
	supervisor.Child
	channel
} = (*SharedChannel)(nil)
