package channels

import "errors"

// Message is what a client sent: the five fields of the Phoenix protocol. The
// slices alias the frame that it was decoded from.
type Message struct {
	JoinRef []byte // a JSON value as the client wrote it; nil is null
	Ref     []byte // the same
	Topic   string
	Event   string
	Payload []byte // JSON text, or anything if Binary
	Binary  bool
}

// Outgoing is what the server sends. Which fields count depends on Kind.
type Outgoing struct {
	Kind    OutgoingKind
	JoinRef []byte // reply, push
	Ref     []byte // reply; of a push only for phx_close and phx_error
	Topic   string
	Name    string // reply: its status; else the event
	Payload []byte // JSON text, or anything if Binary
	Binary  bool
}

// OutgoingKind tells the three forms apart that codecs write differently.
type OutgoingKind uint8

const (
	Reply     OutgoingKind = iota // to one message of a client
	Push                          // to one client
	Broadcast                     // to all members of a topic
)

// Frame is an encoded message. It is immutable: one broadcast's frame lies in
// many outboxes.
type Frame struct {
	Data   []byte
	Binary bool // which kind of WebSocket message carries it
}

// Codec translates between messages and frames. It keeps no state. Codecs are
// comparable; a broadcast is encoded once for each that its members use.
type Codec interface {
	// Decode reads a client's frame. The error wraps [ErrDecode]; the
	// connection that sent such a frame ends.
	Decode(frame []byte, binary bool) (Message, error)
	// Encode writes a frame.
	Encode(o *Outgoing) (Frame, error)
}

// ErrDecode is returned for frames that are not of the codec's protocol.
var ErrDecode = errors.New("malformed frame")

// The protocol's own topic and events.
const (
	topicPhoenix   = "phoenix"
	eventHeartbeat = "heartbeat"
	eventJoin      = "phx_join"
	eventLeave     = "phx_leave"
	eventReply     = "phx_reply"
	eventClose     = "phx_close"
	eventError     = "phx_error"
)

// Answers that the host gives by itself.
const (
	statusOK    = "ok"
	statusError = "error"
)

var (
	emptyObject      = []byte(`{}`)
	reasonUnmatched  = []byte(`{"reason":"unmatched topic"}`)
	reasonTooMany    = []byte(`{"reason":"too many channels joined"}`)
	reasonJoinCrash  = []byte(`{"reason":"join crashed"}`)
	reasonCrashed    = []byte(`{"reason":"crashed"}`)
	reasonCrash      = []byte(`{"reason":"channel_crash"}`)
	reasonTooLarge   = []byte(`{"reason":"too_large"}`)
	reasonOverloaded = []byte(`{"reason":"overloaded"}`)
	reasonGone       = []byte(`{"reason":"unavailable"}`)
)
