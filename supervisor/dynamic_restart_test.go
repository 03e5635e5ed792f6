package supervisor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

// under puts the crowd's Dynamic under a supervisor, behind a child named
// registry, which obeys. It returns where to find that.
func (d *crowd) under(c supervisor.Config) *supervisor.Names {
	var names supervisor.Names
	c.Children = []supervisor.ChildSpec{
		{ID: "registry", Start: func() supervisor.Spec {
			return supervisor.Spec{Actor: &funcs{handle: obey, init: func(p *supervisor.Process) error {
				d.add("+registry")
				return names.Register("registry", p)
			}}}
		}},
		{ID: "channels", Start: d.Spec},
	}
	d.root = d.rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(c)})
	synctest.Wait()
	return &names
}

var restForOne = supervisor.Config{Strategy: supervisor.RestForOne, Intensity: tenPerMinute}

// A sibling's crash restarts the Dynamic, and with it the children that it had:
// in order, with their mailboxes, and without a word to them of an end.
func TestChildrenOutliveARestartOfTheDynamic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		names := d.under(restForOne)
		d.settle("+registry")
		for _, name := range []string{"b1", "a1", "b2"} {
			d.start(name, supervisor.Temporary) // whatever its restart type
		}
		d.settle("+b1 +a1 +b2")
		var reasons []error
		for _, k := range d.kids {
			k.terminate = func(p *supervisor.Process, reason error) { reasons = append(reasons, reason) }
		}

		// What arrives in between waits.
		gate := make(chan struct{})
		d.send("b2", hang(gate, nil))
		synctest.Wait()
		names.Whereis("registry").Send(errCrash)
		synctest.Wait()
		d.kids["a1"].box.Send(func() error { d.add("a1 gets it"); return nil })
		d.start("c1", supervisor.Transient)
		d.Stop(d.kids["b1"], supervisor.ShutdownBecause("left"))
		d.settle("")
		close(gate)
		synctest.Wait()
		if got, want := d.take(), []string{"+registry", "+a1", "a1 gets it", "+b2", "+c1", "b1 shutdown: left: ends"}; !sameSet(got, want) {
			t.Errorf("happened %q", got)
		}
		for _, reason := range reasons[:3] {
			if reason != supervisor.ForRestart {
				t.Errorf("a life was ended with %v", reason)
			}
		}
		if n := d.Len(); n != 3 {
			t.Errorf("%d children", n)
		}
		d.end()
	})
}

// A reason means what its text says only if it is the supervisor's own: what a child says,
// or gets from one that it is linked with, is treated by its restart type.
func TestTextsDecideNothing(t *testing.T) {
	for _, reason := range []error{supervisor.ForRestart, supervisor.ErrIntensity, supervisor.Killed} {
		t.Run(reason.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
				var lives [2]*supervisor.Process
				for i, name := range []string{"said", "linked"} {
					d.start(name, supervisor.Temporary).init = func(p *supervisor.Process) error {
						d.add("+" + name)
						lives[i] = p
						return nil
					}
				}
				d.root = d.rt.Spawn(d.Spec())
				d.settle("+said +linked")
				other := d.rt.Spawn(supervisor.Spec{Actor: &funcs{handle: obey}})
				other.Link(lives[1])
				d.send("said", func() error { return supervisor.ShutdownBecause(supervisor.Detail(reason)) })
				other.Stop(reason)
				synctest.Wait()
				if n := d.Len(); n != 0 {
					t.Errorf("%d children left: %q", n, d.take())
				}
				d.end()
			})
		})
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// A child that crashes on its way out has crashed, and those that are to end for
// good do.
func TestChildrenThatEndWithTheDynamicsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrowd(t, supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1, Within: time.Minute}, Shutdown: time.Second})
		names := d.under(restForOne)
		gate := make(chan struct{})
		for name, restart := range map[string]supervisor.Restart{
			"transient": supervisor.Transient, "temporary": supervisor.Temporary, "often": supervisor.Transient,
			"normal": supervisor.Transient, "stopped": supervisor.Permanent, "stuck": supervisor.Transient,
		} {
			d.start(name, restart)
		}
		synctest.Wait()
		d.send("often", errCrash)
		synctest.Wait()
		d.take()
		stuck := make(chan struct{})
		for name, end := range map[string]error{
			"transient": errCrash, "temporary": errCrash, "often": errCrash, "normal": supervisor.Normal, "stopped": nil,
		} {
			d.send(name, hang(gate, end))
		}
		d.send("stuck", hang(stuck, nil))
		synctest.Wait()
		d.Stop(d.kids["stopped"], nil)
		synctest.Wait()
		names.Whereis("registry").Send(errCrash)
		synctest.Wait()
		close(gate)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var got []string
		for _, line := range d.take() {
			if !strings.HasPrefix(line, "-") {
				got = append(got, line)
			}
		}
		if want := []string{
			"transient crash: restarts", "temporary crash: ends", "often crash: gives up", "normal normal: ends",
			"stopped shutdown: ends", "stuck killed: restarts", "+registry", "+transient",
		}; !sameSet(got, want) {
			t.Errorf("happened %q", got)
		}
		close(stuck)
		d.settle("-stuck +stuck")
		d.end()
	})
}

