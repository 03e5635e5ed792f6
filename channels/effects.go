package channels

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// askGuest gives an event to a guest, holds its effects to the protocol, and has what changed
// stored, if that is to be. The effects are sent without another look, to clients that did nothing wrong. m is the message behind the
// event, if there is one.
func (h *handler) askGuest(p *supervisor.Process, g Guest, event *abi.Event, m *Message) ([]abi.Effect, error) {
	effects, err := g.Handle(event)
	if err != nil {
		return nil, err
	}
	for i := range effects {
		e := &effects[i]
		err := CheckEffect(e, h.topic)
		if err == nil && e.Flags&abi.Binary != 0 {
			switch {
			case h.sole != nil:
				err = h.checkBinary(p, e, m)
			case h.durable:
				if err := h.checkSendable(event, e, m); err != nil {
					return nil, err
				}
			}
		}
		if err != nil {
			return nil, blame(g, false, fmt.Errorf("%v %.100q: %w", e.Kind, e.Name, err))
		}
	}
	count := effects
	if refuses := event.Kind == abi.EventJoin && h.sole != nil || event.Kind == abi.EventImport; refuses && !h.durable && !Accepts(effects) {
		count = nil // nothing comes of them
	}
	if err := g.Commit(count); err != nil {
		return nil, err
	}
	return effects, nil
}

// CheckEffect says why an effect of a process breaks the protocol, if it does. Names are
// UTF-8, payloads JSON, and those of pushes and broadcasts objects; or payloads are binary,
// with names that have room in a binary frame. Here the effects of channel handlers are
// checked; the owners of other processes call CheckEffect themselves. As in Phoenix, a
// process with such an effect crashes.
func CheckEffect(e *abi.Effect, topic string) error {
	o := Outgoing{Topic: topic, Name: e.Name, Payload: e.Payload, Binary: e.Flags&abi.Binary != 0}
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
	return o.check()
}

// check is CheckEffect of what the effect sends.
func (o *Outgoing) check() error {
	switch {
	case !utf8.ValidString(o.Name) || !utf8.ValidString(o.Topic):
		return fmt.Errorf("name: %w: %.100q of topic %.100q", ErrUTF8, o.Name, o.Topic)
	case o.Binary:
		return V2.Check(o)
	case len(o.Payload) == 0:
		return nil // stands for {}
	}
	if err := checkJSON(o.Payload); err != nil {
		return fmt.Errorf("payload: %w: %.100q", err, o.Payload)
	}
	if o.Kind != Reply && !isObject(o.Payload) {
		return fmt.Errorf("payload is no JSON object: %.100q", o.Payload)
	}
	return nil
}

// checkBinary says why the client of a Channel cannot be sent a binary reply or push, if it
// cannot: it speaks version 1, or its topic or ref has more than 255 bytes. As in Phoenix,
// such an effect is a crash of the channel. A name that is too long for everybody is a crash
// in a broadcast, too.
//
// But the sender does not choose the members of a topic. A broadcast leaves out the members
// that cannot be sent it. A shared handler's push to such a member does nothing, its reply
// becomes "crashed", and a join that it accepts so is answered "join crashed" and followed
// by a leave. Otherwise one old client could crash the handler that serves everybody.
// [Stats].Undelivered counts all of these.
func (h *handler) checkBinary(p *supervisor.Process, e *abi.Effect, m *Message) error {
	o := Outgoing{Topic: h.topic, Name: e.Name, JoinRef: h.sole.outRef(), Binary: true}
	switch {
	case e.Kind == abi.EffectPush:
		o.Kind = Push
	case e.Kind != abi.EffectReply:
		return nil
	case e.Detail != "":
		_, o.Ref = h.asker(p, e.Detail, func(string) *member { return h.sole })
	case m != nil:
		o.Ref = m.Ref
	default: // of the join
		o.JoinRef, o.Ref = h.sole.joinRef(), h.sole.ref()
	}
	return h.sole.Codec.Check(&o)
}

// replyIn is a guest's answer to a join or an import. None accepts.
func replyIn(effects []abi.Effect) answer {
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectReply && e.Detail == "" {
			return answerOf(e)
		}
	}
	return answer{status: statusOK}
}

func answerOf(e *abi.Effect) answer { return answer{e.Name, e.Payload, e.Flags&abi.Binary != 0} }

// apply carries out the effects of a guest, in order. It returns why the process is to end
// after that, if it is. at is the member at hand, if there is one, and m the message that a
// reply answers; a join was answered before. named finds the member with an id, if there is
// one; a Channel's needs no id. Callers hold mu.
func (h *handler) apply(effects []abi.Effect, at *member, m *Message, named func(id string) *member) (stop error) {
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
				if to, ref := h.asker(h.process, e.Detail, named); to != nil {
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
				h.present(e, to)
			}
		case abi.EffectBroadcast:
			h.broadcast(e, nil)
		case abi.EffectBroadcastFrom:
			h.broadcast(e, about(e))
		case abi.EffectIntercept: // was declared before
		case abi.EffectStop:
			if stop == nil {
				stop = StopReason(e)
			}
		default:
			h.guest.Apply(e)
		}
	}
	if stop == nil && h.linger != nil && h.linger.kept != nil && h.linger.kept.full {
		stop = reasonOverflow
	}
	return stop
}

func (h *handler) broadcast(e *abi.Effect, except *member) {
	h.endpoint.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: h.topic, Name: e.Name, Payload: e.Payload, Binary: e.Flags&abi.Binary != 0}
	var from *Subscription
	if except != nil {
		from = &except.Subscription
		switch {
		case h.sole == nil:
			o.except = except.id
		case h.linger != nil:
			o.from = h.linger.said(&h.endpoint.lingers)
		}
	}
	if h.endpoint.Hub.Archives() {
		if g, speaks := h.guest.(Speaker); speaks {
			if s, stored := g.Said(e); stored {
				if s != nil {
					s.release(&o, from)
				}
				return
			}
		}
	}
	_ = h.endpoint.Hub.Broadcast(&o, from) // it counts members whose codec cannot write it
}

// StopReason is the exit reason in a guest's effect stop: "normal" or empty, "shutdown"
// with or without a detail, or else a crash.
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

// maxReason bounds the part of a guest's reason that is kept for the log, in bytes.
const maxReason = 1000

// endsUnanswered reports whether a guest ends itself as by a crash without having
// answered the message at hand.
func (h *handler) endsUnanswered(p *supervisor.Process, stop error, effects []abi.Effect, m *Message) bool {
	if stop == nil || !supervisor.IsCrash(stop) {
		return false
	}
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectReply && (e.Detail == "" || e.Detail == h.token(p, m)) {
			return false
		}
	}
	return true
}

// messageEvent makes an event of a message.
func (h *handler) messageEvent(p *supervisor.Process, m *Message) *abi.Event {
	event := &abi.Event{Kind: abi.EventMessage, Flags: binaryFlag(m.Binary), Name: m.Event, Payload: m.Payload, Detail: m.member.id}
	if m.Ref != nil {
		event.Flags |= abi.WantsReply
		event.Extra = h.token(p, m)
	}
	return event
}

// refuse answers a message that the guest did not get.
func (m *Message) refuse(a answer) {
	if m.Ref != nil {
		m.member.reply(m.Ref, a)
	}
}

// replyTooLarge answers a message for which the guest has no room.
func (m *Message) replyTooLarge() { m.refuse(refusal(reasonTooLarge)) }
