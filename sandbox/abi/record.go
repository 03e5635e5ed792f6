package abi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
)

// ErrMalformed is returned for bytes that are no record of the wanted range.
var ErrMalformed = errors.New("malformed record")

const (
	headerSize = 4
	lengthSize = 4
)

// Event is what happened, told to a guest.
type Event struct {
	Kind    Kind
	Flags   Flags
	Name    string // start: the plugin; join: the topic; message: the event; …
	Payload []byte // start: config as JSON; join and message: the client's bytes; …
	Detail  string // field 2, by kind; start: the plugin's version
	Extra   string // field 3, by kind
}

// Effect is what a guest asks for: an effect to apply later, or an operation to
// do at once.
type Effect struct {
	Kind    Kind
	Flags   Flags
	Name    string // reply: status; push and broadcasts: event; handles: pattern; log: level; …
	Payload []byte
	Detail  string // field 2, by kind
	Extra   string // field 3, by kind
}

// Size is the number of bytes that [AppendEvent] adds.
func (e *Event) Size() int { return size(e.Name, e.Payload, e.Detail, e.Extra) }

// AppendEvent appends e's record to dst. A field must be shorter than 4 GiB,
// which the limits on frames and config see to.
func AppendEvent(dst []byte, e *Event) []byte {
	return appendRecord(dst, e.Kind, e.Flags, e.Name, e.Payload, e.Detail, e.Extra)
}

// ParseEvent reads an event's record. The payload aliases b.
func ParseEvent(b []byte) (Event, error) {
	kind, flags, f, err := parse(b)
	if err == nil && !kind.IsEvent() {
		err = fmt.Errorf("%w: %v is no event", ErrMalformed, kind)
	}
	if err != nil {
		return Event{}, err
	}
	return Event{kind, flags, string(f[0]), f[1], string(f[2]), string(f[3])}, nil
}

// Size is the number of bytes that [AppendEffect] adds.
func (e *Effect) Size() int { return size(e.Name, e.Payload, e.Detail, e.Extra) }

// AppendEffect appends e's record to dst.
func AppendEffect(dst []byte, e *Effect) []byte {
	return appendRecord(dst, e.Kind, e.Flags, e.Name, e.Payload, e.Detail, e.Extra)
}

// ParseEffect reads the record of an effect or operation. The payload aliases b;
// so does nothing else.
func ParseEffect(b []byte) (Effect, error) {
	kind, flags, f, err := parse(b)
	if err == nil && !kind.IsEffect() && !kind.IsOp() {
		err = fmt.Errorf("%w: %v is no effect", ErrMalformed, kind)
	}
	if err != nil {
		return Effect{}, err
	}
	return Effect{kind, flags, word(f[0]), f[1], string(f[2]), string(f[3])}, nil
}

// word is string, without memory for the status of most replies.
func word(b []byte) string {
	switch string(b) {
	case "ok":
		return "ok"
	case "error":
		return "error"
	}
	return string(b)
}

// AppendField appends a length and the bytes. A list of fields is what the answer
// of spawn and the payload of members consist of.
func AppendField[T ~string | ~[]byte](dst []byte, field T) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(field)))
	return append(dst, field...)
}

// Fields yields the fields in b, which they alias. It stops at bytes that are
// none.
func Fields(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			field, rest, err := cutField(b)
			if err != nil || !yield(field) {
				return
			}
			b = rest
		}
	}
}

// size and appendRecord leave out details that are empty.
func size(name string, payload []byte, detail, extra string) int {
	n := headerSize + lengthSize + len(name) + lengthSize + len(payload)
	if detail != "" || extra != "" {
		n += lengthSize + len(detail)
	}
	if extra != "" {
		n += lengthSize + len(extra)
	}
	return n
}

func appendRecord(dst []byte, kind Kind, flags Flags, name string, payload []byte, detail, extra string) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(kind))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(flags))
	dst = AppendField(dst, name)
	dst = AppendField(dst, payload)
	if detail != "" || extra != "" {
		dst = AppendField(dst, detail)
	}
	if extra != "" {
		dst = AppendField(dst, extra)
	}
	return dst
}

// known is how many fields this version knows. Missing ones stay nil; further
// ones are checked and skipped.
const known = 4

func parse(b []byte) (kind Kind, flags Flags, f [known][]byte, err error) {
	if len(b) < headerSize {
		return 0, 0, f, fmt.Errorf("%w: %d bytes are no header", ErrMalformed, len(b))
	}
	if uint64(len(b)) > math.MaxUint32 {
		return 0, 0, f, fmt.Errorf("%w: longer than 4 GiB", ErrMalformed)
	}
	kind = Kind(binary.LittleEndian.Uint16(b))
	flags = Flags(binary.LittleEndian.Uint16(b[2:]))
	b = b[headerSize:]
	for i := 0; len(b) > 0; i++ {
		field, rest, err := cutField(b)
		if err != nil {
			return 0, 0, f, fmt.Errorf("%w: field %d: %w", ErrMalformed, i, err)
		}
		if i < known {
			f[i] = field
		}
		b = rest
	}
	return kind, flags, f, nil
}

// cutField takes the first field off b, which is not empty.
func cutField(b []byte) (field, rest []byte, err error) {
	if len(b) < lengthSize {
		return nil, nil, fmt.Errorf("%d stray bytes", len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[lengthSize:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%d bytes announced, %d left", n, len(b))
	}
	return b[:n:n], b[n:], nil
}
