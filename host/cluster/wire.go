package cluster

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What nodes send to each other. Numbers are append only: a node skips the kinds of messages, and the members of a beat, that it does not know, so
// that two successive versions of rtd work in one cluster. A frame or beat of another version is ignored as a whole.

// wireVersion is of frames and beats.
const wireVersion = 1

// Subjects of the carrier.
const (
	subjectBeats = "beat"
	subjectNode  = "to." // and the name of the node
)

// The kinds of frames.
const (
	frameData  = 1 // messages
	frameState = 2 // how far the sender is with what it got
)

// The kinds of messages.
const (
	messageBegun     = 1  // topic: the sender has members or listeners of it
	messageCeased    = 2  // topic: it has none any more
	messageBroadcast = 3  // flags, topic, event, payload
	messagePresence  = 4  // a piece of package presence
	messageSynced    = 5  // nothing: all that the sender has was told since the stream began
	messageQuestion  = 6  // number, method, body
	messageAnswer    = 7  // number, outcome, body
	messageOrder     = 8  // a broadcast that the receiver is to order
	messageOrdered   = 9  // one that the sender has ordered
	messageHand      = 10 // topic, and its log: the receiver is its owner now
	messageExpel     = 11 // id of sockets that are to be disconnected
	messageCancel    = 12 // number of a question whose asker does not wait any more
	messageOrders    = 13 // a byte: whether the sender orders topics; it does if it never says so
)

// flagBinary is of broadcasts.
const flagBinary = 1

// Bounds, in bytes.
const (
	maxBeat    = 64 << 10
	maxName    = 64
	maxOrigin  = maxName + len("@18446744073709551615")
	maxFrame   = 2<<20 - 1<<10 // what a carrier takes, but for what it adds
	fullFrame  = 32 << 10      // a frame of this size takes no further message
	maxMessage = maxFrame - 512
)

var errMalformed = errors.New("malformed")

// header is how a frame begins: who sends it, to which life of whom, and its place in the stream between the two.
type header struct {
	kind     byte
	from     string
	life, to uint64
	stream   uint64
	number   uint64 // of data: of the frame; of a state: of the next one that the sender waits for
	again    bool   // of a state: it waits, as something is missing
}

// append appends a header. What begins at the returned offset is the number, in eight bytes.
func (h *header) append(b []byte) (_ []byte, number int) {
	b = append(b, wireVersion, h.kind)
	b = appendText(b, h.from)
	b = binary.AppendUvarint(b, h.life)
	b = binary.AppendUvarint(b, h.to)
	b = binary.AppendUvarint(b, h.stream)
	number = len(b)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	if h.kind == frameState {
		b = append(b, flag(h.again))
	}
	return b, number
}

func parseHeader(b []byte) (h header, rest []byte, err error) {
	r := reader{rest: b}
	if r.byte() != wireVersion {
		return h, nil, errMalformed
	}
	h.kind = r.byte()
	h.from = string(r.text(maxName))
	h.life, h.to, h.stream, h.number = r.uvarint(), r.uvarint(), r.uvarint(), r.fixed()
	if h.kind == frameState {
		h.again = r.byte() != 0
	}
	if r.failed || h.kind != frameData && h.kind != frameState || h.from == "" {
		return h, nil, errMalformed
	}
	return h, r.rest, nil
}

// A message is its kind, the size of its body in four bytes, and the body.
const messageRoom = 1 + 4

// appendMessage appends the message that write writes.
func appendMessage(b []byte, kind byte, write func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, kind, 0, 0, 0, 0)
	if write != nil {
		b = write(b)
	}
	binary.LittleEndian.PutUint32(b[start+1:], uint32(len(b)-start-messageRoom))
	return b
}

// eachMessage calls f with the messages of a frame, in order, also if one fails, and returns the first error. The bodies are parts of b.
func eachMessage(b []byte, f func(kind byte, body []byte) error) (err error) {
	for len(b) > 0 {
		if len(b) < messageRoom {
			return cmp.Or(err, errMalformed)
		}
		kind, size := b[0], binary.LittleEndian.Uint32(b[1:])
		b = b[messageRoom:]
		if uint64(size) > uint64(len(b)) {
			return cmp.Or(err, errMalformed)
		}
		err = cmp.Or(err, f(kind, b[:size:size]))
		b = b[size:]
	}
	return err
}

