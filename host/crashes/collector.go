package crashes

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"rtd/host/disk"
	"rtd/sandbox"
)

// Options say where reports go and how many there may be.
type Options struct {
	Dir string // made when the first report is written
	// Max is how many reports are kept; the one whose last crash was longest ago
	// makes room. Default 100.
	Max int
	// MaxBytes bounds the size of all reports together, memory included. Default 256 MiB.
	MaxBytes int64
	// Rate is how many new reports are written in a minute; crashes of other kinds
	// that come in that time leave none. Default 20.
	Rate int
	// Withhold leaves out payloads and memory: clients may have sent secrets.
	// Such a report cannot be replayed.
	Withhold bool
	Log      *slog.Logger // default: none
}

// Crash describes a crash to the collector.
type Crash struct {
	Plugin, Version string
	Topic, Event    string // of a channel
	Process         string // of any other process
	Reason          error  // may wrap a [*sandbox.Trap]
	Then            string // what follows
	Restarts        int    // of that process before
}

const (
	queueSize  = 16          // reports that wait to be written, with their memories
	rewrite    = time.Second // how often a file is rewritten
	maxNames   = 8           // reports of crashes that differ in a name only
	anyName    = "*"         // of all further ones
	expectedIn = time.Minute // from a trap to the crash that it ends in
	maxText    = 4 << 10
	maxKinds   = 256     // of crashes whose ids are kept
	maxKind    = 8 << 10 // bytes of the names in one: clients choose them
	breath     = time.Millisecond
)

// Collector writes crash reports, one file for each kind of crash. Its methods may be
// called from any goroutine. Wants and Add do not block: one goroutine waits for the remains of
// guests and for the disk, and never has the processor for long.
type Collector struct {
	options Options
	queue   chan written
	quit    chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	entries map[string]*entry      // by id
	ids     map[kindOfCrash]string // some of them
	budget  float64                // new reports that may come now
	filled  time.Time              // when budget was right
	stats   Stats
	closed  bool
}

// entry is a kind of crash that has a report, or gets one.
type entry struct {
	like     string    // see [Report].Like
	expected time.Time // a trap was wanted then; zero once the crash has come
	saved    bool      // the file is there
	changed  bool      // it has to be rewritten
	count    int64
	last     time.Time
	then     string
	bytes    int64
}

// written is a report that is to be written, with what is left of the guest if trap is not nil.
type written struct {
	report *Report
	trap   *sandbox.Trap
}

// Stats count crashes by what became of them.
type Stats struct {
	Crashes uint64 // all
	Reports uint64 // new ones
	// Unreported crashes were of a kind without a report, and got none: too many
	// came at once, or it could not be written.
	Unreported uint64
}

// Open returns a collector for a folder, and goes on with the reports that are there.
// Files that are no reports are set aside. Any other fault of the folder is a warning:
// then there are no reports, but the server starts. Close it in the end.
func Open(o Options) *Collector {
	o.Max, o.Rate, o.MaxBytes = cmp.Or(o.Max, 100), cmp.Or(o.Rate, 20), cmp.Or(o.MaxBytes, 256<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{
		options: o, queue: make(chan written, queueSize), quit: make(chan struct{}), done: make(chan struct{}),
		entries: map[string]*entry{}, ids: map[kindOfCrash]string{}, budget: float64(o.Rate), filled: time.Now(),
	}
	disk.Sweep(o.Dir, time.Hour)
	all, err := list(o.Dir, func(file string, err error) {
		to, failed := disk.SetAside(file)
		if failed != nil {
			o.Log.Warn("a crash report cannot be read; delete it", "file", file, "cause", err, "not_set_aside", failed)
			return
		}
		o.Log.Warn("a crash report cannot be read and was set aside", "file", to, "cause", err)
	})
	if err != nil {
		o.Log.Warn("no crash reports can be kept here; see dir in [crashes] of config.toml", "dir", o.Dir, "cause", err)
	}
	for _, r := range all {
		c.entries[r.ID] = &entry{like: r.Like, saved: true, count: r.Count, last: r.Last, then: r.Then, bytes: sizeOf(o.Dir, r.ID)}
	}
	go c.run()
	return c
}

// Wants says whether a trap is the first of its kind, so that the dead guest is worth
// examining. It is for [sandbox.Options].Examine.
func (c *Collector) Wants(t *sandbox.Trap) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	id, like := c.identify(kindOfTrap(t))
	if c.closed || c.entries[id] != nil || !c.admit(now) {
		return false
	}
	c.entries[id] = &entry{like: like, expected: now}
	return true
}

