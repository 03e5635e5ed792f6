package channels

import (
	"errors"
	"fmt"
	"strings"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// handle gives an event to a guest and holds its effects to the protocol: what a
// guest wrote is sent without looking again, to clients that did nothing wrong.
func handle(g Guest, event *abi.Event) ([]abi.Effect, error) {
	effects, err := g.Handle(event)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		e := &effects[i]
		if err := check(e); err != nil {
			return nil, fmt.Errorf("%v %q: %w", e.Kind, e.Name, err)
		}
	}
	return effects, nil
}

func check(e *abi.Effect) error {
	switch e.Kind {
	case abi.EffectReply, abi.EffectPush, abi.EffectBroadcast, abi.EffectBroadcastFrom:
	default:
		return nil // no client gets it
	}
	if e.Flags&abi.Binary != 0 {
		return fmt.Errorf("binary payloads are not supported yet")
	}
	if len(e.Payload) == 0 {
		return nil // stands for {}
	}
	if err := checkJSON(e.Payload); err != nil {
		return fmt.Errorf("payload: %w: %.100q", err, e.Payload)
	}
	if e.Kind != abi.EffectReply && !isObject(e.Payload) {
		return fmt.Errorf("payload is no JSON object: %.100q", e.Payload)
	}
	return nil
}

// joinReply is a guest's answer to a join. None accepts.
func joinReply(effects []abi.Effect) (status string, response []byte) {
	for i := range effects {
		if effects[i].Kind == abi.EffectReply {
			return effects[i].Name, effects[i].Payload
		}
	}
	return statusOK, nil
}

// apply does what the guest asked for, in order, and returns why its process is
// to end after that, if it is. At is the member at hand, if there is one, and m
// the message that a reply answers; a join was answered before. Named finds the
// member with an id, if there is one; also with an empty one, where that is
// clear. Callers hold mu.
func (l *lives) apply(effects []abi.Effect, at *member, m *Message, named func(id string) *member) (stop error) {
	about := func(e *abi.Effect) *member {
		if e.Detail == "" && at != nil {
			return at
		}
		return named(e.Detail)
	}
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case abi.EffectReply:
			if m != nil && m.Ref != nil {
				m.member.reply(m.Ref, e.Name, e.Payload)
			}
		case abi.EffectPush:
			if to := about(e); to != nil {
				to.push(e.Name, e.Payload)
			}
		case abi.EffectBroadcast:
			l.broadcast(e, nil)
		case abi.EffectBroadcastFrom:
			l.broadcast(e, about(e))
		case abi.EffectStop:
			if stop == nil {
				stop = stopReason(e)
			}
		default:
			l.guest.Apply(e)
		}
	}
	return stop
}

func (l *lives) broadcast(e *abi.Effect, except *member) {
	l.endpoint.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: l.topic, Name: e.Name, Payload: e.Payload}
	var from *Subscription
	if except != nil {
		from = &except.Subscription
	}
	_ = l.endpoint.Hub.Broadcast(&o, from) // every codec can encode text
}

// stopReason is the exit reason that a guest gives itself: "normal", which an
// empty one means too, "shutdown" with or without a detail, or else a crash.
func stopReason(e *abi.Effect) error {
	text := strings.ToValidUTF8(string(e.Payload[:min(len(e.Payload), maxReason)]), "\ufffd")
	switch {
	case e.Name == "" || e.Name == "normal":
		return supervisor.Normal
	case e.Name == "shutdown" && text == "":
		return supervisor.Shutdown
	case e.Name == "shutdown":
		return supervisor.ShutdownBecause(text)
	case text == "":
		return errors.New(e.Name)
	}
	return errors.New(e.Name + ": " + text)
}

// maxReason is how much of a guest's reason is kept, in bytes: it goes to the log.
const maxReason = 1000

// endsUnanswered reports whether a guest ends itself as by a crash without having
// answered the message at hand.
func endsUnanswered(stop error, effects []abi.Effect) bool {
	if stop == nil || !supervisor.IsCrash(stop) {
		return false
	}
	for i := range effects {
		if effects[i].Kind == abi.EffectReply {
			return false
		}
	}
	return true
}

// toGuest is the message as an event; id is the member's, if there are several.
func (m *Message) toGuest(id string) *abi.Event {
	event := &abi.Event{Kind: abi.EventMessage, Name: m.Event, Payload: m.Payload, Detail: id}
	if m.Ref != nil {
		event.Flags |= abi.WantsReply
	}
	return event
}

// replyTooLarge tells that the guest has no room for the message.
func (m *Message) replyTooLarge() {
	if m.Ref != nil {
		m.member.reply(m.Ref, statusError, reasonTooLarge)
	}
}