// said is a broadcast between nodes.
type said struct {
	topic, event string
	payload      []byte
	binary       bool
}

func (s *said) append(b []byte) []byte {
	flags := byte(0)
	if s.binary {
		flags |= flagBinary
	}
	b = append(b, flags)
	b = appendText(b, s.topic)
	b = appendText(b, s.event)
	return append(b, s.payload...)
}

func parseSaid(b []byte) (s said, err error) {
	r := reader{rest: b}
	s.binary = r.byte()&flagBinary != 0
	s.topic, s.event = string(r.text(maxFrame)), string(r.text(maxFrame))
	s.payload = r.rest
	if r.failed {
		return s, errMalformed
	}
	return s, nil
}

// asked is a question.
type asked struct {
	number uint64
	method string
	body   []byte
}

func (q *asked) append(b []byte) []byte {
	b = binary.AppendUvarint(b, q.number)
	return append(appendText(b, q.method), q.body...)
}

func parseAsked(b []byte) (q asked, err error) {
	r := reader{rest: b}
	q.number, q.method = r.uvarint(), string(r.text(maxName))
	q.body = r.rest
	if r.failed {
		return q, errMalformed
	}
	return q, nil
}

// outcome says how a question ended.
type outcome byte

const (
	outcomeOK      outcome = 0 // with the answer
	outcomeError   outcome = 1 // with the text of the error
	outcomeUnknown outcome = 2 // the node does not know the method, as it is of another version
	outcomeBusy    outcome = 3 // it answers too many others
)

type answered struct {
	number  uint64
	outcome outcome
	body    []byte
}

func (a *answered) append(b []byte) []byte {
	b = binary.AppendUvarint(b, a.number)
	return append(append(b, byte(a.outcome)), a.body...)
}

func parseAnswered(b []byte) (a answered, err error) {
	r := reader{rest: b}
	a.number, a.outcome = r.uvarint(), outcome(r.byte())
	a.body = r.rest
	if r.failed {
		return a, errMalformed
	}
	return a, nil
}

// beat is what a node says of itself, twice a second, to all. It is JSON, since there are few, and many versions read them.
type beat struct {
	Wire    int              `json:"wire"`
	Node    string           `json:"node"`
	Life    uint64           `json:"life"`
	Version string           `json:"version"`
	Up      int64            `json:"up"`                // nanoseconds since its start, by its own clock
	Leaving bool             `json:"leaving,omitempty"` // it ends, and this is its last beat
	Load    Load             `json:"load"`
	Peers   map[string]heard `json:"peers,omitempty"`
}

// heard is what a node says of a peer that it hears.
type heard struct {
	Life   uint64 `json:"life"`
	Out    uint64 `json:"out"` // the stream to the peer, and how many of its frames were sent
	Sent   uint64 `json:"sent"`
	In     uint64 `json:"in"` // the stream from it, and the next of its frames
	Next   uint64 `json:"next"`
	Echo   int64  `json:"echo"` // Up of the peer's last beat
	Held   int64  `json:"held"` // nanoseconds since that came
	Synced bool   `json:"synced"`
}

func (b *beat) encode() []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("encode beat: %v", err)) // it has plain values alone
	}
	return text
}

func parseBeat(text []byte) (b beat, err error) {
	if len(text) > maxBeat {
		return b, errMalformed
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if b.Wire != wireVersion || CheckName(b.Node) != nil || b.Life == 0 {
		return b, errMalformed
	}
	return b, nil
}

// roundTrip is how long a beat to the peer and one back took, of which the peer kept it for some time.
func (h *heard) roundTrip(now int64) (d time.Duration, ok bool) {
	d = time.Duration(now - h.Echo - h.Held)
	return d, h.Echo > 0 && h.Held >= 0 && d >= 0
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// reader reads numbers and texts. After the first that is malformed all is zero, and failed is true.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) fixed() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text(most int) []byte {
	n := r.uvarint()
	if n > uint64(most) || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	text := r.rest[:n:n]
	r.rest = r.rest[n:]
	return text
}
