package channels

import (
	"errors"
	"fmt"
	"sync"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Channel is the actor behind one client's join of one topic. It outlives
// crashes: each life is a new process with a new guest, for which the join is
// replayed, while mailbox and subscription stay. The client learns of it only by
// the error reply to the message that crashed.
type Channel struct {
	// Set by newChannel.
	socket  *Socket
	plugin  Plugin
	tree    *supervisor.Dynamic // that supervises it
	topic   string
	joinRef []byte // as the client sent it; what its later messages must carry
	outRef  []byte // the join_ref of what the client gets
	ref     []byte // of the join
	params  []byte // payload of the join
	box     *supervisor.Mailbox
	member  Subscription

	guest Guest // only its process touches it

	mu sync.Mutex // held while an outcome is applied, never while a guest runs
	// The present life, nil between two. A process that is killed while its
	// guest runs has ended before it knows; then its outcome no longer counts.
	process  *supervisor.Process
	old      *Channel // that the join replaces, until the client is told
	version  *Version // of the guest, or of the one that did not come to be
	answered bool     // the join has its reply
	joined   bool     // and it was ok
	final    bool     // whatever comes, there is no further life
	handling *Message
	restarts int
}

// Messages to a channel, beside *Message.
type (
	leaveMessage struct{ Message }
	renewMessage struct{}
)

func newChannel(s *Socket, p Plugin, m Message, old *Channel) *Channel {
	c := &Channel{
		socket:  s,
		plugin:  p,
		tree:    p.Supervisor(),
		topic:   m.Topic,
		joinRef: m.JoinRef,
		outRef:  m.JoinRef,
		ref:     m.Ref,
		params:  m.Payload,
		box:     supervisor.NewMailbox(limit(p.Current().Mailbox, 1000)),
		member:  Subscription{Topic: m.Topic, Codec: s.codec, Out: s.out},
		old:     old,
	}
	if c.outRef == nil {
		c.outRef = m.Ref
	}
	return c
}

// Mailbox implements [supervisor.Child].
func (c *Channel) Mailbox() *supervisor.Mailbox { return c.box }

// Renew moves the channel to the current version of its plugin, between two
// messages, by replaying the join there. If that fails the channel crashes for
// good. It may be called from any goroutine.
func (c *Channel) Renew() { c.box.Post(renewMessage{}) }

func (c *Channel) stop(reason error) { c.tree.Stop(c, reason) }

// Init begins a life: the client's join, or its replay.
func (c *Channel) Init(p *supervisor.Process) error {
	c.mu.Lock()
	c.process = p
	c.mu.Unlock()
	return c.enter(p)
}

// Handle takes what is in the mailbox.
func (c *Channel) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case *Message:
		c.socket.pending.Add(-msg.size)
		return c.handleIn(p, msg)
	case leaveMessage:
		return c.handleLeave(p, msg.Message)
	case renewMessage:
		c.mu.Lock()
		older := c.version != c.plugin.Current()
		c.mu.Unlock()
		if older {
			return c.enter(p)
		}
	}
	return nil
}

// Terminate drops the guest and its memory.
func (c *Channel) Terminate(*supervisor.Process, error) {
	if c.guest != nil {
		c.guest.Close()
		c.guest = nil
	}
}

// Again says that only a channel that was joined has another life, if its
// restart type says so and nobody ended it.
func (c *Channel) Again(reason error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined && !c.final && c.version.Restart.Again(reason)
}

// enter starts a guest of the current version and lets it join: for the client,
// or in place of a guest that crashed or is of an older version.
func (c *Channel) enter(p *supervisor.Process) error {
	c.mu.Lock()
	replay := c.joined
	c.mu.Unlock()
	event := abi.Event{Kind: abi.EventJoin, Name: c.topic, Payload: c.params}
	if replay {
		event.Flags |= abi.Replay
	}
	version := c.plugin.Current()
	guest, err := version.New(c.topic)
	// Closed is the one that is not needed, once its effects are applied.
	defer func() {
		if guest != nil {
			guest.Close()
		}
	}()
	var effects []abi.Effect
	if err == nil {
		effects, err = handle(guest, &event)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return nil
	}
	c.version = version
	status, response := joinReply(effects)
	if err != nil || status != statusOK {
		return c.notEntered(replay, status, response, err)
	}
	c.guest, guest = guest, c.guest
	if !replay {
		c.joined = true
		c.socket.endpoint.counts.accepted.Add(1)
		c.answer(status, response)
	}
	c.apply(effects, nil)
	c.guest.Release()
	c.socket.accepted(c)
	return nil
}

// notEntered says why there is no guest: it refused, or err. Callers hold mu.
func (c *Channel) notEntered(replay bool, status string, response []byte, err error) error {
	counts := &c.socket.endpoint.counts
	c.final = true
	switch {
	case replay && err != nil:
		return fmt.Errorf("replay join: %w", err)
	case replay:
		return fmt.Errorf("replay join: answered %.20q with %.200q", status, response)
	case errors.Is(err, ErrTooLarge):
		counts.refused.Add(1)
		c.answer(statusError, reasonTooLarge)
		return supervisor.Normal
	case err != nil:
		counts.joinCrashed.Add(1)
		c.answer(statusError, reasonJoinCrash)
		return fmt.Errorf("join: %w", err)
	}
	counts.refused.Add(1)
	c.answer(status, response)
	return supervisor.Normal
}

