package sections

import (
	"errors"
	"fmt"
)

// Kinds of an [Error].
var (
	// ErrMalformed: no engine would take the module.
	ErrMalformed = errors.New("malformed module")
	// ErrTruncated: the file ends within its header or a section. Perhaps it is still being written. It is an
	// ErrMalformed too.
	ErrTruncated = fmt.Errorf("%w, truncated", ErrMalformed)
	// ErrUnsupported: the module uses something that its reader does not know, or a name that is not its own.
	ErrUnsupported = errors.New("unsupported module")
	// ErrLimit: the module has more of something than is allowed.
	ErrLimit = errors.New("module beyond a limit")
)

// Error says why a module was refused, in one line for its author.
type Error struct {
	Kind     error  // ErrMalformed, ErrTruncated, ErrUnsupported or ErrLimit
	Offset   int    // where in the module, in bytes
	Function string // whose body: its name, or function[12]; "" outside of the code section
	Reason   string // the fault, and what to do about it where we know
}

func (e *Error) Error() string {
	where := fmt.Sprintf("offset %#x", e.Offset)
	if e.Function != "" {
		where += ", " + e.Function
	}
	return fmt.Sprintf("%v at %s: %s", e.Kind, where, e.Reason)
}

func (e *Error) Unwrap() error { return e.Kind }
