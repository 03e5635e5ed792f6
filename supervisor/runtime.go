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
	// its scheduler's place goes to another goroutine, and it waits for one again
	// when it comes to [Process.Yield]. Default: 2 ms.
	Slice time.Duration
}

// Runtime runs processes: it owns the run queue and the schedulers that serve
// it. There is a goroutine for each process that has a turn, none for one that waits
// for a message or for its turn.
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
	places    []*runner // one for each scheduler; nil is free
	busy      int       // places whose runner has a process
	spinning  bool      // a runner with a place looks for work
	runners   int       // that have work, those without a place included
	parked    []*runner // without work and place, the latest last
	quiet     sync.Cond // signalled when runners is 0
	watchdog  *time.Timer
	dismissal *time.Timer // of parked runners
	watching  bool        // the watchdog is set
	stats     Stats

	incarnation Incarnation
	mark        string // of the incarnation, behind a number: ".k3v9q2m"
}

// Stats is a snapshot of a [Runtime].
type Stats struct {
	Processes int    // live ones
	Queued    int    // ready, waiting for a scheduler
	Turns     uint64 // times that a process was given a scheduler
	Handovers uint64 // times that a process lost its scheduler within a turn
	Lost      uint64 // messages of timers that found a mailbox full
}

// runner is a goroutine that runs processes. It has a place until it is
// handed over.
type runner struct {
	place    int           // index in places; -1 once handed over; guarded by Runtime.mu
	since    atomic.Int64  // since when its process has the place, as by now; 0 if it has not
	wake     chan *Process // ends its time in parked, or its process's in the queue
	parked   int64         // when that began
	breathed int64         // when it let other goroutines run
}

// New starts a runtime. It has no goroutine a moment after the last process has run.
func New(o Options) *Runtime {
	if o.Schedulers <= 0 {
		o.Schedulers = runtime.GOMAXPROCS(0)
	}
	if o.Slice <= 0 {
		o.Slice = 2 * time.Millisecond
	}
	rt := &Runtime{slice: o.Slice, epoch: time.Now(), places: make([]*runner, o.Schedulers)}
	rt.incarnation = newIncarnation()
	rt.mark = "." + rt.incarnation.String()
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
	for rt.runners > 0 {
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

// fillPlaces starts runners on free places while there is work that no spinning
// runner will take, and sets the watchdog if that leaves any. Callers hold mu.
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

// employ gives a free place to a runner for a turn of p, or to p's own if it is
// within one. Callers hold mu.
func (rt *Runtime) employ(place int, p *Process) {
	rt.busy++
	if p.isLate() {
		rt.seat(p, place)
		p.resume()
		return
	}
	rt.runners++
	if last := len(rt.parked) - 1; last >= 0 {
		w := rt.parked[last]
		rt.parked[last] = nil
		rt.parked = rt.parked[:last]
		w.place, rt.places[place] = place, w
		w.wake <- p
		return
	}
	w := &runner{place: place, wake: make(chan *Process, 1)}
	rt.places[place] = w
	go rt.work(w, p)
}

// unclaimed returns how many waiting processes no spinning runner will take.
func (rt *Runtime) unclaimed() int {
	if rt.spinning {
		return rt.queue.len() - 1
	}
	return rt.queue.len()
}

// work gives turns to p and then to queued processes, until there are none or w has lost
// its place.
func (rt *Runtime) work(w *runner, p *Process) {
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

// breathe lets other goroutines run every now and then. Goroutines that wait for a
// process are made ready on the thread of the runner, which Go would let go on for 10 ms.
func (w *runner) breathe(now int64) {
	const often = int64(100 * time.Microsecond)
	if now-w.breathed > often {
		w.breathed = now
		runtime.Gosched()
	}
}

// nextAndUnlock returns the process that has the next turn on w. With nil, w ends.
func (rt *Runtime) nextAndUnlock(w *runner) (p *Process) {
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
	if p.isLate() {
		rt.seat(p, w.place)
		w.place = -1
		p.resume()
		rt.fillPlaces()
		return rt.parkAndUnlock(w)
	}
	rt.fillPlaces()
	rt.mu.Unlock()
	return p
}

// looks is how often an idle runner looks for work, in about a microsecond.
const looks = 10

// spin looks for work for a moment, if a process runs that may make some: two processes
// that talk to each other then start no goroutine each time. One runner spins at most.
// Callers hold mu, which is not held meanwhile.
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

// watch hands over the places of runners that are stuck in one turn while others
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

// maxParked is how many runners without work stay, for each place. There are as many where many processes
// wait in Block at a time, as durable ones do until they are stored.
const maxParked = 64

// parkTime is how long they stay.
const parkTime = 10 * time.Millisecond

// parkAndUnlock has a runner without a place wait for the next one for a moment: its
// stack has grown to the size that processes need, which takes a new runner longer than
// most turns. With nil, the runner ends.
func (rt *Runtime) parkAndUnlock(w *runner) (p *Process) {
	rt.runners--
	if rt.runners == 0 {
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

// dismiss ends the runners that have waited for long.
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
