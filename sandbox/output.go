package sandbox

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine = 4 << 10 // bytes of a line that reach the log
	maxSaid = 4 << 10 // bytes of standard error that a trap shows
)

// output turns what a guest prints and logs during one event into lines of the
// server's log.
//
// Lines of standard error wait for the end of the event: if the guest dies,
// they belong to the trap and are not logged as well.
type output struct {
	from    *Instance // whose output it is
	recent  *recent
	left    int // lines that may still be logged in this event
	dropped int // lines that were too many

	partial [2]line  // of stdout and stderr
	errors  []string // lines of stderr
	said    []byte   // the end of stderr; from the first of words on, if any
	words   []string // what looks like the reason of a death, a line or two
}

// line is one that has not ended yet.
type line struct {
	text []byte
	cut  bool // there was more
}

func (o *output) begin(from *Instance, lines int, recent *recent) {
	o.from, o.left, o.dropped, o.recent = from, lines, 0, recent
	o.errors, o.said, o.words = o.errors[:0], o.said[:0], o.words[:0]
}

// flush ends the lines that did not end in the event.
func (o *output) flush() {
	for fd := range o.partial {
		if len(o.partial[fd].text) > 0 {
			o.endLine(uint32(fd) + stdout)
		}
	}
}

// end logs what is left at the end of an event that the guest survived.
func (o *output) end() {
	o.flush()
	for _, text := range o.errors {
		o.from.log().Warn(text, "from", "stderr")
	}
	if o.dropped > 0 {
		o.from.log().Warn("guest logs too much in one event", "dropped_lines", o.dropped)
	}
}

// message logs a text that the guest gave with a level.
func (o *output) message(level string, text []byte) {
	o.recent.say(text)
	if !o.admit() {
		return
	}
	o.from.log().Log(context.Background(), levelOf(level), printable(text, maxLine), "from", "log")
}

func levelOf(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// write takes bytes for standard output or error.
func (o *output) write(fd uint32, data []byte) {
	for len(data) > 0 {
		text, rest, ended := bytes.Cut(data, []byte{'\n'})
		l := &o.partial[fd-stdout]
		if room := maxLine - len(l.text); len(text) > room {
			text, l.cut = text[:room], true
		}
		l.text = append(l.text, text...)
		if ended {
			o.endLine(fd)
		}
		data = rest
	}
}

func (o *output) endLine(fd uint32) {
	l := &o.partial[fd-stdout]
	text := printable(l.text, maxLine)
	if l.cut {
		text += "…"
	}
	if fd == stderr {
		o.listen(text)
		o.keep(l.text)
	}
	if text != "" {
		o.recent.say(l.text)
	}
	l.text, l.cut = l.text[:0], false
	if text == "" || !o.admit() {
		return
	}
	if fd == stderr {
		o.errors = append(o.errors, text)
		return
	}
	o.from.log().Info(text, "from", "stdout")
}

// admit counts a line against the event's limit.
func (o *output) admit() bool {
	if o.left == 0 {
		o.dropped++
		return false
	}
	o.left--
	return true
}

// listen waits for the line in which a language's runtime says why it dies.
func (o *output) listen(text string) {
	switch {
	case len(o.words) == 1 && strings.HasSuffix(o.words[0], ":"):
		o.words = append(o.words, text) // Rust's message follows on a line of its own
	case len(o.words) > 0:
	case strings.HasPrefix(text, "panic: "), strings.HasPrefix(text, "fatal error: "), // Go
		strings.Contains(text, " panicked at "),       // Rust
		strings.HasPrefix(text, "Assertion failed: "), // wasi-libc
		strings.HasPrefix(text, "abort: "):            // AssemblyScript
		o.words = append(o.words, text)
		o.said = o.said[:0]
	}
}

// keep adds a line to what a trap shows. What comes after the last words is a
// stack trace, of which the beginning matters; before them the end does.
func (o *output) keep(text []byte) {
	o.said = append(append(o.said, text...), '\n')
	extra := len(o.said) - maxSaid
	switch {
	case extra <= 0:
	case len(o.words) > 0:
		o.said = o.said[:maxSaid]
	default:
		o.said = append(o.said[:0], o.said[extra:]...)
	}
}

// lastWords is one line in which the guest says what happened, or "".
func (o *output) lastWords() string {
	return printable([]byte(strings.Join(o.words, " ")), maxCause)
}

// printable copies at most limit bytes of a guest's text as one line of valid
// UTF-8 without control characters: it goes to terminals and log files.
func printable(text []byte, limit int) string {
	if isPrintable(text, limit) {
		return string(text)
	}
	cut := len(text) > limit
	if cut {
		text = text[:limit]
		for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
			text = text[:len(text)-1]
		}
		if len(text) > 0 && text[len(text)-1] >= utf8.RuneSelf {
			text = text[:len(text)-1]
		}
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.TrimRight(string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), " \t\r\n"))
	if cut {
		s += "…"
	}
	return s
}

// isPrintable says of most texts that they are printable as they are.
func isPrintable(text []byte, limit int) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(text) <= limit && !bytes.HasSuffix(text, []byte{' '})
}