// The other ways in which a Dynamic may get a next life.
func TestChildrenWaitForTheNextProcess(t *testing.T) {
	for _, c := range []struct {
		name   string
		config supervisor.Config
		end    func(d *crowd, names *supervisor.Names)
		what   string // happens to a child that does not end yet
	}{
		{"upgrade", supervisor.Config{}, func(d *crowd, _ *supervisor.Names) { d.root.Stop(supervisor.ForRestart) }, ""},
		{"kill", supervisor.Config{}, func(d *crowd, _ *supervisor.Names) { d.root.Kill() }, "a1 killed: restarts"},
		{"intensity", supervisor.Config{}, crashRegistry, ""},
		{"crash", supervisor.Config{Report: func(supervisor.Report) { panic("a bug") }}, crashRegistry, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newCrowd(t, supervisor.DynamicConfig{Strategy: supervisor.OneForAll, Intensity: tenPerMinute})
				names := d.under(c.config)
				d.start("a1", supervisor.Transient)
				d.start("a2", supervisor.Transient)
				d.settle("+registry +a1 +a2")
				gate := make(chan struct{})
				d.send("a1", hang(gate, nil))
				synctest.Wait()
				d.send("a2", errCrash) // is between two lives, and waits for a1
				d.settle("a2 crash: restarts")
				c.end(d, names)
				d.settle(c.what)
				close(gate)
				<-d.root.Done()
				d.settle("-a1")
				d.under(supervisor.Config{})
				d.settle("+registry +a1 +a2")
				d.send("a1", errCrash)
				d.settle("a1 crash: restarts, -a2 +a1 +a2")
				d.end()
			})
		})
	}
}

func crashRegistry(_ *crowd, names *supervisor.Names) { names.Whereis("registry").Send(errCrash) }

// Lives begin, and the last ones end, in the order of the first starts.
func TestOrderOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begin, end []string
		d := newCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		d.under(supervisor.Config{})
		for i := range 50 {
			name := fmt.Sprintf("%d %d", i%3, i)
			d.start(name, supervisor.Transient)
			begin, end = append(begin, "+"+name), append(end, name+" shutdown: ends")
		}
		synctest.Wait()
		d.root.Stop(supervisor.ForRestart)
		synctest.Wait()
		d.take()
		d.under(supervisor.Config{})
		d.expect(t, append([]string{"+registry"}, begin...)...)
		d.root.Stop(supervisor.ForRestart)
		synctest.Wait()
		d.take()
		d.Close(nil)
		d.expect(t, end...)
		d.end()
	})
}

// If there is no next process, Close is the end, and its reason the children's.
func TestCloseAfterTheSupervisorGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		names := d.under(supervisor.Config{})
		for _, name := range []string{"a", "b", "c"} {
			d.start(name, supervisor.Permanent)
		}
		d.settle("+registry +a +b +c")
		names.Whereis("registry").Send(errCrash)
		d.settle("-c -b -a")
		d.start("late", supervisor.Permanent)
		d.Start(d.kids["a"], "a") // it is there already
		d.Stop(d.kids["b"], supervisor.ShutdownBecause("left"))
		d.Close(errCrash)
		d.Close(nil)
		d.settle("a crash: ends, b shutdown: left: ends, c crash: ends, late crash: ends")
		if n := d.Len(); n != 0 {
			t.Errorf("%d children", n)
		}
		if err := d.Start(newKid(supervisor.Permanent), "a"); err != supervisor.ErrEnded {
			t.Errorf("Start after Close: %v", err)
		}
		again := d.rt.Spawn(d.Spec())
		<-again.Done()
		if again.Reason() != supervisor.ErrEnded {
			t.Errorf("a process of a closed Dynamic ended with %v", again.Reason())
		}
		d.end()
	})
}

