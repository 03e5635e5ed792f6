package plugin

import (
	"bytes"
	"context"
	"errors"
	"sync"
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

	plugin *Plugin // which accounts for it while it waits in a mailbox
	ended  atomic.Bool
	done   chan struct{}
	answer []byte
	binary bool
	err    error

	// Of a request whose answer shall come as an event.
	asker *supervisor.Process
	id    uint64 // by which the asker knows it
}

// EndedError is the failure of a request to a process that has ended.
type EndedError struct{ Reason error }

func (e *EndedError) Error() string { return "process ended: " + e.Reason.Error() }

// Unwrap returns the exit reason.
func (e *EndedError) Unwrap() error { return e.Reason }

func newRequest(question []byte, binary bool) *Request {
	return &Request{Question: bytes.Clone(question), Binary: binary, done: make(chan struct{})}
}

// Answer ends the request, unless it has ended. The answer, which is copied, is
// JSON unless binary.
func (r *Request) Answer(answer []byte, binary bool) { r.end(bytes.Clone(answer), binary, nil) }

// Fail ends the request without an answer, unless it has ended.
func (r *Request) Fail(err error) { r.end(nil, false, err) }

func (r *Request) end(answer []byte, binary bool, err error) {
	if !r.ended.CompareAndSwap(false, true) {
		return
	}
	r.answer, r.binary, r.err = answer, binary, err
	close(r.done)
	if r.asker != nil {
		r.asker.Post(answered{r.id}) // one for each request, whose number is bounded
	}
}

// Dropped implements [supervisor.Dropper]: nobody will take it.
func (r *Request) Dropped() {
	r.plugin.unqueue(len(r.Question))
	r.Fail(&EndedError{supervisor.ErrNoProcess})
}

// Call asks a process from Go code that is no process itself, and waits for the
// answer: until ctx is done.
func (s *Set) Call(ctx context.Context, to *supervisor.Process, question []byte) ([]byte, error) {
	r := newRequest(question, false)
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

// Message is what one process tells another without a question.
type Message struct {
	Kind    abi.Kind // EventCast or EventInfo
	Payload []byte
	Binary  bool

	plugin *Plugin // which accounts for it while it waits
}

// Dropped implements [supervisor.Dropper].
func (m *Message) Dropped() { m.plugin.unqueue(len(m.Payload)) }

// answered says that a request has ended.
type answered struct{ id uint64 }

// fired says that a timer has.
type fired struct{ id uint64 }

// waits is who waits for whom, so that processes which would wait for each other
// are told instead.
type waits struct {
	mu sync.Mutex
	on map[*supervisor.Process]wait
}

type wait struct {
	target  *supervisor.Process
	request *Request
}

// begin notes that p waits, unless the target waits for p already, by however many
// others.
func (w *waits) begin(p *supervisor.Process, on wait) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for target := on.target; ; {
		if target == p {
			return abi.CodeDeadlock
		}
		next, waiting := w.on[target]
		if !waiting || next.request.ended.Load() {
			break
		}
		target = next.target
	}
	if w.on == nil {
		w.on = map[*supervisor.Process]wait{}
	}
	w.on[p] = on
	return nil
}

func (w *waits) end(p *supervisor.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.on, p)
}

// codeOf is what a guest is told of a failed request, with the reason if it has one.
func codeOf(err error) (reason []byte, code error) {
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
