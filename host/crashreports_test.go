package host_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rtd/host/crashes"
)

func (s *server) reports(t testing.TB) []*crashes.Report {
	t.Helper()
	all, err := crashes.List(filepath.Join(s.dir, ".rtd", "crashes"))
	must(t, err)
	return all
}

func (s *server) report(t testing.TB, event string, holds func(*crashes.Report) bool) *crashes.Report {
	t.Helper()
	var found *crashes.Report
	eventually(t, "report of "+event, func() bool {
		all := s.reports(t)
		i := slices.IndexFunc(all, func(r *crashes.Report) bool { return r.Event == event && holds(r) })
		if i >= 0 {
			var err error
			found, err = crashes.Read(filepath.Join(s.dir, ".rtd", "crashes"), all[i].ID)
			must(t, err)
		}
		return i >= 0
	})
	return found
}

// Crashes of real channels leave a report each, with which they can be repeated.
func TestCrashReports(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: "[plugin.nasty]\nslots = 1\nmax_restarts = 100\n"})
	c := s.connect(t)
	c.mustJoin(t, "nasty:a", `{"token":"of a"}`)
	c.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`)
	c.mustJoin(t, "nasty:b", `{"token":"of b"}`) // a is brought to rest
	for range 3 {
		c.wantReply(t, "nasty:a", "panic", `{"n":1}`, `error {"reason":"crashed"}`)
	}
	r := s.report(t, "panic", func(r *crashes.Report) bool { return r.Count == 3 })
	if r.Topic != "nasty:a" || !strings.Contains(r.Cause, "told to panic") || !slices.Contains(r.Stack, "main.die") || r.Then != "restarts" {
		t.Errorf("report %+v", r)
	}
	if r.Whole || r.Opening == nil || string(r.Opening.Payload) != `{"token":"of a"}` || len(r.Events) != 1 || string(r.Events[0].Payload) != `{"n":1}` {
		t.Errorf("events %v, opening %v, whole %v", r.Events, r.Opening, r.Whole)
	}
	o, err := r.Replay(t.Context(), crashes.Setting{WASM: nastyGuest(t), Deadline: patience, Cache: sharedCache()})
	must(t, err)
	if !o.Same || o.Version != r.Version || len(o.Steps) != 2 {
		t.Errorf("replay %+v: %v", o, o.Trap)
	}

	c.wantReply(t, "nasty:b", "badjson", "{}", `error {"reason":"crashed"}`) // what the host ends is reported too
	if r := s.report(t, "badjson", func(*crashes.Report) bool { return true }); !strings.Contains(r.Cause, "not JSON") || r.Trap != "" {
		t.Errorf("report %+v", r)
	}
	s.stop(t)
	if all := s.reports(t); len(all) != 2 {
		t.Errorf("%d reports", len(all))
	}
}

// A handler of a whole topic begins with its members.
func TestCrashReportOfSharedHandler(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: "[plugin.nasty]\nslots = 1\nscope = \"topic\"\n"})
	c, other := s.connect(t), s.connect(t)
	c.mustJoin(t, "nasty:a", `{"name":"first"}`)
	other.mustJoin(t, "nasty:a", `{"name":"second"}`)
	other.mustJoin(t, "nasty:b", `{}`) // another handler, for which the slot is needed
	_, err := c.send("nasty:a", "panic", "{}")
	must(t, err)
	r := s.report(t, "panic", func(*crashes.Report) bool { return true })
	if r.Opening == nil || r.Opening.Kind != "members" || !strings.Contains(string(r.Opening.Payload), `"first"`) || !strings.Contains(string(r.Opening.Payload), `"second"`) {
		t.Errorf("opening %v of %+v", r.Opening, r)
	}
}

// Who wants no reports gets no folder.
func TestNoCrashReports(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"nasty": nastyGuest(t)}, config: "[crashes]\ndir = \"\"\n"})
	c := s.connect(t)
	c.mustJoin(t, "nasty:a", "{}")
	c.wantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	s.stop(t)
	if _, err := os.Stat(filepath.Join(s.dir, ".rtd", "crashes")); err == nil {
		t.Error("there is a folder")
	}
}
