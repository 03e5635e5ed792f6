package host_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rtd/channels/history"
	"rtd/host/hosttest"
)

const historyConfig = `
[api]
keys = ["` + apiKey + `"]
[plugin.echo]
history = ["echo:*"]
history_messages = 3
`

// TestHistory has a client come back to what was said while it was away, by handlers and by a back end.
func TestHistory(t *testing.T) {
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: historyConfig})
	api := func(t *testing.T, s *server, method, path, body, want string) {
		t.Helper()
		if status, answer := s.ask(t, method, path, apiKey, body); status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%s %s: %d %s, want %s", method, path, status, answer, want)
		}
	}
	a := s.Connect(t)
	a.MustJoin(t, "echo:lobby", "{}")
	at := stands(t, a, "position")
	if at.Offset != 0 {
		t.Errorf("a new topic stands at %v", at)
	}
	a.Close()
	b := s.Connect(t)
	b.MustJoin(t, "echo:lobby", "{}")
	says := func(n int) {
		t.Helper()
		api(t, s, "POST", "/api/broadcast", fmt.Sprintf(`{"topic":"echo:lobby","event":"shout","payload":{"n":%d}}`, n), `{"sent":1}`)
	}
	says(1)
	if m := b.Expect(t, "echo:lobby", "shout"); m.Ref != at.Epoch+":1" {
		t.Errorf("the broadcast has the ref %s", m.Ref)
	}
	says(2)
	for n := 1; n <= 2; n++ {
		c := s.Connect(t)
		c.MustJoin(t, "echo:lobby", fmt.Sprintf(`{"since":"%s:%d"}`, at.Epoch, 0))
		for said := 1; said <= 2; said++ {
			if m := c.Expect(t, "echo:lobby", "shout"); string(m.Payload) != fmt.Sprintf(`{"n":%d}`, said) {
				t.Errorf("recovered %v", m)
			}
		}
		if now := stands(t, c, "recovered"); now.Offset != 2 {
			t.Errorf("it stands at %v", now)
		}
	}
	api(t, s, "GET", "/api/history?topic=echo:lobby&after=1", "", `"event":"shout","payload":{"n":2}`)
	api(t, s, "DELETE", "/api/history?topic=echo:lobby&before=2", "", `"oldest":2`)
	if n := s.Metric(t, "rtd_history_recovered_total"); n != 4 {
		t.Errorf("%v were recovered", n)
	}

	// A config without history takes effect at once, and one with it again.
	s.Configure(t, "[api]\nkeys = [\""+apiKey+"\"]\n")
	hosttest.Eventually(t, "nothing is kept", func() bool { return s.Metric(t, "rtd_history_bytes") == 0 })
	s.Configure(t, historyConfig)
	hosttest.Eventually(t, "the topic has a history again", func() bool { return s.Metric(t, "rtd_history_bytes") > 0 })
	c := s.Connect(t)
	c.MustJoin(t, "echo:lobby", fmt.Sprintf(`{"since":"%s:%d"}`, at.Epoch, 2))
	if now := stands(t, c, "recovered"); now.Epoch == at.Epoch {
		t.Error("it has the epoch of before")
	}
}

// stands is the position that an event tells.
func stands(t *testing.T, c *hosttest.Client, event string) history.Position {
	t.Helper()
	var at struct{ Position string }
	if err := json.Unmarshal(c.Expect(t, "echo:lobby", event).Payload, &at); err != nil {
		t.Fatal(err)
	}
	p, ok := history.Parse(at.Position)
	if !ok {
		t.Fatalf("%q is no position", at.Position)
	}
	return p
}
