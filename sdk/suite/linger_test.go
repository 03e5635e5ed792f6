package suite_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// TestLingering has handlers wait for clients whose connection breaks: those of guests of now, which are told, and those of guests that
// were built before.
func TestLingering(t *testing.T) {
	config := strings.Replace(suiteConfig, "[plugin.suite]\n", "[plugin.suite]\nlinger = \"10m\"\n", 1)
	all := languages(t)
	for generation := 1; generation < len(generations); generation++ {
		all = append(all, earlier(t, generation)...)
	}
	for _, language := range all {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			s := serveAs(t, language, config)
			s.forget(t)
			t.Run("handlers wait", s.handlersWait)
			if !strings.Contains(language, "@") {
				t.Run("away and back", s.awayAndBack)
			}
		})
	}
}

// key is that of the join before.
func (m *member) key(t *testing.T, resumed bool) (key string) {
	t.Helper()
	var told struct {
		Key     string
		Resumed bool
	}
	must(t, json.Unmarshal(m.next(t, "resume").Payload, &told))
	if told.Resumed != resumed {
		t.Errorf("resumed is %t, want %t", told.Resumed, resumed)
	}
	return told.Key
}

// breaks ends the connection, and waits until the handler is away.
func (s *stack) breaks(t *testing.T, m *member) {
	t.Helper()
	before := s.Metric(t, "rtd_lingering")
	m.Close()
	hosttest.Eventually(t, "it lingers", func() bool { return s.Metric(t, "rtd_lingering") > before })
}

// A handler that knows nothing of it waits as well, with its memory, its mailbox and its presence.
func (s *stack) handlersWait(t *testing.T) {
	a := s.connect(t, "&user=ada").member("suite:wait")
	a.replies(t, "phx_join", `{}`, "ok {}")
	key := a.key(t, false)
	a.get(t, "track", "key", "ada", "text", "here")
	a.does(t, `ok {"count":2}`, "count")
	pid := a.get(t, "socket")["pid"]
	s.breaks(t, a)
	s.control.does(t, "ok {}", "send", "to", pid, "text", "meanwhile")
	if got := s.control.get(t, "presence_count", "topic", "suite:wait")["keys"]; got != 1.0 {
		t.Errorf("%v are present, want 1", got)
	}
	b := s.connect(t, "&user=ada").member("suite:wait")
	b.replies(t, "phx_join", fmt.Sprintf(`{"resume":%q}`, key), "ok {}")
	b.key(t, true)
	b.hears(t, "info", `{"text":"meanwhile"}`)
	b.does(t, `ok {"count":4}`, "count")
}

// A handler is told that its client is away, and decides about its coming back.
func (s *stack) awayAndBack(t *testing.T) {
	a := s.connect(t, "&user=ada&a[b]=1").member("suite:back")
	a.replies(t, "phx_join", `{"record":"Ada"}`, "ok {}")
	key := a.key(t, false)
	s.breaks(t, a)
	s.recorded(t, "join Ada", "away Ada closed")
	b := s.connect(t, "&user=ada&a[b]=2").member("suite:back")
	b.replies(t, "phx_join", fmt.Sprintf(`{"resume":%q,"refuse":"not now"}`, key), `error {"reason":"not now"}`)
	b.replies(t, "phx_join", fmt.Sprintf(`{"resume":%q,"record":"Bob","push":"hello","welcome":"again"}`, key), `ok {"welcome":"again"}`)
	next := b.key(t, true)
	b.hears(t, "joined", `{"text":"hello","replay":false}`)
	if got := b.get(t, "assigns")["nested"]; got != "2" {
		t.Errorf("assigns have %v, want those of the new connection", got)
	}
	b.does(t, `ok {"count":2}`, "count")
	c := s.connect(t, "&user=ada").member("suite:back")
	c.replies(t, "phx_join", fmt.Sprintf(`{"resume":%q,"record":"Eve"}`, next), "ok {}")
	b.next(t, "phx_close")
	s.recorded(t, "back Bob", "away Bob taken_over", "back Eve")
}
