package rollout_test

import (
	"strings"
	"testing"
	"time"

	"rtd/host/ask"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// gate is a service whose questions the test answers.
type gate chan *ask.Request

func (g gate) Init(*supervisor.Process) error       { return nil }
func (g gate) Terminate(*supervisor.Process, error) {}
func (g gate) Handle(_ *supervisor.Process, msg any) error {
	if r, ok := msg.(*ask.Request); ok {
		g <- r
	}
	return nil
}

// A tree that gives up in the new version takes its time to end. However long that is, the
// old version runs in the next one, and clients notice nothing.
func TestRollbackOfTreeThatEndsSlowly(t *testing.T) {
	w, told := watched(t)
	asked := make(gate, 1)
	must(t, w.set.Services().Provide(ask.Service{Name: "gate", Start: func() supervisor.Actor { return asked }}))
	settings := func(s *release.Settings) {
		s.Intensity = supervisor.Intensity{Max: 2, Within: time.Minute}
		s.Rollout.Watch = time.Hour
		s.Services = append(s.Services, "rtd/gate")
	}
	tree := []abi.Effect{wantsExport, child("slow", `{"shutdown":600000}`), worker("a")}
	w.swap(1, "p", settings, tree...)
	w.swap(2, "p", settings, tree...)
	w.join("p:1")
	w.wantAllMoved("p", 3)
	slow := w.process("p/slow")
	w.tell("p/slow", abi.Effect{Kind: abi.EffectWants, Name: "terminate"}) // else its end does not wait for an answer
	go w.call("p/slow", abi.Effect{Kind: abi.OpCall, Name: "rtd/gate", Detail: "600000"})
	held := <-asked

	w.crash("p/a")
	w.crash("p/a")
	w.call("p/a", op(trap, ""))
	eventually(t, "the tree gives up", func() bool { return strings.Contains(w.log.String(), `then="gives up"`) })
	select {
	case gone := <-told:
		t.Errorf("the tree has not ended, but %+v", gone)
	case <-time.After(200 * time.Millisecond): // longer than anybody would wait for it
	}
	if slow.Reason() != nil {
		t.Error("the tree has ended without one of its processes")
	}
	held.Answer(nil, false)
	wantWithdrawal(t, told, 2, 1, "crashes")
	w.wantVersion("p", 1)
	eventually(t, "a is back", func() bool { return w.process("p/a") != nil })
	w.wantAllMoved("p", 3) // with the channel, whose client did nothing
	if log := w.log.String(); strings.Contains(log, "plugin failed") {
		t.Error("the plugin has failed")
	}
}

// A tree may give up after the old version is current again, because of what the new one
// did in it. It is started again. What the old version brings about alone, it answers for.
func TestTreeAfterRollback(t *testing.T) {
	for name, test := range map[string]struct {
		tree          []abi.Effect
		before, after int // crashes of a in the new version, and in the old one until the tree gives up
		alone         int // until it would, of the old one's
	}{
		"by its child": {[]abi.Effect{worker("a")}, 2, 1, 3},
		"by its supervisor": {[]abi.Effect{
			child("sup", `{"type":"supervisor","max_restarts":1,"max_seconds":60}`), child("a", `{"under":"sup"}`),
		}, 1, 5, 6},
	} {
		t.Run(name, func(t *testing.T) {
			w, told := watched(t)
			settings := func(s *release.Settings) {
				s.Intensity = supervisor.Intensity{Max: 2, Within: time.Minute}
				s.Rollout.Watch = time.Hour
			}
			tree := append([]abi.Effect{wantsExport}, test.tree...)
			w.swap(1, "p", settings, tree...)
			w.swap(2, "p", settings, tree...)
			c := w.join("p:1")
			w.wantAllMoved("p", 2) // else a may crash in the old version
			for range test.before {
				w.crash("p/a")
			}
			for range 3 - test.before {
				c.send(t, "crash", "p:1", op(trap, ""))
			}
			wantWithdrawal(t, told, 2, 1, "crashes")
			w.wantAllMoved("p", 2)

			for range test.after {
				if w.wantVersion("p", 1); strings.Contains(w.log.String(), "started again") {
					t.Error("the tree has given up already")
				}
				w.crash("p/a")
			}
			eventually(t, "it is started again", func() bool {
				return strings.Count(w.log.String(), "plugin started again") == 1
			})
			w.wantVersion("p", 1)
			w.join("p:2")

			for range test.alone - 1 {
				w.crash("p/a")
			}
			w.call("p/a", op(trap, ""))
			eventually(t, "it has failed", func() bool { return strings.Contains(w.log.String(), "plugin failed") })
			if !w.stats("p").Failed || strings.Count(w.log.String(), "plugin started again") != 1 {
				t.Errorf("its own crashes do not count")
			}
		})
	}
}
