package rtd

import "strings"

// Socket is the handler's side of a client that joined. It is valid until the client
// leaves or the process ends: keep it to push from other handlers.
//
// Payloads are JSON texts: a reply's is any value, the others are objects; nil stands
// for {}. Methods that end in Binary take any bytes, which the client gets
// as such; topics and the names of events are then at most 255 bytes long.
type Socket struct {
	topic   string
	member  string // "" if the process has one only
	assigns string
	replay  bool
	order   int  // among the joins of the process
	there   bool // was just told so
}

// Topic is the topic that the client has joined.
func (s *Socket) Topic() string { return s.topic }

// Member tells the members of a [TopicChannel] apart. It is the same after a crash, and ""
// in a [Channel].
func (s *Socket) Member() string { return s.member }

// Assigns is a copy of the assigns that the function of [OnConnect] gave the client's
// connection; empty if it gave none.
func (s *Socket) Assigns() []byte { return []byte(s.assigns) }

// Replay reports that the client joined earlier and does not know of this call of
// Join: the process was restarted after a crash, or moved to a new version of the
// plugin. Do not greet twice.
func (s *Socket) Replay() bool { return s.replay }

// Reply answers the message or join at hand, whichever client's it is. status is "ok" or
// "error" by convention. A message has one reply, or none. A join is answered with "ok"
// here; the error of [Refuse] refuses it.
func (s *Socket) Reply(status string, response []byte) { s.reply(0, status, response) }

// ReplyBinary is [Socket.Reply] with bytes.
func (s *Socket) ReplyBinary(status string, response []byte) { s.reply(flagBinary, status, response) }

func (s *Socket) reply(flags uint16, status string, response []byte) {
	if !rejoining {
		effect(record{kind: effectReply, flags: flags, name: status, payload: response})
	}
}

// Push sends a message to this client alone.
func (s *Socket) Push(event string, payload []byte) {
	effect(record{kind: effectPush, name: event, payload: payload, detail: s.member})
}

// PushBinary is [Socket.Push] with bytes.
func (s *Socket) PushBinary(event string, payload []byte) {
	effect(record{kind: effectPush, flags: flagBinary, name: event, payload: payload, detail: s.member})
}

// Broadcast sends a message to everybody on the topic, this client included.
func (s *Socket) Broadcast(event string, payload []byte) {
	effect(record{kind: effectBroadcast, name: event, payload: payload})
}

// BroadcastBinary is [Socket.Broadcast] with bytes.
func (s *Socket) BroadcastBinary(event string, payload []byte) {
	effect(record{kind: effectBroadcast, flags: flagBinary, name: event, payload: payload})
}

// BroadcastFrom sends a message to everybody on the topic but this client. If its user has
// joined on other connections, those get it.
func (s *Socket) BroadcastFrom(event string, payload []byte) {
	effect(record{kind: effectBroadcastFrom, name: event, payload: payload, detail: s.member})
}

// BroadcastFromBinary is [Socket.BroadcastFrom] with bytes.
func (s *Socket) BroadcastFromBinary(event string, payload []byte) {
	effect(record{kind: effectBroadcastFrom, flags: flagBinary, name: event, payload: payload, detail: s.member})
}

// Ref stands for the client that waits for a reply to the message at hand, so that it can be
// replied to during a later event; do not call Reply then. It is Phoenix's socket_ref.
//
//	r.asked[job.Ref] = s.Ref() // in HandleIn
//	…
//	r.asked[job].Reply("ok", answer) // in HandleReply, or wherever
func (s *Socket) Ref() SocketRef { return SocketRef{strings.Clone(atHand.token)} }

// SocketRef stands for a client that waits for a reply. It is good for one reply, by the
// process that got the message. A reply that nobody waits for goes nowhere: one to a join, to
// a message without a ref, or to a client that has left. The zero value is that of nobody.
type SocketRef struct{ token string }

// Reply answers the message.
func (r SocketRef) Reply(status string, response []byte) { r.reply(0, status, response) }

// ReplyBinary is [SocketRef.Reply] with bytes.
func (r SocketRef) ReplyBinary(status string, response []byte) {
	r.reply(flagBinary, status, response)
}

func (r SocketRef) reply(flags uint16, status string, response []byte) {
	if r.token != "" {
		effect(record{effectReply, flags, status, response, r.token, ""})
	}
}

// IsBinary reports whether the payload of the event at hand is binary, in Join, HandleIn,
// HandleOut or HandleBroadcast. If it is not, it is JSON text.
func IsBinary() bool { return atHand.binary }

// atHand holds the parts of the event at hand that the methods above need.
var atHand struct {
	binary bool
	token  string // aliases the inbox, as late does
	late   string
}
