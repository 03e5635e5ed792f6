package channels

import (
	"cmp"
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Channel is the actor behind one client's join of one topic. It outlives crashes:
//
//	phx_join ──► first life: join ──refused, crashed──► error reply; gone
//	                  │
//	                  ok: subscribed, replied
//	                  ▼
//	      ┌──► messages ──leave, duplicate join, plugin ends,
//	      │           │    the guest stops in order─────► phx_close; gone
//	      │           │  ──socket closed────────────────► gone
//	      │           crash
//	      │           ▼
//	      │   restart type, intensity ──no──────────────► phx_error; gone
//	      │           yes
//	      │           ▼
//	      └─ok── next life: join, replayed ──refused, crashed──► phx_error; gone
//
// Each life is a process of its own with a guest of its own. Between two lives the
// mailbox goes on filling, and the subscription stays, so that the client misses
// nothing. It gets the error reply "crashed" to the message that crashed, if that had a
// ref; the next life serves the messages that waited behind it. The guest of a replayed
// join is told so by [abi.Replay]; its answer is not sent.
//
// An end that somebody asked for is followed by no further life, whatever the restart
// type. A leave is served behind the messages that came before it. A duplicate join and
// the end of the socket or plugin wait only for the message at hand, and the messages
// behind that are dropped. A guest that does not return in the supervisor's time is cut
// off: it has no effect any more. A guest that ends its process for another reason than
// normal and shutdown has crashed, but its effects are applied.
//
// If a sibling in the plugin's tree is restarted on which the channels depend, their
// supervisor starts them anew after it: a life ends, the next one replays the join, and
// no client notices. Joins wait meanwhile.
//
// Why does the message that crashed get a reply, when Phoenix gives none? In Phoenix
// phx_error follows, and the client drops its requests. Here the channel lives on, and
// without an answer the client would wait until its own timeout.
//
// Why is a leave answered even if the channel crashes before its turn? A client that has
// sent a leave and gets phx_error takes that for a reason to join again. It gets ok and
// phx_close instead, as it asked for.
//
// Restart type temporary is Phoenix to the letter: the message that crashed gets no
// reply, all that waits is lost, a leave included, and phx_error tells the client.
//
// Why does a duplicate join drop the answer to a message that it interrupts, when a
// restart answers "crashed"? Phoenix kills the old channel on the spot. The client asked
// for that, and ignores the old channel from then on.
type Channel struct {
	handler
	handling *Message // at hand; guarded by mu
	member   member   // the only one: all in one piece of memory, as there may be a million
}

func newChannel(p Plugin, s *Socket, m Message, old *member) *Channel {
	c := &Channel{}
	c.init(s.endpoint, p, m.Topic)
	c.sole = &c.member
	c.member.init(s, m, old)
	c.member.channel = c
	return c
}

func (c *Channel) dismiss(_ *member, reason error) { c.tree.Stop(c, reason) }

// only is how a Channel finds the member that a guest names: there is one.
func (c *Channel) only(string) *member { return &c.member }

// importList is the member as import tells it.
func (c *Channel) importList() string {
	return string(c.member.appendTo(make([]byte, 0, 3*4+len(c.member.params())+len(c.member.socket.assigns))))
}

// appendTo writes a member as import tells it: its id, join payload and assigns.
func (m *member) appendTo(list []byte) []byte {
	list = abi.AppendField(list, m.id)
	list = abi.AppendField(list, m.params())
	return abi.AppendField(list, m.socket.assigns)
}

// all yields the members of a Channel.
func (c *Channel) all(yield func(*member) bool) { yield(&c.member) }

// Init begins a life: the client's join, or its replay.
func (c *Channel) Init(p *supervisor.Process) error {
	c.begin(p)
	return c.enter(p)
}

// Handle takes what is in the mailbox.
func (c *Channel) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case *Message:
		return c.handleIn(p, msg)
	case leaveMessage:
		return c.handleLeave(p, msg)
	case *outMessage:
		return c.handleOut(p, msg, c.only, c.all)
	case renewMessage:
		return c.renew(p, msg, c.enter, c.importList, c.only)
	case inspectMessage:
		c.inspect(msg, c.importList)
		return nil
	}
	return c.handleOther(p, msg, c.only)
}

// Terminate tells the guest, and drops it with its memory.
func (c *Channel) Terminate(p *supervisor.Process, reason error) { c.terminate(p, reason, c.only) }

// Again says that only a channel that was joined has another life, if its
// restart type says so and nobody ended it.
func (c *Channel) Again(reason error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.member.joined && !c.final && c.version.Restart.Again(reason)
}

