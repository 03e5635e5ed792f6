package channels

import (
	"bytes"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// channel is a [Channel] or a [SharedChannel], as the sockets of its members see it.
type channel interface {
	// Mailbox takes a member's *Message, and its leaveMessage.
	Mailbox() *supervisor.Mailbox
	// current is the version that most new handlers begin with, by whose Rate messages are counted.
	current() *Version
	// dismiss ends a membership after the message at hand. Its other messages are
	// dropped. Callers hold the lock of the member's socket.
	dismiss(m *member, reason error)
}

// member is one client's join of one topic, from phx_join to phx_close or phx_error. It is
// small, as a topic can have a hundred thousand.
type member struct {
	Subscription
	seat
	socket  *Socket
	channel channel // set before the handler gets the join
	join    joinText

	// Guarded by the handler's lock.
	answered bool    // the join has its reply
	joined   bool    // and it was ok
	left     bool    // the client's leave was answered
	ended    bool    // the socket knows that it is over
	tracked  bool    // it was present somewhere, or is: an owner of presence
	away     bool    // the client is, and what is pushed to it is kept
	id       string  // of one of a SharedChannel
	old      *member // that the join replaces, until the client is told
}

// joinText has what is kept of a join: the refs as the client sent them, and the payload.
type joinText struct {
	text             []byte // join_ref, ref, payload
	joinRefSize      uint32
	refSize          uint32
	noJoinRef, noRef bool   // it is null
	same             bool   // ref is join_ref, as most clients have it, and kept once
	binary           bool   // the payload is binary
	came             uint32 // when, in seconds
}

func newJoinText(m *Message) (j joinText) {
	j.joinRefSize, j.noJoinRef = uint32(len(m.JoinRef)), m.JoinRef == nil
	j.refSize, j.noRef = uint32(len(m.Ref)), m.Ref == nil
	j.binary, j.came = m.Binary, seconds()
	ref := m.Ref
	if j.same = !j.noRef && bytes.Equal(ref, m.JoinRef); j.same {
		ref = nil
	}
	j.text = make([]byte, 0, len(m.JoinRef)+len(ref)+len(m.Payload))
	j.text = append(append(append(j.text, m.JoinRef...), ref...), m.Payload...)
	return j
}

// joinRef is what the client's later messages must carry.
func (m *member) joinRef() []byte {
	if m.join.noJoinRef {
		return nil
	}
	return m.join.text[:m.join.joinRefSize:m.join.joinRefSize]
}

// ref is that of the join.
func (m *member) ref() []byte {
	j := &m.join
	switch {
	case j.noRef:
		return nil
	case j.same:
		return m.joinRef()
	}
	return j.text[j.joinRefSize:][:j.refSize:j.refSize]
}

// params is the payload of the join.
func (m *member) params() []byte {
	from := m.join.joinRefSize
	if !m.join.same {
		from += m.join.refSize
	}
	return m.join.text[from:]
}

// leaveMessage is a member's leave, in its handler's mailbox.
type leaveMessage struct{ Message }

func (to *member) init(s *Socket, m Message, old *member) {
	to.Subscription = Subscription{Topic: m.Topic, Codec: s.codec, Out: s.out}
	to.socket, to.old = s, old
	to.join = newJoinText(&m)
}

// outRef is the join_ref of what the client gets.
func (m *member) outRef() []byte {
	if m.join.noJoinRef {
		return m.ref()
	}
	return m.joinRef()
}

// joinEvent makes an event of the join.
func (m *member) joinEvent() *abi.Event {
	return &abi.Event{
		Kind: abi.EventJoin, Flags: binaryFlag(m.join.binary), Name: m.Topic, Payload: m.params(),
		Detail: m.id, Extra: m.assigns(),
	}
}

// joinReply is the reply to the join.
func (m *member) joinReply(a answer) *Outgoing {
	return &Outgoing{
		Kind: Reply, JoinRef: m.joinRef(), Ref: m.ref(), Topic: m.Topic, Name: a.status, Payload: a.response, Binary: a.binary,
	}
}

// checkAnswer says why the client cannot be sent an answer to its join.
func (m *member) checkAnswer(a answer) error { return m.Codec.Check(m.joinReply(a)) }

// answer sends the reply to the join and, behind it, the end of the member that
// it replaced. If the join was accepted, more and the topic's broadcasts follow.
func (m *member) answer(a answer, more ...Frame) {
	m.answered = true
	first := []Frame{m.socket.encode(m.joinReply(a))}
	if m.old != nil {
		first = append(first, m.socket.encode(m.old.closing()))
		m.old = nil
	}
	first = append(first, more...)
	counts := &m.socket.endpoint.counts
	if !m.joined {
		m.socket.send(first...)
		return
	}
	counts.accepted.Add(1)
	counts.direct.Add(uint64(len(first)))
	m.socket.endpoint.Hub.subscribe(&m.Subscription, m, first)
}

// refuse answers a join that the handler does not accept.
func (m *member) refuse(a answer) {
	m.socket.endpoint.counts.refused.Add(1)
	m.answer(a)
}

// unserved answers a join that no handler decided: it crashed, or there is none.
func (m *member) unserved(crashed bool) {
	counts, response := &m.socket.endpoint.counts, reasonGone
	if crashed {
		counts.joinCrashed.Add(1)
		response = reasonJoinCrash
	} else {
		counts.unmatched.Add(1)
	}
	m.answer(refusal(response))
}

// reply answers a message. A client that cannot be sent the answer gets "crashed" instead.
// A Channel has crashed before; only a shared handler's answers come so far.
func (m *member) reply(ref []byte, a answer) {
	o := Outgoing{
		Kind: Reply, JoinRef: m.outRef(), Ref: ref, Topic: m.Topic, Name: a.status, Payload: a.response, Binary: a.binary,
	}
	if m.Codec.Check(&o) != nil {
		m.socket.endpoint.Hub.undelivered.Add(1)
		o.Name, o.Payload, o.Binary = statusError, reasonCrashed, false
	}
	m.socket.send(m.socket.encode(&o))
}

// replyCrashed answers the message at which the handler crashed.
func (m *member) replyCrashed(msg *Message) {
	if msg.Ref != nil {
		m.reply(msg.Ref, refusal(reasonCrashed))
	}
}

// push sends a guest's push, if the client can be sent it.
func (m *member) push(e *abi.Effect) {
	if m.away {
		m.channel.(*Channel).keep(e)
		return
	}
	o := Outgoing{
		Kind: Push, JoinRef: m.outRef(), Topic: m.Topic, Name: e.Name, Payload: e.Payload, Binary: e.Flags&abi.Binary != 0,
	}
	if m.Codec.Check(&o) != nil {
		m.socket.endpoint.Hub.undelivered.Add(1)
		return
	}
	m.socket.send(m.socket.encode(&o))
}

// leave answers the client's leave. Broadcasts do not reach it any more.
func (m *member) leave(msg *Message) {
	m.left = true
	m.socket.endpoint.Hub.Unsubscribe(&m.Subscription)
	m.reply(msg.Ref, answer{status: statusOK})
}

// end is the end of the membership, with the last frame that the client is owed.
func (m *member) end(last *Frame) {
	m.ended = true
	m.socket.endpoint.Hub.Unsubscribe(&m.Subscription)
	m.untrack()
	m.socket.ended(m, last)
}

// untrack ends the member's presence, wherever that is.
func (m *member) untrack() {
	if m.tracked {
		m.tracked = false
		m.socket.endpoint.Presence.Leave(m)
	}
}

// endJoined ends a membership because the handler ended, in order or not. A client that
// leaves is not told of a crash, which would make it join again.
func (m *member) endJoined(failed bool) {
	if m.dismissed.Load() { // the socket knows what the client is to be told
		m.end(nil)
		return
	}
	last := m.closeFrame()
	if failed && !m.left {
		last = m.socket.encode(m.last(eventError, reasonCrash))
	}
	m.end(&last)
}

func (m *member) closeFrame() Frame { return m.socket.encode(m.closing()) }

func (m *member) closing() *Outgoing { return m.last(eventClose, nil) }

// last is phx_close or phx_error. It carries the join_ref twice.
func (m *member) last(event string, payload []byte) *Outgoing {
	return &Outgoing{Kind: Push, JoinRef: m.joinRef(), Ref: m.joinRef(), Topic: m.Topic, Name: event, Payload: payload}
}

// Why memberships end other than by a crash. Guests are told the detail.
var (
	reasonLeft      = supervisor.ShutdownBecause("left")
	reasonClosed    = supervisor.ShutdownBecause("closed")
	reasonDraining  = supervisor.ShutdownBecause("draining")
	reasonUnsent    = supervisor.ShutdownBecause("join reply could not be sent")
	reasonDuplicate = supervisor.ShutdownBecause("duplicate_join")
)
