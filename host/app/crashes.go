package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/supervisor"
)

// CrashCount counts the crashes of processes of one version of a plugin, channels included.
type CrashCount struct {
	Plugin, Version string
	Crashes         uint64 // lives that ended in a crash
	Restarts        uint64 // of those, the ones followed by another
}

// Crash is the end of one life of a process, as its line in the log tells it.
type Crash struct {
	Plugin, Version string
	Topic, Event    string // of a channel
	Process         string // what else it was: the id of a child, or the module of what was spawned
	Reason          error  // wraps a [*sandbox.Trap], if it was one
	Decision        supervisor.Decision
	Restarts        int // of the same process before
}

// refused reports whether it is no crash: a durable actor cannot go on, through no fault of its guest at that moment. Its line says so.
func (c *Crash) refused() bool { return errors.Is(c.Reason, channels.ErrUnmoved) }

const (
	fullLines    = 10 // per plugin, cause and second; what exceeds them is counted
	logWindow    = time.Second
	maxCauseSize = 300
	// maxCauses is how many causes of a plugin are told apart within a window: a guest
	// chooses their texts.
	maxCauses  = 20
	moreCauses = "more causes than are told apart"
	// maxUntold is how many crashes may wait for their lines.
	maxUntold = 1024
)

// CrashLog writes one line for each crash, and counts them. When a plugin crashes a lot for one
// cause, it writes how often instead. Its methods may be called from any goroutine.
//
//	turn of a process ── Add ──► counts, and a queue ──► a goroutine, while there is work:
//	                                                     Tell, and the line
//	all other lines ──── Log ──► first the lines of the crashes that came before
//
// Add makes no text and waits for nobody who does, since processes and their supervisors call
// it. Crashes that find the queue full are in the counts, and one line says how many they were.
type CrashLog struct {
	log    *slog.Logger
	tell   func(Crash)    // gets every crash besides the log; or nil
	untold atomic.Int64   // crashes whose lines are not written yet
	work   sync.WaitGroup // the goroutine that writes them

	mu      sync.Mutex // held for moments only
	counts  []*CrashCount
	queue   []added
	missed  int  // crashes that found it full, and of which no line has told
	working bool // the goroutine is there
	closed  bool

	writing sync.Mutex // held while lines are written; mu is taken under it
	spare   []added    // for the queue
	recent  map[crashCause]*burst
	causes  map[string]int // in recent, by plugin
	ended   bool           // no burst begins any more
}

// added is a crash whose line is to be written.
type added struct {
	Crash
	at time.Time
}

type crashCause struct{ plugin, cause string }

// burst has the crashes of one cause within a window.
type burst struct {
	version string
	crashes int
	timer   *time.Timer
}

// NewCrashLog returns a CrashLog that writes to log.
func NewCrashLog(log *slog.Logger) *CrashLog {
	return &CrashLog{log: log, recent: map[crashCause]*burst{}, causes: map[string]int{}}
}

// Tell has f called with every crash, besides the log, by one goroutine at a time. It must not
// block, nor write to [CrashLog.Log]. It is set before the first crash.
func (l *CrashLog) Tell(f func(Crash)) { l.tell = f }

// Log returns the log for all who write about plugins and their processes. Their lines come
// behind those of the crashes that were added before.
func (l *CrashLog) Log() *slog.Logger { return slog.New(behind{l.log.Handler(), l}) }

// Add counts a crash, and has its line written.
func (l *CrashLog) Add(c Crash) {
	if l.enqueue(c) {
		l.catchUp()
	}
}

// enqueue reports whether the caller has to write the line, since nobody else does any more.
func (l *CrashLog) enqueue(c Crash) (alone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.refused() {
		n := l.counter(c.Plugin, c.Version)
		n.Crashes++
		if c.Decision == supervisor.Restarts {
			n.Restarts++
		}
	}
	if len(l.queue) >= maxUntold {
		l.missed++
		return false
	}
	l.queue = append(l.queue, added{c, time.Now()})
	l.untold.Add(1)
	if l.closed {
		return true
	}
	if !l.working {
		l.working = true
		l.work.Go(l.run)
	}
	return false
}

func (l *CrashLog) counter(plugin, version string) *CrashCount {
	for _, n := range l.counts {
		if n.Plugin == plugin && n.Version == version {
			return n
		}
	}
	n := &CrashCount{Plugin: plugin, Version: version}
	l.counts = append(l.counts, n)
	return n
}

