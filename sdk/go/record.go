package rtd

import (
	"encoding/binary"
	"iter"
	"slices"
)

// The part of rtd/sandbox/abi that this SDK speaks, written again so that the
// SDK stands alone; the vectors of that package hold both to the same bytes.

type kind uint16

const (
	eventStart     kind = 0x001
	eventJoin      kind = 0x002
	eventMessage   kind = 0x003
	eventIdle      kind = 0x004
	eventInit      kind = 0x005
	eventCall      kind = 0x006
	eventCast      kind = 0x007
	eventInfo      kind = 0x008
	eventReply     kind = 0x009
	eventDown      kind = 0x00A
	eventExit      kind = 0x00B
	eventTerminate kind = 0x00C
	eventLeave     kind = 0x00D
	eventMembers   kind = 0x00E
	eventStop      kind = 0x00F
	eventConnect   kind = 0x010
	eventOut       kind = 0x011
	eventBroadcast kind = 0x012
	eventExport    kind = 0x013
	eventImport    kind = 0x014

	effectReply         kind = 0x101
	effectPush          kind = 0x102
	effectBroadcast     kind = 0x103
	effectBroadcastFrom kind = 0x104
	effectHandles       kind = 0x105
	effectAnswer        kind = 0x107
	effectStop          kind = 0x108
	effectHibernate     kind = 0x109
	effectChild         kind = 0x10A
	effectDepends       kind = 0x10B
	effectWants         kind = 0x10C
	effectIntercept     kind = 0x10D
	effectPublish       kind = 0x10E
	effectSubscribe     kind = 0x10F
	effectUnsubscribe   kind = 0x110
	effectDisconnect    kind = 0x111
	effectPresent       kind = 0x112
	effectState         kind = 0x113

	opLog        kind = 0x201
	opAbort      kind = 0x202
	opTake       kind = 0x203
	opSelf       kind = 0x204
	opSpawn      kind = 0x205
	opCall       kind = 0x206
	opRequest    kind = 0x207
	opAwait      kind = 0x208
	opCast       kind = 0x209
	opSend       kind = 0x20A
	opSendAfter  kind = 0x20B
	opCancel     kind = 0x20C
	opSleep      kind = 0x20D
	opMonitor    kind = 0x20E
	opDemonitor  kind = 0x20F
	opLink       kind = 0x210
	opUnlink     kind = 0x211
	opTrapExit   kind = 0x212
	opRegister   kind = 0x213
	opUnregister kind = 0x214
	opWhereis    kind = 0x215
	opExit       kind = 0x216
	opInfo       kind = 0x217
	opChildren   kind = 0x218
	opStopChild  kind = 0x219

	opTrack         kind = 0x21A
	opUpdate        kind = 0x21B
	opUntrack       kind = 0x21C
	opPresences     kind = 0x21D
	opPresenceCount kind = 0x21E
)

const (
	flagBinary  uint16 = 1 << 0
	flagReplay  uint16 = 1 << 2
	flagFailed  uint16 = 1 << 3
	flagLink    uint16 = 1 << 4
	flagRequest uint16 = 1 << 5
	flagNotify  uint16 = 1 << 6
)

// record is an event, an effect or an operation. What its fields mean is written
// in the tables of rtd/sandbox/abi.
type record struct {
	kind    kind
	flags   uint16
	name    string
	payload []byte // of a parsed one, aliases the bytes
	detail  string
	extra   string
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
	r.name, r.payload, r.detail, r.extra = string(fields[0]), fields[1], string(fields[2]), string(fields[3])
	return r, true
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
