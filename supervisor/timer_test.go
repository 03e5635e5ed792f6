package supervisor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

func TestSendAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 1)
		a := p[0]
		later := a.SendAfter(2*time.Second, "later")
		cancelled := a.SendAfter(2*time.Second, "cancelled")
		a.SendAfter(time.Second, "soon")
		a.SendAfter(-1, "now")
		synctest.Wait()
		a.expect(t, "now")
		if n := a.Info().Timers; n != 3 {
			t.Errorf("%d timers", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		a.expect(t, "soon")
		if left, ok := cancelled.Cancel(); left != time.Second || !ok {
			t.Errorf("%v left, %v", left, ok)
		}
		if _, ok := cancelled.Cancel(); ok {
			t.Error("cancelled twice")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		a.expect(t, "later")
		if _, ok := later.Cancel(); ok {
			t.Error("cancelled after it had fired")
		}
		if s := a.Group().Stats(); s.Timers != 0 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A bubble with a timer that still runs would not end before it fires: the test
// checks the clock.
func TestTimersEndWithTheirProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		a := p[0]
		timer := a.SendAfter(time.Hour, "never")
		if n := a.Group().Stats().Timers; n != 1 {
			t.Errorf("%d timers", n)
		}
		a.tell(supervisor.Normal)
		if n := a.Group().Stats().Timers; n != 0 {
			t.Errorf("%d timers of an ended process", n)
		}
		if _, ok := timer.Cancel(); ok {
			t.Error("Cancel after the end")
		}
		if _, ok := a.SendAfter(time.Second, "never").Cancel(); ok {
			t.Error("SendAfter after the end")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		a.expect(t)
		if s := rt.Stats(); s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTimersThatFindAFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		a := p[0]
		gate := make(chan struct{})
		a.tell(hang(gate, nil))
		for range 10 { // its mailbox holds 4
			a.SendAfter(time.Second, "tick")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s, g := rt.Stats(), a.Group().Stats(); s.Lost != 6 || g.Lost != 6 || g.Timers != 0 {
			t.Errorf("%+v, %+v", s, g)
		}
		close(gate)
		synctest.Wait()
		a.expect(t, "tick", "tick", "tick", "tick")
	})
}

func TestTimersThatGoPastTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		a := p[0]
		gate := make(chan struct{})
		a.tell(hang(gate, nil))
		for range 6 { // its mailbox holds 4
			a.PostAfter(time.Second, "tick")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		close(gate)
		synctest.Wait()
		a.expect(t, "tick", "tick", "tick", "tick", "tick", "tick")
		if s := rt.Stats(); s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}
