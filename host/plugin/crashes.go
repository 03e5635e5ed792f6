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

// crash is the end of one life of a process.
type crash struct {
	plugin, version string
	topic, event    string // of a channel
	process         string // what else it was: the id of a child, or the module of what was spawned
	reason          error
	decision        supervisor.Decision
	restarts        int
}

func (s *Set) channelCrashed(c channels.Crash) {
	s.crashes.add(crash{c.Plugin, c.Version, c.Topic, c.Event, "", c.Reason, c.Decision, c.Restarts})
	if pl := s.get(c.Plugin); pl != nil {
		pl.countCrash(c.Version, c.Decision)
	}
}

const (
	fullLines    = 10 // per plugin, cause and second; what exceeds them is counted
	logWindow    = time.Second
	maxCauseSize = 300
)

// crashLog writes one line for each crash. When a plugin crashes a lot for one
// cause, it writes how often instead.
type crashLog struct {
	log  *slog.Logger
	tell func(Crash) // who else wants to know, or nil

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

func (l *crashLog) add(c crash) {
	if l.tell != nil {
		l.tell(Crash{c.plugin, c.version, c.topic, c.event, c.process, c.reason, c.decision, c.restarts})
	}
	cause := c.reason.Error()
	if len(cause) > maxCauseSize {
		cause = cause[:maxCauseSize]
	}
	if l.count(c, crashCause{c.plugin, cause}) {
		l.write(c)
	}
}

// count notes a crash and says whether it is worth a line of its own.
func (l *crashLog) count(c crash, key crashCause) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counter(c.plugin, c.version)
	n.Crashes++
	if c.decision == supervisor.Restarts {
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
	b.version = c.version
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
		l.log.Error("crashed again for the same cause", "plugin", key.plugin, "version", b.version, "cause", key.cause,
			"more", b.crashes-fullLines, "within", logWindow)
	}
}

// write is the one line of a crash.
func (l *crashLog) write(c crash) {
	attrs := []any{"plugin", c.plugin, "version", c.version}
	what := "channel crashed"
	if c.process != "" {
		what = "process crashed"
		attrs = append(attrs, "process", c.process)
	} else {
		attrs = append(attrs, "topic", c.topic, "event", c.event)
	}
	var trap *sandbox.Trap
	if errors.As(c.reason, &trap) {
		attrs = append(attrs, "trap", string(trap.Kind), "cause", trap.Cause, "stack", trap.Stack)
		if trap.Output != "" {
			attrs = append(attrs, "output", trap.Output)
		}
	} else {
		attrs = append(attrs, "cause", c.reason)
	}
	var panicked *supervisor.PanicError
	if errors.As(c.reason, &panicked) {
		attrs = append(attrs, "bug", "a panic of rtd itself, please report it", "stack", string(panicked.Stack))
	}
	l.log.Error(what, append(attrs, "then", c.decision.String())...)
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
