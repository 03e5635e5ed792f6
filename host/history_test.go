package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"rtd/channels/history"
	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
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
	return standsIn(t, c, "echo:lobby", event)
}

func standsIn(t *testing.T, c *hosttest.Client, topic, event string) history.Position {
	t.Helper()
	var at struct{ Position string }
	if err := json.Unmarshal(c.Expect(t, topic, event).Payload, &at); err != nil {
		t.Fatal(err)
	}
	p, ok := history.Parse(at.Position)
	if !ok {
		t.Fatalf("%q is no position", at.Position)
	}
	return p
}

const durableHistoryConfig = `
[api]
keys = ["` + apiKey + `"]
[plugin.ledger]
history_durable = ["ledger:*"]
durable = ["ledger:*"]
[plugin.chat]
history = ["room:ram"]
history_durable = ["room:*"]
[plugin.chat.config]
token = "t"
`

// TestDurableHistory has clients come back to what was said before the server was started again: by durable handlers, by others, and by a back end.
func TestDurableHistory(t *testing.T) {
	t.Parallel()
	setup := hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t), "ledger": sandboxtest.BuildGo(t, "rtd/host/testdata/ledger")}, Config: durableHistoryConfig}
	s := start(t, setup)
	ask := func(method, path, body, want string) {
		t.Helper()
		if status, answer := s.ask(t, method, path, apiKey, body); status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%s %s: %d %s, want %s", method, path, status, answer, want)
		}
	}
	a := s.Connect(t)
	a.MustJoin(t, "room:lobby", `{"token":"t"}`)
	at := standsIn(t, a, "room:lobby", "position")
	a.MustJoin(t, "ledger:1", "{}")
	// Of what a handler does in one event, what was said comes in its place.
	a.WantReply(t, "ledger:1", "add", `{"Who":"a","N":1}`, `ok {"n":1}`)
	added := a.Expect(t, "ledger:1", "added")
	ask("POST", "/api/broadcast", `{"messages":[{"topic":"ledger:1","event":"said","payload":{"n":2}},{"topic":"room:lobby","event":"shout","payload":{"n":1}},{"topic":"room:lobby","event":"shout","payload":{"n":2}}]}`, `{"sent":3}`)
	a.WantReply(t, "ledger:1", "add", `{"Who":"a","N":2}`, `ok {"n":2}`)
	for n := 1; n <= 2; n++ {
		if m := a.Expect(t, "room:lobby", "shout"); m.Ref != fmt.Sprintf("%s:%d", at.Epoch, n) {
			t.Errorf("the broadcast has the ref %s, and the topic stood at %v", m.Ref, at)
		}
	}
	// Messages that have room one by one have it together; one that never has is refused for good.
	large := func(n int) string {
		return fmt.Sprintf(`{"topic":"room:large","event":"shout","payload":{"text":%q}}`, strings.Repeat("x", n))
	}
	ask("POST", "/api/broadcast", `{"messages":[`+large(200_000)+`,`+large(1_800_000)+`,`+large(200_000)+`]}`, `{"sent":3}`)
	status, answer := s.ask(t, "POST", "/api/broadcast", apiKey, `{"messages":[`+large(10)+`,`+large(1_900_000)+`,`+large(10)+`]}`)
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, `"sent":1`) || !strings.Contains(answer, "message 1: ") {
		t.Errorf("%d %s, want 413", status, answer)
	}
	if _, err := a.Push("room:lobby", "new_message", `{"body":"three"}`); err != nil {
		t.Fatal(err)
	}
	if m := a.Expect(t, "room:lobby", "new_message"); m.Ref != at.Epoch+":3" {
		t.Errorf("what a handler says has the ref %s", m.Ref)
	}
	s.Stop(t)

	setup.Dir = filepath.Dir(s.Dir)
	s = start(t, setup)
	ask("GET", "/api/history?topic=ledger:1", "", `"durable":true`)
	b := s.Connect(t)
	b.MustJoin(t, "room:lobby", fmt.Sprintf(`{"token":"t","since":"%s:1"}`, at.Epoch))
	if m := b.Expect(t, "room:lobby", "shout"); string(m.Payload) != `{"n":2}` || m.Ref != at.Epoch+":2" {
		t.Errorf("recovered %v", m)
	}
	if m := b.Expect(t, "room:lobby", "new_message"); !strings.Contains(string(m.Payload), "three") || m.Ref != at.Epoch+":3" {
		t.Errorf("recovered %v", m)
	}
	if now := standsIn(t, b, "room:lobby", "recovered"); now.Offset != 3 || now.Epoch != at.Epoch {
		t.Errorf("it stands at %v, and stood at %v", now, at)
	}
	b.MustJoin(t, "ledger:1", fmt.Sprintf(`{"since":%q}`, added.Ref))
	if m := b.Expect(t, "ledger:1", "said"); string(m.Payload) != `{"n":2}` {
		t.Errorf("recovered %v", m)
	}
	if m := b.Expect(t, "ledger:1", "added"); string(m.Payload) != `{"Who":"a","N":2}` {
		t.Errorf("recovered %v", m)
	}
	b.WantReply(t, "ledger:1", "add", `{"Who":"a","N":3}`, `ok {"n":3}`)
	if m := b.Expect(t, "ledger:1", "added"); !strings.HasSuffix(m.Ref, ":4") {
		t.Errorf("it goes on at %s", m.Ref)
	}

	// What is said while a topic has no durable history is stored nowhere: so it has another epoch afterwards, and what was there.
	kept := func(yes bool) {
		config := durableHistoryConfig
		if !yes {
			config = strings.Replace(config, `history_durable = ["room:*"]`, "", 1)
		}
		s.Configure(t, config)
		hosttest.Eventually(t, "the config", func() bool {
			status, answer := s.ask(t, "GET", "/api/history?topic=room:lobby", apiKey, "")
			return (status == http.StatusOK) == yes && strings.Contains(answer, "durable") == yes
		})
	}
	kept(false)
	ask("POST", "/api/broadcast", `{"topic":"room:lobby","event":"shout","payload":{"n":9}}`, `{"sent":1}`)
	kept(true)
	c := s.Connect(t)
	c.MustJoin(t, "room:lobby", fmt.Sprintf(`{"token":"t","since":"%s:3"}`, at.Epoch))
	if now := standsIn(t, c, "room:lobby", "recovered"); now.Offset != 3 || now.Epoch == at.Epoch {
		t.Errorf("it stands at %v, and stood at %v before somebody spoke whom nobody stored", now, at)
	}
	ask("DELETE", "/api/history?topic=room:lobby&before=3", "", `"oldest":3`)
	s.Stop(t)
	s = start(t, setup)
	ask("GET", "/api/history?topic=room:lobby", "", `"oldest":3`)
}