// enter starts a guest of the current version and gives it the join: the client's, or a
// replay in place of a guest that crashed or is of an older version.
func (c *Channel) enter(p *supervisor.Process) error {
	if !c.atHand(p, eventJoin) {
		return nil
	}
	event := c.member.joinEvent()
	if c.member.joined {
		event.Flags |= abi.Replay
	}
	// Closed is the guest that is not needed, once effects are applied.
	var next successor
	reason := Replaced
	defer func() { next.close(reason) }()
	err := c.startGuest(p, event, &next)

	c.mu.Lock()
	defer c.mu.Unlock()
	reply := replyIn(next.effects)
	switch {
	case c.process != p || errors.Is(err, errInterrupted):
		reason = cmp.Or(err, supervisor.Killed)
		return nil
	case err != nil || reply.status != statusOK:
		c.version = next.version
		reason = c.notEntered(reply, err)
		return reason
	}
	c.version = next.version
	c.guest, next.guest = next.guest, c.guest
	c.declare(next.effects, true)
	if c.member.joined {
		c.endpoint.Hub.setInterceptor(&c.member.Subscription, c.interceptor())
	} else {
		c.member.joined = true
		c.member.before = c.interceptor()
		c.member.answer(reply)
	}
	stop := c.apply(next.effects, &c.member, nil, c.only)
	c.endpoint.Presence.Settle(c)
	c.member.socket.accepted(&c.member)
	return c.finish(stop)
}

// interceptor returns c if it intercepts anything. Most channels do not.
func (c *Channel) interceptor() *handler {
	if c.intercepting.Load() == nil {
		return nil
	}
	return &c.handler
}

// notEntered says why there is no guest: it refused, or err. Callers hold mu.
func (c *Channel) notEntered(reply answer, err error) error {
	c.final = true
	switch {
	case c.member.joined && err != nil:
		return fmt.Errorf("replay join: %w", err)
	case c.member.joined:
		return fmt.Errorf("replay join: answered %.20q with %.200q", reply.status, reply.response)
	case errors.Is(err, ErrTooLarge):
		c.member.refuse(refusal(reasonTooLarge))
		return supervisor.Normal
	case err != nil:
		c.member.unserved(true)
		return fmt.Errorf("join: %w", err)
	}
	c.member.refuse(reply)
	return supervisor.Normal
}

// handleIn lets the guest handle a client's message.
func (c *Channel) handleIn(p *supervisor.Process, m *Message) error {
	c.mu.Lock()
	if c.process != p {
		c.mu.Unlock()
		c.putBack(m)
		return nil
	}
	c.event, c.handling = m.Event, m
	c.mu.Unlock()
	c.member.socket.pending.Add(-m.size)

	effects, err := c.ask(p, c.messageEvent(m), m)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p:
		return nil
	case errors.Is(err, errInterrupted):
		c.handling = nil
		if !errors.Is(p.StopReason(), reasonDuplicate) { // then it is lost, as in Phoenix
			c.member.replyCrashed(m)
		}
		return nil
	case errors.Is(err, ErrTooLarge):
		m.replyTooLarge()
	case err != nil:
		return err // Exited answers m
	}
	stop := c.apply(effects, &c.member, m, c.only)
	if !c.endsUnanswered(stop, effects, m) {
		c.handling = nil
	}
	return c.finish(stop)
}

// handleLeave ends the channel as its client asked.
func (c *Channel) handleLeave(p *supervisor.Process, msg leaveMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		c.putBack(msg)
		return nil
	}
	c.final = true
	c.member.leave(&msg.Message)
	return reasonLeft
}

// Exited answers the message at hand if the life crashed. After the last life it tells
// the client of the end, and takes the channel from its topic and its socket.
func (c *Channel) Exited(reason error, decision supervisor.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.exited(reason, decision)
	handling := c.handling
	c.handling = nil
	if decision == supervisor.Restarts {
		if handling != nil {
			c.member.replyCrashed(handling)
		}
		return
	}
	c.endpoint.Presence.Leave(c)
	for _, msg := range c.box.Close() { // dropped, as in Phoenix
		switch msg := msg.(type) {
		case *Message:
			msg.member.socket.pending.Add(-msg.size)
		case leaveMessage:
			if !failed || c.version.Restart != supervisor.Temporary {
				c.member.leave(&msg.Message)
			}
		default:
			c.drop(msg)
		}
	}
	if c.member.joined {
		c.member.endJoined(failed)
		return
	}
	if !c.member.answered {
		c.member.unserved(c.begun && supervisor.IsCrash(reason))
	}
	c.member.end(nil)
}

var _ interface {
	supervisor.Child
	channel
} = (*Channel)(nil)
