package supervisor_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"rtd/supervisor"
)

// TestHammerBonds links, monitors, names, exports and kills processes from many
// goroutines, and checks at the end that every monitor was told of exactly once
// unless it was taken back, that links held, and that nothing is left of names,
// numbers, timers and goroutines.
func TestHammerBonds(t *testing.T) {
	const (
		hands  = 6
		rounds = 200
		crowd  = 12
	)
	before := runtime.NumGoroutine()
	rt := newRuntime(t, supervisor.Options{Schedulers: 4, Slice: 100 * time.Microsecond})
	var names supervisor.Names
	observer := &observer{downs: map[supervisor.Ref]int{}}
	watch := rt.Spawn(supervisor.Spec{Actor: observer})

	var pids sync.Map
	var hammering sync.WaitGroup
	for hand := range hands {
		hammering.Go(func() {
			random := rand.New(rand.NewPCG(uint64(hand), rand.Uint64()))
			for range rounds {
				round(t, rt, watch, observer, &names, &pids, random, crowd)
			}
		})
	}
	hammering.Wait()

	// Once the ends are known to all, the observer has all its news.
	rt.Wait()
	watch.Stop(nil)
	rt.Wait()
	observer.check(t)
	for i := range crowd {
		if p := names.Whereis(fmt.Sprint(i)); p != nil {
			t.Errorf("name %d is left with process %d", i, p.PID())
		}
	}
	pids.Range(func(pid, _ any) bool {
		if rt.Find(pid.(supervisor.PID)) != nil {
			t.Errorf("process %v is still found", pid)
		}
		return true
	})
	if s, g := rt.Stats(), watch.Group().Stats(); s.Processes != 0 || g.Processes != 0 || g.Timers != 0 {
		t.Errorf("left over: %+v, %+v", s, g)
	}
	for start := time.Now(); runtime.NumGoroutine() > before && time.Since(start) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("%d goroutines left", n)
	}
}

// round makes a few processes, binds them to each other at random, and ends them.
func round(t *testing.T, rt *supervisor.Runtime, watch *supervisor.Process, o *observer, names *supervisor.Names, pids *sync.Map, random *rand.Rand, n int) {
	processes := make([]*supervisor.Process, n)
	for i := range processes {
		processes[i] = rt.Spawn(supervisor.Spec{Actor: &funcs{handle: obey}})
		pids.Store(processes[i].Export(), nil)
		if random.IntN(2) == 0 {
			names.Register(fmt.Sprint(random.IntN(n)), processes[i])
		}
		if random.IntN(3) == 0 {
			processes[i].TrapExit(true)
		}
	}
	any := func() *supervisor.Process { return processes[random.IntN(n)] }
	for range 4 * n {
		p, q := any(), any()
		switch random.IntN(10) {
		case 0:
			p.Link(q)
		case 1:
			p.Unlink(q)
		case 2:
			p.Demonitor(p.Monitor(q))
		case 3:
			p.Monitor(q)
		case 4:
			p.Exit(q, errCrash)
		case 5:
			p.SendAfter(time.Duration(random.IntN(200))*time.Microsecond, nil)
		case 6:
			names.Unregister(fmt.Sprint(random.IntN(n)))
		case 7:
			p.Send(errCrash)
		default:
			o.expect(watch.Monitor(q), random.IntN(3) > 0, watch)
		}
	}
	// Linked all in a ring, none outlives the first to be killed but those that
	// trap, and those may not outlive the next.
	for i, p := range processes {
		p.TrapExit(false)
		p.Link(processes[(i+1)%n])
	}
	any().Kill()
	for _, p := range processes {
		select {
		case <-p.Done():
		case <-time.After(time.Minute):
			t.Errorf("process %d outlives those linked with it: %+v", p.PID(), p.Info())
			p.Kill()
		}
	}
}

// observer counts the Downs that it gets.
type observer struct {
	mu    sync.Mutex
	kept  []supervisor.Ref
	taken []supervisor.Ref
	downs map[supervisor.Ref]int
}

func (o *observer) expect(ref supervisor.Ref, keep bool, p *supervisor.Process) {
	if !keep {
		p.Demonitor(ref)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if keep {
		o.kept = append(o.kept, ref)
	} else {
		o.taken = append(o.taken, ref)
	}
}

func (o *observer) Init(*supervisor.Process) error { return nil }

func (o *observer) Handle(_ *supervisor.Process, msg any) error {
	if down, ok := msg.(supervisor.Down); ok {
		o.mu.Lock()
		o.downs[down.Ref]++
		o.mu.Unlock()
	}
	return nil
}

func (o *observer) Terminate(*supervisor.Process, error) {}

func (o *observer) check(t *testing.T) {
	for _, ref := range o.kept {
		if n := o.downs[ref]; n != 1 {
			t.Errorf("monitor %d: %d Downs", ref, n)
		}
		delete(o.downs, ref)
	}
	for _, ref := range o.taken { // by another goroutine: it may have been on its way
		if n := o.downs[ref]; n > 1 {
			t.Errorf("monitor %d, taken back: %d Downs", ref, n)
		}
		delete(o.downs, ref)
	}
	if len(o.downs) > 0 {
		t.Errorf("unknown monitors: %v", o.downs)
	}
}
