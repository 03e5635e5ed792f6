package channels

import (
	"errors"
	"regexp"
	"sync"
)

// Codec translates between messages and frames: [V1] writes a JSON object, [V2] a JSON
// array or, for a binary payload, a binary frame. Text and binary messages of a topic mix,
// and one may be answered by the other. A Codec keeps no state. Codecs are comparable; a
// broadcast is encoded once for each codec that its members use.
type Codec interface {
	// Decode reads a client's frame, which the message then aliases. The error
	// wraps [ErrDecode]; the connection that sent such a frame ends.
	Decode(frame []byte, binary bool) (Message, error)
	// Check returns the error that Encode would, at next to no cost. Text with a
	// valid payload can always be written.
	Check(o *Outgoing) error
	// Encode writes a frame that aliases nothing of o.
	Encode(o *Outgoing) (Frame, error)
}

// Frame is an encoded message. It is immutable: one broadcast's frame lies in
// many outboxes.
type Frame struct {
	Data   []byte
	Binary bool // which kind of WebSocket message carries it

	other *otherForm // nil if nobody else gets the frame
}

// otherForm is a frame as a transport sends it, such as compressed. It is made once for all
// who get the frame.
type otherForm struct {
	once sync.Once
	data []byte
}

// Form returns another form of the frame, which transform makes of Data. For a frame of a
// broadcast it is made once, by the first caller, if the hub keeps forms of its size
// ([Hub.KeepForms]). Nobody may change it. All callers must have the same transform.
func (f Frame) Form(transform func(data []byte) []byte) []byte {
	if f.other == nil {
		return transform(f.Data)
	}
	f.other.once.Do(func() { f.other.data = transform(f.Data) })
	return f.other.data
}

var (
	// ErrDecode is wrapped by the errors for frames that are not of the codec's
	// protocol. The close code for them is 1011.
	ErrDecode = errors.New("malformed frame")
	// ErrUTF8 is wrapped besides [ErrDecode] for text that is not UTF-8.
	// WebSocket has a close code of its own for it, 1007.
	ErrUTF8 = errors.New("invalid UTF-8")
)

// CodecFor chooses the codec for the vsn that a client asks for: [V1] if that is
// ~> 1.0.0 and [V2] if it is ~> 2.0.0, in the sense of Elixir's Version, and none
// otherwise. A client that gives no vsn means 1.0.0. The caller fills that in, as an empty
// vsn has no codec.
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

// version is 1.0.x or 2.0.x as a semantic version. Its parts are the major, the patch and
// the pre-release. Numbers have no leading zeros; the build does not count.
var version = regexp.MustCompile(`^([12])\.0\.(0|[1-9][0-9]*)` +
	`(-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// sameRef reports whether two refs are the same JSON value. Refs are opaque and compared as
// bytes, as a client writes the same one in the same way each time; decoding would lose big
// integers. Only a string with escapes is looked into: a binary frame has the bare name,
// which stands for the JSON string. So 7 in binary is "7" in text, and not the number 7.
// An empty ref in binary is the empty string and not null, as in Phoenix: it is stale where
// a channel has another.
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
