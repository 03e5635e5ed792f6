package abi

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	Name    string // start: the plugin; join: the topic; message: the event
	Payload []byte // start: config as JSON; join and message: the client's bytes
	Version string // start only: the plugin's version
}

// Effect is what a guest asks for: an effect to apply later, or an operation to
// do at once.
type Effect struct {
	Kind    Kind
	Flags   Flags
	Name    string // reply: status; push and broadcasts: event; handles: pattern; log: level
	Payload []byte
}

// Size is the number of bytes that [AppendEvent] adds.
func (e *Event) Size() int {
	n := headerSize + lengthSize + len(e.Name) + lengthSize + len(e.Payload)
	if e.Kind == EventStart {
		n += lengthSize + len(e.Version)
	}
	return n
}

// AppendEvent appends e's record to dst. A field must be shorter than 4 GiB,
// which the limits on frames and config see to.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = appendHeader(dst, e.Kind, e.Flags)
	dst = appendField(dst, e.Name)
	dst = appendField(dst, e.Payload)
	if e.Kind == EventStart {
		dst = appendField(dst, e.Version)
	}
	return dst
}

// ParseEvent reads an event's record. The payload aliases b.
func ParseEvent(b []byte) (Event, error) {
	kind, flags, fields, err := header(b)
	if err != nil {
		return Event{}, err
	}
	if !kind.IsEvent() {
		return Event{}, fmt.Errorf("%w: %v is no event", ErrMalformed, kind)
	}
	var f [3][]byte
	if err := fields.read(f[:]); err != nil {
		return Event{}, err
	}
	return Event{kind, flags, string(f[0]), f[1], string(f[2])}, nil
}

// AppendEffect appends e's record to dst.
func AppendEffect(dst []byte, e *Effect) []byte {
	dst = appendHeader(dst, e.Kind, e.Flags)
	dst = appendField(dst, e.Name)
	return appendField(dst, e.Payload)
}

// ParseEffect reads the record of an effect or operation. The payload aliases b;
// so does nothing else.
func ParseEffect(b []byte) (Effect, error) {
	kind, flags, fields, err := header(b)
	if err != nil {
		return Effect{}, err
	}
	if !kind.IsEffect() && !kind.IsOp() {
		return Effect{}, fmt.Errorf("%w: %v is no effect", ErrMalformed, kind)
	}
	var f [2][]byte
	if err := fields.read(f[:]); err != nil {
		return Effect{}, err
	}
	return Effect{kind, flags, string(f[0]), f[1]}, nil
}

func appendHeader(dst []byte, kind Kind, flags Flags) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(kind))
	return binary.LittleEndian.AppendUint16(dst, uint16(flags))
}

func appendField[T ~string | ~[]byte](dst []byte, field T) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(field)))
	return append(dst, field...)
}

func header(b []byte) (Kind, Flags, fields, error) {
	if len(b) < headerSize {
		return 0, 0, nil, fmt.Errorf("%w: %d bytes are no header", ErrMalformed, len(b))
	}
	if uint64(len(b)) > math.MaxUint32 {
		return 0, 0, nil, fmt.Errorf("%w: longer than 4 GiB", ErrMalformed)
	}
	kind := Kind(binary.LittleEndian.Uint16(b))
	flags := Flags(binary.LittleEndian.Uint16(b[2:]))
	return kind, flags, fields(b[headerSize:]), nil
}

// fields is the rest of a record behind its header.
type fields []byte

// read fills into with the first fields. Missing ones stay nil; those beyond
// len(into) are checked and skipped.
func (f fields) read(into [][]byte) error {
	for i := 0; len(f) > 0; i++ {
		if len(f) < lengthSize {
			return fmt.Errorf("%w: field %d: %d stray bytes", ErrMalformed, i, len(f))
		}
		n := binary.LittleEndian.Uint32(f)
		f = f[lengthSize:]
		if uint64(n) > uint64(len(f)) {
			return fmt.Errorf("%w: field %d: %d bytes announced, %d left", ErrMalformed, i, n, len(f))
		}
		if i < len(into) {
			into[i] = f[:n:n]
		}
		f = f[n:]
	}
	return nil
}
