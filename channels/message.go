package channels

import "rtd/sandbox/abi"

// Message is a message of a client: the five fields of the Phoenix protocol. Its slices
// alias the frame that it was decoded from, or a copy. Refs are opaque: they are sent back
// as the bytes that the client wrote.
type Message struct {
	JoinRef []byte // a JSON value; nil is null
	Ref     []byte // a JSON value; nil is null, and so is that of a handler's reply, as in Phoenix
	Topic   string
	Event   string // of an event that is no string: its JSON text, which no handler knows
	Payload []byte // JSON text, or anything if Binary
	Binary  bool

	oddTopic []byte // of a topic that is no string: its JSON text; then Topic is empty

	// Set by the socket, for the handler that the message goes to.
	member *member // who sent it
	size   int64   // of the memory that it takes while it waits, in bytes
}

// Outgoing is a message of the server. Which fields count depends on Kind.
type Outgoing struct {
	Kind    OutgoingKind
	JoinRef []byte // reply, push; nil is null
	Ref     []byte // reply; a broadcast's position, if its topic has history; of a push only for phx_close, phx_error and positions
	Topic   string
	Name    string // reply: its status; else the event
	Payload []byte // valid JSON text, empty for {}; or anything if Binary
	Binary  bool

	oddTopic []byte // to send in place of Topic; of a message that had it
	except   string // of a broadcast by a SharedChannel: the member left out
	from     uint64 // of one by a Channel that lingers and leaves its own member out: its number
	passing  bool   // a broadcast that is no part of its topic's history
	foreign  bool   // one that another node made
}

// OutgoingKind tells the three forms apart that codecs write differently.
type OutgoingKind uint8

const (
	Reply     OutgoingKind = iota // to one message of a client
	Push                          // to one client
	Broadcast                     // to all members of a topic
)

// answer is the content of a reply.
type answer struct {
	status   string
	response []byte
	binary   bool
}

// refusal is an answer that the host gives by itself.
func refusal(reason []byte) answer { return answer{status: statusError, response: reason} }

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
	reasonOvertaken  = []byte(`{"reason":"overtaken"}`)
	reasonGone       = []byte(`{"reason":"unavailable"}`)
)

func binaryFlag(binary bool) abi.Flags {
	if binary {
		return abi.Binary
	}
	return 0
}
