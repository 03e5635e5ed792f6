package admin

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const (
	logLines = 1000    // are kept
	maxLine  = 8 << 10 // bytes of one; what is longer is cut
	maxText  = 2 << 10 // bytes of one text in it
)

// Log keeps the last 1,000 lines of a server's log for those who ask, as JSON. It may
// be used from any goroutine. Writing to it never waits for a reader.
type Log struct {
	level slog.LevelVar // that somebody wants; info if nobody says

	mu      sync.Mutex
	lines   [logLines][]byte // line n is at n % logLines; immutable
	written uint64           // lines so far
	news    chan struct{}    // closed with the next line; nil if nobody waits
	levels  []slog.Level     // of readers
}

// NewLog returns a log without lines.
func NewLog() *Log { return &Log{} }

// Handler takes what is logged. Records below info are taken only while a reader
// wants them.
func (l *Log) Handler() slog.Handler {
	return slog.NewJSONHandler(l, &slog.HandlerOptions{Level: &l.level, ReplaceAttr: bound})
}

// bound cuts texts that are too long, and writes durations for people.
func bound(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); len(text) > maxText {
			a.Value = slog.StringValue(strings.ToValidUTF8(text[:maxText], "") + "…")
		}
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// Write takes one line from the handler.
func (l *Log) Write(line []byte) (int, error) {
	kept := slices.Clone(line)
	if len(line) > maxLine {
		kept = cut(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[l.written%logLines] = kept
	l.written++
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
	return len(line), nil
}

// cut returns what is left of a line that is too long.
func cut(line []byte) []byte {
	var short struct {
		Time    json.RawMessage `json:"time"`
		Level   json.RawMessage `json:"level"`
		Message json.RawMessage `json:"msg"`
		Plugin  any             `json:"plugin,omitempty"`
		Version any             `json:"version,omitempty"`
		Bytes   int             `json:"cut_from_bytes"`
	}
	_ = json.Unmarshal(line, &short) // a JSONHandler wrote it
	short.Bytes = len(line)
	text, err := json.Marshal(short)
	if err != nil || len(text) > maxLine {
		text = []byte(`{"msg":"a line that is too long"}`)
	}
	return append(text, '\n')
}

// from returns the lines from number n on and the number of the line after them, how
// many are lost, and what is closed when there is another.
func (l *Log) from(n uint64) (lines [][]byte, next, lost uint64, news <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.written - min(l.written, logLines); n < oldest {
		lost, n = oldest-n, oldest
	}
	for ; n < l.written; n++ {
		lines = append(lines, l.lines[n%logLines])
	}
	if l.news == nil {
		l.news = make(chan struct{})
	}
	return lines, n, lost, l.news
}

// tail returns the last lines that pass, at most count, and the number of the line
// after them.
func (l *Log) tail(count int, passes func(line []byte) bool) (last [][]byte, next uint64) {
	lines, next, _, _ := l.from(0)
	for _, line := range slices.Backward(lines) {
		if len(last) >= count {
			break
		}
		if passes(line) {
			last = append(last, line)
		}
	}
	slices.Reverse(last)
	return last, next
}

// want lowers the level of what is taken until done is called.
func (l *Log) want(level slog.Level) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.levels = append(l.levels, level)
	l.setLevel()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.Index(l.levels, level)
		l.levels = slices.Delete(l.levels, i, i+1)
		l.setLevel()
	}
}

func (l *Log) setLevel() {
	lowest := slog.LevelInfo
	for _, level := range l.levels {
		lowest = min(lowest, level)
	}
	l.level.Set(lowest)
}

// filter says which lines a reader wants.
type filter struct {
	plugin string // "" is all
	level  slog.Level
}

func (f filter) passes(line []byte) bool {
	if f.plugin == "" && f.level == slog.LevelDebug {
		return true
	}
	var head struct {
		Level  slog.Level `json:"level"`
		Plugin any        `json:"plugin"`
	}
	if json.Unmarshal(line, &head) != nil {
		return false
	}
	return head.Level >= f.level && (f.plugin == "" || head.Plugin == f.plugin)
}
