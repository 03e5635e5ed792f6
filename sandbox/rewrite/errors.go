package rewrite

import (
	"errors"
	"fmt"
)

// What is wrong with a module that Rewrite refuses. Every error of Rewrite is an *[Error] that wraps one of them.
var (
	// ErrMalformed: no engine would take the module.
	ErrMalformed = errors.New("malformed")
	// ErrUnsupported: the module uses something that Rewrite does not know, or a name that it needs for itself.
	ErrUnsupported = errors.New("unsupported")
	// ErrLimit: the module is larger than Options allow.
	ErrLimit = errors.New("limit exceeded")
)

// Error says why a module was refused.
type Error struct {
	Kind     error  // ErrMalformed, ErrUnsupported or ErrLimit
	Offset   int    // where in the module, in bytes
	Function string // whose body: its name, or function[12]; "" outside of the code section
	Reason   string // what, and what to do about it where we know
}

func (e *Error) Error() string {
	where := fmt.Sprintf("offset %#x", e.Offset)
	if e.Function != "" {
		where += ", " + e.Function
	}
	return fmt.Sprintf("rewrite module: %v at %s: %s", e.Kind, where, e.Reason)
}

func (e *Error) Unwrap() error { return e.Kind }
