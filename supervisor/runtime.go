package supervisor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a [Runtime]. The zero value is ready for use.
type Options struct {
	// Schedulers is how many processes run at once. Default: GOMAXPROCS.
	Schedulers int
	// Slice is how long a process may run before others get their turn.
	// Between two messages it then goes to the end of the queue; within one,
	// its scheduler's place goes to another goroutine. Default: 2 ms.
	Slice time.Duration
}

// Runtime runs processes: it owns the run queue and the schedulers that serve
// it. There is a goroutine for each process that runs, none for one that waits.
type Runtime struct {
	slice     time.Duration
	epoch     time.Time
	others    *Group // of processes without a group and a parent
	exports   exports
	lastPID   atomic.Uint64
	lastRef   atomic.Uint64
	processes atomic.Int64
	lost      atomic.Uint64

	mu        sync.Mutex
	queue     runQueue
	places    []*worker // one for each scheduler; nil is free
	busy      int       // places whose worker has a process
	spinning  bool      // a worker with a place looks for work
	workers   int       // that have work, those without a place included
	parked    []*worker // without work and place, the latest last
	quiet     sync.Cond // signalled when workers is 0
	watchdog  *time.Timer
	dismissal *time.Timer // of parked workers
	watching  bool        // the watchdog is set
	stats     Stats
}

// Stats is a snapshot of a [Runtime].
type Stats struct {
	Processes int    // live ones
	Queued    int    // ready, waiting for a scheduler
	Turns     uint64 // times that a process was given a scheduler
	Handovers uint64 // times that a scheduler's place was taken from a process
	Lost      uint64 // messages of timers that found a mailbox full
}

// worker is a goroutine that runs processes. It has a place until it is
// handed over.
type worker struct {
	place    int           // index in places; -1 once handed over; guarded by Runtime.mu
	since    atomic.Int64  // when its current turn began, as by now; 0 if none did
	wake     chan *Process // ends its time in parked
	parked   int64         // when that began
	breathed int64         // when it let other goroutines run
}

// New starts a runtime. It has no goroutine while nothing runs, and has not for a
// moment.
func New(o Options) *Runtime {
	if o.Schedulers <= 0 {
		o.Schedulers = runtime.GOMAXPROCS(0)
	}
	if o.Slice <= 0 {
		o.Slice = 2 * time.Millisecond
	}
	rt := &Runtime{slice: o.Slice, epoch: time.Now(), places: make([]*worker, o.Schedulers)}
	rt.others = rt.NewGroup()
	rt.quiet.L = &rt.mu
	rt.watchdog = time.AfterFunc(time.Hour, rt.watch)
	rt.watchdog.Stop()
	rt.dismissal = time.AfterFunc(time.Hour, rt.dismiss)
	rt.dismissal.Stop()
	return rt
}

// Wait returns when no process runs or is ready to. Stop the tree first.
func (rt *Runtime) Wait() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for rt.workers > 0 {
		rt.quiet.Wait()
	}
	for _, w := range rt.parked {
		w.wake <- nil
	}
	rt.parked = nil
}

// Stats returns the figures of this moment.
func (rt *Runtime) Stats() Stats {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s := rt.stats
	s.Processes = int(rt.processes.Load())
	s.Queued = rt.queue.len()
	s.Lost = rt.lost.Load()
	return s
}

// now is the time since the runtime's start, in ns, and never 0.
func (rt *Runtime) now() int64 { return int64(time.Since(rt.epoch)) + 1 }

// schedule queues a ready process. Its mailbox says that it is scheduled.
func (rt *Runtime) schedule(p *Process) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.queue.push(p)
	rt.fillPlaces()
}

// fillPlaces starts workers on free places while there is work that no spinning
// worker will take, and sets the watchdog if that leaves any. Callers hold mu.
func (rt *Runtime) fillPlaces() {
	for i := 0; rt.unclaimed() > 0 && i < len(rt.places); i++ {
		if rt.places[i] == nil {
			rt.employ(i, rt.queue.pop())
		}
	}
	if rt.queue.len() > 0 && !rt.watching {
		rt.watching = true
		rt.watchdog.Reset(rt.slice)
	}
}

// employ gives a free place to a worker, for a turn of p. Callers hold mu.
func (rt *Runtime) employ(place int, p *Process) {
	rt.workers++
	rt.busy++
	if last := len(rt.parked) - 1; last >= 0 {
		w := rt.parked[last]
		rt.parked[last] = nil
		rt.parked = rt.parked[:last]
		w.place, rt.places[place] = place, w
		w.wake <- p
		return
	}
	w := &worker{place: place, wake: make(chan *Process, 1)}
	rt.places[place] = w
	go rt.work(w, p)
}

