package abi

import "strconv"

// Names that bind a guest to the host.
const (
	// Module is the host module that guests import from. Its name carries the
	// version of the calling convention.
	Module = "rtd_v1"
	// ImportOp is the one function of [Module].
	ImportOp = "op"

	ExportMemory     = "memory"
	ExportInbox      = "inbox"
	ExportHandle     = "handle"
	ExportInitialize = "_initialize"
)

// Kind says what a record is. Numbers are append-only.
type Kind uint16

// Events, host to guest.
const (
	EventStart   Kind = 0x001 // the instance begins; declare what it handles
	EventJoin    Kind = 0x002 // a client joins the topic, or a join is replayed
	EventMessage Kind = 0x003 // a client pushed a message
	EventIdle    Kind = 0x004 // the instance has grown and will stand still: drop garbage
)

// Effects, guest to host, applied when the call succeeds.
const (
	EffectReply         Kind = 0x101 // answer the join or message at hand
	EffectPush          Kind = 0x102 // to the channel's own client
	EffectBroadcast     Kind = 0x103 // to all members of the topic
	EffectBroadcastFrom Kind = 0x104 // to all members but this one
	EffectHandles       Kind = 0x105 // in start only: serve this topic pattern
	EffectScratch       Kind = 0x106 // in start only: memory that means nothing between events
)

// Operations, guest to host, done at once.
const (
	OpLog   Kind = 0x201 // write a line to the server's log
	OpAbort Kind = 0x202 // crash on purpose; does not return
)

var kindNames = map[Kind]string{
	EventStart:          "start",
	EventJoin:           "join",
	EventMessage:        "message",
	EventIdle:           "idle",
	EffectReply:         "reply",
	EffectPush:          "push",
	EffectBroadcast:     "broadcast",
	EffectBroadcastFrom: "broadcast_from",
	EffectHandles:       "handles",
	EffectScratch:       "scratch",
	OpLog:               "log",
	OpAbort:             "abort",
}

// String returns the kind's name as in the package's table, or its number.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return "kind 0x" + strconv.FormatUint(uint64(k), 16)
}

// IsEvent, IsEffect and IsOp say to which range a kind belongs, whether or not
// this version knows the number.
func (k Kind) IsEvent() bool  { return k > 0 && k < 0x100 }
func (k Kind) IsEffect() bool { return k >= 0x100 && k < 0x200 }
func (k Kind) IsOp() bool     { return k >= 0x200 && k < 0x300 }

// Flags modify a record. Unknown flags are ignored.
type Flags uint16

const (
	// Binary marks a payload that is not JSON text.
	Binary Flags = 1 << 0
	// WantsReply marks a message whose sender waits for a reply. Without it a
	// reply is allowed and goes nowhere.
	WantsReply Flags = 1 << 1
	// Replay marks a join that the client does not know of: the handler was
	// restarted after a crash or moved to a new version.
	Replay Flags = 1 << 2
)

// Code is what op returns instead of a length when it did not do as asked.
type Code int32

const (
	// CodeUnknown: this host does not know the kind.
	CodeUnknown Code = -1
	// CodeMalformed: the bytes are no record, or lie outside of memory.
	CodeMalformed Code = -2
	// CodeTooMuch: the call's bound on effects or their bytes is reached.
	CodeTooMuch Code = -3
	// CodeNotNow: the kind is not allowed in this event, or not a second time.
	CodeNotNow Code = -4
)

// Error describes the code to the author of a guest.
func (c Code) Error() string {
	switch c {
	case CodeUnknown:
		return "the host does not know this operation; it needs a newer rtd"
	case CodeMalformed:
		return "malformed record"
	case CodeTooMuch:
		return "too many effects, or too many bytes of them, in one event"
	case CodeNotNow:
		return "not allowed during this event, or done already"
	}
	return "code " + strconv.Itoa(int(c))
}
