package supervisor_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

// slow is a child that takes so long to end. after, if given, is called then.
func slow(id string, takes, patience time.Duration, after func(p *supervisor.Process)) supervisor.ChildSpec {
	return supervisor.ChildSpec{ID: id, Shutdown: patience, Start: func() supervisor.Spec {
		return supervisor.Spec{Actor: &funcs{terminate: func(p *supervisor.Process, _ error) {
			time.Sleep(takes)
			if after != nil {
				after(p)
			}
		}}}
	}}
}

func TestShutdownTimeout(t *testing.T) {
	for _, c := range []struct {
		name            string
		takes, patience time.Duration
		supervisorAfter time.Duration
		killed          bool
	}{
		{name: "in time", takes: time.Second, patience: 2 * time.Second, supervisorAfter: time.Second},
		{name: "too late", takes: time.Minute, patience: 2 * time.Second, supervisorAfter: 2 * time.Second, killed: true},
		{name: "at once", takes: time.Minute, patience: supervisor.KillAtOnce, killed: true},
		{name: "default", takes: time.Minute, supervisorAfter: 5 * time.Second, killed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				begin := time.Now()
				var ended time.Time
				var reason error
				f.start(supervisor.Config{Children: []supervisor.ChildSpec{
					slow("a", c.takes, c.patience, func(p *supervisor.Process) { ended, reason = time.Now(), p.Reason() }),
				}})
				f.stop()
				if took := time.Since(begin); took != c.supervisorAfter {
					t.Errorf("the supervisor ended after %v", took)
				}
				f.rt.Wait() // Terminate runs to its end all the same
				if ended.Sub(begin) != c.takes || (reason == supervisor.Killed) != c.killed {
					t.Errorf("the child's Terminate ended after %v, reason then %v", ended.Sub(begin), reason)
				}
			})
		})
	}
}

func TestKillAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		a := f.child("a", supervisor.Permanent)
		a.Shutdown = supervisor.KillAtOnce
		gate := make(chan struct{})
		f.start(supervisor.Config{Children: []supervisor.ChildSpec{a}})
		child := f.now["a"]
		child.Send(hang(gate, nil))
		synctest.Wait()
		f.stop("+a")
		if child.Reason() != supervisor.Killed {
			t.Errorf("the child ended with %v", child.Reason())
		}
		close(gate)
		synctest.Wait()
		f.expect(t, "-a")
	})
}

// A supervisor that is asked to end while a child starts does not wait for that
// longer than the child may take to end.
func TestStopWhileStarting(t *testing.T) {
	for name, initTakes := range map[string]time.Duration{"start in time": time.Second, "start hangs": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				begin := time.Now()
				f.start(supervisor.Config{Children: []supervisor.ChildSpec{
					f.child("a", supervisor.Permanent),
					{ID: "b", Start: func() supervisor.Spec {
						return supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { time.Sleep(initTakes); return nil }}}
					}},
					f.child("c", supervisor.Permanent),
				}})
				drain := supervisor.ShutdownBecause("drain")
				f.root.Stop(drain)
				f.stop("+a", "-a")
				f.ended(drain)
				if took, want := time.Since(begin), min(initTakes, 5*time.Second); took != want {
					t.Errorf("ended after %v instead of %v", took, want)
				}
				f.rt.Wait()
			})
		})
	}
}

func TestStopWhileRestarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		a := f.child("a", supervisor.Permanent)
		hangs := false
		start := a.Start
		a.Start = func() supervisor.Spec {
			if hangs {
				return supervisor.Spec{Actor: &funcs{init: func(p *supervisor.Process) error { <-p.Stopping(); return errCrash }}}
			}
			return start()
		}
		f.start(supervisor.Config{Intensity: tenPerMinute, Children: []supervisor.ChildSpec{a}})
		hangs = true
		f.send("a", errCrash)
		f.stop("+a", "a crash: restarts")
		f.ended(supervisor.Shutdown)
	})
}

// Patience with a supervisor is as long as its children need; a killed one kills
// them at once.
func TestNestedShutdown(t *testing.T) {
	for _, c := range []struct {
		name     string
		shutdown time.Duration // of the inner supervisor
		after    time.Duration
	}{
		{"default", 0, 8 * time.Second},
		{"bounded", 3 * time.Second, 3 * time.Second},
		{"killed", supervisor.KillAtOnce, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				begin := time.Now()
				inner := supervisor.Config{Children: []supervisor.ChildSpec{
					slow("a", 4*time.Second, 0, nil),
					slow("b", 4*time.Second, 0, nil),
				}}
				f.start(supervisor.Config{Children: []supervisor.ChildSpec{{
					ID: "inner", Shutdown: c.shutdown,
					Start: func() supervisor.Spec { return supervisor.Spec{Actor: supervisor.NewSupervisor(inner)} },
				}}})
				f.root.Stop(nil)
				<-f.root.Done()
				if took := time.Since(begin); took != c.after {
					t.Errorf("ended after %v instead of %v", took, c.after)
				}
				f.rt.Wait()
				if n := f.rt.Stats().Processes; n != 0 {
					t.Errorf("%d processes left", n)
				}
			})
		})
	}
}

// A killed supervisor that waits for a child's Init takes the child with it.
func TestKillWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		hung := &stubborn{}
		gate := make(chan struct{})
		hung.init = func(*supervisor.Process) error { <-gate; return nil }
		f.start(supervisor.Config{Children: []supervisor.ChildSpec{
			f.child("a", supervisor.Permanent),
			{ID: "hung", Start: func() supervisor.Spec { return supervisor.Spec{Actor: hung} }},
		}})
		f.root.Kill()
		synctest.Wait()
		if hung.kills.Load() != 1 {
			t.Errorf("the child was killed %d times", hung.kills.Load())
		}
		f.ended(supervisor.Killed)
		if !errors.Is(f.now["a"].Reason(), supervisor.Killed) && !errors.Is(f.now["a"].Reason(), supervisor.Shutdown) {
			t.Errorf("the sibling ended with %v", f.now["a"].Reason())
		}
		close(gate)
		f.rt.Wait()
	})
}
