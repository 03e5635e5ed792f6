package channels

import (
	"errors"
	"regexp"
)

// Codec translates between messages and frames. It keeps no state. Codecs are
// comparable; a broadcast is encoded once for each that its members use.
type Codec interface {
	// Decode reads a client's frame, which the message then aliases. The error
	// wraps [ErrDecode]; the connection that sent such a frame ends.
	Decode(frame []byte, binary bool) (Message, error)
	// Check says why Encode could not write o, which costs next to nothing: its
	// error is that of Encode. Text with a valid payload can always be written.
	Check(o *Outgoing) error
	// Encode writes a frame that aliases nothing of o.
	Encode(o *Outgoing) (Frame, error)
}

// Frame is an encoded message. It is immutable: one broadcast's frame lies in
// many outboxes.
type Frame struct {
	Data   []byte
	Binary bool // which kind of WebSocket message carries it
}

var (
	// ErrDecode is wrapped by the errors for frames that are not of the codec's
	// protocol. The close code for them is 1011.
	ErrDecode = errors.New("malformed frame")
	// ErrUTF8 is wrapped beside [ErrDecode] for text that is not UTF-8.
	// WebSocket has a close code of its own for it, 1007.
	ErrUTF8 = errors.New("invalid UTF-8")
)

// CodecFor chooses the codec for the vsn that a client asks for: [V1] if that is
// ~> 1.0.0 and [V2] if it is ~> 2.0.0, in the sense of Elixir's Version, and none
// otherwise. A client that does not say means 1.0.0; that is for the caller to
// fill in, as an empty vsn has no codec.
func CodecFor(vsn string) (Codec, bool) {
	m := version.FindStringSubmatch(vsn)
	if m == nil {
		return nil, false
	}
	patch, pre := m[2], m[3]
	if pre != "" && patch == "0" {
		return nil, false // a version before x.0.0
	}
	if m[1] == "1" {
		return V1, true
	}
	return V2, true
}

// version is 1.0.x or 2.0.x as a semantic version, whose parts are the major,
// the patch and what comes before a release. Its numbers have no leading zeros;
// what says of which build it is does not count.
var version = regexp.MustCompile(`^([12])\.0\.(0|[1-9][0-9]*)` +
	`(-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// sameRef reports whether two refs are the same JSON value, as far as clients may
// write it differently: a string in a binary frame has no escapes.
func sameRef(a, b []byte) bool {
	if string(a) == string(b) {
		return (a == nil) == (b == nil)
	}
	if len(a) == 0 || len(b) == 0 || !escaped(a) && !escaped(b) {
		return false
	}
	s, ok := unquote(a)
	t, both := unquote(b)
	return ok && both && s == t
}
