package channels

import "errors"

// Message is what a client sent: the five fields of the Phoenix protocol. Its
// slices alias the frame that it was decoded from. Refs are opaque: they are
// compared, and sent back, as the bytes that the client wrote.
type Message struct {
	JoinRef []byte // a JSON value; nil is null
	Ref     []byte // a JSON value; nil is null: a handler's reply to it goes nowhere
	Topic   string
	Event   string
	Payload []byte // JSON text, or anything if Binary
	Binary  bool

	// Set by the socket, for the handler that the message goes to.
	member *member // who sent it
	size   int64   // what it takes while it waits, in bytes
}

// Outgoing is what the server sends. Which fields count depends on Kind.
type Outgoing struct {
	Kind    OutgoingKind
	JoinRef []byte // reply, push; nil is null
	Ref     []byte // reply; of a push only for phx_close and phx_error
	Topic   string
	Name    string // reply: its status; else the event
	Payload []byte // valid JSON text, empty for {}; or anything if Binary
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
	// Decode reads a client's frame, which the message then aliases. The error
	// wraps [ErrDecode]; the connection that sent such a frame ends.
	Decode(frame []byte, binary bool) (Message, error)
	// Encode writes a frame that aliases nothing of o.
	Encode(o *Outgoing) (Frame, error)
}

var (
	// ErrDecode is wrapped by the errors for frames that are not of the codec's
	// protocol. The close code for them is 1011.
	ErrDecode = errors.New("malformed frame")
	// ErrUTF8 is wrapped beside [ErrDecode] for text that is not UTF-8.
	// WebSocket has a close code of its own for it, 1007.
	ErrUTF8 = errors.New("invalid UTF-8")
)

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

const (
	statusOK    = "ok"
	statusError = "error"
)

// Answers that the host gives by itself; the package documentation has a table
// of them.
var (
	reasonUnmatched  = []byte(`{"reason":"unmatched topic"}`)
	reasonTooMany    = []byte(`{"reason":"too many channels joined"}`)
	reasonJoinCrash  = []byte(`{"reason":"join crashed"}`)
	reasonCrashed    = []byte(`{"reason":"crashed"}`)
	reasonCrash      = []byte(`{"reason":"channel_crash"}`)
	reasonTooLarge   = []byte(`{"reason":"too_large"}`)
	reasonOverloaded = []byte(`{"reason":"overloaded"}`)
	reasonGone       = []byte(`{"reason":"unavailable"}`)
)
