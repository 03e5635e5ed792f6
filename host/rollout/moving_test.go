package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rtd/host/app"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
)

// losses runs a deploy and returns what became of the processes.
func (w *world) outcome(n int, change func(*release.Settings), start ...abi.Effect) app.Moved {
	w.t.Helper()
	out, err := w.set.Change(context.Background(), rollout.Change{Plugin: "p", Begin: func() (rollout.Next, error) {
		return rollout.Next{WASM: puppetVersion(n), Settings: puppetSettings("p", change, start...)}, nil
	}})
	must(w.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return out.Moving.Wait(ctx)
}

func (w *world) rehearse(n int, change func(*release.Settings), start ...abi.Effect) app.Moved {
	w.t.Helper()
	m, err := w.set.Rehearse(context.Background(), "p", func() (rollout.Next, error) {
		return rollout.Next{WASM: puppetVersion(n), Settings: puppetSettings("p", change, start...)}, nil
	})
	must(w.t, err)
	return m.Wait(context.Background())
}

func withoutLosses(m app.Moved) string {
	return fmt.Sprintf("%d with state, %d anew, %d stayed, %d left, %d lost", m.WithState, m.Anew, m.Stayed, m.Left, m.Lost)
}

// A state that the new version does not take over is a warning with process and cause, and
// counted, whether the process begins anew or stays; one that there is not is no loss. A
// rehearsal says the same before, and changes nothing.
func TestLosses(t *testing.T) {
	for name, test := range map[string]struct {
		from, to abi.Kind
		stay     bool
		want     string
		cause    string
		then     string
	}{
		"taken over":        {want: "4 with state, 0 anew, 0 stayed, 0 left, 0 lost"},
		"no state":          {from: stateless, want: "0 with state, 3 anew, 1 stayed, 0 left, 0 lost"},
		"refused":           {to: picky, want: "0 with state, 3 anew, 1 stayed, 0 left, 4 lost", cause: "import: answered", then: "begins anew"},
		"refused, so stays": {to: picky, stay: true, want: "0 with state, 0 anew, 4 stayed, 0 left, 4 lost", cause: "import: answered", then: "stays in its version"},
		"import crashes":    {to: broken, want: "0 with state, 3 anew, 1 stayed, 0 left, 4 lost", cause: "import: plugin p", then: "begins anew"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			settings := func(s *release.Settings) { s.Rollout.Stay = test.stay }
			tree := []abi.Effect{wantsExport, child("a", `{"name":"a"}`), child("once", `{"restart":"temporary"}`)}
			old := append(slices.Clone(tree), op(count, ""))
			if test.from != 0 {
				old = append(slices.Clone(tree), op(test.from, ""))
			}
			next := slices.Clone(tree)
			if test.to != 0 {
				next = append(next, op(test.to, ""))
			}
			w.swap(1, "p", settings, old...)
			c := w.join("p:1")
			w.join("p:2")
			w.tell("p/a", op(count, ""), abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("ring"), Detail: "60000"})
			before := w.ask("p/a", op(count, "")).code

			rehearsed := w.rehearse(2, settings, next...)
			if s := w.stats("p"); s.Version != puppetID(1) || len(s.Others) != 0 || s.Sandbox.Live != 4 || s.Moves != (app.Moves{}) {
				t.Errorf("after the rehearsal: %+v", s)
			}
			if now := w.ask("p/a", op(count, "")).code; now != before+1 {
				t.Errorf("after the rehearsal a counts %d, want %d", now, before+1)
			}
			if log := w.log.String(); strings.Contains(log, "crashed") || strings.Contains(log, "not taken over") {
				t.Errorf("the rehearsal is in the log:\n%s", log)
			}
			moved := w.outcome(2, settings, next...)
			for when, m := range map[string]app.Moved{"rehearsed": rehearsed, "moved": moved} {
				if got := withoutLosses(m); got != test.want {
					t.Errorf("%s: %s, want %s", when, got, test.want)
				}
				if len(m.Losses) != m.Lost {
					t.Errorf("%s: %d losses are told of %d", when, len(m.Losses), m.Lost)
				}
				for _, loss := range m.Losses {
					if !strings.HasPrefix(loss.Cause, test.cause) || !slices.Contains([]string{"a", "once", "p:1", "p:2"}, loss.Process) {
						t.Errorf("%s: loss %+v", when, loss)
					}
				}
			}
			log := w.log.String()
			if n := strings.Count(log, `level=WARN msg="state not taken over by the new version"`); n != moved.Lost {
				t.Errorf("%d warnings of %d losses:\n%s", n, moved.Lost, log)
			}
			if moved.Lost > 0 && (!strings.Contains(log, "process=p:1 cause=") || !strings.Contains(log, test.then)) {
				t.Errorf("the warnings are:\n%s", log)
			}
			_ = c
		})
	}
}

