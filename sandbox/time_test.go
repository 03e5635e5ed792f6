package sandbox_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// queued is a process on a busy machine: it waits the first times that it yields.
type queued struct {
	wait   time.Duration
	times  int64
	yields atomic.Int64
	blocks atomic.Int64
	killed chan struct{}
}

func (q *queued) Name() string                              { return "" }
func (q *queued) Operate(*abi.Effect) (_ []byte, err error) { return nil, abi.CodeNotNow }
func (q *queued) Permit(*abi.Effect) abi.Code               { return 0 }
func (q *queued) Block(f func())                            { q.blocks.Add(1); f() }
func (q *queued) Killed() <-chan struct{}                   { return q.killed }
func (q *queued) Yield() (alive bool) {
	if q.yields.Add(1) <= q.times {
		time.Sleep(q.wait)
	}
	select {
	case <-q.killed:
		return false
	default:
		return true
	}
}

func startAs(t testing.TB, p *sandbox.Module, process sandbox.Process) *sandbox.Instance {
	t.Helper()
	i, err := p.Start("room:1", process)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// roundsOf returns how many rounds of slots.wat's loop take so long of the processor.
func roundsOf(t testing.TB, p *sandbox.Module, work time.Duration) uint32 {
	t.Helper()
	const rounds = 2_000_000
	before := p.Stats().Time
	wantNumber(t, start(t, p), 'l', rounds, 0)
	return uint32(rounds * float64(work) / float64(p.Stats().Time-before))
}

// What a guest waits for its turn counts for neither limit.
func TestWaitsForATurnDoNotCount(t *testing.T) {
	limits := sandbox.Limits{Deadline: 500 * time.Millisecond, Timeout: time.Second}
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: limits})
	process := &queued{wait: limits.Timeout / 4, times: 5}
	i := startAs(t, p, process)
	wantNumber(t, i, 'l', roundsOf(t, p, 5*time.Millisecond), 0)
	if n := process.yields.Load(); n < process.times {
		t.Errorf("it yielded %d times, want at least %d", n, process.times)
	}
}

// A guest that sleeps or is not let to work ends with the other limit, and is told apart.
func TestTimeout(t *testing.T) {
	p := load(t, goGuest(t), sandbox.LoadOptions{Limits: sandbox.Limits{Deadline: 10 * time.Second, Timeout: 50 * time.Millisecond}})
	for name, process := range map[string]*queued{"alone": nil, "a process": {}} {
		t.Run(name, func(t *testing.T) {
			i := start(t, p)
			if process != nil {
				i = startAs(t, p, process)
			}
			_, err := i.Handle(message("sleep", ""))
			wantTrap(t, err, sandbox.KindTimeout, "took longer than 50ms, its waits for a turn not counted, and used ")
			if process != nil && process.blocks.Load() == 0 {
				t.Error("it kept its scheduler")
			}
		})
	}
}

// A kill ends what a guest does, its sleep, and its wait for a slot.
func TestKill(t *testing.T) {
	limits := sandbox.Limits{Slots: 1, Deadline: time.Hour, Timeout: time.Hour}
	ended := func(t *testing.T, p *sandbox.Module, e *abi.Event, reached func(*queued) bool) {
		t.Helper()
		process := &queued{killed: make(chan struct{})}
		i := startAs(t, p, process)
		done := make(chan error, 1)
		go func() {
			_, err := i.Handle(e)
			done <- err
		}()
		for !reached(process) {
			time.Sleep(time.Millisecond)
		}
		close(process.killed)
		wantTrap(t, <-done, sandbox.KindEnded, "the process was killed")
	}
	yields := func(q *queued) bool { return q.yields.Load() > 0 }
	blocks := func(q *queued) bool { return q.blocks.Load() > 0 }
	t.Run("work", func(t *testing.T) {
		p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: limits})
		ended(t, p, do('l', 0), yields)
		wantNumber(t, start(t, p), 'c', 0, 1)
	})
	t.Run("work of the host", func(t *testing.T) {
		p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: limits})
		ended(t, p, do('h', 0), yields)
	})
	t.Run("sleep", func(t *testing.T) {
		ended(t, load(t, goGuest(t), sandbox.LoadOptions{Limits: limits}), message("sleep", ""), blocks)
	})
	t.Run("wait for a slot", func(t *testing.T) {
		p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: limits})
		hog := &queued{killed: make(chan struct{})}
		i := startAs(t, p, hog)
		done := make(chan error, 1)
		go func() {
			_, err := i.Handle(do('l', 0))
			done <- err
		}()
		for !yields(hog) {
			time.Sleep(time.Millisecond)
		}
		for range 3 {
			ended(t, p, do('c', 0), blocks)
		}
		close(hog.killed)
		wantTrap(t, <-done, sandbox.KindEnded, "")
		wantNumber(t, start(t, p), 'c', 0, 1) // the slot is there for others
		if s := p.Stats(); s.Slots != 1 || s.Traps[sandbox.KindEnded] != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// Slots are not lost when kills and releases meet.
func TestKillsInTheQueueForSlots(t *testing.T) {
	const slots = 2
	p := load(t, fixture(t, "slots"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: slots}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				process := &queued{killed: make(chan struct{})}
				i, err := p.Start("room:1", process)
				if err != nil {
					t.Error(err)
					return
				}
				go func() {
					runtime.Gosched()
					close(process.killed)
				}()
				if _, err := i.Handle(do('l', 100_000)); err != nil && !strings.Contains(err.Error(), "was killed") {
					t.Error(err)
				}
				i.Close()
			}
		})
	}
	all.Wait()
	var together sync.WaitGroup // both slots are there, and no more
	for range 3 * slots {
		i := start(t, p)
		together.Go(func() {
			if _, err := ask(i, 'l', 1_000_000); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if n := p.Stats().Slots; n > slots {
		t.Errorf("%d slots", n)
	}
}

// A turn that was somewhat too long makes slices somewhat shorter, since for innocent code more yields are a
// loss. Code that is as slow as code can be has turns of the right length after the fourth one, and never such that
// nothing but yields happens.
func TestSlicesAreAsLongAsTheyMayBe(t *testing.T) {
	if got := sandbox.Shorter(sandbox.LongestSlice, sandbox.LongestSlice, sandbox.HeavyTurn+sandbox.HeavyTurn/4); got != sandbox.LongestSlice*2/5 {
		t.Errorf("after a turn of %v a slice has %d reductions", sandbox.HeavyTurn*5/4, got)
	}
	if got := sandbox.Shorter(sandbox.LongestSlice, 1, sandbox.HeavyTurn+1); got != sandbox.LongestSlice/8 {
		t.Errorf("after one costly reduction a slice has %d", got)
	}
	for _, each := range []time.Duration{time.Microsecond, 5 * time.Microsecond, 20 * time.Microsecond} {
		slice, turns := int64(sandbox.LongestSlice), 0
		for ; time.Duration(slice)*each > sandbox.HeavyTurn; turns++ {
			slice = sandbox.Shorter(slice, slice, time.Duration(slice)*each)
		}
		if turns > 4 || time.Duration(slice)*each < sandbox.HeavyTurn/4 {
			t.Errorf("%v each: %d reductions, after %d turns", each, slice, turns)
		}
	}
}
