package supervisor_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"rtd/supervisor"
)

// How a process takes an exit signal, by its reason and by whether it traps.
func TestExitSignals(t *testing.T) {
	stop := func(p *supervisor.Process, reason error) { p.Stop(reason) }
	kill := func(p *supervisor.Process, _ error) { p.Kill() }
	for _, c := range []struct {
		reason  error
		end     func(p *supervisor.Process, reason error)
		crashes error // what a process ends with that does not trap
		told    string
	}{
		{supervisor.Normal, stop, nil, "normal"},
		{supervisor.Shutdown, stop, supervisor.Shutdown, "shutdown"},
		{supervisor.ShutdownBecause("left"), stop, supervisor.Shutdown, "shutdown: left"},
		{supervisor.ForRestart, stop, supervisor.Shutdown, supervisor.ForRestart.Error()},
		{errCrash, stop, errCrash, "crash"},
		{supervisor.Killed, kill, supervisor.Killed, "killed"},
	} {
		t.Run(c.reason.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := peers(t, 5)
				center, plain, trapping, next, stranger := p[0], p[1], p[2], p[3], p[4]
				trapping.TrapExit(true)
				plain.Link(center.Process)
				center.Link(trapping.Process) // either side makes a link
				next.Link(plain.Process)
				c.end(center.Process, c.reason)
				synctest.Wait()

				trapping.expect(t, fmt.Sprintf("exit of %d: %s", center.PID(), c.told))
				for _, linked := range []*peer{plain, next} {
					switch got := linked.Reason(); {
					case c.crashes == nil && got != nil, c.crashes != nil && !errors.Is(got, c.crashes):
						t.Errorf("linked process ended with %v", got)
					case got != nil && got.Error() != c.told:
						t.Errorf("linked process ended with %q, expected %q", got, c.told)
					case errors.Is(got, supervisor.ForRestart):
						t.Error("a linked process ended as one that its supervisor starts again")
					}
				}
				if trapping.Reason() != nil || stranger.Reason() != nil {
					t.Error("a process ended that traps, or has no link")
				}
				if n := trapping.Info().Links; n != 0 {
					t.Errorf("%d links left", n)
				}
			})
		})
	}
}

// As in OTP, where kill becomes killed: it is passed on as a crash that can be
// trapped, and does not kill who gets it by exit/2 again.
func TestKilledIsPassedOnAsACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 3)
		first, second, third := p[0], p[1], p[2]
		third.TrapExit(true)
		terminated := false
		second.terminate = func() { terminated = true }
		first.Link(second.Process)
		second.Link(third.Process)
		first.Exit(third.Process, supervisor.Killed)
		synctest.Wait()
		third.expect(t, fmt.Sprintf("exit of %d: killed", second.PID()))
		reason := second.Reason()
		if first.Reason() != supervisor.Killed || reason == supervisor.Killed || !supervisor.IsCrash(reason) || !terminated {
			t.Errorf("ended with %v and %v", first.Reason(), reason)
		}
		third.Exit(first.Process, reason)
		synctest.Wait()
		third.expect(t, fmt.Sprintf("exit of %d: killed", first.PID()))
		third.Exit(first.Process, supervisor.Killed)
		if third.Reason() != supervisor.Killed {
			t.Error("a kill was trapped")
		}
	})
}

func TestExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 4)
		from, plain, trapping, self := p[0], p[1], p[2], p[3]
		trapping.TrapExit(true)
		for _, to := range []*peer{plain, trapping} {
			to.Exit(from.Process, supervisor.Normal)
		}
		self.do(func() { self.Exit(self.Process, supervisor.Normal) })
		trapping.expect(t, fmt.Sprintf("exit of %d: normal", from.PID()))
		if plain.Reason() != nil || self.Reason() != supervisor.Normal {
			t.Errorf("normal: another ended with %v, itself with %v", plain.Reason(), self.Reason())
		}
		plain.Exit(from.Process, errCrash)
		trapping.Exit(from.Process, nil)
		synctest.Wait()
		trapping.expect(t, fmt.Sprintf("exit of %d: shutdown", from.PID()))
		if plain.Reason() != errCrash {
			t.Errorf("crash: ended with %v", plain.Reason())
		}
		if err := plain.Exit(from.Process, errCrash); err != nil {
			t.Errorf("exit of an ended process: %v", err)
		}

		// An Exit that nobody asked for has to fit into the mailbox.
		gate := make(chan struct{})
		trapping.tell(hang(gate, nil))
		for range 4 {
			if err := trapping.Exit(from.Process, errCrash); err != nil {
				t.Fatal(err)
			}
		}
		if err := trapping.Exit(from.Process, errCrash); err != supervisor.ErrFull {
			t.Errorf("one too many: %v", err)
		}
		trapping.TrapExit(false)
		stranger := newPeer(rt)
		stranger.Link(trapping.Process)
		trapping.TrapExit(true)
		stranger.Stop(nil) // and so does one of a link that another made
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if !errors.Is(trapping.Reason(), supervisor.ErrFull) {
			t.Errorf("without room for an Exit it ended with %v", trapping.Reason())
		}
	})
}

// Of links that a process made itself it gets every Exit.
func TestOwnLinksGoPastTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		trapping := p[0]
		trapping.TrapExit(true)
		gate := make(chan struct{})
		trapping.tell(hang(gate, nil))
		for range 20 {
			q := newPeer(rt)
			trapping.Link(q.Process)
			q.Link(trapping.Process) // nothing more
			q.Stop(nil)
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if n := len(trapping.take()); n != 20 {
			t.Errorf("%d Exits", n)
		}
	})
}

