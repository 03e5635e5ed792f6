package sandbox

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errDeadline unwinds a guest whose time is up.
var errDeadline = errors.New("deadline exceeded")

// outOfTime is the error of a call that ended with err after its time was up.
// It keeps err if that has the stack.
func outOfTime(err error) error {
	if errors.Is(err, errDeadline) {
		return err
	}
	return errDeadline
}

// watch ends calls that take too long, and is the context in which they run.
//
// wazero looks at the context's end in loops and calls. A context.WithTimeout
// for each call would do, but costs a timer, a chan and four allocations each
// time; this one belongs to an instance and is armed again and again. It can end
// once, and so does the instance.
type watch struct {
	instance *Instance
	timer    *time.Timer
	done     chan struct{}
	running  bool         // between arm and disarm; for the guest's goroutine only
	due      atomic.Int64 // when the call must end, on [clock]; or one of those below
}

const (
	idle    = 0
	expired = -1
)

// clock is a monotonic time in nanoseconds that is never zero.
func clock() int64 { return int64(time.Since(clockStart)) + 1 }

var clockStart = time.Now()

func (w *watch) init(i *Instance) {
	w.instance = i
	w.done = make(chan struct{})
}

func (w *watch) arm(d time.Duration) {
	w.running = true
	w.due.Store(clock() + int64(d))
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.ring)
		return
	}
	w.timer.Reset(d)
}

// disarm reports whether the call ended in time.
func (w *watch) disarm() bool {
	w.running = false
	w.timer.Stop()
	due := w.due.Load()
	return due != expired && w.due.CompareAndSwap(due, idle)
}

// ring runs on the timer's goroutine. It may be late, when the call is over or
// even the next one has begun: then there is nothing to do.
func (w *watch) ring() {
	due := w.due.Load()
	if due == idle || due == expired || clock() < due {
		return
	}
	if w.due.CompareAndSwap(due, expired) {
		close(w.done)
	}
}

// check ends the guest, with its stack, if its time is up. It is for host
// functions that take long.
func (w *watch) check() {
	if w.due.Load() == expired {
		panic(errDeadline)
	}
}

// sleep waits for d, or ends the guest when its time is up.
func (w *watch) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.done:
		panic(errDeadline)
	}
}

// CloseNotify is called by wazero on the guest's own goroutine when it finds
// that the context has ended, before it unwinds. wazero unwinds with an error
// that has no stack; to panic with our own here is what makes it report where
// the guest was. If a version of wazero stops calling this, only the stack is lost.
func (w *watch) CloseNotify(context.Context, uint32) {
	if w.running {
		w.check()
	}
}

// watch is a context.Context.

func (w *watch) Deadline() (time.Time, bool) {
	due := w.due.Load()
	return clockStart.Add(time.Duration(due)), due > 0
}

func (w *watch) Done() <-chan struct{} { return w.done }

func (w *watch) Err() error {
	if w.due.Load() == expired {
		return context.DeadlineExceeded
	}
	return nil
}

// instanceKey is how host functions find the instance that calls them.
type instanceKey struct{}

func (w *watch) Value(key any) any {
	if _, ok := key.(instanceKey); ok {
		return w.instance
	}
	return nil
}
