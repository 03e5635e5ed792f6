package channels

import (
	"encoding/json"
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// ErrTooLarge is wrapped by a [Guest]'s error if it has no room for an event.
// The sender is told; nothing has crashed.
var ErrTooLarge = errors.New("event too large for the guest")

// Channel is the actor behind one client's join of one topic. It outlives
// crashes: each life is a new process with a new guest, for which the join is
// replayed, while mailbox and subscription stay. The client learns of it only by
// the error reply to the message that crashed.
type Channel struct {
	socket  *Socket
	plugin  Plugin
	topic   string
	joinRef []byte   // as the client sent it; what its later messages must carry
	outRef  []byte   // the join_ref of what the client gets
	ref     []byte   // of the join
	params  []byte   // payload of the join
	old     *Channel // that the join replaced, until the client is told
	box     *supervisor.Mailbox
	member  Subscription

	// Owned by its process; by its supervisor between two lives.
	guest    Guest
	version  *Version // of guest, and of the latest one after a crash
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
		topic:   m.Topic,
		joinRef: m.JoinRef,
		outRef:  m.JoinRef,
		ref:     m.Ref,
		params:  m.Payload,
		old:     old,
		box:     supervisor.NewMailbox(p.Current().Mailbox),
	}
	if c.outRef == nil {
		c.outRef = m.Ref
	}
	c.member = Subscription{Topic: m.Topic, Codec: s.codec, Out: s.out}
	return c
}

// Mailbox implements [supervisor.Child].
func (c *Channel) Mailbox() *supervisor.Mailbox { return c.box }

// Renew moves the channel to the current version of its plugin, between two
// messages, by replaying the join there.
func (c *Channel) Renew() { c.box.Post(renewMessage{}) }

// deliver hands a client's message to the handler. It reports false if too many
// wait already.
func (c *Channel) deliver(m Message) bool {
	pending := &c.socket.pending
	if pending.Add(m.size()) > int64(c.socket.endpoint.Limits.Pending) || c.box.Send(&m) != nil {
		pending.Add(-m.size())
		return false
	}
	return true
}

func (c *Channel) leave(m Message) { c.box.Post(leaveMessage{m}) }

func (c *Channel) stop(reason error) { c.plugin.Supervisor().Stop(c, reason) }

// Init begins a life: the client's join, or its replay.
func (c *Channel) Init(*supervisor.Process) error { return c.enter() }

// Handle takes what is in the mailbox.
func (c *Channel) Handle(_ *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case *Message:
		c.socket.pending.Add(-msg.size())
		return c.handleIn(msg)
	case leaveMessage:
		c.final = true
		c.socket.endpoint.Hub.Unsubscribe(&c.member)
		c.socket.reply(c.outRef, msg.Ref, c.topic, statusOK, emptyObject)
		return reasonLeft
	case renewMessage:
		if c.version != c.plugin.Current() {
			return c.enter()
		}
	}
	return nil
}

// Terminate drops the guest and its memory.
func (c *Channel) Terminate(*supervisor.Process, error) { c.dropGuest() }

// Again says that only a channel that was joined has another life, if its
// restart type says so and nobody ended it.
func (c *Channel) Again(reason error) bool {
	return c.joined && !c.final && c.version.Restart.Again(reason)
}

// Exited tells the client what it has to know, and after the last life takes
// the channel from its topic and its socket.
func (c *Channel) Exited(reason error, decision supervisor.Decision) {
	crashed := supervisor.IsCrash(reason)
	if crashed {
		c.reportCrash(reason, decision)
	}
	handling := c.handling
	c.handling = nil
	if decision == supervisor.Restarts {
		c.restarts++
		if handling != nil && handling.Ref != nil {
			c.socket.reply(c.outRef, handling.Ref, c.topic, statusError, reasonCrashed)
		}
		return
	}
	for _, msg := range c.box.Close() {
		if m, ok := msg.(*Message); ok {
			c.socket.pending.Add(-m.size())
		}
	}
	c.socket.endpoint.Hub.Unsubscribe(&c.member)
	switch {
	case !c.answered: // it ended before its join could begin
		c.answer(statusError, reasonGone)
		c.socket.ended(c, nil)
	case !c.joined:
		c.socket.ended(c, nil)
	case crashed:
		f := c.frame(eventError, reasonCrash)
		c.socket.ended(c, &f)
	default:
		f := c.closeFrame()
		c.socket.ended(c, &f)
	}
}

// enter starts a guest of the current version and lets it join: for the
// client, or in place of a guest that crashed or is of an older version.
func (c *Channel) enter() error {
	replay := c.joined
	version := c.plugin.Current()
	event := abi.Event{Kind: abi.EventJoin, Name: c.topic, Payload: c.params}
	if replay {
		event.Flags |= abi.Replay
		c.final = true // until the replay has succeeded
	}
	guest, err := version.New(c.topic)
	var effects []abi.Effect
	if err == nil {
		effects, err = handle(guest, &event)
	}
	status, response := statusOK, emptyObject
	if err == nil {
		for _, e := range effects {
			if e.Kind == abi.EffectReply {
				status, response = e.Name, payload(e)
			}
		}
	}
	if err != nil || status != statusOK {
		if guest != nil {
			guest.Close()
		}
		c.version = version
		return c.notEntered(replay, status, response, err)
	}

	c.dropGuest()
	c.guest, c.version, c.final = guest, version, false
	if !replay {
		c.joined = true
		c.socket.endpoint.counts.accepted.Add(1)
		c.answer(status, response)
	}
	c.apply(effects, nil)
	if !replay {
		c.socket.accepted(c)
	}
	return nil
}

