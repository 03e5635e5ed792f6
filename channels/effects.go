package channels

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// handle gives an event to a guest and holds its effects to the protocol: what a
// guest wrote is sent without looking again, to clients that did nothing wrong.
// m is the message that the event is, if it is one.
func (l *lives) handle(g Guest, event *abi.Event, m *Message) ([]abi.Effect, error) {
	effects, err := g.Handle(event)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		e := &effects[i]
		err := CheckEffect(e, l.topic)
		if err == nil && e.Flags&abi.Binary != 0 && l.sole != nil {
			err = l.checkBinary(e, m)
		}
		if err != nil {
			return nil, fmt.Errorf("%v %.100q: %w", e.Kind, e.Name, err)
		}
	}
	return effects, nil
}

// CheckEffect says why a process may not ask for an effect: because of what it
// would have to send. Names are UTF-8, payloads JSON, and those of pushes and
// broadcasts objects; or they are binary, with names that have room in a binary
// frame. The effects of channel handlers are checked; other processes
// that publish are up to their owner. As in Phoenix, it is a crash.
func CheckEffect(e *abi.Effect, topic string) error {
	o := Outgoing{Topic: topic, Name: e.Name, Binary: e.Flags&abi.Binary != 0}
	switch e.Kind {
	case abi.EffectReply:
		o.Kind = Reply
	case abi.EffectPush:
		o.Kind = Push
	case abi.EffectBroadcast, abi.EffectBroadcastFrom:
		o.Kind = Broadcast
	case abi.EffectPublish:
		o.Kind, o.Topic = Broadcast, e.Detail
	default:
		return nil // no client gets it
	}
	switch {
	case !utf8.ValidString(o.Name) || !utf8.ValidString(o.Topic):
		return fmt.Errorf("name: %w: %.100q of topic %.100q", ErrUTF8, o.Name, o.Topic)
	case o.Binary:
		return V2.Check(&o)
	case len(e.Payload) == 0:
		return nil // stands for {}
	}
	if err := checkJSON(e.Payload); err != nil {
		return fmt.Errorf("payload: %w: %.100q", err, e.Payload)
	}
	if o.Kind != Reply && !isObject(e.Payload) {
		return fmt.Errorf("payload is no JSON object: %.100q", e.Payload)
	}
	return nil
}

// checkBinary says why the client of a Channel cannot be sent a binary reply or
// push: as in Phoenix, that is a crash of the channel. A broadcast just leaves
// out the members that cannot be sent it, who are none of the sender's doing.
func (l *lives) checkBinary(e *abi.Effect, m *Message) error {
	o := Outgoing{Topic: l.topic, Name: e.Name, JoinRef: l.sole.outRef(), Binary: true}
	switch {
	case e.Kind == abi.EffectPush:
		o.Kind = Push
	case e.Kind != abi.EffectReply:
		return nil
	case e.Detail != "":
		_, o.Ref = l.asker(e.Detail, func(string) *member { return l.sole })
	case m != nil:
		o.Ref = m.Ref
	default: // of the join
		o.JoinRef, o.Ref = l.sole.joinRef, l.sole.ref
	}
	return l.sole.Codec.Check(&o)
}

// joinReply is a guest's answer to a join. None accepts.
func joinReply(effects []abi.Effect) answer {
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectReply && e.Detail == "" {
			return answerOf(e)
		}
	}
	return answer{status: statusOK}
}

func answerOf(e *abi.Effect) answer { return answer{e.Name, e.Payload, e.Flags&abi.Binary != 0} }

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
			if e.Detail != "" {
				if to, ref := l.asker(e.Detail, named); to != nil {
					to.reply(ref, answerOf(e))
				}
			} else if m != nil {
				m.member.reply(m.Ref, answerOf(e))
			}
		case abi.EffectPush:
			if to := about(e); to != nil {
				to.push(e)
			}
		case abi.EffectPresent:
			if to := about(e); to != nil {
				l.present(e, to)
			}
		case abi.EffectBroadcast:
			l.broadcast(e, nil)
		case abi.EffectBroadcastFrom:
			l.broadcast(e, about(e))
		case abi.EffectIntercept: // was declared before
		case abi.EffectStop:
			if stop == nil {
				stop = StopReason(e)
			}
		default:
			l.guest.Apply(e)
		}
	}
	return stop
}

func (l *lives) broadcast(e *abi.Effect, except *member) {
	l.endpoint.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: l.topic, Name: e.Name, Payload: e.Payload, Binary: e.Flags&abi.Binary != 0}
	var from *Subscription
	if except != nil {
		from = &except.Subscription
		if l.scope == PerTopic {
			o.except = except.name()
		}
	}
	_ = l.endpoint.Hub.Broadcast(&o, from) // it counts members whose codec cannot write it
}

// StopReason is the exit reason that a guest gives itself: "normal", which an
// empty one means too, "shutdown" with or without a detail, or else a crash.
func StopReason(e *abi.Effect) error {
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
	case e.Name == "crash":
		return errors.New(text)
	}
	return errors.New(e.Name + ": " + text)
}

// maxReason is how much of a guest's reason is kept, in bytes: it goes to the log.
const maxReason = 1000

// endsUnanswered reports whether a guest ends itself as by a crash without having
// answered the message at hand.
func (l *lives) endsUnanswered(stop error, effects []abi.Effect, m *Message) bool {
	if stop == nil || !supervisor.IsCrash(stop) {
		return false
	}
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectReply && (e.Detail == "" || e.Detail == l.token(m)) {
			return false
		}
	}
	return true
}

// messageEvent is a message as an event; id is the member's, if there are
// several.
func (l *lives) messageEvent(m *Message, id string) *abi.Event {
	event := &abi.Event{Kind: abi.EventMessage, Flags: binaryFlag(m.Binary), Name: m.Event, Payload: m.Payload, Detail: id}
	if m.Ref != nil {
		event.Flags |= abi.WantsReply
		event.Extra = l.token(m)
	}
	return event
}

// replyTooLarge tells that the guest has no room for the message.
func (m *Message) replyTooLarge() {
	if m.Ref != nil {
		m.member.reply(m.Ref, refusal(reasonTooLarge))
	}
}
