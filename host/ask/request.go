package ask

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Request is a question of one process to another. It ends once, with an answer or
// with the reason why there is none. A process in Go gets it in its mailbox as a
// *Request and calls Answer, at once or later, from any goroutine; a guest gets it as
// the event call.
type Request struct {
	Question []byte
	Binary   bool // whether Question is something else than JSON

	from    *supervisor.Process // that asks; nil for Go code
	account Account             // of the asker, see there; nil for Go code
	waiting atomic.Int64        // bytes that are counted for the question
	served  atomic.Bool         // a service has it: they are counted until the end

	ended  atomic.Bool
	done   chan struct{}
	answer []byte
	binary bool
	err    error

	// ID is the asker's ref of the request.
	ID    supervisor.Ref
	asker *supervisor.Process // to be told of the end, or nil
}

// EndedError is the failure of a request to a process that has ended.
type EndedError struct{ Reason error }

func (e *EndedError) Error() string { return "process ended: " + e.Reason.Error() }

// Unwrap returns the exit reason.
func (e *EndedError) Unwrap() error { return e.Reason }

// New makes a request of a process whose plugin has an account. Both are nil for Go code.
// The question is copied.
func New(account Account, from *supervisor.Process, question []byte, binary bool) *Request {
	return &Request{
		Question: bytes.Clone(question), Binary: binary, account: account, from: from, done: make(chan struct{}),
	}
}

// From returns the asker.
func (r *Request) From() Caller { return callerOf(r.account, r.from) }

// Answer ends the request, unless it has ended. The answer, which is copied, is
// JSON unless binary. If the asker's plugin has no room to keep it, the request fails.
func (r *Request) Answer(answer []byte, binary bool) { r.end(answer, binary, nil) }

// Fail ends the request without an answer, unless it has ended.
func (r *Request) Fail(err error) { r.end(nil, false, err) }

func (r *Request) end(answer []byte, binary bool, err error) {
	if r.endSilently(answer, binary, err) && r.asker != nil {
		r.asker.Post(Answered{r}) // one for each request, whose number is bounded
	}
}

func (r *Request) endSilently(answer []byte, binary bool, err error) bool {
	if !r.ended.CompareAndSwap(false, true) {
		return false
	}
	if r.account != nil && !r.account.Keep(len(answer)) {
		answer, err = nil, abi.CodeLimit
	}
	r.answer, r.binary, r.err = bytes.Clone(answer), binary, err
	close(r.done)
	if r.served.Load() {
		r.uncount()
	}
	return true
}

// Take returns the question, for a process that begins to work at it. The question does
// not count any more, and the request drops it.
func (r *Request) Take() []byte {
	r.uncount()
	question := r.Question
	r.Question = nil
	return question
}

// Dropped implements [supervisor.Dropper]: no process will take the request.
func (r *Request) Dropped() {
	r.uncount()
	r.Fail(&EndedError{supervisor.ErrNoProcess})
}

// Ended reports whether the request has ended.
func (r *Request) Ended() bool { return r.ended.Load() }

// serve notes that a service has the request, and may keep the question until the request
// ends. It returns false if it has ended.
func (r *Request) serve() bool {
	r.served.Store(true)
	if r.ended.Load() {
		r.uncount()
		return false
	}
	return true
}

// The rest is for the asker.

// Receiver is a process that messages can be sent to: on an error they have not arrived. A
// [*supervisor.Process] is one.
type Receiver interface {
	Send(msg any) error
}

// Send puts the question into a mailbox. The error is a code for guests.
func (r *Request) Send(to Receiver) error {
	size := messageSize + len(r.Question)
	if r.account != nil && !r.account.Keep(size) {
		return abi.CodeFull
	}
	r.waiting.Store(int64(size))
	if err := to.Send(r); err != nil {
		r.uncount()
		return SendCode(err)
	}
	return nil
}

// uncount gives the question's bytes back, once.
func (r *Request) uncount() {
	if n := r.waiting.Swap(0); r.account != nil {
		give(r.account, int(n))
	}
}

// Notify has [Answered] sent to a process when the request ends. It is called before
// Send.
func (r *Request) Notify(asker *supervisor.Process) { r.asker = asker }

// Notifies reports whether Notify was called.
func (r *Request) Notifies() bool { return r.asker != nil }

// Answered tells the process of Notify that a request has ended.
type Answered struct{ Request *Request }

// Done is closed when the request has ended.
func (r *Request) Done() <-chan struct{} { return r.done }

// Fetch waits for the end of the request and returns the answer or the error. The request
// keeps neither.
func (r *Request) Fetch() (answer []byte, binary bool, err error) {
	<-r.done
	answer, r.answer = r.answer, nil
	if r.account != nil {
		give(r.account, len(answer))
	}
	return answer, r.binary, r.err
}

// Lose ends the request, unless it has ended, because the process that was asked has
// ended. [Answered] is not sent: the caller knows.
func (r *Request) Lose(reason error) { r.endSilently(nil, false, &EndedError{reason}) }

// Forget ends the request for an asker that does not want the answer. The reason is for
// the process that was asked.
func (r *Request) Forget(reason error) {
	r.endSilently(nil, false, reason)
	_, _, _ = r.Fetch()
}

// Call asks a process from Go code that is no process itself, and waits for the
// answer: until ctx is done.
func Call(ctx context.Context, to *supervisor.Process, question []byte) ([]byte, error) {
	r := New(nil, nil, question, false)
	if err := to.Send(r); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r.answer, r.err
	default:
	}
	select {
	case <-r.done:
		return r.answer, r.err
	case <-to.Done():
		r.Fail(&EndedError{to.Reason()})
		<-r.done // or the answer that came just before
		return r.answer, r.err
	case <-ctx.Done():
		r.Fail(ctx.Err())
		return nil, ctx.Err()
	}
}

// CodeOf returns a guest's code for a failed request, and the reason if there is one.
func CodeOf(err error) (reason []byte, code error) {
	var ended *EndedError
	var c abi.Code
	switch {
	case errors.As(err, &ended):
		if errors.Is(ended.Reason, supervisor.ErrNoProcess) { // it had ended before it was asked
			return nil, abi.CodeNoProcess
		}
		return []byte(ended.Reason.Error()), abi.CodeEnded
	case errors.As(err, &c):
		return nil, c
	}
	return []byte(err.Error()), abi.CodeEnded
}

// SendCode returns a guest's code for a message that could not be sent.
func SendCode(err error) error {
	if errors.Is(err, supervisor.ErrFull) {
		return abi.CodeFull
	}
	return abi.CodeNoProcess
}
