package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"rtd/sandbox/abi"
)

// TrapKind says how a guest died. Its value is for logs and metrics.
type TrapKind string

const (
	// KindTrap: the code did what WebAssembly forbids, such as an access out of
	// bounds, a division by zero, or unreachable, which is how panics end in Go
	// and Rust.
	KindTrap TrapKind = "trap"
	// KindExit: proc_exit.
	KindExit TrapKind = "exit"
	// KindAbort: the guest asked for its end, with abi.OpAbort.
	KindAbort TrapKind = "abort"
	// KindDeadline: the event took longer than Limits.Deadline.
	KindDeadline TrapKind = "deadline"
	// KindMemory: the guest was refused memory beyond Limits.Memory, and died
	// of something else in the same event.
	KindMemory TrapKind = "memory"
	// KindStack: endless recursion.
	KindStack TrapKind = "stack"
	// KindProtocol: an export returned what the contract does not allow.
	KindProtocol TrapKind = "protocol"
	// KindEnded: its process was to end, or said that the guest has to. The trap
	// wraps the reason.
	KindEnded TrapKind = "ended"
	// KindInternal: a bug in rtd or in wazero ended the guest.
	KindInternal TrapKind = "internal"
)

var trapKinds = [...]TrapKind{
	KindTrap, KindExit, KindAbort, KindDeadline, KindMemory, KindStack, KindProtocol, KindEnded, KindInternal,
}

func (k TrapKind) index() int { return slices.Index(trapKinds[:], k) }

// Trap is the end of a guest by error.
type Trap struct {
	Kind    TrapKind
	Plugin  string
	Version string
	Event   abi.Kind // what it was handling; EventStart for all that comes before too
	Name    string   // that event's name: for a message its event, for a join its topic
	Cause   string   // one line, at most 300 bytes; may quote the guest
	// Stack has the names of the guest's functions, innermost first, at most 30.
	// It may be empty: wazero has none for KindStack, and modules may have no names.
	Stack []string
	// Output is what the guest wrote to standard error during the event: from a
	// line on that says why it dies ("panic: …"), else the end; at most 4 KiB.
	Output string

	reason error // of KindEnded
	left   atomic.Pointer[PostMortem]
}

// Unwrap returns why the guest had to end, if that is the kind, or nil.
func (t *Trap) Unwrap() error { return t.reason }

// Error is one line with all but Stack and Output.
func (t *Trap) Error() string {
	event := t.Event.String()
	if t.Event != abi.EventStart {
		event += " " + printable([]byte(t.Name), maxShown)
	}
	return fmt.Sprintf("plugin %s %s: %s in %s: %s", t.Plugin, t.Version, t.Kind, event, t.Cause)
}

const (
	maxCause = 300
	maxShown = 255 // of a name that a guest gave, in bytes
)

// These errors unwind a guest. Their texts quote nothing from it, because
// wazero puts them into the text that stackOf parses.

type exitError struct{ status uint32 }

func (*exitError) Error() string { return "guest called proc_exit" }

type abortError struct{ cause string }

func (*abortError) Error() string { return "guest aborted" }

type protocolError struct{ what string }

func (e *protocolError) Error() string { return e.what }

type internalError struct {
	what  string
	stack []byte // of Go
}

func (e *internalError) Error() string { return e.what }

