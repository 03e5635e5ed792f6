package hosttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Log keeps what a server logs, a JSON object to a line.
type Log struct {
	mu    sync.Mutex
	lines []Line
	texts []string // the same lines as they were written
}

// Line is one line of a log, by key.
type Line map[string]any

// Text is the value of a key as text.
func (l Line) Text(key string) string {
	if l[key] == nil {
		return ""
	}
	return fmt.Sprint(l[key])
}

// Write takes a line.
func (r *Log) Write(p []byte) (int, error) {
	var line Line
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	r.texts = append(r.texts, string(p))
	return len(p), nil
}

// Lines returns all.
func (r *Log) Lines() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// All returns the lines with this message whose attributes, written as key and text, contain
// those given.
func (r *Log) All(msg string, attributes ...string) []Line {
	return slices.DeleteFunc(r.Lines(), func(line Line) bool {
		if line.Text("msg") != msg {
			return true
		}
		for pair := range slices.Chunk(attributes, 2) {
			if !strings.Contains(line.Text(pair[0]), pair[1]) {
				return true
			}
		}
		return false
	})
}

// Has tells whether there is a line whose text has all of these.
func (r *Log) Has(texts ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.texts, func(line string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
	})
}

// Wait returns the last such line, as soon as there is one.
func (r *Log) Wait(t testing.TB, msg string, attributes ...string) Line {
	t.Helper()
	var found []Line
	Eventually(t, fmt.Sprintf("log line %q %q", msg, attributes), func() bool {
		found = r.All(msg, attributes...)
		return len(found) > 0
	})
	return found[len(found)-1]
}

// Forget lets Wait see only what comes from now on.
func (r *Log) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines, r.texts = nil, nil
}

// Tail is the end of the log, without what is for debugging.
func (r *Log) Tail(n int) string {
	var b bytes.Buffer
	worth := slices.DeleteFunc(r.Lines(), func(l Line) bool { return l.Text("level") == "DEBUG" })
	for _, line := range worth[max(0, len(worth)-n):] {
		text, _ := json.Marshal(line) // was JSON before
		if len(text) > 500 {
			text = append(text[:500], "…"...)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}
