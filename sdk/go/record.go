package rtd

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"unsafe"
)

// record is an event, an effect or an operation. The tables of rtd/sandbox/abi say what
// its fields mean.
type record struct {
	kind    kind
	flags   uint16
	name    string
	payload []byte // of a parsed one, aliases the bytes
	detail  string
	extra   string // of a parsed message, aliases the bytes
}

// parseRecord reads a record. ok is false for bytes that are none.
func parseRecord(b []byte) (r record, ok bool) {
	if len(b) < 4 {
		return record{}, false
	}
	r.kind = kind(binary.LittleEndian.Uint16(b))
	r.flags = binary.LittleEndian.Uint16(b[2:])
	var fields [4][]byte
	for i, rest := 0, b[4:]; len(rest) > 0; i++ {
		var field []byte
		if field, rest, ok = cutField(rest); !ok {
			return record{}, false
		}
		if i < len(fields) {
			fields[i] = field
		}
	}
	r.name, r.payload, r.detail = nameOf(fields[0]), fields[1], string(fields[2])
	if r.extra = unsafe.String(unsafe.SliceData(fields[3]), len(fields[3])); r.kind != eventMessage {
		r.extra = strings.Clone(r.extra) // a message's is another one each time, and few handlers want it
	}
	return r, true
}

// names are those that came last. A handler gets few different ones, so most need not be made.
var names [8]string

func nameOf(text []byte) string {
	const longest = 64 // that is kept
	if len(text) == 0 || len(text) > longest {
		return string(text)
	}
	name := &names[(len(text)+int(text[0]))%len(names)]
	if *name != string(text) {
		*name = string(text)
	}
	return *name
}

func appendRecord(dst []byte, r record) []byte {
	dst = slices.Grow(dst, 4+4*4+len(r.name)+len(r.payload)+len(r.detail)+len(r.extra))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.kind))
	dst = binary.LittleEndian.AppendUint16(dst, r.flags)
	dst = appendField(dst, r.name)
	dst = appendField(dst, r.payload)
	if r.detail != "" || r.extra != "" {
		dst = appendField(dst, r.detail)
	}
	if r.extra != "" {
		dst = appendField(dst, r.extra)
	}
	return dst
}

// cutField returns the first field of b, empty if b is.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, true
	}
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

func appendField[T ~string | ~[]byte](dst []byte, field T) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(field)))
	return append(dst, field...)
}

// fields yields the fields of a list, which they alias. It stops at bytes that are
// none.
func fields(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			field, rest, ok := cutField(b)
			if !ok || !yield(field) {
				return
			}
			b = rest
		}
	}
}

// texts is a list of fields.
func texts(list []byte) (all []string) {
	for field := range fields(list) {
		all = append(all, string(field))
	}
	return all
}