func TestUnlink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 3)
		a, b, stranger := p[0], p[1], p[2]
		a.Link(b.Process)
		a.Link(a.Process)
		b.Unlink(a.Process) // whoever made it
		b.Unlink(a.Process)
		b.Unlink(b.Process)
		b.Unlink(stranger.Process)
		b.tell(errCrash)
		if a.Reason() != nil {
			t.Errorf("ended with %v", a.Reason())
		}
		a.Unlink(b.Process)
		if a.Info().Links != 0 {
			t.Error("links left")
		}
	})
}

func TestLinkToAnEndedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := peers(t, 3)
		dead, plain, trapping := p[0], p[1], p[2]
		dead.tell(supervisor.Normal)
		trapping.TrapExit(true)
		trapping.Link(dead.Process)
		plain.Link(dead.Process)
		dead.Link(plain.Process) // is nothing: who asks has ended
		synctest.Wait()
		trapping.expect(t, fmt.Sprintf("exit of %d: no such process", dead.PID()))
		if plain.Reason() != supervisor.ErrNoProcess {
			t.Errorf("ended with %v", plain.Reason())
		}
	})
}

// A process whose Init has not begun ends without it; one that is in Init ends
// after it; one in Terminate keeps the reason that it has, while links to it last
// until it is done.
func TestExitSignalBeforeInitAndInTerminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1})
		a := newPeer(rt)
		synctest.Wait()
		gate := make(chan struct{})
		inInit := rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { <-gate; return nil }}})
		var started error
		unborn := rt.Spawn(supervisor.Spec{
			Actor:   &funcs{init: func(*supervisor.Process) error { t.Error("Init was called"); return nil }},
			Started: func(err error) { started = err },
		})
		trapping := newPeer(rt)
		trapping.TrapExit(true)
		for _, q := range []*supervisor.Process{inInit, unborn, trapping.Process} {
			a.Link(q)
		}
		synctest.Wait()
		a.Kill()
		close(gate)
		synctest.Wait()
		if !errors.Is(inInit.Reason(), supervisor.Killed) || !errors.Is(unborn.Reason(), supervisor.Killed) || started != unborn.Reason() {
			t.Errorf("ended with %v and %v, Started got %v", inInit.Reason(), unborn.Reason(), started)
		}
		trapping.expect(t, fmt.Sprintf("exit of %d: killed", a.PID())) // which waited for its Init

		ending, late := newPeer(rt), newPeer(rt)
		late.TrapExit(true)
		gate = make(chan struct{})
		ending.terminate = func() { <-gate }
		ending.tell(errCrash)
		ending.Exit(late.Process, supervisor.Shutdown)
		late.Link(ending.Process)
		synctest.Wait()
		late.expect(t)
		close(gate)
		synctest.Wait()
		late.expect(t, fmt.Sprintf("exit of %d: crash", ending.PID()))
		trapping.Stop(nil)
		late.Stop(nil)
		rt.Wait()
	})
}

// A process that waits for the code of a killed one to return has no turn in
// which it could end: an exit signal ends it at once.
func TestExitSignalWhileWaitingForAMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		gate := make(chan struct{})
		box := supervisor.NewMailbox(0)
		old := rt.Spawn(supervisor.Spec{Actor: &funcs{handle: obey}, Mailbox: box})
		old.Send(hang(gate, nil))
		synctest.Wait()
		old.Kill()
		heir := rt.Spawn(supervisor.Spec{Actor: &funcs{}, Mailbox: box})
		heir.Link(p[0].Process)
		p[0].tell(errCrash)
		if heir.Reason() != errCrash {
			t.Errorf("ended with %v", heir.Reason())
		}
		close(gate)
	})
}

// What concerns one life does not reach the next by the mailbox they share.
func TestSignalsEndWithTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, p := peers(t, 1)
		box := supervisor.NewMailbox(0)
		a := &peer{}
		a.Process = rt.Spawn(supervisor.Spec{Actor: a, Mailbox: box})
		gate := make(chan struct{})
		a.tell(hang(gate, errCrash))
		a.TrapExit(true)
		a.Link(p[0].Process)
		a.Monitor(p[0].Process)
		a.SendAfter(0, "timer")
		p[0].Stop(nil)
		synctest.Wait()
		a.Send("kept")
		close(gate)
		synctest.Wait()
		a.Process = rt.Spawn(supervisor.Spec{Actor: a, Mailbox: box})
		synctest.Wait()
		a.expect(t, "kept")
		a.Stop(nil)
	})
}

// Supervisors end with a parent that they are linked with, whatever its reason, and
// not with whoever has linked with them.
func TestSupervisorsHeedTheirParent(t *testing.T) {
	for name, actor := range map[string]supervisor.Actor{
		"supervisor": supervisor.NewSupervisor(supervisor.Config{}),
		"dynamic":    supervisor.NewDynamic(supervisor.DynamicConfig{}),
	} {
		for _, reason := range []error{errCrash, supervisor.Normal} {
			t.Run(fmt.Sprint(name, " ", reason), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt, p := peers(t, 2)
					parent, stranger := p[0], p[1]
					s := rt.Spawn(supervisor.Spec{Actor: actor, Parent: parent.Process, Limit: 1})
					stranger.Link(s)
					synctest.Wait()
					for range 10 {
						if err := s.Exit(stranger.Process, errCrash); err != nil {
							t.Error(err)
						}
					}
					stranger.tell(errCrash)
					if s.Reason() != nil {
						t.Errorf("ended with %v", s.Reason())
					}
					s.Link(parent.Process)
					parent.tell(reason)
					if s.Reason() != reason {
						t.Errorf("ended with %v", s.Reason())
					}
				})
			})
		}
	}
}