// diagnose says what the guest died of, by the error's structure: what the
// guest has printed is quoted, but decides nothing.
func (s *slot) diagnose(err error, e *abi.Event) *Trap {
	t := &Trap{
		Plugin: s.plugin.name, Version: s.plugin.version,
		Event: e.Kind, Name: e.Name,
		Stack: stackOf(err, s.plugin.compiled.Name()),
	}
	var (
		exit     *exitError
		abort    *abortError
		ended    *endedError
		protocol *protocolError
		bug      *internalError
		panicked runtime.Error
	)
	switch {
	case errors.Is(err, errDeadline):
		t.Kind, t.Cause = KindDeadline, fmt.Sprintf("took longer than %v", s.plugin.limits.Deadline)
	case errors.As(err, &exit):
		t.Kind, t.Cause = KindExit, fmt.Sprintf("exit status %d", exit.status)
	case errors.As(err, &abort):
		t.Kind, t.Cause = KindAbort, abort.cause
	case errors.As(err, &ended):
		t.Kind, t.Cause, t.reason = KindEnded, printable([]byte(ended.reason.Error()), maxCause), ended.reason
	case errors.As(err, &protocol):
		t.Kind, t.Cause = KindProtocol, protocol.what
	case errors.As(err, &bug):
		t.Kind, t.Cause = KindInternal, printable([]byte(bug.what), maxCause)
		s.of.log().Error("panic under a guest", "panic", bug.what, "stack", string(bug.stack))
	case errors.As(err, &panicked):
		t.Kind, t.Cause = KindInternal, printable([]byte(panicked.Error()), maxCause)
		s.of.log().Error("panic under a guest", "panic", err)
	case isStackOverflow(err):
		t.Kind, t.Cause = KindStack, "recursion without end"
	default:
		t.Kind, t.Cause = KindTrap, printable([]byte(innermost(err).Error()), maxCause)
	}

	s.output.flush() // the last words may lack a newline
	if words := s.output.lastWords(); words != "" && (t.Kind == KindTrap || t.Kind == KindExit) {
		t.Cause += ": " + words
	}
	if s.memory.denied > 0 && (t.Kind == KindTrap || t.Kind == KindExit || t.Kind == KindProtocol) {
		t.Kind = KindMemory
		t.Cause = fmt.Sprintf("wanted %s, the limit is %s; then %s",
			byteSize(s.memory.denied), byteSize(s.memory.limit), t.Cause)
	}
	t.Output = strings.ToValidUTF8(string(s.output.said), "\uFFFD")
	return t
}

// isStackOverflow compares a text, wazero's own: its error has no exported
// name. The test of KindStack holds this.
func isStackOverflow(err error) bool { return innermost(err).Error() == "stack overflow" }

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// stackOf finds the guest's functions in an error of wazero, which has them
// only as text: a title, then a line "\tmodule.function(types) types" for each.
func stackOf(err error, module string) []string {
	const title = "\nwasm stack trace:\n\t"
	text := err.Error()
	at := strings.LastIndex(text, title)
	if at < 0 {
		return nil
	}
	text, _, _ = strings.Cut(text[at+len(title):], "\n\n") // Go's own stack may follow
	var stack []string
	for line := range strings.SplitSeq(text, "\n\t") {
		if name, ok := cutSignature(line); ok {
			name = strings.TrimPrefix(name, module+".")
			if name == yieldModule+"."+yieldName || strings.HasPrefix(name, yieldModule+":") {
				continue // what the rewriter has added
			}
			if strings.Contains(name, ".__") {
				name = goMethod.ReplaceAllString(name, ".(*$1).")
			}
			stack = append(stack, printable([]byte(name), maxShown))
		}
	}
	return stack
}

// goMethod is what Go's linker makes of a method's name: main.(*Room).HandleIn
// becomes main.__Room_.HandleIn.
var goMethod = regexp.MustCompile(`\.__(\w+?)_\.`)

// cutSignature returns what stands before a signature, which is a list of types in
// parentheses and then nothing, a type, or again such a list. Names may have
// parentheses, as main.(*Room).HandleIn has; types have none.
func cutSignature(line string) (name string, ok bool) {
	if at := strings.LastIndex(line, ") "); at >= 0 {
		results := strings.TrimSuffix(strings.TrimPrefix(line[at+len(") "):], "("), ")")
		if !areTypes(results) {
			return "", false
		}
		line = line[:at+1]
	}
	line, ok = strings.CutSuffix(line, ")")
	at := strings.LastIndexByte(line, '(')
	if !ok || at <= 0 || at+1 < len(line) && !areTypes(line[at+1:]) {
		return "", false
	}
	return line[:at], true
}

func areTypes(list string) bool {
	for t := range strings.SplitSeq(list, ",") {
		switch t {
		case "i32", "i64", "f32", "f64", "v128", "funcref", "externref":
		default:
			return false
		}
	}
	return true
}

// lost is the trap of an instance whose state is gone, or could not be brought
// into a slot, through no fault of its own.
func (p *Plugin) lost(err error, e *abi.Event) *Trap {
	p.counters.traps[KindInternal.index()].Add(1)
	return &Trap{Kind: KindInternal, Plugin: p.name, Version: p.version, Event: e.Kind, Name: e.Name, Cause: err.Error()}
}
