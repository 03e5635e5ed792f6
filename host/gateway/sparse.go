package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sparse logs what may happen very often: the first time at once, and then, as long as it
// goes on, a line for each minute that says how often it has happened since the last one.
type sparse struct {
	to *slog.Logger

	mu    sync.Mutex
	lines map[string]*sparseLine // by key, of which there are few
}

type sparseLine struct {
	last    time.Time
	skipped int // since then
}

const sparsely = time.Minute

// log writes a line, or counts it. Lines with the same key are of one kind.
func (s *sparse) log(level slog.Level, key, msg string, args ...any) {
	s.mu.Lock()
	if s.lines == nil {
		s.lines = map[string]*sparseLine{}
	}
	line := s.lines[key]
	if line == nil {
		line = &sparseLine{}
		s.lines[key] = line
	}
	now := time.Now()
	if now.Sub(line.last) < sparsely {
		line.skipped++
		s.mu.Unlock()
		return
	}
	skipped := line.skipped
	line.last, line.skipped = now, 0
	s.mu.Unlock()
	if skipped > 0 {
		args = append(args, "times", skipped+1)
	}
	s.to.Log(context.Background(), level, msg, args...)
}
