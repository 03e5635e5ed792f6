package channels

import (
	"cmp"
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Channel is the actor behind one client's join of one topic. It outlives
// crashes: each life is a new process with a new guest, for which the join is
// replayed, while mailbox and subscription stay. The client learns of it only by
// the error reply to the message that crashed.
type Channel struct {
	lives
	member   *member
	handling *Message // at hand; guarded by mu
}

func newChannel(p Plugin, m *member) *Channel {
	c := &Channel{lives: newLives(m.socket.endpoint, p, m.Topic, PerJoin), member: m}
	c.sole = m
	return c
}

func (c *Channel) stop(_ *member, reason error) { c.tree.Stop(c, reason) }

// only is how a Channel finds the member that a guest names: there is one.
func (c *Channel) only(string) *member { return c.member }

// list is the member as import tells it.
func (c *Channel) list() string {
	return string(c.member.appendTo(make([]byte, 0, 3*4+len(c.member.params)+len(c.member.socket.assigns)), ""))
}

// appendTo writes a member as import tells it: its id, join payload and assigns.
func (m *member) appendTo(list []byte, id string) []byte {
	list = abi.AppendField(list, id)
	list = abi.AppendField(list, m.params)
	return abi.AppendField(list, m.socket.assigns)
}

// all yields the members of a Channel.
func (c *Channel) all(yield func(*member) bool) { yield(c.member) }

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
		return c.renew(p, msg, c.enter, c.list, c.only)
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

// enter starts a guest of the current version and lets it join: for the client,
// or in place of a guest that crashed or is of an older version.
func (c *Channel) enter(p *supervisor.Process) error {
	if !c.take(p, eventJoin) {
		return nil
	}
	event := c.member.joinEvent("")
	if c.member.joined {
		event.Flags |= abi.Replay
	}
	// Closed is the guest that is not needed, once effects are applied.
	var next opening
	reason := reasonRenewed
	defer func() { next.close(reason) }()
	err := c.open(p, event, &next)

	c.mu.Lock()
	defer c.mu.Unlock()
	reply := joinReply(next.effects)
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
	stop := c.apply(next.effects, c.member, nil, c.only)
	c.endpoint.Presence.Settle(c)
	c.member.socket.accepted(c.member)
	return c.finish(stop)
}

// interceptor is what stands before the member's subscription: nothing, for the
// most of them.
func (c *Channel) interceptor() interceptor {
	if c.wanted.Load() == nil {
		return nil
	}
	return c
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

	effects, err := c.ask(p, c.messageEvent(m, ""), m)

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
	stop := c.apply(effects, c.member, m, c.only)
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

// Exited tells the client what it has to know, and after the last life takes the
// channel from its topic and its socket.
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
			drop(msg)
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

// reasonRenewed is why a guest is closed whose process goes on.
var reasonRenewed = supervisor.ShutdownBecause("replaced by another version")

var _ interface {
	supervisor.Child
	handler
} = (*Channel)(nil)
