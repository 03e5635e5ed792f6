package supervisor_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

const yieldSlice = 16 * time.Millisecond

// step is how long toil works until it lets others run.
const step = time.Millisecond / 4

// toil works for long within one message, in steps, until work is done or it is killed.
func toil(p *supervisor.Process, work time.Duration) (killed bool) {
	for ; work > 0; work -= step {
		time.Sleep(step)
		if !p.Yield() {
			return true
		}
	}
	return false
}

// toiler is a process that toils in its Init, and ends.
func toiler(rt *supervisor.Runtime, group *supervisor.Group, work time.Duration) *supervisor.Process {
	return rt.Spawn(supervisor.Spec{Group: group, Actor: &funcs{init: func(p *supervisor.Process) error {
		if toil(p, work) {
			return errors.New("killed")
		}
		return supervisor.Normal
	}}})
}

const endless = time.Hour

// However many processes work for long, as many of them work at once as there are
// schedulers, and all are served alike.
func TestLateOnesWaitForAPlace(t *testing.T) {
	for _, schedulers := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			const n, work = 12, 10 * yieldSlice
			rt := newRuntime(t, supervisor.Options{Schedulers: schedulers, Slice: yieldSlice})
			var running, most atomic.Int64
			var ends []time.Duration
			var mu sync.Mutex
			begin := time.Now()
			for range n {
				rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
					for left := work; left > 0; left -= step {
						most.Store(max(most.Load(), running.Add(1)))
						time.Sleep(step)
						running.Add(-1)
						p.Yield()
					}
					mu.Lock()
					defer mu.Unlock()
					ends = append(ends, time.Since(begin))
					return supervisor.Normal
				}}})
			}
			rt.Wait()
			if got := most.Load(); got != int64(schedulers) {
				t.Errorf("%d at once on %d schedulers", got, schedulers)
			}
			all := work * n / time.Duration(schedulers)
			if took := time.Since(begin); took < all || took > all+yieldSlice {
				t.Errorf("all together took %v instead of %v", took, all)
			}
			if first := ends[0]; first < all-2*n*yieldSlice/time.Duration(schedulers) {
				t.Errorf("the first one was through after %v of %v", first, all)
			}
		})
	}
}

// Nobody gives way to nobody.
func TestYieldAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 2, Slice: yieldSlice})
		p := toiler(rt, nil, 10*yieldSlice)
		<-p.Done()
		if s := rt.Stats(); s.Handovers != 0 || s.Turns != 1 || p.Reason() != supervisor.Normal {
			t.Errorf("%+v, ended with %v", s, p.Reason())
		}
	})
}

// One plugin's endless loops take half of the time from another's work, and no more.
func TestYieldIsFairBetweenGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: yieldSlice})
		loops, worker := rt.NewGroup(), rt.NewGroup()
		var stop []*supervisor.Process
		for range 300 {
			stop = append(stop, toiler(rt, loops, endless))
		}
		time.Sleep(300 * yieldSlice)
		const work = 20 * yieldSlice
		begin := time.Now()
		for range 3 {
			stop = append(stop, toiler(rt, worker, work))
		}
		for _, p := range stop[300:] {
			<-p.Done()
		}
		if took := time.Since(begin); took > 3*2*work+2*yieldSlice {
			t.Errorf("work of %v beside another group took %v", 3*work, took)
		}
		for _, p := range stop {
			p.Kill()
		}
	})
}

// Those that are quick wait for a moment and not for a slice of each that is not,
// also in one group. And the slow are not starved by the quick.
func TestQuickOnesGoBeforeLateOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: yieldSlice})
		var stop []*supervisor.Process
		for range 300 {
			stop = append(stop, toiler(rt, nil, endless))
		}
		time.Sleep(300 * yieldSlice)
		for range 100 {
			begin := time.Now()
			<-toiler(rt, nil, 0).Done()
			if waited := time.Since(begin); waited > yieldSlice/16+2*step {
				t.Fatalf("waited for %v", waited)
			}
			time.Sleep(7 * step)
		}
		for _, p := range stop {
			p.Kill()
		}
		rt.Wait()

		slow := toiler(rt, nil, 8*yieldSlice)
		time.Sleep(2 * step)
		var over atomic.Bool
		flood := func(p *supervisor.Process, _ any) error {
			time.Sleep(step / 4)
			if over.Load() {
				return supervisor.Normal
			}
			return p.Send(nil)
		}
		for range 10 { // there is always one of these that waits
			rt.Spawn(supervisor.Spec{Actor: &funcs{handle: flood}}).Send(nil)
		}
		begin := time.Now()
		<-slow.Done()
		if took := time.Since(begin); took > 8*16*yieldSlice*2 {
			t.Errorf("8 slices of work beside a flood took %v", took)
		}
		over.Store(true)
	})
}

