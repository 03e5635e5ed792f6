package supervisor

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Exit reasons. Every process ends with one; as in OTP it decides whether a
// supervisor starts the process again.
//
// Guests choose the texts of their reasons. So nothing is decided by a text. A reason
// with a meaning is one of these values, or an error that wraps it, which guests cannot
// make.
var (
	// Normal: the process was done.
	Normal error = &orderly{"normal", ""}
	// Shutdown: the process was asked to end. [ShutdownBecause] adds a detail;
	// errors.Is(reason, Shutdown) holds for both.
	Shutdown error = &orderly{"shutdown", ""}
	// ForRestart is the [Shutdown] of processes that are stopped to be started again with
	// others: the siblings of a crashed one, or a whole tree that is replaced. A
	// [Supervisor] passes it on to its children; a [Dynamic] keeps its own for its next
	// life. It is not passed on by links: processes that are linked with one that ends so
	// get a Shutdown with the same text.
	ForRestart = ShutdownBecause("restarted with its siblings")
	// Killed: it did not end in the time given for shutdown. A crash.
	Killed = errors.New("killed")
	// ErrNoProcess is the reason that a link or a monitor reports for a process
	// that had ended before, OTP's noproc. A crash.
	ErrNoProcess = errors.New("no such process")
)

// ShutdownBecause is [Shutdown] with a detail, OTP's {shutdown, Term}. Each one is a
// reason of its own: errors.Is tells apart two with the same detail.
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

// Repeated returns the reason of a crash that was counted before: its process was restarted, has tried the same once more, and crashed
// again. It is a crash like reason, but does not count against an [Intensity]. Whoever returns it sees to it that this ends.
func Repeated(reason error) error { return &repeated{reason} }

// IsRepeated reports whether a reason is one of [Repeated].
func IsRepeated(reason error) bool {
	var r *repeated
	return errors.As(reason, &r)
}

type repeated struct{ error }

func (r *repeated) Unwrap() error { return r.error }

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

// orderly is an end that is no crash. Two of them are the same if their addresses are.
type orderly struct{ word, detail string }

func (o *orderly) Error() string {
	if o.detail == "" {
		return o.word
	}
	return o.word + ": " + o.detail
}

// Is holds for the plain reason, Normal or Shutdown, and by identity.
func (o *orderly) Is(target error) bool {
	return target == Normal && o.word == "normal" || target == Shutdown && o.word == "shutdown"
}