// Add takes a crash: a new report, or one more of a kind that has one.
func (c *Collector) Add(crash Crash) {
	now := time.Now()
	var trap *sandbox.Trap
	examined := false
	kind := kindOfCrash{plugin: crash.Plugin, version: crash.Version, event: crash.Event, name: crash.Process}
	if errors.As(crash.Reason, &trap) {
		kind, examined = kindOfTrap(trap), trap.Examined()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.stats.Crashes++
	id, like := c.identify(kind)
	e := c.entries[id]
	if e == nil {
		if !c.admit(now) {
			c.stats.Unreported++
			return
		}
		e = &entry{like: like}
		c.entries[id] = e
	}
	known := e.count > 0 && e.expected.IsZero()
	e.count++
	e.last, e.then = now, crash.Then
	if known || !e.expected.IsZero() && !examined { // the one that was wanted is on its way
		e.changed = true
		return
	}
	e.expected = time.Time{}
	r := c.newReport(id, &crash, trap)
	r.Like, r.Count, r.First, r.Last = e.like, e.count, now, now
	w := written{report: r}
	if examined {
		w.trap = trap
	}
	select {
	case c.queue <- w:
		c.stats.Reports++
	default:
		c.stats.Unreported++
		delete(c.entries, id)
	}
}

// identify returns the id of the report for a kind of crash. Names come from clients, and
// a client that makes up many must not fill the folder: the first few get reports of
// their own, and all others share one. c.mu is held.
func (c *Collector) identify(k kindOfCrash) (id, like string) {
	id = c.idOf(k)
	if k.name == "" || c.entries[id] != nil {
		return id, ""
	}
	nameless := k
	nameless.name = ""
	like = c.idOf(nameless)
	names := 0
	for _, e := range c.entries {
		if e.like == like {
			names++
		}
	}
	if names >= maxNames {
		k.name = anyName
		id = c.idOf(k)
	}
	return id, like
}

// idOf is k.id, which takes longer than to find it again. c.mu is held.
func (c *Collector) idOf(k kindOfCrash) string {
	if len(k.event)+len(k.name)+len(k.stack) > maxKind {
		return k.id()
	}
	id, ok := c.ids[k]
	if !ok {
		if len(c.ids) >= maxKinds {
			clear(c.ids)
		}
		id = k.id()
		c.ids[k] = id
	}
	return id
}

// admit takes one new report out of the budget, if there is one. c.mu is held.
func (c *Collector) admit(now time.Time) bool {
	perMinute := float64(c.options.Rate)
	c.budget = min(perMinute, c.budget+now.Sub(c.filled).Minutes()*perMinute)
	c.filled = now
	if c.budget < 1 {
		return false
	}
	c.budget--
	return true
}

// newReport makes the report of a crash, without what is left of the guest. trap may be nil.
func (c *Collector) newReport(id string, crash *Crash, trap *sandbox.Trap) *Report {
	r := &Report{
		ID: id, Plugin: crash.Plugin, Version: crash.Version, Topic: crash.Topic, Process: crash.Process, Event: crash.Event,
		Cause: crash.Reason.Error(), Then: crash.Then, Restarts: crash.Restarts, Withheld: c.options.Withhold,
	}
	if len(r.Cause) > maxText {
		r.Cause = r.Cause[:maxText]
	}
	if trap != nil {
		r.Plugin, r.Version = trap.Plugin, trap.Version // of a process that this one was linked with, perhaps
		r.Trap, r.Cause, r.Stack, r.Output = string(trap.Kind), trap.Cause, trap.Stack, trap.Output
		if r.Event == "" {
			r.Event = trap.Event.String()
		}
	}
	return r
}

// complete adds what is left of the guest, and returns its memory if that belongs to the report.
func (c *Collector) complete(r *Report, left *sandbox.PostMortem) (memory []byte) {
	r.Log, r.Whole = left.Lines, left.Whole
	for i := range left.Events {
		r.Events = append(r.Events, newEvent(&left.Events[i], c.options.Withhold))
	}
	if left.Opening != nil {
		opening := newEvent(left.Opening, c.options.Withhold)
		r.Opening = &opening
	}
	if c.options.Withhold {
		return nil
	}
	r.Memory = &Memory{File: r.ID + memorySuffix, Bytes: len(left.Memory), Size: left.MemorySize}
	return left.Memory
}

// Stats returns the counts since Open.
func (c *Collector) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Close writes the reports that wait, and the last counts. Later crashes are not
// reported.
func (c *Collector) Close() {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if !was {
		close(c.quit)
	}
	<-c.done
}

// run is the goroutine that writes.
func (c *Collector) run() {
	defer close(c.done)
	tick := time.NewTicker(rewrite)
	defer tick.Stop()
	for {
		select {
		case w := <-c.queue:
			c.write(w)
		case <-tick.C:
			c.update()
		case <-c.quit:
			for len(c.queue) > 0 { // nothing is added any more
				c.write(<-c.queue)
			}
			c.update()
			return
		}
	}
}

func (c *Collector) write(w written) {
	r := w.report
	var memory []byte
	if w.trap != nil {
		if left := w.trap.PostMortem(); left != nil {
			memory = c.complete(r, left)
		}
	}
	size, err := save(c.options.Dir, r, memory, c.breathe)
	if err == nil && size > c.options.MaxBytes && memory != nil {
		r.Memory = nil
		size, err = c.withoutMemory(r)
	}
	if err != nil {
		c.options.Log.Error("crash report not written", "plugin", r.Plugin, "version", r.Version, "cause", err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stats.Unreported++
		delete(c.entries, r.ID) // the next one tries again, as far as the rate allows
		return
	}
	c.options.Log.Info("crash report written", "id", r.ID, "plugin", r.Plugin, "version", r.Version, "event", r.Event)
	c.mu.Lock()
	e := c.entries[r.ID]
	e.saved, e.bytes = true, size
	gone := c.makeRoom(r.ID)
	c.mu.Unlock()
	for _, id := range gone {
		if err := remove(c.options.Dir, id); err != nil {
			c.options.Log.Error("crash report not removed", "id", id, "cause", err)
		}
	}
}

// withoutMemory writes a report again whose memory is larger than MaxBytes.
func (c *Collector) withoutMemory(r *Report) (size int64, err error) {
	if err := remove(c.options.Dir, r.ID); err != nil {
		return 0, err
	}
	return save(c.options.Dir, r, nil, nil)
}

// breathe lets others run, and clients be served, for longer than packing the last piece of a memory
// took. When the collector is closed nobody is to be served.
func (c *Collector) breathe() {
	select {
	case <-c.quit:
	case <-time.After(breath):
	}
}

// makeRoom forgets the reports that are too many besides a new one. c.mu is held.
func (c *Collector) makeRoom(fresh string) (gone []string) {
	count, bytes := 0, int64(0)
	for _, e := range c.entries {
		if e.saved {
			count, bytes = count+1, bytes+e.bytes
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.entries), func(a, b string) int {
		return c.entries[a].last.Compare(c.entries[b].last)
	}) {
		if count <= c.options.Max && bytes <= c.options.MaxBytes {
			break
		}
		if e := c.entries[id]; e.saved && id != fresh {
			count, bytes = count-1, bytes-e.bytes
			delete(c.entries, id)
			gone = append(gone, id)
		}
	}
	return gone
}

// update rewrites the reports whose counts have changed, and forgets deleted reports: the
// next crash of that kind gets a new one. It also forgets traps that did not end in a
// crash.
func (c *Collector) update() {
	c.mu.Lock()
	changed := map[string]entry{}
	for id, e := range c.entries {
		switch {
		case e.saved && e.changed:
			e.changed = false
			changed[id] = *e
		case !e.expected.IsZero() && time.Since(e.expected) > expectedIn:
			delete(c.entries, id)
		}
	}
	c.mu.Unlock()
	for id, e := range changed {
		r, err := Read(c.options.Dir, id)
		if err == nil {
			r.Count, r.Last, r.Then = e.count, e.last, e.then
			_, err = save(c.options.Dir, r, nil, nil)
		}
		if err != nil {
			c.options.Log.Warn("crash report not updated, the next crash of its kind gets a new one", "id", id, "cause", err)
			c.mu.Lock()
			delete(c.entries, id)
			c.mu.Unlock()
		}
	}
}