// A rehearsal says what becomes of a channel that is to stay, if it can: it cannot if the new
// version takes over no states, or if its guest dies of the export.
func TestRehearsalOfChannelsThatCannotStay(t *testing.T) {
	for name, test := range map[string]struct {
		from, to []abi.Effect
		cause    string
	}{
		"no import":      {from: []abi.Effect{wantsExport}, to: []abi.Effect{op(count, "")}, cause: "the new version does not declare that it takes over states"},
		"export crashes": {from: []abi.Effect{wantsExport, op(lost, "")}, to: []abi.Effect{wantsExport}, cause: "export: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stay := func(s *release.Settings) { s.Rollout.Stay = true }
			w.swap(1, "p", stay, test.from...)
			w.join("p:1")
			rehearsed, moved := w.rehearse(2, stay, test.to...), w.outcome(2, stay, test.to...)
			for when, m := range map[string]app.Moved{"rehearsed": rehearsed, "moved": moved} {
				if got := withoutLosses(m); got != "0 with state, 1 anew, 0 stayed, 0 left, 1 lost" {
					t.Errorf("%s: %s", when, got)
				}
				for _, loss := range m.Losses {
					if !strings.HasPrefix(loss.Cause, test.cause) || loss.Stays {
						t.Errorf("%s: loss %+v", when, loss)
					}
				}
			}
		})
	}
}

// Of many losses the first are told, and how many there were.
func TestManyLosses(t *testing.T) {
	w := newWorld(t)
	w.swap(1, "p", nil, wantsExport)
	for n := range 15 {
		w.join(fmt.Sprint("p:", n))
	}
	m := w.outcome(2, nil, wantsExport, op(picky, ""))
	if m.Lost != 15 || len(m.Losses) != 10 {
		t.Errorf("%d losses, %d of them told", m.Lost, len(m.Losses))
	}
	log := w.log.String()
	if strings.Count(log, "state not taken over") != 10 || !strings.Contains(log, `msg="more states were not taken over by the new version"`) || !strings.Contains(log, "more=5 all=15") {
		t.Errorf("the log is\n%s", log)
	}
}

// A tree that is started anew loses its states, which is told once.
func TestLossesOfATree(t *testing.T) {
	w := newWorld(t)
	w.swap(1, "p", nil, wantsExport, worker("a"), worker("b"))
	w.join("p:1")
	next := []abi.Effect{wantsExport, worker("a"), worker("b"), worker("c")}
	for when, m := range map[string]app.Moved{"rehearsed": w.rehearse(2, nil, next...), "moved": w.outcome(2, nil, next...)} {
		if got := withoutLosses(m); got != "0 with state, 3 anew, 0 stayed, 0 left, 3 lost" || len(m.Losses) != 1 || m.Losses[0].Process != "the tree" {
			t.Errorf("%s: %s, %+v", when, got, m.Losses)
		}
	}
}

// A rehearsal of a module that is no good, or of a plugin that there is not, leaves all as
// it is.
func TestRehearsalOfNothing(t *testing.T) {
	w := newWorld(t)
	if m := w.rehearse(1, nil, wantsExport); m.WithState+m.Anew+m.Stayed+m.Left != 0 {
		t.Errorf("of nothing: %+v", m)
	}
	if len(w.set.Stats()) != 0 {
		t.Error("there is a plugin")
	}
	w.swap(1, "p", nil, wantsExport)
	if _, err := w.set.Rehearse(context.Background(), "p", func() (rollout.Next, error) {
		return rollout.Next{WASM: []byte("x"), Settings: puppetSettings("p", nil)}, nil
	}); err == nil {
		t.Error("no module, and no error")
	}
	if s := w.stats("p"); s.Version != puppetID(1) {
		t.Errorf("%+v", s)
	}
}

// A rehearsal ends when nobody wants it any more, however many processes there are.
func TestRehearsalEnds(t *testing.T) {
	w := newWorld(t)
	w.swap(1, "p", nil, wantsExport)
	w.join("p:1")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.set.Rehearse(ctx, "p", func() (rollout.Next, error) {
		cancel()
		return rollout.Next{WASM: puppetVersion(2), Settings: puppetSettings("p", nil, wantsExport)}, nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
