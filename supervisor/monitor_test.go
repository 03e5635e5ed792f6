package supervisor_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 2)
		a, b := p[0], p[1]
		a.Monitor(a.Process)
		first, second := a.Monitor(b.Process), a.Monitor(b.Process)
		if ia, ib := a.Info(), b.Info(); ia.Monitors != 2 || ib.Watchers != 2 || ia.Watchers+ib.Monitors != 0 {
			t.Errorf("%+v, %+v", ia, ib)
		}
		b.tell(errCrash)
		got := a.take() // in no order
		if len(got) != 2 || got[0] == got[1] {
			t.Errorf("told %q", got)
		}
		third := a.Monitor(b.Process)
		synctest.Wait()
		a.expect(t, fmt.Sprintf("down %d of %d: no such process", third, b.PID()))
		if first == second || second == third || a.Reason() != nil || a.Info().Monitors != 0 {
			t.Errorf("refs %d, %d, %d, ended with %v", first, second, third, a.Reason())
		}
		b.Monitor(a.Process) // of one that has ended: nothing
		if a.Info().Watchers != 0 {
			t.Error("an ended process monitors")
		}
	})
}

// A monitor is gone at both ends with the process that made it.
func TestMonitorEndsWithItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 2)
		a, b := p[0], p[1]
		a.Monitor(b.Process)
		a.tell(supervisor.Normal)
		if n := b.Info().Watchers; n != 0 {
			t.Errorf("%d watchers", n)
		}
	})
}

func TestDemonitorTakesBackWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 2)
		a, b := p[0], p[1]
		gone := newPeer(rt)
		gone.tell(supervisor.Normal)

		early := a.Monitor(b.Process)
		a.Demonitor(early)
		a.Demonitor(early)
		b.Demonitor(early) // not its own
		b.do(func() {})
		if n, m := b.Info().Watchers, a.Info().Monitors; n != 0 || m != 0 {
			t.Errorf("%d watchers, %d monitors", n, m)
		}

		late, kept := a.Monitor(b.Process), a.Monitor(b.Process)
		a.do(func() {
			b.Kill() // Down is in the mailbox now
			a.Send("after")
			a.Demonitor(late)
			a.Demonitor(a.Monitor(gone.Process))
		})
		a.expect(t, fmt.Sprintf("down %d of %d: killed", kept, b.PID()), "after")
	})
}

// Down goes past the bound of the mailbox.
func TestDownIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		a := p[0]
		gate := make(chan struct{})
		a.tell(hang(gate, nil))
		for range 20 {
			q := newPeer(rt)
			a.Monitor(q.Process)
			q.Stop(nil)
		}
		for a.Send("fill") == nil {
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		downs := 0
		for _, line := range a.take() {
			if line != "fill" {
				downs++
			}
		}
		if downs != 20 {
			t.Errorf("%d Downs", downs)
		}
	})
}

// Messages that a process sent before its end come before the news of it.
func TestMessagesComeBeforeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 2)
		a, b := p[0], p[1]
		ref := a.Monitor(b.Process)
		b.Send(func() error { a.Send("last words"); return supervisor.Normal })
		synctest.Wait()
		a.expect(t, "last words", fmt.Sprintf("down %d of %d: normal", ref, b.PID()))
	})
}
