package supervisor

import (
	"runtime"
	"slices"
	"time"
)

// Yield lets others run, if it is their turn. It is for code of the process that
// works for long within one message, and to be called by it every now and then, some
// ten microseconds apart at the least.
//
// A process keeps its place while nobody else wants it; a slice if somebody does; and
// a sixteenth of one if that is somebody at the begin of a turn. Then, or if the
// place was taken from it already, it waits in the run queue for another, as long as
// its group has to.
//
// Yield returns false, without a wait, when the process was killed: its code is
// expected to return.
func (p *Process) Yield() (alive bool) {
	w, rt := p.on, p.group.rt
	wakeMonitor()
	if since := w.since.Load(); since != 0 && rt.now()-since < int64(rt.queue.patience(rt.slice)) {
		runtime.Gosched()
		return !p.killed.Load()
	}
	rt.mu.Lock()
	switch {
	case p.killed.Load(), w.place >= 0 && rt.queue.len() == 0: // the others have been served meanwhile
		rt.mu.Unlock()
		runtime.Gosched()
		return !p.killed.Load()
	case w.place >= 0:
		rt.handOver(w)
	}
	rt.fillPlaces() // with those that wait already
	if !rt.reseat(p) {
		p.stands.Store(standsQueued)
		rt.queue.push(p)
		rt.fillPlaces() // for the watchdog
		rt.mu.Unlock()
		<-w.wake
		return !p.killed.Load()
	}
	rt.mu.Unlock()
	return true
}

// patience is how long those that wait leave a process its place that is within a
// message.
func (q *runQueue) patience(slice time.Duration) time.Duration {
	switch n := q.n.Load(); {
	case n == 0:
		return time.Hour
	case n > q.late.Load():
		return slice / 16
	}
	return slice
}

// Block calls f, which may wait: the scheduler meanwhile serves other processes,
// those that f waits for among them. However many processes wait in Block, as
// many schedulers as ever serve the others. Afterwards the process goes on, with a
// place if one is free; else in parallel with the others, until it yields or its turn is over.
// Only for the process's own code.
func (p *Process) Block(f func()) {
	rt := p.group.rt
	p.stands.Store(standsBlocked)
	rt.mu.Lock()
	rt.handOver(p.on)
	rt.fillPlaces()
	rt.mu.Unlock()
	defer func() {
		p.stands.Store(standsNot)
		rt.mu.Lock()
		rt.reseat(p)
		rt.mu.Unlock()
	}()
	f()
}

// StepAside lets another go first that is ready, for a moment: one that the process has
// just sent something, and that may answer at once. It is for the process's own code,
// before Block.
func (p *Process) StepAside() {
	if p.group.rt.queue.len() == 0 { // who is ready has a place
		runtime.Gosched()
		return
	}
	p.Block(runtime.Gosched)
}

// What a process stands still for within a turn.
const (
	standsNot     = iota
	standsBlocked // in Block
	standsQueued  // for a place, in Yield
)

// reseat gives a free place, if there is one, to a process that is within a turn and
// has none. Callers hold mu.
func (rt *Runtime) reseat(p *Process) bool {
	free := slices.Index(rt.places, nil)
	if free >= 0 {
		rt.busy++
		rt.seat(p, free)
	}
	return free >= 0
}

// seat gives a place to a process that is within a turn. Callers hold mu.
func (rt *Runtime) seat(p *Process, place int) {
	w := p.on
	w.place, rt.places[place] = place, w
	w.since.Store(rt.now())
	rt.stats.Turns++
	p.group.turns++
}

// resume lets a process go on that was in the queue within a turn, with its place
// or, if it was killed, without. Callers hold mu.
func (p *Process) resume() {
	p.stands.Store(standsNot)
	p.on.wake <- nil
}

// hurry lets a process return that was killed, be there a place for it or not: what
// it still does is brief, and others wait for its end.
func (rt *Runtime) hurry(p *Process) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	p.killed.Store(true)
	if p.isLate() {
		rt.queue.remove(p)
		p.resume()
	}
}

// handOver frees w's place; w ends with its turn, unless its process waits for
// another. Callers hold mu, and fill the place.
func (rt *Runtime) handOver(w *runner) {
	if w.place >= 0 {
		rt.places[w.place] = nil
		w.place = -1
		w.since.Store(0)
		rt.busy--
		rt.stats.Handovers++
	}
}
