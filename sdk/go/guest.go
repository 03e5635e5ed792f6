package rtd

import "strconv"

// maxEvent bounds the inbox: an event above it is refused, not fatal.
const maxEvent = 32 << 20

var (
	inbox   []byte // where the host writes the event at hand
	scratch []byte // reused for the records that go out
)

// reserve returns an inbox of n bytes, or nil if that is too many. It keeps
// the largest so far.
func reserve(n uint32) []byte {
	if n > maxEvent {
		return nil
	}
	if int(n) > len(inbox) {
		inbox = make([]byte, max(int(n), 4096, 2*len(inbox)))
	}
	return inbox
}

// receive handles the event of n bytes in the inbox.
func receive(n uint32) int32 {
	if int(n) > len(inbox) {
		return 1
	}
	e, ok := parseEvent(inbox[:n])
	if !ok {
		return 1
	}
	if err := dispatch(e); err != nil {
		abort(err.Error())
	}
	return 0
}

// effect asks the host for an effect; if it refuses, the process crashes.
func effect(kind uint16, name string, payload []byte) {
	if code := operation(kind, name, payload); code < 0 {
		abort("effect 0x" + strconv.FormatUint(uint64(kind), 16) + " " + strconv.Quote(name) + ": " + codeText(code))
	}
}

func operation(kind uint16, name string, payload []byte) int32 {
	scratch = appendEffect(scratch[:0], kind, name, payload)
	return op(scratch)
}

// abort crashes the process with a cause for the log. It does not return.
func abort(cause string) {
	operation(kindAbort, "", []byte(cause))
	panic(cause) // only if the host knows no abort
}

func codeText(code int32) string {
	switch code {
	case -1:
		return "this server does not know it; it needs a newer rtd"
	case -2:
		return "malformed"
	case -3:
		return "too many effects, or too many bytes of them, in one event"
	case -4:
		return "not allowed during this event, or done already"
	}
	return "code " + strconv.Itoa(int(code))
}
