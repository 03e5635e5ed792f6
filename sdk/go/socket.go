package rtd

// Socket is the handler's side of a client that joined. It is valid until the client
// leaves or the process ends: keep it to push from other handlers.
//
// Payloads are JSON texts: a reply's is any value, the others are objects; nil stands
// for {}. Of methods that end in Binary they are any bytes, which the client gets
// as such; topics and the names of events are then at most 255 bytes long.
type Socket struct {
	topic   string
	member  string // "" if the process has one only
	assigns string
	replay  bool
	order   int // among the joins of the process
}

// Topic is the topic joined.
func (s *Socket) Topic() string { return s.topic }

// Member tells the members of a [TopicChannel] apart. It is the same after a crash.
func (s *Socket) Member() string { return s.member }

// Assigns is a copy of what the function of [OnConnect] assigned to the client's
// connection; empty if that was nothing.
func (s *Socket) Assigns() []byte { return []byte(s.assigns) }

// Replay reports that the client joined earlier and does not know of this call of
// Join: the process was restarted after a crash, or moved to a new version of the
// plugin. Do not greet twice.
func (s *Socket) Replay() bool { return s.replay }

// Reply answers the message or join at hand, whoever's it is. status is "ok" or
// "error" by convention. There is one reply to a message; none is fine as well. A join
// is answered with "ok" here; [Refuse] is for the rest.
func (s *Socket) Reply(status string, response []byte) { s.reply(0, status, response) }

// ReplyBinary is [Socket.Reply] with bytes.
func (s *Socket) ReplyBinary(status string, response []byte) { s.reply(flagBinary, status, response) }

func (s *Socket) reply(flags uint16, status string, response []byte) {
	if !replaying {
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

// BroadcastFrom sends a message to everybody on the topic but this client. If it has
// joined on other connections, too, those get it.
func (s *Socket) BroadcastFrom(event string, payload []byte) {
	effect(record{kind: effectBroadcastFrom, name: event, payload: payload, detail: s.member})
}

// BroadcastFromBinary is [Socket.BroadcastFrom] with bytes.
func (s *Socket) BroadcastFromBinary(event string, payload []byte) {
	effect(record{kind: effectBroadcastFrom, flags: flagBinary, name: event, payload: payload, detail: s.member})
}

// Ref says who waits for a reply to the message at hand, so that it can be given
// during a later event; do not call Reply then.
//
//	r.asked[job.Ref] = s.Ref() // in HandleIn
//	…
//	r.asked[job].Reply("ok", answer) // in HandleReply, or wherever
func (s *Socket) Ref() SocketRef { return SocketRef{atHand.token} }

// SocketRef is who waits for a reply, as Phoenix's socket_ref. It is good for one reply,
// by the process that got the message. Its zero value is that of a message to which
// nobody waits for a reply, as of a join; what is replied then goes nowhere. So does a
// reply to a client that has left meanwhile.
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

// atHand is what the methods above have to know of the event at hand.
var atHand struct {
	binary bool
	token  string
}
