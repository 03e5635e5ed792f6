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

// crowd is a Dynamic under test, whose children note what happens to them.
type crowd struct {
	*testing.T
	journal
	*supervisor.Dynamic
	rt   *supervisor.Runtime
	root *supervisor.Process
	kids map[string]*kid
}

// newCrowd must be called in a synctest bubble. It begins without a process.
func newCrowd(t *testing.T, c supervisor.DynamicConfig) *crowd {
	return &crowd{
		T:       t,
		Dynamic: supervisor.NewDynamic(c),
		rt:      newRuntime(t, supervisor.Options{Schedulers: 1}), // so that starts are in the order of spawns
		kids:    map[string]*kid{},
	}
}

func startCrowd(t *testing.T, c supervisor.DynamicConfig, names ...string) *crowd {
	d := newCrowd(t, c)
	d.root = d.rt.Spawn(d.Spec())
	for _, name := range names {
		d.start(name, supervisor.Transient)
	}
	synctest.Wait()
	var want []string
	for _, name := range names {
		want = append(want, "+"+name)
	}
	d.expect(t, want...)
	return d
}

// start adds a child; its group is the first letter of its name.
func (d *crowd) start(name string, r supervisor.Restart) *kid {
	k := newKid(r)
	k.init = func(*supervisor.Process) error { d.add("+" + name); return nil }
	k.terminate = func(_ *supervisor.Process, reason error) {
		if !errors.Is(reason, errCrash) {
			d.add("-" + name)
		}
	}
	k.exited = func(e exit) { d.add(fmt.Sprintf("%s %v: %v", name, e.reason, e.decision)) }
	d.kids[name] = k
	if err := d.Start(k, name[:1]); err != nil {
		d.Error(err)
	}
	return k
}

func (d *crowd) send(name string, msg any) { d.kids[name].box.Send(msg) }

// settle waits until nothing happens any more and compares what did, words
// separated by ", " or, for starts and ends, by a space.
func (d *crowd) settle(want string) {
	d.Helper()
	synctest.Wait()
	if got := sentence(d.take()); got != want {
		d.Errorf("happened %q\nexpected %q", got, want)
	}
}

func sentence(lines []string) string {
	var s strings.Builder
	for i, line := range lines {
		if i > 0 && (strings.Contains(line, ":") || strings.Contains(lines[i-1], ":")) {
			s.WriteString(",")
		}
		if i > 0 {
			s.WriteString(" ")
		}
		s.WriteString(line)
	}
	return s.String()
}

// end stops the Dynamic, and checks that every child has had its end once.
func (d *crowd) end() {
	d.Helper()
	d.root.Stop(nil)
	<-d.root.Done()
	d.Close(nil)
	d.rt.Wait()
	for name, k := range d.kids {
		ends := 0
		for _, e := range k.told() {
			if e.decision != supervisor.Restarts {
				ends++
			}
		}
		if ends != 1 {
			d.Errorf("%s was told %d times that it ended: %v", name, ends, k.told())
		}
	}
	if n := d.rt.Stats().Processes; n != 0 {
		d.Errorf("%d processes left", n)
	}
}

func TestStrategyWithinAGroup(t *testing.T) {
	for _, c := range []struct {
		strategy supervisor.Strategy
		crash    string // what follows the crash of a2
	}{
		{supervisor.OneForOne, "a2 crash: restarts, +a2"},
		{supervisor.OneForAll, "a2 crash: restarts, -a3 -a1 +a1 +a2 +a3"},
		{supervisor.RestForOne, "a2 crash: restarts, -a3 +a2 +a3"},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := supervisor.DynamicConfig{Strategy: c.strategy, Intensity: tenPerMinute}
				d := startCrowd(t, config, "a1", "b1", "a2", "b2", "a3")
				d.send("a2", errCrash)
				d.settle(c.crash)
				d.send("b1", supervisor.Normal)
				d.settle("-b1, b1 normal: ends")
				d.end()
			})
		})
	}
}

