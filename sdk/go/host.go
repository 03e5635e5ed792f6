package rtd

// The way out to the host: effects, operations and the log.

// effect asks the host for an effect; if it refuses, the process crashes.
func effect(r record) {
	if n := give(r); n < 0 {
		abort((&OpError{Op: r.kind.name(), Name: r.name, Err: Code(n)}).Error())
	}
}

// attempt asks the host for an effect that it may deny.
func attempt(r record, about string) error {
	if n := give(r); n < 0 {
		return &OpError{r.kind.name(), about, Code(n)}
	}
	return nil
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

// take returns the answer of n bytes. An answer that does not fit the
// buffer is fetched once more.
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

// do does an operation that has no answer.
func do(r record) error {
	_, err := operate(r)
	return err
}

// doRef does an operation whose answer is a reference.
func doRef(r record) (Ref, error) {
	ref, err := doText(r)
	return Ref(ref), err
}

func doText(r record) (string, error) {
	answer, err := operate(r)
	return string(answer), err
}

// clone copies an answer out of the buffer.
func clone(answer []byte) []byte { return append([]byte(nil), answer...) }

// Log writes a line to the server's log, at once, even if the event crashes later. level is
// debug, info, warn or error.
func Log(level, text string) { give(record{kind: opLog, name: level, payload: []byte(text)}) }
