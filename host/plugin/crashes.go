package plugin

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/supervisor"
)

// CrashCount counts the crashes of channels of one version of a plugin.
type CrashCount struct {
	Plugin, Version string
	Crashes         uint64 // lives that ended in a crash
	Restarts        uint64 // of those, the ones followed by another
}

// Crashes returns the counts since the start, of removed plugins too.
func (s *Set) Crashes() []CrashCount { return s.crashes.snapshot() }

func (s *Set) crashed(c channels.Crash) { s.crashes.add(c) }

const (
	fullLines    = 10 // per plugin, cause and second; what exceeds them is counted
	logWindow    = time.Second
	maxCauseSize = 300
)

// crashLog writes one line for each crash. When a plugin crashes a lot for one
// cause, it writes how often instead.
type crashLog struct {
	log *slog.Logger

	mu     sync.Mutex
	counts []*CrashCount
	recent map[crashCause]*burst
	closed bool
}

type crashCause struct{ plugin, cause string }

// burst is the crashes of one cause within a window.
type burst struct {
	version string
	crashes int
	timer   *time.Timer
}

func newCrashLog(log *slog.Logger) *crashLog {
	return &crashLog{log: log, recent: map[crashCause]*burst{}}
}

func (l *crashLog) add(c channels.Crash) {
	cause := c.Reason.Error()
	if len(cause) > maxCauseSize {
		cause = cause[:maxCauseSize]
	}
	if l.count(c, crashCause{c.Plugin, cause}) {
		l.write(c)
	}
}

// count notes a crash and says whether it is worth a line of its own.
func (l *crashLog) count(c channels.Crash, key crashCause) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counter(c.Plugin, c.Version)
	n.Crashes++
	if c.Decision == supervisor.Restarts {
		n.Restarts++
	}
	if l.closed {
		return true
	}
	b := l.recent[key]
	if b == nil {
		b = &burst{timer: time.AfterFunc(logWindow, func() { l.endBurst(key) })}
		l.recent[key] = b
	}
	b.crashes++
	b.version = c.Version
	return b.crashes <= fullLines
}

func (l *crashLog) counter(plugin, version string) *CrashCount {
	for _, n := range l.counts {
		if n.Plugin == plugin && n.Version == version {
			return n
		}
	}
	n := &CrashCount{Plugin: plugin, Version: version}
	l.counts = append(l.counts, n)
	return n
}

func (l *crashLog) endBurst(key crashCause) {
	l.mu.Lock()
	b := l.recent[key]
	delete(l.recent, key)
	l.mu.Unlock()
	if b != nil && b.crashes > fullLines {
		l.log.Error("channels crashed", "plugin", key.plugin, "version", b.version, "cause", key.cause,
			"more", b.crashes-fullLines, "within", logWindow)
	}
}

// write is the one line of a crash.
func (l *crashLog) write(c channels.Crash) {
	attrs := []any{"plugin", c.Plugin, "version", c.Version, "topic", c.Topic, "event", c.Event}
	var trap *sandbox.Trap
	if errors.As(c.Reason, &trap) {
		attrs = append(attrs, "trap", string(trap.Kind), "cause", trap.Cause, "stack", trap.Stack)
		if trap.Output != "" {
			attrs = append(attrs, "output", trap.Output)
		}
	} else {
		attrs = append(attrs, "cause", c.Reason)
	}
	var panicked *supervisor.PanicError
	if errors.As(c.Reason, &panicked) {
		attrs = append(attrs, "bug", "a panic of rtd itself, please report it", "stack", string(panicked.Stack))
	}
	l.log.Error("channel crashed", append(attrs, "then", c.Decision.String())...)
}

func (l *crashLog) snapshot() []CrashCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]CrashCount, len(l.counts))
	for i, n := range l.counts {
		counts[i] = *n
	}
	return counts
}

// close writes what bursts are left to say.
func (l *crashLog) close() {
	l.mu.Lock()
	l.closed = true
	var keys []crashCause
	for key, b := range l.recent {
		b.timer.Stop()
		keys = append(keys, key)
	}
	l.mu.Unlock()
	for _, key := range keys {
		l.endBurst(key)
	}
}
