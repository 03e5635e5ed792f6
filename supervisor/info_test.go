package supervisor_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

type metered struct{ funcs }

func (metered) Usage() supervisor.Usage { return supervisor.Usage{Reductions: 7, Memory: 8} }

func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: time.Hour})
		parent := newPeer(rt)
		gate := make(chan struct{})
		running := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: obey, init: func(*supervisor.Process) error { <-gate; return nil }}})
		synctest.Wait()
		queued := rt.Spawn(supervisor.Spec{Parent: parent.Process, Actor: &metered{funcs{handle: obey}}})
		state := func(p *supervisor.Process, want supervisor.State) {
			t.Helper()
			if got := p.Info().State; got != want {
				t.Errorf("%v instead of %v", got, want)
			}
		}
		state(running, supervisor.Starting)
		state(queued, supervisor.Starting)
		state(parent.Process, supervisor.Waiting)
		parent.Send(nil)
		state(parent.Process, supervisor.Ready)
		close(gate)
		synctest.Wait()
		state(running, supervisor.Waiting)

		gate = make(chan struct{})
		running.Send(func() error { <-gate; return nil })
		synctest.Wait()
		state(running, supervisor.Running)
		close(gate)
		synctest.Wait()
		gate = make(chan struct{})
		queued.Send(hang(gate, nil))
		synctest.Wait()
		state(queued, supervisor.Blocked)

		var names supervisor.Names
		names.Register("q", queued)
		queued.Link(running)
		queued.Monitor(running)
		parent.Monitor(queued)
		queued.SendAfter(time.Minute, nil)
		queued.TrapExit(true)
		queued.Send(nil)
		want := supervisor.Info{
			PID: queued.PID(), Parent: parent.PID(), State: supervisor.Blocked, Mailbox: 1,
			Links: 1, Monitors: 1, Watchers: 1, Timers: 1, Names: []string{"q"}, TrapExit: true,
			Usage: supervisor.Usage{Reductions: 7, Memory: 8},
		}
		if got := queued.Info(); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nexpected %+v", got, want)
		}
		close(gate)
		synctest.Wait()
		state(queued, supervisor.Waiting)
		queued.Kill()
		if got, want := queued.Info(), (supervisor.Info{PID: queued.PID(), Parent: parent.PID(), State: supervisor.Ended}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nexpected %+v", got, want)
		}
		running.Stop(nil)
		parent.Stop(nil)
		rt.Wait()
	})
}
