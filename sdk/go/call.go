package rtd

import "time"

// Call asks p's [CallHandler] and waits for the answer, which is the caller's to
// keep. A timeout of 0 is 5 seconds; a negative one waits for a year.
//
// While it waits, this process takes no events, and its deadline does not come nearer.
// If there is no answer, the error says why: an [*EndedError], or a [Code] such as
// ErrNoProcess, ErrTimeout, ErrDeadlock or ErrBusy. A method that returns the error
// crashes this process too, which is often right.
func Call(p PID, question []byte, timeout time.Duration) ([]byte, error) {
	answer, err := operate(record{kind: opCall, name: string(p), payload: question, detail: patience(timeout)})
	return clone(answer), err
}

// Cast tells p's [CastHandler] something. It does not wait.
func Cast(p PID, message []byte) error {
	return do(record{kind: opCast, name: string(p), payload: message})
}

// Request asks as [Call] does, but does not wait: [Await] does.
func Request(p PID, question []byte) (Ref, error) {
	return doRef(record{kind: opRequest, name: string(p), payload: question})
}

// RequestNotify asks as [Call] does, but does not wait: the answer, or the reason why
// there is none, goes to this process's [ReplyHandler].
func RequestNotify(p PID, question []byte) (Ref, error) {
	return doRef(record{kind: opRequest, flags: flagNotify, name: string(p), payload: question})
}

// Await waits for the answer to a [Request]. Timeout and errors are those of [Call].
// After ErrTimeout the request can be awaited again.
func Await(request Ref, timeout time.Duration) ([]byte, error) {
	answer, err := operate(record{kind: opAwait, name: string(request), detail: patience(timeout)})
	return clone(answer), err
}

// From stands for the process that waits for the answer to a call. It may be kept, and
// answered during a later event.
type From struct{ token string }

// Reply answers the call, when the event at hand has been handled. Of several answers
// the first counts.
func (f From) Reply(answer []byte) {
	effect(record{kind: effectAnswer, name: f.token, payload: answer})
}

func patience(timeout time.Duration) string {
	const year = 365 * 24 * time.Hour
	switch {
	case timeout == 0:
		timeout = 5 * time.Second
	case timeout < 0:
		timeout = year
	}
	return milliseconds(timeout)
}
