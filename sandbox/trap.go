package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rtd/sandbox/abi"
)

// TrapKind says how a guest died. Its value is for logs and metrics.
type TrapKind string

const (
	// KindTrap: the code broke a rule of WebAssembly, such as an access out of
	// bounds, a division by zero, or unreachable, which is how panics end in Go
	// and Rust.
	KindTrap TrapKind = "trap"
	// KindExit: proc_exit.
	KindExit TrapKind = "exit"
	// KindAbort: the guest asked for its end, with abi.OpAbort.
	KindAbort TrapKind = "abort"
	// KindDeadline: the event used more of the processor than Limits.Deadline.
	KindDeadline TrapKind = "deadline"
	// KindTimeout: the event took longer than Limits.Timeout without that. The guest
	// slept, or the machine had no time for it.
	KindTimeout TrapKind = "timeout"
	// KindMemory: the guest was refused memory beyond Limits.Memory, or beyond
	// Limits.TotalMemory, and died of something else in the same event. Or it wrote
	// more than the latter allows.
	KindMemory TrapKind = "memory"
	// KindStack: endless recursion, or too many guests in deep recursions at once.
	KindStack TrapKind = "stack"
	// KindProtocol: an export returned a value that the contract does not allow.
	KindProtocol TrapKind = "protocol"
	// KindEnded: its process was to end, or said that the guest has to. The trap
	// wraps the reason.
	KindEnded TrapKind = "ended"
	// KindEffect: it asked for an effect that cannot be, such as a reply that is no
	// JSON. The guest itself had finished the event; see [Instance.Fault].
	KindEffect TrapKind = "effect"
	// KindStop: it asked for the end of its process, as by a crash; as KindEffect.
	KindStop TrapKind = "stop"
	// KindInternal: a bug in rtd or in wazero ended the guest.
	KindInternal TrapKind = "internal"
)

var trapKinds = [...]TrapKind{
	KindTrap, KindExit, KindAbort, KindDeadline, KindTimeout, KindMemory, KindStack, KindProtocol, KindEnded, KindInternal,
}

func (k TrapKind) index() int { return slices.Index(trapKinds[:], k) }

// Trap is the end of a guest by error.
type Trap struct {
	Kind    TrapKind
	Plugin  string
	Version string
	Event   abi.Kind // that it was handling; EventStart also for all before it
	Name    string   // that event's name: for a message its event, for a join its topic
	Cause   string   // one line, at most 300 bytes and then …; may quote the guest
	// Stack has the names of the guest's functions, innermost first, at most 30.
	// It may be empty: modules may have no names. It is shared, and not to be changed.
	Stack []string
	// Output are the lines that the guest wrote to standard error during the event: from a
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
		Plugin: s.module.name, Version: s.module.version,
		Event: e.Kind, Name: e.Name,
		Stack: s.module.symbols.stackOf(err, s.module.machine.compiled.Name()),
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
		t.Kind, t.Cause = KindDeadline, fmt.Sprintf("took longer than %v of processor time", s.module.limits.Deadline)
	case errors.Is(err, errTimeout):
		t.Kind, t.Cause = KindTimeout, fmt.Sprintf("took longer than %v, its waits for a turn not counted, and used %v of processor time",
			s.module.limits.Timeout, time.Duration(s.time.used).Round(time.Microsecond))
	case errors.Is(err, errBound):
		t.Kind, t.Cause = KindMemory, printable([]byte(s.module.errMemory().Error()), maxCause)
	case errors.Is(err, errStacks):
		t.Kind, t.Cause = KindStack, errStacks.Error()
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
	case isStackOverflow(err), errors.Is(err, errDeep):
		t.Kind, t.Cause = KindStack, "recursion without end"
	default:
		t.Kind, t.Cause = KindTrap, printable([]byte(innermost(err).Error()), maxCause)
	}

	s.output.flush() // the last words may lack a newline
	if words := s.output.lastWords(); words != "" && (t.Kind == KindTrap || t.Kind == KindExit) {
		t.Cause = printable([]byte(t.Cause+": "+words), maxCause)
	}
	if s.memory.denied > 0 && (t.Kind == KindTrap || t.Kind == KindExit || t.Kind == KindProtocol) {
		t.Kind = KindMemory
		limit := "the limit is " + byteSize(s.memory.limit)
		if s.memory.bound {
			limit = s.module.errMemory().Error()
		}
		t.Cause = printable([]byte(fmt.Sprintf("wanted %s, %s; then %s", byteSize(s.memory.denied), limit, t.Cause)), maxCause)
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

// symbols are the stacks that were found in errors of a plugin's guests: those that crash
// again and again do so in the same places.
type symbols struct {
	mu    sync.Mutex
	known map[string][]string // by wazero's text; not more than maxStacksKnown
}

const (
	maxStacksKnown = 64
	maxStackText   = 8 << 10 // bytes of one that is kept
)

// stackOf finds the guest's functions in an error of wazero, which has them
// only as text: a title, then a line "\tmodule.function(types) types" for each. Nobody may
// change the stack, which others have, too.
func (s *symbols) stackOf(err error, module string) []string {
	const title = "\nwasm stack trace:\n\t"
	text := err.Error()
	at := strings.LastIndex(text, title)
	if at < 0 {
		return nil
	}
	text, _, _ = strings.Cut(text[at+len(title):], "\n\n") // Go's own stack may follow
	s.mu.Lock()
	stack, ok := s.known[text]
	s.mu.Unlock()
	if ok {
		return stack
	}
	stack = parseStack(text, module)
	if len(text) <= maxStackText {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.known == nil || len(s.known) >= maxStacksKnown {
			s.known = map[string][]string{}
		}
		s.known[strings.Clone(text)] = stack
	}
	return stack
}

func parseStack(text, module string) (stack []string) {
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
// into a slot, through no fault of its own: something failed, or its process was killed
// while it waited for one.
func (p *Module) lost(err error, e *abi.Event) *Trap {
	t := &Trap{Kind: KindInternal, Plugin: p.name, Version: p.version, Event: e.Kind, Name: e.Name, Cause: err.Error()}
	if ended := (*endedError)(nil); errors.As(err, &ended) {
		t.Kind, t.Cause, t.reason = KindEnded, ended.reason.Error(), ended.reason
	}
	if errors.Is(err, errBound) {
		t.Kind = KindMemory
	}
	p.counters.traps[t.Kind.index()].Add(1)
	return t
}