// unclaimed is how many processes wait that no spinning worker will take.
func (rt *Runtime) unclaimed() int {
	if rt.spinning {
		return rt.queue.len() - 1
	}
	return rt.queue.len()
}

// work gives turns to p and then to whatever is queued, until nothing is or w
// has lost its place.
func (rt *Runtime) work(w *worker, p *Process) {
	for p != nil {
		start := rt.now()
		w.breathe(start)
		w.since.Store(start)
		again := p.turn(w, start+int64(rt.slice))
		w.since.Store(0)

		rt.mu.Lock()
		rt.stats.Turns++
		p.group.turns++
		if again {
			rt.queue.push(p)
		}
		p = rt.nextAndUnlock(w)
	}
}

// breathe lets other goroutines run every now and then: those that wait for what
// processes do are made ready on the thread of the worker, which Go would let go on
// for 10 ms.
func (w *worker) breathe(now int64) {
	const often = int64(100 * time.Microsecond)
	if now-w.breathed > often {
		w.breathed = now
		runtime.Gosched()
	}
}

// nextAndUnlock returns whose turn it is on w, or nil after which w ends.
func (rt *Runtime) nextAndUnlock(w *worker) (p *Process) {
	if w.place >= 0 && rt.queue.len() == 0 {
		rt.busy--
		rt.spin()
		if rt.queue.len() == 0 {
			rt.places[w.place] = nil
			return rt.parkAndUnlock(w)
		}
		rt.busy++
	}
	if w.place < 0 {
		rt.fillPlaces()
		return rt.parkAndUnlock(w)
	}
	p = rt.queue.pop()
	rt.fillPlaces()
	rt.mu.Unlock()
	return p
}

// looks is how often an idle worker looks for work, in about a microsecond.
const looks = 10

// spin looks for work for a moment, if a process runs that may make some: what
// the two of them say to each other then starts no goroutine each time. One
// worker spins at most. Callers hold mu, which is not held meanwhile.
func (rt *Runtime) spin() {
	if rt.spinning || rt.busy == 0 {
		return
	}
	rt.spinning = true
	rt.mu.Unlock()
	for i := 0; i < looks && rt.queue.len() == 0; i++ {
		runtime.Gosched()
	}
	rt.mu.Lock()
	rt.spinning = false
}

// watch hands over the places of workers that are stuck in one turn while others
// wait. It is set only while the queue is not empty.
func (rt *Runtime) watch() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.watching = false
	if rt.queue.len() == 0 {
		return
	}
	rt.spinning = false // it should have looked long ago
	late := rt.now() - int64(rt.slice)
	for _, w := range rt.places {
		if w == nil {
			continue
		}
		if since := w.since.Load(); since != 0 && since <= late {
			rt.handOver(w)
		}
	}
	rt.fillPlaces() // and again in a slice, if that leaves anything
}

// maxParked is how many workers without work stay, for each place.
const maxParked = 4

// parkTime is how long they stay.
const parkTime = 10 * time.Millisecond

// parkAndUnlock is for a worker without a place. It waits for the next one for a
// moment: its stack has grown to what processes need, which takes a new worker
// longer than most turns. nil is its end.
func (rt *Runtime) parkAndUnlock(w *worker) (p *Process) {
	rt.workers--
	if rt.workers == 0 {
		rt.quiet.Broadcast()
	}
	stays := len(rt.parked) < maxParked*len(rt.places)
	if stays {
		w.parked = rt.now()
		rt.parked = append(rt.parked, w)
		if len(rt.parked) == 1 {
			rt.dismissal.Reset(parkTime)
		}
	}
	rt.mu.Unlock()
	if !stays {
		return nil
	}
	return <-w.wake
}

// dismiss ends the workers that have waited for long.
func (rt *Runtime) dismiss() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	long := rt.now() - int64(parkTime)
	kept := rt.parked[:0]
	for _, w := range rt.parked {
		if w.parked <= long {
			w.wake <- nil
		} else {
			kept = append(kept, w)
		}
	}
	clear(rt.parked[len(kept):])
	rt.parked = kept
	if len(kept) > 0 {
		rt.dismissal.Reset(parkTime)
	}
}

// resume gives a worker whose process has waited a place again, if one is free.
func (rt *Runtime) resume(w *worker) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for i, taken := range rt.places {
		if taken == nil && w.place < 0 {
			w.place, rt.places[i] = i, w
			w.since.Store(rt.now())
			rt.busy++
		}
	}
}

// handOver frees w's place; w ends with its turn. Callers hold mu.
func (rt *Runtime) handOver(w *worker) {
	if w.place >= 0 {
		rt.places[w.place] = nil
		w.place = -1
		rt.busy--
		rt.stats.Handovers++
	}
}
