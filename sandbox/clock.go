package sandbox

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// errDeadline and errTimeout unwind a guest whose time is up.
var (
	errDeadline = errors.New("deadline exceeded")
	errTimeout  = errors.New("timeout")
)

// clock is a monotonic time in nanoseconds that is never zero.
func clock() int64 { return int64(time.Since(clockStart)) + 1 }

var clockStart = time.Now()

// guestClock is the monotonic clock of guests, in nanoseconds. It begins with the time of day when the process
// started, so that a guest whose memory comes from a former process does not see it go back, unless
// somebody has set the machine's clock back meanwhile, and sees how long it was away.
func guestClock() int64 { return guestStart + clock() }

var guestStart = clockStart.UnixNano()

// firstTurn and turn are how long a guest may have the processor, in nanoseconds,
// until it lets others run: at first in an event, and later. To let others run
// takes some microseconds even if there are none, since an idle processor is woken
// to look for them, so that what is done soon should not be interrupted. But those
// that wait beside guests in long loops get one turn for each of them.
const (
	firstTurn = 200_000
	turn      = 50_000
)

// stopwatch measures an event: how much of the processor it has used, and how long
// it takes. All in nanoseconds.
//
// A guest works in stretches, between which others do. A stretch is measured by the
// clock, which is cheap. By the clock it may last much longer than a turn: its code
// may be slow, or the system or Go may have let others run meanwhile. From the first
// one of these on, the system is asked what the stretches have really cost. That
// takes one or two microseconds for each; few events ever need it. That first one is
// charged as what it may last, unless the plugin is suspected: then its thread is known
// from the start, by a look that many events share.
//
// The system knows what a thread has used. If Go has moved the goroutine to another
// one within a stretch, which it can in host functions only, then the two figures say
// nothing about it, and it is charged like the first. To bind the goroutine to its
// thread would cost more: a guest that calls another gives way in the middle.
type stopwatch struct {
	deadline int64  // of used
	begun    int64  // when the event was, on [clock]
	timeout  int64  // when the event must be done, on [clock]; waits for others put it off
	used     int64  // of the processor, in the stretches before
	since    int64  // when this stretch began, on [clock], or the last one ended
	turn     int64  // how long it may last
	paused   bool   // no stretch has begun since
	checks   uint8  // of the time, in host functions
	measures bool   // ask the system about every stretch
	suspects bool   // know the thread, to ask about one that is long
	thread   thread // as it was at since or a little before, if that is known
}

// thread is how much of the processor a thread has used; the zero value is of none.
type thread struct {
	id   int
	used int64
}

// look is a look at a thread, and when that was, on [clock].
type look struct {
	thread
	at int64
}

// A suspect's stretch is long from heavyTurn on, so that a look at its thread that is no older than
// lookFor does as well as one of its own, which costs more than many an event. looks has
// one for each of Go's processors, whose thread seldom changes; if it has, that shows in the end.
const lookFor = heavyTurn / 20

var looks = sync.Pool{New: func() any { return new(look) }}

// lately is the caller's thread as it was not long before now.
func lately(now int64) thread {
	l := looks.Get().(*look)
	if l.id == 0 || now-l.at > lookFor {
		*l = look{thisThread(), now}
	}
	t := l.thread
	looks.Put(l)
	return t
}

// begin starts the watch for an event. If suspect is later than now, it looks at the thread
// from the first stretch on.
func (w *stopwatch) begin(l Limits, suspect int64) {
	w.used, w.turn, w.paused, w.measures = 0, firstTurn, false, false
	w.since = clock()
	w.begun = w.since
	w.deadline, w.timeout = int64(l.Deadline), w.since+int64(l.Timeout)
	w.suspects = w.since < suspect
	w.find()
}

// find notes the thread of a stretch that begins.
func (w *stopwatch) find() {
	switch {
	case w.measures:
		w.thread = thisThread()
	case w.suspects:
		w.thread = lately(w.since)
	default:
		w.thread = thread{}
	}
}

