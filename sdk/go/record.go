package rtd

import "encoding/binary"

// The part of rtd/sandbox/abi that this SDK speaks, written again so that the
// SDK stands alone; the vectors of that package hold both to the same bytes.

const (
	kindStart   = 0x001
	kindJoin    = 0x002
	kindMessage = 0x003
	kindIdle    = 0x004

	kindReply         = 0x101
	kindPush          = 0x102
	kindBroadcast     = 0x103
	kindBroadcastFrom = 0x104
	kindHandles       = 0x105

	kindLog   = 0x201
	kindAbort = 0x202

	flagReplay = 1 << 2
)

type event struct {
	kind, flags uint16
	name        string
	payload     []byte // aliases the record
}

// parseEvent reads a record. ok is false for bytes that are none.
func parseEvent(b []byte) (e event, ok bool) {
	if len(b) < 4 {
		return event{}, false
	}
	e.kind = binary.LittleEndian.Uint16(b)
	e.flags = binary.LittleEndian.Uint16(b[2:])
	name, rest, ok := cutField(b[4:])
	if !ok {
		return event{}, false
	}
	e.name = string(name)
	e.payload, _, ok = cutField(rest)
	return e, ok
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

func appendEffect(dst []byte, kind uint16, name string, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, kind)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(name)))
	dst = append(dst, name...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}
