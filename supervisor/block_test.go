package supervisor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

// request is a call: the process that handles it answers.
type request struct {
	depth int
	reply chan int
}

// call sends a request and waits for the answer, or for the end of the other.
func call(p, to *supervisor.Process, depth int) (answer int) {
	reply := make(chan int, 1)
	if to.Send(request{depth, reply}) != nil {
		return -1
	}
	p.Block(func() {
		select {
		case answer = <-reply:
		case <-to.Done():
			answer = -1
		}
	})
	return answer
}

// A chain of calls far longer than there are schedulers, each process waiting for
// the next: without Block all would wait for one that has no scheduler.
func TestChainOfCalls(t *testing.T) {
	for _, schedulers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			const length = 1000
			rt := newRuntime(t, supervisor.Options{Schedulers: schedulers, Slice: time.Hour})
			begin := time.Now()
			chain := make([]*supervisor.Process, length)
			for i := range chain {
				chain[i] = rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(p *supervisor.Process, msg any) error {
					r := msg.(request)
					if r.depth > 0 {
						r.reply <- 1 + call(p, chain[i+1], r.depth-1)
					} else {
						r.reply <- 1
					}
					return nil
				}}})
			}
			reply := make(chan int, 1)
			chain[0].Send(request{length - 1, reply})
			if got := <-reply; got != length {
				t.Errorf("the answer came from depth %d", got)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("the chain waited %v for a scheduler", took)
			}
			for _, p := range chain {
				p.Stop(nil)
			}
			rt.Wait()
		})
	}
}

// Every scheduler's process waits for the one that is behind all of them in the
// queue; it is restarted while they wait, and the next life answers.
func TestAllWaitForOneThatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 100
		rt := newRuntime(t, supervisor.Options{Schedulers: 2, Slice: time.Hour})
		f := newFamily(t)
		f.rt = rt
		box := supervisor.NewMailbox(0)
		crashed := false
		f.start(supervisor.Config{Intensity: tenPerMinute, Children: []supervisor.ChildSpec{{ID: "server", Start: func() supervisor.Spec {
			return supervisor.Spec{Mailbox: box, Actor: &funcs{handle: func(_ *supervisor.Process, msg any) error {
				msg.(request).reply <- 1
				if !crashed {
					crashed = true
					return errCrash
				}
				return nil
			}}}
		}}}})
		answers := make(chan int, callers)
		for range callers {
			rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
				reply := make(chan int, 1)
				box.Send(request{0, reply})
				p.Block(func() { answers <- <-reply })
				return supervisor.Normal
			}}})
		}
		synctest.Wait()
		if len(answers) != callers {
			t.Errorf("%d of %d callers have their answer", len(answers), callers)
		}
		f.stop("server crash: restarts")
	})
}

// A process that waits for another one that crashes hears of it, and does not hang.
func TestCallOfAProcessThatCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: time.Hour})
		server := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: func(*supervisor.Process, any) error { return errCrash }}})
		got := make(chan int, 1)
		rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error {
			got <- call(p, server, 0)
			return supervisor.Normal
		}}})
		if answer := <-got; answer != -1 {
			t.Errorf("answer %d", answer)
		}
		rt.Wait()
	})
}
