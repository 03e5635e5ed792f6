package supervisor

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Exit reasons. Every process ends with one; as in OTP it decides whether a
// supervisor starts the process again.
var (
	// Normal: the process had no more to do.
	Normal error = &orderly{"normal", ""}
	// Shutdown: somebody who may do so asked it to end. [ShutdownBecause] adds
	// why; errors.Is(reason, Shutdown) holds for both.
	Shutdown error = &orderly{"shutdown", ""}
	// ForRestart is the [Shutdown] of processes that are stopped to be started
	// again with others: the siblings of a crashed one, or a whole tree that is
	// replaced. A [Supervisor] passes it on to its children; a [Dynamic] keeps
	// its own for its next life.
	ForRestart = ShutdownBecause("restarted with its siblings")
	// Killed: it did not end in the time given for shutdown. A crash.
	Killed = errors.New("killed")
	// ErrNoProcess is the reason that a link or a monitor reports for a process
	// that had ended before, OTP's noproc. A crash.
	ErrNoProcess = errors.New("no such process")
)

// ShutdownBecause is [Shutdown] with a detail, OTP's {shutdown, Term}.
func ShutdownBecause(detail string) error { return &orderly{"shutdown", detail} }

// Detail returns the text given to [ShutdownBecause], or "".
func Detail(reason error) string {
	var o *orderly
	if errors.As(reason, &o) {
		return o.detail
	}
	return ""
}

// IsCrash reports whether a process that ended with reason crashed, that is,
// ended neither normally nor by a shutdown. Any other error is a crash.
func IsCrash(reason error) bool {
	return !errors.Is(reason, Normal) && !errors.Is(reason, Shutdown)
}

// PanicError is the exit reason of a process whose Go code panicked: a bug in
// rtd, not in a guest.
type PanicError struct {
	Value any
	Stack []byte // as by debug.Stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// guard calls f and turns a panic into an exit reason.
func guard(f func() error) (reason error) {
	defer func() {
		if v := recover(); v != nil {
			reason = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}

type orderly struct{ word, detail string }

func (o *orderly) Error() string {
	if o.detail == "" {
		return o.word
	}
	return o.word + ": " + o.detail
}

func (o *orderly) Is(target error) bool {
	t, ok := target.(*orderly)
	return ok && t.word == o.word && (t.detail == "" || t.detail == o.detail)
}
