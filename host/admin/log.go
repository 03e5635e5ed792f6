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
	batch    = 64      // lines that a reader takes at a time, and holds while it stalls
)

// Log keeps the last 1,000 lines of a server's log for readers, as JSON. It may be used
// from any goroutine. Writing to it never waits for a reader.
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

// Handler returns the handler that writes to the log. It takes records below info only
// while a reader wants them.
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

// cut shortens a line that is too long.
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

// from returns some lines from number n on, before number end, the number of the line
// after them, how many are lost, and a chan that is closed when there is another line.
// Without lines there is none yet.
func (l *Log) from(n, end uint64) (lines [][]byte, next, lost uint64, news <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.oldest(); n < oldest {
		lost, n = oldest-n, oldest
	}
	for end = min(end, l.written); n < end && len(lines) < batch; n++ {
		lines = append(lines, l.lines[n%logLines])
	}
	if l.news == nil {
		l.news = make(chan struct{})
	}
	return lines, n, lost, l.news
}

// tail returns the number of the first of the last count lines that pass, and of the
// line after all.
func (l *Log) tail(count uint64, passes func(line []byte) bool) (first, end uint64) {
	l.mu.Lock()
	lines, oldest, end := l.lines, l.oldest(), l.written
	l.mu.Unlock()
	for first = end; first > oldest && count > 0; first-- {
		if passes(lines[(first-1)%logLines]) {
			count--
		}
	}
	return first, end
}

// oldest returns the number of the oldest line that is kept. Callers hold mu.
func (l *Log) oldest() uint64 { return l.written - min(l.written, logLines) }

// want lowers the level of the records that are taken until done is called.
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
