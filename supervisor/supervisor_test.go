package supervisor_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

// family is a supervisor under test: its children note what happens to them.
type family struct {
	*testing.T
	journal
	rt      *supervisor.Runtime
	root    *supervisor.Process
	now     map[string]*supervisor.Process // the latest life of each child
	failing map[string]int                 // how many Inits are to fail
}

// newFamily must be called in a synctest bubble.
func newFamily(t *testing.T) *family {
	return &family{
		T:       t,
		rt:      newRuntime(t, supervisor.Options{Schedulers: 4}), // nobody waits for one, on a small machine too
		now:     map[string]*supervisor.Process{},
		failing: map[string]int{},
	}
}

// child declares a child that notes "+id" at its start and "-id" at its end.
func (f *family) child(id string, r supervisor.Restart) supervisor.ChildSpec {
	return supervisor.ChildSpec{ID: id, Restart: r, Start: func() supervisor.Spec {
		return supervisor.Spec{Actor: &funcs{
			handle: obey,
			init: func(p *supervisor.Process) error {
				if f.failing[id] > 0 {
					f.failing[id]--
					f.add("!" + id)
					return errCrash
				}
				f.add("+" + id)
				f.now[id] = p
				return nil
			},
			terminate: func(_ *supervisor.Process, reason error) {
				if !errors.Is(reason, errCrash) {
					f.add("-" + id)
				}
			},
		}}
	}}
}

func (f *family) start(c supervisor.Config) {
	c.Report = func(r supervisor.Report) { f.add(fmt.Sprintf("%s %v: %v", r.Child, r.Reason, r.Decision)) }
	f.root = f.rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(c)})
	synctest.Wait()
}

// send gives a child a message, a reason to end, and waits for what follows.
func (f *family) send(id string, msg any) {
	f.now[id].Send(msg)
	synctest.Wait()
}

func (f *family) stop(want ...string) {
	f.Helper()
	f.root.Stop(nil)
	<-f.root.Done()
	synctest.Wait()
	f.expect(f.T, want...)
	if f.rt.Stats().Processes != 0 {
		f.Errorf("processes left: %+v", f.rt.Stats())
	}
}

// ended checks that the supervisor has ended by itself.
func (f *family) ended(want error) {
	f.Helper()
	if got := f.root.Reason(); !errors.Is(got, want) {
		f.Errorf("the supervisor ended with %v instead of %v", got, want)
	}
	if f.rt.Stats().Processes != 0 {
		f.Errorf("processes left: %+v", f.rt.Stats())
	}
}

var tenPerMinute = supervisor.Intensity{Max: 10, Within: time.Minute}

func TestStrategies(t *testing.T) {
	for _, c := range []struct {
		strategy supervisor.Strategy
		crash    []string // what follows the crash of b, of a to d
		again    []string // and then, with c (temporary) dropped or not, of d
		stop     []string
	}{
		{
			supervisor.OneForOne,
			[]string{"b crash: restarts", "+b"},
			[]string{"d crash: restarts", "+d"},
			[]string{"-d", "-c", "-b", "-a"},
		}, {
			supervisor.OneForAll,
			[]string{"b crash: restarts", "-d", "-c", "-a", "+a", "+b", "+d"},
			[]string{"d crash: restarts", "-b", "-a", "+a", "+b", "+d"},
			[]string{"-d", "-b", "-a"},
		}, {
			supervisor.RestForOne,
			[]string{"b crash: restarts", "-d", "-c", "+b", "+d"},
			[]string{"d crash: restarts", "+d"},
			[]string{"-d", "-b", "-a"},
		},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				f.start(supervisor.Config{Strategy: c.strategy, Intensity: tenPerMinute, Children: []supervisor.ChildSpec{
					f.child("a", supervisor.Permanent),
					f.child("b", supervisor.Transient),
					f.child("c", supervisor.Temporary),
					f.child("d", supervisor.Permanent),
				}})
				f.expect(t, "+a", "+b", "+c", "+d")
				f.send("b", errCrash)
				f.expect(t, c.crash...)
				f.send("d", errCrash)
				f.expect(t, c.again...)
				f.stop(c.stop...)
			})
		})
	}
}

func TestChildrenThatEndWithoutRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		f.start(supervisor.Config{Strategy: supervisor.OneForAll, Intensity: tenPerMinute, Children: []supervisor.ChildSpec{
			f.child("permanent", supervisor.Permanent),
			f.child("transient", supervisor.Transient),
			f.child("temporary", supervisor.Temporary),
		}})
		f.expect(t, "+permanent", "+transient", "+temporary")
		f.send("transient", supervisor.Normal)
		f.expect(t, "-transient", "transient normal: ends")
		f.send("temporary", errCrash)
		f.expect(t, "temporary crash: ends")

		// As in OTP a transient child that ended is still a child, and comes
		// back with its siblings; a temporary one is forgotten.
		f.send("permanent", supervisor.Normal)
		f.expect(t, "-permanent", "permanent normal: restarts", "+permanent", "+transient")
		f.stop("-transient", "-permanent")
	})
}

func TestIntensity(t *testing.T) {
	const within = 5 * time.Second
	for _, c := range []struct {
		name   string
		pause  time.Duration // before the third crash, 1 s after the second
		gaveUp bool
	}{
		{"at the edge of the period", within - time.Second, true},
		{"just outside", within - time.Second + 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				f.start(supervisor.Config{
					Intensity: supervisor.Intensity{Max: 2, Within: within},
					Children:  []supervisor.ChildSpec{f.child("a", supervisor.Permanent), f.child("b", supervisor.Permanent)},
				})
				f.expect(t, "+a", "+b")
				f.send("a", errCrash)
				time.Sleep(time.Second)
				f.send("b", errCrash) // counts for both
				time.Sleep(c.pause)
				f.expect(t, "a crash: restarts", "+a", "b crash: restarts", "+b")
				f.send("a", errCrash)
				if c.gaveUp {
					f.expect(t, "a crash: gives up", "-b")
					f.ended(supervisor.ErrIntensity)
				} else {
					f.expect(t, "a crash: restarts", "+a")
					f.stop("-b", "-a")
				}
			})
		})
	}
}

func TestNoRestartByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		f.start(supervisor.Config{Children: []supervisor.ChildSpec{f.child("a", supervisor.Permanent)}})
		f.send("a", errCrash)
		f.expect(t, "+a", "a crash: gives up")
		f.ended(supervisor.ErrIntensity)
	})
}

func TestEscalation(t *testing.T) {
	for _, c := range []struct {
		inner supervisor.Restart
		want  []string // when the inner supervisor gives up
	}{
		{supervisor.Permanent, []string{
			"inner shutdown: restart intensity reached: restarts", "-last", "+a", "+b", "+last"}},
		{supervisor.Transient, []string{
			"inner shutdown: restart intensity reached: ends"}},
	} {
		t.Run(c.inner.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				inner := supervisor.Config{Children: []supervisor.ChildSpec{
					f.child("a", supervisor.Permanent),
					f.child("b", supervisor.Permanent),
				}}
				f.start(supervisor.Config{
					Strategy:  supervisor.RestForOne,
					Intensity: supervisor.Intensity{Max: 1, Within: time.Minute},
					Children: []supervisor.ChildSpec{
						f.child("first", supervisor.Permanent),
						{ID: "inner", Restart: c.inner, Start: func() supervisor.Spec {
							return supervisor.Spec{Actor: supervisor.NewSupervisor(inner)}
						}},
						f.child("last", supervisor.Permanent),
					},
				})
				f.expect(t, "+first", "+a", "+b", "+last")
				f.send("b", errCrash)
				f.expect(t, append([]string{"-a"}, c.want...)...)
				if c.inner == supervisor.Transient {
					f.stop("-last", "-first")
					return
				}
				f.send("a", errCrash) // and again: now the outer one gives up too
				f.expect(t, "-b", "inner shutdown: restart intensity reached: gives up", "-last", "-first")
				f.ended(supervisor.ErrIntensity)
			})
		})
	}
}

func TestAChildThatDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		f.failing["c"] = 1
		f.start(supervisor.Config{Intensity: tenPerMinute, Children: []supervisor.ChildSpec{
			f.child("a", supervisor.Permanent),
			f.child("b", supervisor.Permanent),
			f.child("c", supervisor.Permanent),
			f.child("d", supervisor.Permanent),
		}})
		f.expect(t, "+a", "+b", "!c", "-b", "-a")
		f.ended(errCrash)
		if got := f.root.Reason().Error(); got != "start child c: crash" {
			t.Errorf("reason %q", got)
		}
	})
}

func TestAChildThatDoesNotRestart(t *testing.T) {
	for _, c := range []struct {
		failures int
		want     []string
		stop     []string
	}{
		{1, []string{"a crash: restarts", "-b", "+a", "!b", "b crash: restarts", "-a", "+a", "+b"}, []string{"-b", "-a"}},
		{2, []string{"a crash: restarts", "-b", "+a", "!b", "b crash: restarts", "-a", "+a", "!b", "b crash: gives up", "-a"}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFamily(t)
			f.start(supervisor.Config{
				Strategy:  supervisor.OneForAll,
				Intensity: supervisor.Intensity{Max: 2, Within: time.Minute},
				Children:  []supervisor.ChildSpec{f.child("a", supervisor.Permanent), f.child("b", supervisor.Permanent)},
			})
			f.expect(t, "+a", "+b")
			f.failing["b"] = c.failures
			f.send("a", errCrash)
			f.expect(t, c.want...)
			if c.stop != nil {
				f.stop(c.stop...)
			} else {
				f.ended(supervisor.ErrIntensity)
			}
		})
	}
}

func TestAStartThatPanicsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		a := f.child("a", supervisor.Permanent)
		starts := 0
		start := a.Start
		a.Start = func() supervisor.Spec {
			if starts++; starts == 2 {
				panic("boom")
			}
			return start()
		}
		f.start(supervisor.Config{Intensity: tenPerMinute, Children: []supervisor.ChildSpec{a}})
		f.send("a", errCrash)
		f.expect(t, "+a", "a crash: restarts", "a panic: boom: restarts", "+a")
		f.stop("-a")
	})
}

// A supervised actor whose lives share a mailbox: a life that fails in Init must
// be over before the next one adopts it.
func TestAdoptedMailboxUnderASupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		box := supervisor.NewMailbox(0)
		handled, fail := 0, 0
		f.start(supervisor.Config{Intensity: tenPerMinute, Children: []supervisor.ChildSpec{{
			ID: "a",
			Start: func() supervisor.Spec {
				return supervisor.Spec{Mailbox: box, Actor: &funcs{
					init: func(*supervisor.Process) error {
						if fail--; fail >= 0 {
							return errCrash
						}
						return nil
					},
					handle:    func(p *supervisor.Process, msg any) error { handled++; return obey(p, msg) },
					terminate: func(*supervisor.Process, error) { time.Sleep(time.Second) },
				}}
			},
		}}})
		fail = 3
		box.Send(errCrash)
		box.Send(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if handled != 2 {
			t.Errorf("%d messages handled", handled)
		}
		f.take()
		f.stop()
	})
}

func TestSupervisorIgnoresOtherMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		f.start(supervisor.Config{Children: []supervisor.ChildSpec{f.child("a", supervisor.Permanent)}})
		f.root.Send("hello")
		f.root.Send(supervisor.Exited{Process: f.root})
		synctest.Wait()
		f.expect(t, "+a")
		f.stop("-a")
	})
}
