package channels

import (
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// handler is the actor behind a topic that a socket has joined: a [Channel] for
// one member, or a [SharedChannel] for all.
type handler interface {
	// Mailbox takes a member's *Message, and its leaveMessage.
	Mailbox() *supervisor.Mailbox
	// current is the version that its next life begins with.
	current() *Version
	// stop ends a membership after the message at hand: what else of it waits
	// is dropped. Callers hold the lock of the member's socket.
	stop(m *member, reason error)
}

// member is one client's join of one topic, from phx_join to phx_close or
// phx_error. A topic can have a hundred thousand, so that it is small.
type member struct {
	Subscription
	socket  *Socket
	handler handler // set before the handler gets the join
	joinRef []byte  // as the client sent it; what its later messages must carry
	ref     []byte  // of the join
	params  []byte  // payload of the join
	binary  bool    // what params are
	stopped atomic.Bool

	// Guarded by the handler's lock.
	id       uint64  // among those of a SharedChannel
	old      *member // that the join replaces, until the client is told
	answered bool    // the join has its reply
	joined   bool    // and it was ok
	left     bool    // the client's leave was answered
	ended    bool    // the socket knows that it is over
}

// leaveMessage is a member's leave, in its handler's mailbox.
type leaveMessage struct{ Message }

func newMember(s *Socket, m Message, old *member) *member {
	return &member{
		Subscription: Subscription{Topic: m.Topic, Codec: s.options.Codec, Out: s.options.Out},
		socket:       s,
		joinRef:      m.JoinRef,
		ref:          m.Ref,
		params:       m.Payload,
		binary:       m.Binary,
		old:          old,
	}
}

// outRef is the join_ref of what the client gets.
func (m *member) outRef() []byte {
	if m.joinRef == nil {
		return m.ref
	}
	return m.joinRef
}

// joinEvent is the join as an event; id is the member's, if there are several.
func (m *member) joinEvent(id string) *abi.Event {
	return &abi.Event{
		Kind: abi.EventJoin, Flags: binaryFlag(m.binary), Name: m.Topic, Payload: m.params,
		Detail: id, Extra: m.socket.assigns,
	}
}

// joinReply is the reply to the join.
func (m *member) joinReply(a answer) *Outgoing {
	return &Outgoing{
		Kind: Reply, JoinRef: m.joinRef, Ref: m.ref, Topic: m.Topic, Name: a.status, Payload: a.response, Binary: a.binary,
	}
}

// checkAnswer says why the client cannot be sent an answer to its join.
func (m *member) checkAnswer(a answer) error { return m.Codec.Check(m.joinReply(a)) }

// answer sends the reply to the join and, behind it, the end of the member that
// it replaced. If the join was accepted, the topic's broadcasts follow.
func (m *member) answer(a answer) {
	m.answered = true
	first := []Frame{m.socket.encode(m.joinReply(a))}
	if m.old != nil {
		first = append(first, m.old.closeFrame())
		m.old = nil
	}
	counts := &m.socket.endpoint.counts
	if !m.joined {
		m.socket.send(first...)
		return
	}
	counts.accepted.Add(1)
	counts.direct.Add(uint64(len(first)))
	m.socket.endpoint.Hub.Subscribe(&m.Subscription, first...)
}

// refuse answers a join that the handler does not accept.
func (m *member) refuse(a answer) {
	m.socket.endpoint.counts.refused.Add(1)
	m.answer(a)
}

// unserved answers a join that the handler did not decide: it crashed, or there
// is none.
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

// reply answers a message. A client that cannot be sent the answer gets the one to
// a crash; only those of a shared handler get that far.
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

// push sends what a guest pushes, if the client can be sent it.
func (m *member) push(e *abi.Effect) {
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
	m.socket.ended(m, last)
}

// endJoined ends a membership that the handler ended, in order or not. A client
// that leaves has what it wants: a crash must not make it rejoin.
func (m *member) endJoined(failed bool) {
	if m.stopped.Load() { // the socket knows what the client is to be told
		m.end(nil)
		return
	}
	last := m.closeFrame()
	if failed && !m.left {
		last = m.lastFrame(eventError, reasonCrash)
	}
	m.end(&last)
}

func (m *member) closeFrame() Frame { return m.lastFrame(eventClose, nil) }

// lastFrame tells of the end: it carries the join_ref twice.
func (m *member) lastFrame(event string, payload []byte) Frame {
	return m.socket.encode(&Outgoing{
		Kind: Push, JoinRef: m.joinRef, Ref: m.joinRef, Topic: m.Topic, Name: event, Payload: payload,
	})
}

// Why memberships end other than by a crash. The detail is what the handler is
// told.
var (
	reasonLeft      = supervisor.ShutdownBecause("left")
	reasonClosed    = supervisor.ShutdownBecause("closed")
	reasonDraining  = supervisor.ShutdownBecause("draining")
	reasonUnsent    = supervisor.ShutdownBecause("join reply could not be sent")
	reasonDuplicate = supervisor.ShutdownBecause("duplicate_join")
)