// notEntered says why there is no guest: it refused, or err.
func (c *Channel) notEntered(replay bool, status string, response []byte, err error) error {
	counts := &c.socket.endpoint.counts
	switch {
	case replay && err != nil:
		return fmt.Errorf("replay join: %w", err)
	case replay:
		return fmt.Errorf("replay join: refused with %.200s", response)
	case errors.Is(err, ErrTooLarge):
		counts.refused.Add(1)
		c.answer(statusError, reasonTooLarge)
		return supervisor.Normal
	case err != nil:
		counts.joinCrashed.Add(1)
		c.answer(statusError, reasonJoinCrash)
		return err
	}
	counts.refused.Add(1)
	c.answer(status, response)
	return supervisor.Normal
}

// answer sends the reply to the join and behind it the end of the channel
// that it replaced. If the join was accepted, the topic's broadcasts follow from then on.
func (c *Channel) answer(status string, response []byte) {
	c.answered = true
	c.socket.endpoint.counts.direct.Add(1)
	o := Outgoing{Kind: Reply, JoinRef: c.joinRef, Ref: c.ref, Topic: c.topic, Name: status, Payload: response}
	first := make([]Frame, 0, 2)
	if f, err := c.socket.codec.Encode(&o); err == nil {
		first = append(first, f)
	}
	if c.old != nil {
		first = append(first, c.old.closeFrame())
		c.old = nil
	}
	if c.joined {
		c.socket.endpoint.Hub.Subscribe(&c.member, first...)
		return
	}
	for _, f := range first {
		c.socket.out.Send(f)
	}
}

// handleIn lets the guest handle a client's message.
func (c *Channel) handleIn(m *Message) error {
	c.handling = m
	event := abi.Event{Kind: abi.EventMessage, Name: m.Event, Payload: m.Payload}
	if m.Ref != nil {
		event.Flags |= abi.WantsReply
	}
	effects, err := handle(c.guest, &event)
	switch {
	case errors.Is(err, ErrTooLarge):
		if m.Ref != nil {
			c.socket.reply(c.outRef, m.Ref, c.topic, statusError, reasonTooLarge)
		}
	case err != nil:
		return err // Exited answers, and may name the event
	default:
		c.apply(effects, m)
	}
	c.handling = nil
	return nil
}

// handle gives an event to a guest and holds its effects to the protocol: the
// host sends what a guest wrote without looking again.
func handle(g Guest, event *abi.Event) ([]abi.Effect, error) {
	effects, err := g.Handle(event)
	if err != nil {
		return nil, err
	}
	for _, e := range effects {
		switch {
		case e.Flags&abi.Binary != 0:
			return nil, fmt.Errorf("%v %q: binary payloads are not supported yet", e.Kind, e.Name)
		case len(e.Payload) == 0:
		case !json.Valid(e.Payload):
			return nil, fmt.Errorf("%v %q: payload is not JSON: %.100q", e.Kind, e.Name, e.Payload)
		case e.Kind != abi.EffectReply && !isObject(e.Payload):
			return nil, fmt.Errorf("%v %q: payload is no JSON object: %.100q", e.Kind, e.Name, e.Payload)
		}
	}
	return effects, nil
}

// apply does what a guest asked for, in order. m is the message that a reply
// answers; a join was answered before.
func (c *Channel) apply(effects []abi.Effect, m *Message) {
	endpoint := c.socket.endpoint
	for _, e := range effects {
		switch e.Kind {
		case abi.EffectReply:
			if m != nil && m.Ref != nil {
				c.socket.reply(c.outRef, m.Ref, c.topic, e.Name, payload(e))
			}
		case abi.EffectPush:
			c.socket.send(&Outgoing{Kind: Push, JoinRef: c.outRef, Topic: c.topic, Name: e.Name, Payload: payload(e)})
		case abi.EffectBroadcast, abi.EffectBroadcastFrom:
			var except *Subscription
			if e.Kind == abi.EffectBroadcastFrom {
				except = &c.member
			}
			endpoint.counts.broadcasts.Add(1)
			// Text can always be encoded.
			_ = endpoint.Hub.Broadcast(&Outgoing{Kind: Broadcast, Topic: c.topic, Name: e.Name, Payload: payload(e)}, except)
		}
	}
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

func (c *Channel) dropGuest() {
	if c.guest != nil {
		c.guest.Close()
		c.guest = nil
	}
}

func (c *Channel) closeFrame() Frame { return c.frame(eventClose, emptyObject) }

// frame is a message about the channel's own life: it carries the join_ref
// twice.
func (c *Channel) frame(event string, payload []byte) Frame {
	f, _ := c.socket.codec.Encode(&Outgoing{Kind: Push, JoinRef: c.joinRef, Ref: c.joinRef, Topic: c.topic, Name: event, Payload: payload})
	return f
}

func payload(e abi.Effect) []byte {
	if len(e.Payload) == 0 {
		return emptyObject
	}
	return e.Payload
}

func isObject(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c == '{'
	}
	return false
}

// size is what a waiting message takes, about.
func (m *Message) size() int64 { return int64(len(m.Payload)+len(m.Event)) + 128 }

var _ supervisor.Child = (*Channel)(nil)