// run writes lines until there are none to write.
func (l *CrashLog) run() {
	for {
		l.catchUp()
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.working = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// catchUp writes the lines of all crashes that were added before.
func (l *CrashLog) catchUp() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	queue, missed := l.queue, l.missed
	l.queue, l.missed = l.spare[:0], 0
	l.mu.Unlock()
	for _, c := range queue {
		if l.tell != nil && !c.refused() {
			l.tell(c.Crash)
		}
		if l.note(c) {
			l.write(c)
		}
		l.untold.Add(-1)
	}
	if missed > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelError, "crashes without a line", 0)
		r.Add("more", missed, "cause", "they came faster than lines could be written")
		l.put(r)
	}
	clear(queue) // their reasons are large
	l.spare = queue
}

// note adds a crash to its burst, and says whether it gets a line of its own. writing is held.
func (l *CrashLog) note(c added) bool {
	if l.ended {
		return true
	}
	cause := c.Reason.Error()
	if len(cause) > maxCauseSize {
		cause = cause[:maxCauseSize]
	}
	key := crashCause{c.Plugin, cause}
	b := l.recent[key]
	if b == nil && l.causes[key.plugin] >= maxCauses {
		key.cause = moreCauses
		b = l.recent[key]
	}
	if b == nil {
		l.causes[key.plugin]++
		b = &burst{timer: time.AfterFunc(logWindow, func() { l.endBurst(key) })}
		l.recent[key] = b
	}
	b.crashes++
	b.version = c.Version
	return b.crashes <= fullLines
}

// endBurst writes how many crashes of a cause had no line of their own.
func (l *CrashLog) endBurst(key crashCause) {
	l.writing.Lock()
	defer l.writing.Unlock()
	b := l.recent[key]
	if b == nil {
		return
	}
	delete(l.recent, key)
	if l.causes[key.plugin]--; l.causes[key.plugin] == 0 {
		delete(l.causes, key.plugin)
	}
	if b.crashes > fullLines {
		l.log.Error("crashed again for the same cause", "plugin", key.plugin, "version", b.version, "cause", key.cause,
			"more", b.crashes-fullLines, "within", logWindow)
	}
}

// write is the one line of a crash.
func (l *CrashLog) write(c added) {
	attrs := []any{"plugin", c.Plugin, "version", c.Version}
	what := "channel crashed"
	switch {
	case c.Process != "":
		what = "process crashed"
		attrs = append(attrs, "process", c.Process)
	case c.refused():
		attrs = append(attrs, "topic", c.Topic)
	default:
		attrs = append(attrs, "topic", c.Topic, "event", c.Event)
	}
	if c.refused() {
		r := slog.NewRecord(c.at, slog.LevelError, "refused", 0)
		r.Add(append(attrs, "cause", c.Reason, "then", c.after())...)
		l.put(r)
		return
	}
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
	r := slog.NewRecord(c.at, slog.LevelError, what, 0)
	r.Add(append(attrs, "then", c.Decision.String())...)
	l.put(r)
}

// after says what follows a refusal.
func (c *Crash) after() string {
	if c.Process == "" {
		return "its state stays; clients are answered unavailable until another version is deployed, and tried again every half minute"
	}
	return "its state stays; it " + c.Decision.String()
}

// put writes a line.
func (l *CrashLog) put(r slog.Record) {
	if h := l.log.Handler(); h.Enabled(context.Background(), r.Level) {
		_ = h.Handle(context.Background(), r) // nobody else could be told
	}
}

// Counts returns the counts since the start, of removed plugins too.
func (l *CrashLog) Counts() []CrashCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]CrashCount, len(l.counts))
	for i, n := range l.counts {
		counts[i] = *n
	}
	return counts
}

// Close waits for the lines of all crashes, and writes those of bursts that are still open. The
// lines of later crashes are written by those who add them.
func (l *CrashLog) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.work.Wait()
	l.writing.Lock()
	l.ended = true
	var keys []crashCause
	for key, b := range l.recent {
		b.timer.Stop()
		keys = append(keys, key)
	}
	l.writing.Unlock()
	for _, key := range keys {
		l.endBurst(key)
	}
}

// behind is a handler whose lines come behind those of the crashes before.
type behind struct {
	slog.Handler
	crashes *CrashLog
}

// Handle implements [slog.Handler].
func (b behind) Handle(ctx context.Context, r slog.Record) error {
	if b.crashes.untold.Load() > 0 {
		b.crashes.catchUp()
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (b behind) WithAttrs(attrs []slog.Attr) slog.Handler {
	return behind{b.Handler.WithAttrs(attrs), b.crashes}
}

// WithGroup implements [slog.Handler].
func (b behind) WithGroup(name string) slog.Handler {
	return behind{b.Handler.WithGroup(name), b.crashes}
}
