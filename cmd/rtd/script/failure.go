package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rtd/channels/client"
	"rtd/cmd/rtd/stage"
)

// Failure says which step of a script did not go as expected.
type Failure struct {
	Script string
	Line   int    // 0: no step, the plugin could not be run
	Step   string // as written
	What   string
	Diff   []string // lines: "- " expected, "+ " got
	Unread []string // messages that the client has got, and no step has waited for
	Log    []string // the last lines of the server's log
}

// Error is the first line of the failure.
func (f *Failure) Error() string {
	if f.Line == 0 {
		return f.Script + ": " + f.What
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.Script, f.Line, f.Step, f.What)
}

// Write writes all that may help.
func (f *Failure) Write(out io.Writer) error {
	var b strings.Builder
	b.WriteString("FAIL  " + f.Script)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d: %s", f.Line, f.Step)
	}
	b.WriteString("\n      " + strings.ReplaceAll(f.What, "\n", "\n      ") + "\n")
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		b.WriteString("      " + title + "\n")
		for _, line := range lines {
			b.WriteString("        " + line + "\n")
		}
	}
	section("- expected, + got", f.Diff)
	section("got, and not waited for:", f.Unread)
	section("log:", f.Log)
	_, err := io.WriteString(out, b.String())
	return err
}

func failed(format string, args ...any) *Failure { return &Failure{What: fmt.Sprintf(format, args...)} }

func asFailure(err error) *Failure {
	if err == nil {
		return nil
	}
	return &Failure{What: err.Error()}
}

// missed says that something did not come, and why it is no longer waited for.
func missed(what string, err error) *Failure {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failed("%s in time; see --timeout", what)
	case errors.Is(err, client.ErrEnded):
		return failed("%s: %v", what, err)
	}
	return asFailure(err)
}

// describeUnread shows what a client has got that nobody has waited for.
func describeUnread(c *stage.Client) []string {
	const most = 10
	unread, dropped := c.Unread()
	var lines []string
	for _, m := range unread[:min(len(unread), most)] {
		text := m.Topic + " " + m.Event + " " + shown(m)
		if m.Event == "phx_reply" {
			text = m.Topic + " reply " + m.Status + " " + shown(m)
		}
		lines = append(lines, text)
	}
	if more := len(unread) - len(lines) + dropped; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// shown is a payload for people.
func shown(m client.Message) string {
	const most = 300
	text := string(m.Payload)
	if m.Binary {
		text = fmt.Sprintf("binary %x", m.Payload[:min(len(m.Payload), most)])
	}
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