// pause ends a stretch, and returns what it has cost at the most. sure says that it has
// cost that: no other has had the processor meanwhile.
func (w *stopwatch) pause(now int64) (cost int64, sure bool) {
	cost, longest := now-w.since, 2*w.turn
	charge := cost
	if w.measures || cost > longest {
		w.measures = true
		switch at := thisThread(); {
		case at.id == 0: // the system does not say
			sure = true
		case at.id == w.thread.id:
			cost = min(cost, at.used-w.thread.used)
			charge, sure = cost, true
		default:
			charge = min(cost, longest)
		}
	}
	w.used += charge
	w.since, w.paused = now, true
	return cost, sure
}

// resume begins another stretch.
func (w *stopwatch) resume() {
	w.since, w.paused = clock(), false
	w.find()
}

// end ends the last stretch as pause does, unless the guest died in a pause. It charges
// all of it: that decides nothing any more.
func (w *stopwatch) end() (cost int64, sure bool) {
	now := clock()
	switch {
	case w.paused:
	case w.thread.id != 0:
		cost, sure = w.pause(now)
	default:
		used := w.used
		cost, sure = w.pause(now)
		w.used = used + cost
	}
	w.since = now
	return cost, sure
}

// isOver says that the turn is.
func (w *stopwatch) isOver(now int64) bool { return now-w.since >= w.turn }

// yield is called by the guest when its slice is over. After a turn it lets others
// run, the garbage collector among them, or ends the guest if its time is up.
func (s *slot) yield() {
	now := clock()
	s.countStack()
	if s.time.isOver(now) {
		s.giveWay(now)
	}
	s.reductions += s.spent()
	s.setSlice(now)
}

// check is yield for host functions that take up to some tens of microseconds, a few
// of which may pass until the clock is looked at: a guest that lets the host do all
// the work seldom comes to yield.
func (s *slot) check() {
	if s.time.checks++; s.time.checks%8 != 0 {
		return
	}
	if now := clock(); s.time.isOver(now) {
		s.giveWay(now)
	}
}

// giveWay lets others run after a turn. What the guest waits until it is its turn
// again counts for nothing.
func (s *slot) giveWay(now int64) {
	s.pause(now)
	switch {
	case s.time.used > s.time.deadline:
		panic(errDeadline)
	case now > s.time.timeout:
		panic(errTimeout)
	}
	s.time.turn = turn
	if s.by == nil {
		runtime.Gosched()
	} else if !s.by.Yield() {
		panic(&endedError{errKilled})
	}
	s.resume()
	s.time.timeout += s.time.since - now
}

// pause and resume enclose what others do while the guest stands still.
func (s *slot) pause(now int64) {
	s.note(s.time.pause(now))
	s.memory.image.End()
}

func (s *slot) resume() {
	s.memory.image.Resume()
	s.time.resume()
}

// sleep waits for d, or ends the guest when its time is up or its process is killed.
// Meanwhile it has neither the processor nor, if others need that, the scheduler.
func (s *slot) sleep(d time.Duration) {
	now := clock()
	s.pause(now)
	left := time.Duration(s.time.timeout - now)
	killed := false
	if s.by == nil {
		time.Sleep(min(d, left))
	} else {
		killed = s.doze(min(d, left))
	}
	switch {
	case killed:
		panic(&endedError{errKilled})
	case d > left:
		panic(errTimeout)
	}
	s.resume()
	s.time.timeout += max(s.time.since-now-int64(d), 0) // until it had a scheduler again
}

func (s *slot) doze(d time.Duration) (killed bool) {
	over := time.NewTimer(d)
	defer over.Stop()
	s.by.Block(func() {
		select {
		case <-over.C:
		case <-s.by.Killed():
			killed = true
		}
	})
	return killed
}