func TestDynamicByRestartType(t *testing.T) {
	for _, c := range []struct {
		restart supervisor.Restart
		reason  error
		want    string
	}{
		{supervisor.Permanent, supervisor.Normal, "-a, a normal: restarts, +a"},
		{supervisor.Permanent, errCrash, "a crash: restarts, +a"},
		{supervisor.Transient, supervisor.Normal, "-a, a normal: ends"},
		{supervisor.Transient, supervisor.Shutdown, "-a, a shutdown: ends"},
		{supervisor.Transient, errCrash, "a crash: restarts, +a"},
		{supervisor.Temporary, supervisor.Normal, "-a, a normal: ends"},
		{supervisor.Temporary, errCrash, "a crash: ends"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
			d.start("a", c.restart)
			d.settle("+a")
			d.send("a", c.reason)
			d.settle(c.want)
			d.end()
		})
	}
}

func TestIntensityOfEachChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{
			Strategy:  supervisor.OneForAll,
			Intensity: supervisor.Intensity{Max: 1, Within: 5 * time.Second},
		}, "a1", "a2")
		d.send("a1", errCrash)
		d.settle("a1 crash: restarts, -a2 +a1 +a2")
		d.send("a2", errCrash) // its first
		d.settle("a2 crash: restarts, -a1 +a1 +a2")
		time.Sleep(5*time.Second + 1)
		d.send("a1", errCrash) // the first of a new period
		d.settle("a1 crash: restarts, -a2 +a1 +a2")
		time.Sleep(5 * time.Second)
		d.send("a1", errCrash)
		d.settle("a1 crash: gives up")
		d.Configure(supervisor.OneForOne, supervisor.Intensity{})
		d.send("a2", errCrash)
		d.settle("a2 crash: gives up")
		d.end()
	})
}

// While siblings of a crashed child have yet to end, nobody begins.
func TestGroupRestartWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := supervisor.DynamicConfig{Strategy: supervisor.OneForAll, Intensity: tenPerMinute}
		d := startCrowd(t, config, "a1", "a2", "a3", "a4")
		gate := make(chan struct{})
		d.send("a2", hang(gate, nil))
		synctest.Wait()
		d.send("a1", errCrash)
		d.settle("a1 crash: restarts, -a4 -a3")
		d.start("a5", supervisor.Transient) // in its order: after its siblings
		d.Stop(d.kids["a3"], supervisor.ShutdownBecause("left"))
		d.settle("a3 shutdown: left: ends")
		d.Stop(d.kids["a2"], nil) // while it is asked to end for the group
		close(gate)
		d.settle("-a2, a2 shutdown: ends, +a1 +a4 +a5")
		d.end()
	})
}

// A sibling that crashes by itself while the group waits for it has crashed.
func TestCrashDuringGroupRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := supervisor.DynamicConfig{Strategy: supervisor.RestForOne, Intensity: tenPerMinute}
		d := startCrowd(t, config, "a1", "a2", "a3")
		gate := make(chan struct{})
		d.send("a2", hang(gate, errCrash))
		d.send("a3", hang(gate, supervisor.Normal))
		synctest.Wait()
		d.send("a1", errCrash)
		d.settle("a1 crash: restarts")
		close(gate)
		synctest.Wait()
		got := d.take() // a2 and a3 end at the same time
		slices.Sort(got)
		if want := []string{"+a1", "+a2", "-a3", "a2 crash: restarts", "a3 normal: ends"}; !slices.Equal(got, want) {
			t.Errorf("happened %q", got)
		}
		d.end()
	})
}

// A sibling that does not end in time is killed, so that it cannot hold up its
// group; its own next life waits for its code.
func TestAStubbornSiblingIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{
			Strategy: supervisor.OneForAll, Intensity: tenPerMinute, Shutdown: 3 * time.Second,
		}, "a1", "a2")
		gate := make(chan struct{})
		d.send("a2", hang(gate, nil))
		synctest.Wait()
		d.send("a1", errCrash)
		time.Sleep(3*time.Second - 1)
		d.settle("a1 crash: restarts")
		time.Sleep(1)
		d.settle("a2 killed: restarts, +a1")
		close(gate)
		d.settle("-a2 +a2")
		d.end()
	})
}

func TestStopOfAStubbornChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute}, "a1")
		gate := make(chan struct{})
		d.send("a1", hang(gate, nil))
		d.Stop(d.kids["a1"], nil)
		d.Stop(d.kids["a1"], errCrash) // the first reason wins
		time.Sleep(5 * time.Second)
		d.settle("a1 killed: ends")
		close(gate)
		d.settle("-a1")
		d.end()
	})
}

func TestStopWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		k := d.start("a", supervisor.Permanent)
		left := supervisor.ShutdownBecause("left")
		d.settle("+a")
		d.Start(k, "a") // it is there already
		d.Stop(k, left)
		d.Stop(k, nil)
		d.settle("-a, a shutdown: left: ends")
		d.Stop(k, nil) // it is not there
		d.settle("")

		k = d.start("b", supervisor.Permanent)
		k.exited = func(exit) {}
		crashing := make(chan struct{})
		d.settle("+b")
		k.box.Send(hang(crashing, errCrash))
		synctest.Wait()
		d.Stop(k, left)
		close(crashing) // as it is asked to end: no restart, but a crash
		synctest.Wait()
		if got := k.told(); !slices.Equal(got, []exit{{errCrash, supervisor.Ends}}) {
			t.Errorf("told %v", got)
		}
		d.end()
	})
}

func TestEachSeesEarlierStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrowd(t, supervisor.DynamicConfig{Strategy: supervisor.OneForAll, Intensity: tenPerMinute})
		for i := range 5 {
			d.start(fmt.Sprintf("a%d", i), supervisor.Transient)
		}
		seen := map[supervisor.Child]bool{}
		d.Each(func(c supervisor.Child) { seen[c] = true })
		d.root = d.rt.Spawn(d.Spec()) // all of that waited for it
		synctest.Wait()
		for name, k := range d.kids {
			if !seen[k] {
				t.Errorf("Each did not see %s", name)
			}
		}

		gate := make(chan struct{}) // and those between two lives
		d.send("a0", hang(gate, nil))
		synctest.Wait()
		d.send("a1", errCrash)
		synctest.Wait()
		n := 0
		d.Each(func(supervisor.Child) { n++ })
		synctest.Wait()
		if n != 5 {
			t.Errorf("Each saw %d", n)
		}
		close(gate)
		d.end()
	})
}

func TestDynamicEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startCrowd(t, supervisor.DynamicConfig{
			Limit: 10, Strategy: supervisor.OneForAll, Intensity: tenPerMinute, Shutdown: 3 * time.Second,
		}, "a1", "b1", "b2", "b3", "c1")
		gate := make(chan struct{})
		d.send("a1", hang(gate, nil))
		d.send("b1", hang(gate, nil))
		synctest.Wait()
		d.send("b2", errCrash) // so that b2 and b3 are between two lives
		d.settle("b2 crash: restarts, -b3")
		begin := time.Now()
		drain := supervisor.ShutdownBecause("drain")
		d.root.Stop(drain)
		<-d.root.Done()
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("ended after %v", took)
		}
		for name, want := range map[string]error{
			"a1": supervisor.Killed, "b1": supervisor.Killed, "b2": drain, "b3": drain, "c1": drain,
		} {
			told := d.kids[name].told()
			if last := told[len(told)-1]; last != (exit{want, supervisor.Ends}) {
				t.Errorf("%s was told %v", name, last)
			}
		}

		// What waits until somebody closes it is answered then.
		late := d.start("d1", supervisor.Transient)
		d.Each(func(supervisor.Child) { t.Error("Each was called") })
		for d.Start(newKid(supervisor.Transient), "d") == nil {
		}
		if err := d.Start(newKid(supervisor.Transient), "d"); err != supervisor.ErrFull {
			t.Errorf("one start too many: %v", err)
		}
		d.Close(nil)
		if got := late.told(); !slices.Equal(got, []exit{{supervisor.Shutdown, supervisor.Ends}}) {
			t.Errorf("the late one was told %v", got)
		}
		if err := d.Start(newKid(supervisor.Transient), "d"); err != supervisor.ErrEnded {
			t.Errorf("Start after Close: %v", err)
		}
		close(gate)
		d.end()
	})
}

// A Dynamic that crashes under a Supervisor goes on with its children, and with
// what waits in its mailbox.
func TestDynamicRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCrowd(t, supervisor.DynamicConfig{Intensity: tenPerMinute})
		d.root = d.rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(supervisor.Config{
			Intensity: tenPerMinute,
			Children:  []supervisor.ChildSpec{{ID: "channels", Start: d.Spec}},
		})})
		d.start("a", supervisor.Permanent)
		d.settle("+a")
		d.Each(func(supervisor.Child) { panic("a bug") })
		d.start("b", supervisor.Permanent)
		d.settle("-a +a +b")
		d.end()
	})
}
