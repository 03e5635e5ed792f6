package supervisor_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rtd/supervisor"
)

func TestGroupsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{Schedulers: 1, Slice: time.Hour})
		var log journal
		gate := make(chan struct{})
		rt.Spawn(supervisor.Spec{Actor: &funcs{init: func(*supervisor.Process) error { <-gate; return supervisor.Normal }}})
		synctest.Wait() // it has the one scheduler
		for _, name := range []string{"a", "b", "c"} {
			group := rt.NewGroup()
			for number := range map[string]int{"a": 4, "b": 2, "c": 1}[name] {
				rt.Spawn(supervisor.Spec{Group: group, Actor: &funcs{init: func(p *supervisor.Process) error {
					if p.Group() != group {
						t.Error("a process of another group")
					}
					log.add(name + string(rune('1'+number)))
					return supervisor.Normal
				}}})
			}
		}
		close(gate)
		synctest.Wait()
		log.expect(t, "a1", "b1", "c1", "a2", "b2", "a3", "a4")
	})
}

func TestGroupIsInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t, supervisor.Options{})
		a, b := rt.NewGroup(), rt.NewGroup()
		d := supervisor.NewDynamic(supervisor.DynamicConfig{})
		leaf := func(g *supervisor.Group) supervisor.ChildSpec {
			return supervisor.ChildSpec{Start: func() supervisor.Spec { return supervisor.Spec{Actor: &funcs{}, Group: g} }}
		}
		root := rt.Spawn(supervisor.Spec{Group: a, Actor: supervisor.NewSupervisor(supervisor.Config{
			Children: []supervisor.ChildSpec{leaf(nil), leaf(b), {Start: d.Spec}},
		})})
		d.Start(newKid(supervisor.Temporary), "group")
		synctest.Wait()
		if inA, inB := a.Stats().Processes, b.Stats().Processes; inA != 4 || inB != 1 {
			t.Errorf("%d and %d processes", inA, inB)
		}
		root.Stop(nil)
		rt.Wait()
		if inA, inB := a.Stats().Processes, b.Stats().Processes; inA != 0 || inB != 0 {
			t.Errorf("%d and %d processes left", inA, inB)
		}
	})
}

// burst is many children of one Dynamic, that all crash at the same time, next
// to two processes of another group that talk to each other.
type burst struct {
	tb       testing.TB
	rt       *supervisor.Runtime
	crashing *supervisor.Group
	kids     []*kid
	begun    atomic.Int64
	stop     []*supervisor.Process
	dynamic  *supervisor.Dynamic
	talking  *supervisor.Group
	heard    func(late time.Duration) // on each message between the two
	over     atomic.Bool
}

func newBurst(tb testing.TB, o supervisor.Options, n int) *burst {
	rt := newRuntime(tb, o)
	b := &burst{tb: tb, rt: rt, crashing: rt.NewGroup(), talking: rt.NewGroup()}
	b.dynamic = supervisor.NewDynamic(supervisor.DynamicConfig{Intensity: supervisor.Intensity{Max: 1 << 20}})
	spec := b.dynamic.Spec()
	spec.Group = b.crashing
	b.stop = append(b.stop, rt.Spawn(spec))
	for range n {
		k := newKid(supervisor.Transient)
		k.init = func(*supervisor.Process) error { b.begun.Add(1); return nil }
		b.kids = append(b.kids, k)
		for b.dynamic.Start(k, "topic") != nil {
			time.Sleep(time.Millisecond)
		}
	}
	b.awaitBegun(n)
	return b
}

func (b *burst) awaitBegun(n int) {
	for deadline := time.Now().Add(time.Minute); b.begun.Load() < int64(n); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.tb.Fatalf("%d of %d are back", b.begun.Load(), n)
		}
	}
}

// talk lets two processes send a message back and forth, each after pause.
func (b *burst) talk(pause time.Duration) {
	var pair [2]*supervisor.Process
	for i := range pair {
		pair[i] = b.rt.Spawn(supervisor.Spec{Group: b.talking, Actor: &funcs{handle: func(_ *supervisor.Process, sent any) error {
			b.heard(time.Since(sent.(time.Time)))
			switch {
			case b.over.Load():
			case pause == 0:
				pair[1-i].Send(time.Now())
			default:
				time.AfterFunc(pause, func() { pair[1-i].Send(time.Now()) })
			}
			return nil
		}}})
	}
	b.stop = append(b.stop, pair[:]...)
	pair[0].Send(time.Now())
}

func (b *burst) crashAll() {
	for _, k := range b.kids {
		k.box.Send(errCrash)
	}
	b.awaitBegun(2 * len(b.kids))
}

func (b *burst) end() {
	b.over.Store(true)
	for _, p := range b.stop {
		p.Stop(nil)
	}
	b.rt.Wait()
}

// While 100,000 processes of one group crash and are restarted, another group
// has every second turn.
func TestABurstOfCrashesDoesNotStarveOthers(t *testing.T) {
	const n = 100_000
	// With so long a slice the order of turns does not depend on the clock.
	b := newBurst(t, supervisor.Options{Schedulers: 1, Slice: time.Hour}, n)
	var last, worst uint64
	messages := 0
	b.heard = func(time.Duration) {
		turns := b.crashing.Stats().Turns
		if messages++; messages > 1 {
			worst = max(worst, turns-last)
		}
		last = turns
	}
	b.talk(0)
	b.crashAll()
	b.end()
	if worst > 1 {
		t.Errorf("others had %d turns between two messages", worst)
	}
	if messages < n {
		t.Errorf("%d messages while %d processes came back", messages, n)
	}
}