// A kill ends the wait for a place, whoever has that and for however long. The next
// owner of the mailbox begins.
func TestKillOfOneThatWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: yieldSlice})
		var log journal
		box := supervisor.NewMailbox(0)
		p := rt.Spawn(supervisor.Spec{Mailbox: box, Actor: &funcs{
			init: func(p *supervisor.Process) error {
				time.Sleep(yieldSlice / 8)
				if p.Yield() {
					t.Error("it was served")
				}
				log.add("returned")
				return nil
			},
			terminate: func(_ *supervisor.Process, reason error) { log.add("terminated: " + reason.Error()) },
		}})
		gate := make(chan struct{})
		hog := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error {
			<-gate // without a word to the runtime
			return supervisor.Normal
		}}})
		time.Sleep(yieldSlice / 4) // less than what the watchdog leaves the other
		log.expect(t)
		if s := rt.Stats(); s.Queued != 1 {
			t.Errorf("%+v, want it in the queue", s)
		}
		p.Kill()
		synctest.Wait()
		log.expect(t, "returned", "terminated: killed")
		next := rt.Spawn(supervisor.Spec{Mailbox: box, Actor: &funcs{init: func(*supervisor.Process) error { return supervisor.Normal }}})
		if n := rt.Stats().Queued; n != 1 {
			t.Errorf("%d in the queue, want the next owner", n)
		}
		close(gate)
		<-hog.Done()
		<-next.Done()
	})
}

// A process that is asked to end finishes its message in turn.
func TestStopOfOneThatWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: yieldSlice})
		var all []*supervisor.Process
		done := 0
		for range 10 {
			p := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(p *supervisor.Process, _ any) error {
				toil(p, 3*yieldSlice)
				done++
				return nil
			}}})
			p.Send(nil)
			p.Send(nil) // which it will not come to
			all = append(all, p)
		}
		time.Sleep(10 * yieldSlice)
		for _, p := range all {
			p.Stop(nil)
		}
		for _, p := range all {
			<-p.Done()
			if p.Reason() != supervisor.Shutdown {
				t.Errorf("ended with %v", p.Reason())
			}
		}
		if done != len(all) {
			t.Errorf("%d of %d have finished their message", done, len(all))
		}
	})
}

// A process that has waited in Block goes on at once, and waits for a place when it yields.
func TestBlockThenYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: yieldSlice})
		var running atomic.Int64
		for range 20 {
			rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
				for range 10 {
					p.Block(func() { time.Sleep(step) })
					p.Yield()
					if running.Add(1) > 1 {
						t.Error("two at once")
					}
					time.Sleep(step)
					running.Add(-1)
				}
				return supervisor.Normal
			}}})
		}
		rt.Wait()
	})
}

// One that steps aside has its answer without a wait, on one scheduler too.
func TestStepAside(t *testing.T) {
	for _, schedulers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			rt := newRuntime(t, supervisor.Options{Schedulers: schedulers, Slice: time.Hour})
			var answers atomic.Int64
			server := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(*supervisor.Process, any) error {
				answers.Add(1)
				return nil
			}}})
			client := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
				for n := range int64(10) {
					server.Send(nil)
					for answers.Load() == n {
						p.StepAside()
					}
				}
				return supervisor.Normal
			}}})
			<-client.Done()
			server.Stop(nil)
		})
	}
}

// TestHammerYield works, waits, kills and stops at random on few schedulers. In the
// end nobody waits for a place any more.
func TestHammerYield(t *testing.T) {
	rt := newRuntime(t, supervisor.Options{Schedulers: 2, Slice: 200 * time.Microsecond})
	groups := []*supervisor.Group{rt.NewGroup(), rt.NewGroup(), rt.NewGroup()}
	var hands sync.WaitGroup
	var alive, killed atomic.Int64
	for hand := range uint64(4) {
		hands.Go(func() {
			random := rand.New(rand.NewPCG(hand, rand.Uint64()))
			var mine []*supervisor.Process
			for range 300 {
				seed := random.Uint64()
				p := rt.Spawn(supervisor.Spec{Group: groups[random.IntN(3)], Actor: &funcs{
					init: func(*supervisor.Process) error { alive.Add(1); return nil },
					handle: func(p *supervisor.Process, _ any) error {
						random := rand.New(rand.NewPCG(seed, 0))
						for range random.IntN(100) {
							switch random.IntN(6) {
							case 0:
								p.Block(func() { time.Sleep(50 * time.Microsecond) })
							case 1:
								time.Sleep(300 * time.Microsecond)
							default:
								for begin := time.Now(); time.Since(begin) < 20*time.Microsecond; {
								}
							}
							if !p.Yield() {
								killed.Add(1)
								return errCrash
							}
						}
						return nil
					},
					terminate: func(p *supervisor.Process, _ error) { p.Yield(); alive.Add(-1) },
				}})
				p.Send(nil)
				mine = append(mine, p)
				time.Sleep(100 * time.Microsecond)
				switch other := mine[random.IntN(len(mine))]; random.IntN(3) {
				case 0:
					other.Kill()
				case 1:
					other.Stop(nil)
				}
			}
			for _, p := range mine {
				p.Stop(nil)
			}
			for _, p := range mine {
				<-p.Done()
			}
		})
	}
	hands.Wait()
	rt.Wait()
	if s := rt.Stats(); s.Processes != 0 || s.Queued != 0 || alive.Load() != 0 || killed.Load() == 0 {
		t.Errorf("%+v, %d are alive, %d learned of a kill", s, alive.Load(), killed.Load())
	}
}