// answer sends the reply to the join and, behind it, the end of the channel that
// it replaced. If the join was accepted, the topic's broadcasts follow. Callers
// hold mu.
func (c *Channel) answer(status string, response []byte) {
	c.answered = true
	first := []Frame{c.socket.encode(&Outgoing{
		Kind: Reply, JoinRef: c.joinRef, Ref: c.ref, Topic: c.topic, Name: status, Payload: response,
	})}
	if c.old != nil {
		first = append(first, c.old.closeFrame())
		c.old = nil
	}
	if !c.joined {
		c.socket.send(first...)
		return
	}
	c.socket.endpoint.counts.direct.Add(uint64(len(first)))
	c.socket.endpoint.Hub.Subscribe(&c.member, first...)
}

// handleIn lets the guest handle a client's message.
func (c *Channel) handleIn(p *supervisor.Process, m *Message) error {
	c.mu.Lock()
	current := c.process == p
	if current {
		c.handling = m
	}
	c.mu.Unlock()
	if !current {
		return nil
	}

	event := abi.Event{Kind: abi.EventMessage, Name: m.Event, Payload: m.Payload}
	if m.Ref != nil {
		event.Flags |= abi.WantsReply
	}
	effects, err := handle(c.guest, &event)

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.process != p:
		return nil
	case errors.Is(err, ErrTooLarge):
		if m.Ref != nil {
			c.socket.reply(c.outRef, m.Ref, c.topic, statusError, reasonTooLarge)
		}
	case err != nil:
		return err // Exited answers m
	}
	c.apply(effects, m)
	c.guest.Release()
	c.handling = nil
	return nil
}

// handleLeave ends the channel as its client asked.
func (c *Channel) handleLeave(p *supervisor.Process, m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != p {
		return nil
	}
	c.final = true
	c.socket.endpoint.Hub.Unsubscribe(&c.member)
	c.socket.reply(c.outRef, m.Ref, c.topic, statusOK, nil)
	return reasonLeft
}

// Exited tells the client what it has to know, and after the last life takes the
// channel from its topic and its socket.
func (c *Channel) Exited(reason error, decision supervisor.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	crashed := supervisor.IsCrash(reason)
	if crashed {
		c.reportCrash(reason, decision)
	}
	c.process = nil
	handling := c.handling
	c.handling = nil
	if decision == supervisor.Restarts {
		c.restarts++
		if handling != nil && handling.Ref != nil {
			c.socket.reply(c.outRef, handling.Ref, c.topic, statusError, reasonCrashed)
		}
		return
	}
	c.socket.endpoint.Hub.Unsubscribe(&c.member)
	left := c.closeMailbox()
	var last Frame
	switch {
	case !c.joined:
		if !c.answered {
			c.answerUnbegun(crashed)
		}
		c.socket.ended(c, nil)
		return
	case left != nil:
		// A client that leaves has what it wants, and must not be made to rejoin
		// by a crash before its turn came.
		c.socket.reply(c.outRef, left.Ref, c.topic, statusOK, nil)
		last = c.closeFrame()
	case crashed:
		last = c.lastFrame(eventError, reasonCrash)
	default:
		last = c.closeFrame()
	}
	c.socket.ended(c, &last)
}

// answerUnbegun answers a join that no guest has decided: the plugin ended
// first, or the code here panicked. Callers hold mu.
func (c *Channel) answerUnbegun(crashed bool) {
	if crashed {
		c.socket.endpoint.counts.joinCrashed.Add(1)
		c.answer(statusError, reasonJoinCrash)
		return
	}
	c.socket.endpoint.counts.unmatched.Add(1)
	c.answer(statusError, reasonGone)
}

// closeMailbox drops what waits, as Phoenix does, and returns the client's leave
// if it is among it.
func (c *Channel) closeMailbox() (left *Message) {
	for _, msg := range c.box.Close() {
		switch msg := msg.(type) {
		case *Message:
			c.socket.pending.Add(-msg.size)
		case leaveMessage:
			left = &msg.Message
		}
	}
	return left
}

func (c *Channel) reportCrash(reason error, decision supervisor.Decision) {
	report := c.socket.endpoint.Crashed
	if report == nil {
		return
	}
	crash := Crash{Plugin: c.plugin.Name(), Topic: c.topic, Reason: reason, Decision: decision, Restarts: c.restarts}
	if c.version != nil {
		crash.Version = c.version.ID
	}
	switch {
	case c.handling != nil:
		crash.Event = c.handling.Event
	case !c.joined || c.final:
		crash.Event = eventJoin
	}
	report(crash)
}

func (c *Channel) closeFrame() Frame { return c.lastFrame(eventClose, nil) }

// lastFrame tells of the channel's end: it carries the join_ref twice.
func (c *Channel) lastFrame(event string, payload []byte) Frame {
	return c.socket.encode(&Outgoing{
		Kind: Push, JoinRef: c.joinRef, Ref: c.joinRef, Topic: c.topic, Name: event, Payload: payload,
	})
}

var _ supervisor.Child = (*Channel)(nil)
