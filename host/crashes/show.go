package crashes

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"rtd/sandbox/abi"
)

// What a terminal is shown. Guests and clients wrote it: nothing of it may steer the
// terminal.
const (
	maxShown  = 500 // bytes of a payload
	maxInList = 60  // characters of a cause in a list
	timeShown = "2006-01-02 15:04:05"
)

// WriteList prints a line for each report.
func WriteList(w io.Writer, all []*Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tLAST\tCOUNT\tPLUGIN\tVERSION\tEVENT\tCAUSE")
	for _, r := range all {
		cause := []rune(visible([]byte(r.Cause)))
		if len(cause) > maxInList {
			cause = append(cause[:maxInList-1], '…')
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			r.ID, r.Last.Local().Format(timeShown), r.Count, visible([]byte(r.Plugin)), visible([]byte(r.Version)), r.event(), string(cause))
	}
	return table.Flush()
}

func (r *Report) event() string {
	if r.Event != "" {
		return visible([]byte(r.Event))
	}
	return "-"
}

// Write prints all of a report but the memory.
func (r *Report) Write(w io.Writer) error {
	var b bytes.Buffer
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", key, visible([]byte(value)))
		}
	}
	list := func(key string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n", key)
		}
		for _, text := range lines {
			fmt.Fprintf(&b, "  %s\n", visible([]byte(text)))
		}
	}
	line("crash", r.ID)
	line("plugin", r.Plugin+" "+r.Version)
	line("topic", r.Topic)
	line("process", r.Process)
	line("event", r.Event)
	line("trap", r.Trap)
	line("cause", r.Cause)
	line("then", r.Then)
	line("count", fmt.Sprintf("%d, first %s, last %s", r.Count, stamp(r.First), stamp(r.Last)))
	if m := r.Memory; m != nil {
		line("memory", fmt.Sprintf("%s: %d of %d bytes", m.File, m.Bytes, m.Size))
	}
	list("stack, innermost first", r.Stack)
	if r.Output != "" {
		list("standard error", strings.Split(strings.TrimSuffix(r.Output, "\n"), "\n"))
	}
	list("log, the last lines", r.Log)
	r.writeEvents(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func stamp(t time.Time) string { return t.Local().Format(timeShown) }

func (r *Report) writeEvents(b *bytes.Buffer) {
	if len(r.Events) == 0 {
		return
	}
	what := "all"
	if !r.Whole {
		what = "the last ones"
	}
	fmt.Fprintf(b, "\nevents, %s\n", what)
	if r.Opening != nil {
		fmt.Fprintf(b, "  %s\n   …\n", r.Opening)
	}
	for i := range r.Events {
		fmt.Fprintf(b, "  %s\n", &r.Events[i])
	}
}

// String is one line for people.
func (e *Event) String() string {
	s := fmt.Sprintf("%-8s %s", e.Kind, visible([]byte(e.Name)))
	if len(e.Payload) > 0 {
		s += " " + visible(e.Payload)
	}
	if len(e.Payload)+len(e.Detail)+len(e.Extra) == 0 && e.Size > len(e.Name)+emptyRecord {
		s += fmt.Sprintf(" (%d bytes withheld)", e.Size-len(e.Name)-emptyRecord)
	}
	if e.Flags&abi.Replay != 0 {
		s += " (replay)"
	}
	if e.Cut {
		s += " (cut)"
	}
	return s
}

// emptyRecord is the size of an event with empty fields.
var emptyRecord = (&abi.Event{}).Size()

// Write prints the steps of a replay and their results.
func (o *Outcome) Write(w io.Writer) error {
	var b bytes.Buffer
	for _, doubt := range o.Doubts {
		fmt.Fprintf(&b, "note: %s\n", doubt)
	}
	for _, s := range o.Steps {
		e := newEventShown(&s.Event)
		fmt.Fprintf(&b, "%s\n", &e)
		for i := range s.Effects {
			effect := &s.Effects[i]
			fmt.Fprintf(&b, "  → %v %s\n", effect.Kind, visible(append([]byte(effect.Name+" "), effect.Payload...)))
		}
		switch {
		case s.Refused:
			fmt.Fprintln(&b, "  → too large for the guest")
		case s.Trap != nil:
			fmt.Fprintf(&b, "  → %s: %s\n", s.Trap.Kind, s.Trap.Cause)
			for _, function := range s.Trap.Stack {
				fmt.Fprintf(&b, "      %s\n", function)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func newEventShown(e *abi.Event) Event {
	return Event{Kind: e.Kind.String(), Name: e.Name, Flags: e.Flags, Payload: e.Payload}
}

// visible returns the beginning of a text as one line that is safe to print.
func visible(text []byte) string {
	more := ""
	if len(text) > maxShown {
		text, more = text[:maxShown], "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, string(bytes.ToValidUTF8(text, []byte("·")))) + more
}
