package sandbox_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rtd/sandbox"
)

// Threads that the system lets wait are not charged for that, and those that work are.
func TestDeadlineIsOfTheProcessor(t *testing.T) {
	const guests, work, deadline = 12, 20 * time.Millisecond, 150 * time.Millisecond
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Deadline: deadline, Timeout: time.Hour}})
	rounds := roundsOf(t, p, work)
	// A thread for each, however many processors there are.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * guests))
	before := processTime(t)
	var all sync.WaitGroup
	for range guests {
		i, endless := start(t, p), start(t, p)
		all.Go(func() {
			if _, err := ask(i, 'l', rounds); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			_, err := ask(endless, 'l', 0)
			if trap := (*sandbox.Trap)(nil); !errors.As(err, &trap) || trap.Kind != sandbox.KindDeadline {
				t.Errorf("a loop ended with %v", err)
			}
		})
	}
	all.Wait()
	if used, most := processTime(t)-before, 2*guests*(work+deadline); used > most {
		t.Errorf("%v of the processor in all, want at most %v", used, most)
	}
}

// processTime is how much of the processor all threads have used.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}

// A suspect's long stretch is told from one in which others had the processor, though its thread was not looked at for it
// alone.
func TestSuspectIsKnownBySharedLooks(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const long = 3 * time.Millisecond
	work := func() {
		for begin := threadTime(t); threadTime(t)-begin < long; {
		}
	}
	for _, before := range []int{0, 1000} {
		// Go may take the look of another thread along with the processor on which that was.
		known := func(f func()) time.Duration {
			for range 1000 {
				if cost, sure := sandbox.Stretches(1+before, f); sure {
					return cost
				}
			}
			t.Fatal("nothing is sure")
			return 0
		}
		if cost := known(work); cost < long {
			t.Errorf("%v of work after %d short stretches cost %v", long, before, cost)
		}
		if cost := known(func() { time.Sleep(2 * long) }); cost > long/2 {
			t.Errorf("a sleep after %d short stretches cost %v", before, cost)
		}
	}
}

// threadTime is how much of the processor this thread has used.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}
