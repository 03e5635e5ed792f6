package host_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rtd/host/crashes"
	"rtd/host/hosttest"
	"rtd/host/process"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

func (s *server) reports(t testing.TB) []*crashes.Report {
	t.Helper()
	all, err := crashes.List(filepath.Join(s.Dir, ".rtd", "crashes"))
	must(t, err)
	return all
}

func (s *server) report(t testing.TB, event string, holds func(*crashes.Report) bool) *crashes.Report {
	t.Helper()
	var found *crashes.Report
	hosttest.Eventually(t, "report of "+event, func() bool {
		all := s.reports(t)
		i := slices.IndexFunc(all, func(r *crashes.Report) bool { return r.Event == event && holds(r) })
		if i >= 0 {
			var err error
			found, err = crashes.Read(filepath.Join(s.Dir, ".rtd", "crashes"), all[i].ID)
			must(t, err)
		}
		return i >= 0
	})
	return found
}

// Crashes of real channels leave a report each, with which they can be repeated.
func TestCrashReports(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[plugin.nasty]\nslots = 1\nmax_restarts = 100\n"})
	c := s.Connect(t)
	c.MustJoin(t, "nasty:a", `{"token":"of a"}`)
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	c.MustJoin(t, "nasty:b", `{"token":"of b"}`) // a is brought to rest
	for range 3 {
		c.WantReply(t, "nasty:a", "panic", `{"n":1}`, `error {"reason":"crashed"}`)
	}
	r := s.report(t, "panic", func(r *crashes.Report) bool { return r.Count == 3 })
	if r.Topic != "nasty:a" || !strings.Contains(r.Cause, "told to panic") || !slices.Contains(r.Stack, "main.die") || r.Then != "restarts" {
		t.Errorf("report %+v", r)
	}
	if r.Whole || r.Opening == nil || string(r.Opening.Payload) != `{"token":"of a"}` || len(r.Events) != 1 || string(r.Events[0].Payload) != `{"n":1}` {
		t.Errorf("events %v, opening %v, whole %v", r.Events, r.Opening, r.Whole)
	}
	o, err := r.Replay(t.Context(), crashes.Setting{WASM: nastyGuest(t), Deadline: hosttest.Patience, Engine: sandbox.Options{CacheDir: sandboxtest.CacheDir()}})
	must(t, err)
	if !o.Same || o.Version != r.Version || len(o.Steps) != 2 {
		t.Errorf("replay %+v: %v", o, o.Trap)
	}

	// What the host ends for what it asked for is reported, and replayed, too.
	for event, want := range map[string]struct{ trap, cause string }{"badjson": {"effect", "not JSON"}, "stop": {"stop", "told to stop"}} {
		c.WantReply(t, "nasty:b", "count", "{}", `ok {"handled":1}`)
		c.WantReply(t, "nasty:b", event, `{"n":2}`, `error {"reason":"crashed"}`)
		r := s.report(t, event, func(*crashes.Report) bool { return true })
		if r.Trap != want.trap || !strings.Contains(r.Cause, want.cause) || r.Memory == nil || len(r.Events) == 0 || string(r.Events[len(r.Events)-1].Payload) != `{"n":2}` {
			t.Errorf("report %+v", r)
		}
		line := s.Log.Wait(t, "channel crashed", "event", event)
		if line.Text("trap") != want.trap || !strings.Contains(line.Text("cause"), want.cause) {
			t.Errorf("the log says %v", line)
		}
		setting := crashes.Setting{WASM: nastyGuest(t), Deadline: hosttest.Patience, Engine: sandbox.Options{CacheDir: sandboxtest.CacheDir()}, Fault: process.FaultOf}
		o, err := r.Replay(t.Context(), setting)
		must(t, err)
		if !o.Same {
			t.Errorf("replay of %s: %+v, %v", event, o, o.Trap)
		}
		setting.WASM = echoGuest(t)
		if o, err := r.Replay(t.Context(), setting); err != nil || o.Same || o.Trap != nil {
			t.Errorf("replay of %s by another guest: %+v, %v", event, o, err)
		}
	}
	s.Stop(t)
	if all := s.reports(t); len(all) != 3 {
		t.Errorf("%d reports", len(all))
	}
}

// A handler of a whole topic begins with its members.
func TestCrashReportOfSharedHandler(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[plugin.nasty]\nslots = 1\nscope = \"topic\"\n"})
	c, other := s.Connect(t), s.Connect(t)
	c.MustJoin(t, "nasty:a", `{"name":"first"}`)
	other.MustJoin(t, "nasty:a", `{"name":"second"}`)
	other.MustJoin(t, "nasty:b", `{}`) // another handler, for which the slot is needed
	_, err := c.Push("nasty:a", "panic", "{}")
	must(t, err)
	r := s.report(t, "panic", func(*crashes.Report) bool { return true })
	if r.Opening == nil || r.Opening.Kind != "members" || !strings.Contains(string(r.Opening.Payload), `"first"`) || !strings.Contains(string(r.Opening.Payload), `"second"`) {
		t.Errorf("opening %v of %+v", r.Opening, r)
	}
}

// A server that wants no reports gets no folder.
func TestNoCrashReports(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[crashes]\ndir = \"\"\n"})
	c := s.Connect(t)
	c.MustJoin(t, "nasty:a", "{}")
	c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	s.Stop(t)
	if _, err := os.Stat(filepath.Join(s.Dir, ".rtd", "crashes")); err == nil {
		t.Error("there is a folder")
	}
}

// A guest that had been at rest and ends by its own wish is looked at as any other: the
// report asks its handler how the life began.
func TestReportOfAStopAfterARest(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[plugin.nasty]\nslots = 1\n"})
	c := s.Connect(t)
	c.MustJoin(t, "nasty:a", `{"token":"of a"}`)
	c.MustJoin(t, "nasty:b", "{}") // a is brought to rest
	c.WantReply(t, "nasty:a", "stop", `{"n":1}`, `error {"reason":"crashed"}`)
	r := s.report(t, "stop", func(*crashes.Report) bool { return true })
	if r.Whole || r.Opening == nil || string(r.Opening.Payload) != `{"token":"of a"}` {
		t.Errorf("opening %v, whole %v", r.Opening, r.Whole)
	}
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
}