// Close of a Dynamic whose killed process still runs leaves the children to it.
func TestCloseWhileAKilledProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute}, "a")
		gate := make(chan struct{})
		d.Each(func(supervisor.Child) { <-gate })
		synctest.Wait()
		d.root.Kill()
		d.Close(errCrash)
		d.settle("")
		close(gate)
		synctest.Wait()
		told := d.kids["a"].told()
		if last := told[len(told)-1]; last != (exit{errCrash, supervisor.Ends}) {
			t.Errorf("told %v", told)
		}
		d.end()
	})
}

// asked is a child that answers whoever started it, as OTP's start_child does: a
// guest process with a mailbox for each life.
type asked struct {
	kid
	started bool
	answer  chan any // its PID, or why there is none
}

func (a *asked) Mailbox() *supervisor.Mailbox { return nil }

func (a *asked) Again(reason error) bool { return a.started && a.kid.Again(reason) }

func (a *asked) Init(p *supervisor.Process) error {
	if err := a.kid.Init(p); err != nil {
		return err
	}
	if !a.started {
		a.started = true
		a.answer <- p.Export()
	}
	return nil
}

func (a *asked) Exited(reason error, d supervisor.Decision) {
	if !a.started {
		a.answer <- reason
	}
	a.kid.Exited(reason, d)
}

func TestAChildAnswersItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		ask := func(init func(*supervisor.Process) error) any {
			a := &asked{kid: kid{funcs: funcs{init: init, handle: obey}, restart: supervisor.Permanent}, answer: make(chan any, 10)}
			if err := d.Start(a, "started"); err != nil {
				t.Fatal(err)
			}
			return <-a.answer
		}
		if got := ask(func(*supervisor.Process) error { return errCrash }); got != any(errCrash) {
			t.Errorf("Init that fails: %v", got)
		}
		if n := d.Len(); n != 0 {
			t.Errorf("%d children", n)
		}
		var lives []*supervisor.Process
		pid := ask(func(p *supervisor.Process) error { lives = append(lives, p); return nil })
		first := d.rt.Find(pid.(supervisor.PID))
		if first == nil {
			t.Fatalf("started as %v", pid)
		}

		// Its mailbox ends with the life, and nobody's messages reach the next.
		gate := make(chan struct{})
		first.Send(hang(gate, nil))
		synctest.Wait()
		first.Send(errCrash)
		first.Kill()
		synctest.Wait()
		if err := first.Send(errCrash); err != supervisor.ErrEnded {
			t.Errorf("send to the life before: %v", err)
		}
		if len(lives) != 1 {
			t.Error("two lives of a child at once")
		}
		close(gate)
		synctest.Wait()
		if len(lives) != 2 || lives[1].Reason() != nil || lives[1] == first || lives[1].Info().Restarts != 1 {
			t.Errorf("%d lives", len(lives))
		}
		d.end()
	})
}

// A life that waits for the code of a killed one can be stopped.
func TestStopOfALifeThatHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute, Shutdown: time.Second})
		a := &asked{kid: kid{funcs: funcs{handle: obey}, restart: supervisor.Permanent}, answer: make(chan any, 10)}
		ends := 0
		a.terminate = func(*supervisor.Process, error) { ends++ }
		d.Start(a, "")
		p := d.rt.Find((<-a.answer).(supervisor.PID))
		gate := make(chan struct{})
		p.Send(hang(gate, nil))
		synctest.Wait()
		p.Kill()
		synctest.Wait()
		d.Stop(a, nil)
		synctest.Wait()
		if got := a.told(); len(got) != 2 || !errors.Is(got[0].reason, supervisor.Killed) || got[1] != (exit{supervisor.Shutdown, supervisor.Ends}) {
			t.Errorf("told %v", got)
		}
		close(gate)
		d.end()
		if ends != 1 {
			t.Errorf("Terminate was called %d times for one life that began", ends)
		}
	})
}
