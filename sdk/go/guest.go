package rtd

// maxEvent bounds the inbox: an event above it is refused, not fatal.
const maxEvent = 32 << 20

var (
	inbox    []byte // where the host writes the event at hand
	outgoing buffer // for the record that goes out
	answers  buffer // for what the host answers
)

// buffer is memory for bytes that are soon over. It exists from the start and is
// wiped after each event, so that it is no part of what an idle process differs
// by from a new one.
type buffer struct {
	bytes [4096]byte
	used  int
}

func (b *buffer) use(n int) { b.used = max(b.used, min(n, len(b.bytes))) }

func (b *buffer) wipe() {
	clear(b.bytes[:b.used])
	b.used = 0
}

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
	e, ok := parseRecord(inbox[:n])
	if !ok {
		return 1
	}
	atHand.binary = e.flags&flagBinary != 0
	if e.kind == eventMessage {
		atHand.token = e.extra
	}
	if err := dispatch(e); err != nil {
		abort(err.Error())
	}
	atHand.binary, atHand.token = false, ""
	outgoing.wipe()
	answers.wipe()
	return 0
}

// effect asks the host for an effect; if it refuses, the process crashes.
func effect(r record) {
	if n := give(r); n < 0 {
		abort((&OpError{Op: r.kind.name(), Name: r.name, Err: Code(n)}).Error())
	}
}

// operate does an operation and returns its answer, which lies in a buffer until
// the next one.
func operate(r record) ([]byte, error) {
	n := give(r)
	switch {
	case n >= 0:
		return take(n), nil
	case Code(n) == codeEnded:
		return nil, &OpError{r.kind.name(), r.name, &EndedError{string(take(give(record{kind: opTake})))}}
	}
	return nil, &OpError{r.kind.name(), r.name, Code(n)}
}

// give hands the record to the host, which may leave an answer.
func give(r record) int32 {
	b := appendRecord(outgoing.bytes[:0], r)
	outgoing.use(len(b))
	n := op(b, answers.bytes[:])
	answers.use(int(max(n, 0)))
	return n
}

// take returns the answer of n bytes. What does not fit the buffer is fetched once
// more.
func take(n int32) []byte {
	if n <= int32(len(answers.bytes)) {
		return answers.bytes[:max(n, 0)]
	}
	large := make([]byte, n)
	n = op(appendRecord(outgoing.bytes[:0], record{kind: opTake}), large)
	return large[:min(max(n, 0), int32(len(large)))]
}

// abort crashes the process with a cause for the log. It does not return.
func abort(cause string) {
	give(record{kind: opAbort, payload: []byte(cause)})
	panic(cause) // only if the host knows no abort
}
