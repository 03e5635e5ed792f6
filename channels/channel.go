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

// only is how a Channel finds the member that a guest names: there is one.
func (c *Channel) only(string) *member { return c.sole }

// importList is the member as import tells it.
func (c *Channel) importList() string {
	m := c.sole
	return string(m.appendTo(make([]byte, 0, 3*4+len(m.params())+len(m.assigns()))))
}

// appendTo writes a member as import tells it: its id, join payload and assigns.
func (m *member) appendTo(list []byte) []byte {
	list = abi.AppendField(list, m.id)
	list = abi.AppendField(list, m.params())
	return abi.AppendField(list, m.assigns())
}

// all yields the members of a Channel.
func (c *Channel) all(yield func(*member) bool) { yield(c.sole) }

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
	case awayMessage:
		return c.handleAway(p, msg)
	case backMessage:
		return c.handleBack(p, msg)
	case overMessage:
		return c.handleOver(msg)
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
	return c.sole.joined && !c.final && !c.sole.away && c.version.Restart.Again(reason)
}

// enter starts a guest of the current version and gives it the join: the client's, or a
// replay in place of a guest that crashed or is of an older version.
func (c *Channel) enter(p *supervisor.Process) error {
	switch {
	case c.sole.away: // what it stayed for is lost
		c.giveUp()
		return reasonClosed
	case !c.atHand(p, eventJoin):
		return nil
	}
	if !c.wanted(p) {
		return supervisor.Normal
	}
	event := c.sole.joinEvent()
	if c.sole.joined {
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
	if c.sole.joined {
		c.endpoint.Hub.setInterceptor(&c.sole.Subscription, c.interceptor())
	} else {
		c.sole.joined = true
		c.sole.before = c.interceptor()
		c.sole.answer(reply, c.lingers()...)
	}
	stop := c.apply(next.effects, c.sole, nil, c.only)
	c.endpoint.Presence.Settle(c)
	c.sole.socket.accepted(c.sole, c.linger != nil)
	return c.finish(stop)
}

// wanted says whether the client still wants the join, or another one in its place. If not, it has been told.
func (c *Channel) wanted(p *supervisor.Process) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.final = c.process == p && !c.sole.joined && !c.sole.catchUp()
	return !c.final
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
	case c.sole.joined && err != nil:
		return fmt.Errorf("replay join: %w", err)
	case c.sole.joined:
		return fmt.Errorf("replay join: answered %.20q with %.200q", reply.status, reply.response)
	case errors.Is(err, ErrTooLarge):
		c.sole.refuse(refusal(reasonTooLarge))
		return supervisor.Normal
	case err != nil:
		c.sole.unserved(true)
		return fmt.Errorf("join: %w", err)
	}
	c.sole.refuse(reply)
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
	m.member.socket.pending.Add(-m.size)

	effects, err := c.ask(p, c.messageEvent(p, m), m)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p:
		return nil
	case errors.Is(err, errInterrupted):
		c.handling = nil
		if !errors.Is(p.StopReason(), reasonDuplicate) { // then it is lost, as in Phoenix
			m.member.replyCrashed(m)
		}
		return nil
	case errors.Is(err, ErrTooLarge):
		m.replyTooLarge()
	case err != nil:
		return err // Exited answers m
	}
	stop := c.apply(effects, c.sole, m, c.only)
	if !c.endsUnanswered(p, stop, effects, m) {
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
	msg.member.leave(&msg.Message)
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
			handling.member.replyCrashed(handling)
		}
		return
	}
	c.endpoint.Presence.Leave(c)
	var again []*member
	if m := c.endLinger(); m != nil && c.begun && supervisor.IsCrash(reason) {
		m.unserved(true)
		m.end(nil)
	} else if m != nil {
		again = append(again, m)
	}
	for _, msg := range c.box.Close() { // dropped, as in Phoenix
		switch msg := msg.(type) {
		case *Message:
			msg.member.socket.pending.Add(-msg.size)
		case leaveMessage:
			if !failed || c.version.Restart != supervisor.Temporary {
				msg.member.leave(&msg.Message)
			}
		case backMessage:
			again = append(again, msg.member)
		default:
			c.drop(msg)
		}
	}
	switch {
	case c.sole.away:
		c.endpoint.Hub.Unsubscribe(&c.sole.Subscription)
	case c.sole.joined:
		c.sole.endJoined(failed)
	default:
		if !c.sole.answered {
			c.sole.unserved(c.begun && supervisor.IsCrash(reason))
		}
		c.sole.end(nil)
	}
	for _, m := range again { // c ended just before
		m.socket.joinAgain(m)
	}
}

var _ interface {
	supervisor.Child
	channel
} = (*Channel)(nil)
