package supervisor_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

func TestNoGoroutineWhileIdle(t *testing.T) {
	before := runtime.NumGoroutine()
	rt := newRuntime(t, supervisor.Options{})
	var processes []*supervisor.Process
	var handled atomic.Int64
	actor := &funcs{handle: func(*supervisor.Process, any) error { handled.Add(1); return nil }}
	for range 10_000 {
		p := rt.Spawn(supervisor.Spec{Actor: actor})
		p.Send(nil)
		processes = append(processes, p)
	}
	rt.Wait()
	// A goroutine that was waited for may take a moment to be gone.
	for start := time.Now(); runtime.NumGoroutine() > before && time.Since(start) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("%d goroutines for idle processes", n)
	}
	if s := rt.Stats(); s.Processes != 10_000 || s.Queued != 0 || handled.Load() != 10_000 {
		t.Errorf("%+v, %d handled", s, handled.Load())
	}
	for _, p := range processes {
		p.Stop(nil)
	}
	rt.Wait()
	if n := rt.Stats().Processes; n != 0 {
		t.Errorf("%d processes left", n)
	}
}

func TestAStuckProcessLosesItsScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slice = 2 * time.Millisecond
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: slice})
		gate := make(chan struct{})
		begin := time.Now()
		rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { <-gate; return supervisor.Normal }}})
		for range 3 {
			p := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { return supervisor.Normal }}})
			<-p.Done()
		}
		if waited := time.Since(begin); waited > 3*slice {
			t.Errorf("the others had to wait %v", waited)
		}
		if n := rt.Stats().Handovers; n != 1 {
			t.Errorf("%d handovers", n)
		}
		close(gate)
		rt.Wait()
	})
}

func TestBlockHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: time.Hour})
		begin := time.Now()
		gate := make(chan struct{})
		blocked := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
			p.Block(func() { <-gate })
			p.Block(func() {}) // twice in a turn does no harm
			return nil
		}}})
		other := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { close(gate); return supervisor.Normal }}})
		<-other.Done()
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the other had to wait %v", waited)
		}
		blocked.Stop(nil)
		<-blocked.Done()
	})
}

// A process that always has another message gives way after a slice, by itself.
func TestAFloodDoesNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slice = 2 * time.Millisecond
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: slice})
		begin := time.Now()
		flood := rt.Spawn(supervisor.Spec{Actor: &funcs{
			init: func(p *supervisor.Process) error { return p.Send(nil) },
			handle: func(p *supervisor.Process, _ any) error {
				time.Sleep(slice / 4)
				return p.Send(nil)
			},
		}})
		time.Sleep(slice / 8)
		for turn := range 5 {
			other := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { return supervisor.Normal }}})
			<-other.Done()
			if got, want := time.Since(begin), time.Duration(turn+1)*slice; got != want {
				t.Errorf("the other got turn %d after %v instead of %v", turn, got, want)
			}
			time.Sleep(slice / 8)
		}
		if n := rt.Stats().Handovers; n != 0 {
			t.Errorf("%d handovers", n)
		}
		flood.Stop(nil)
		<-flood.Done()
	})
}
