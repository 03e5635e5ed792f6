package host_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// guestInRoom is a client of plugins/rooms.
type guestInRoom struct{ *hosttest.Client }

func enterRoom(t *testing.T, s *server, user string) guestInRoom {
	t.Helper()
	c := s.Connect(t)
	c.MustJoin(t, "rooms:den", fmt.Sprintf(`{"user":%q}`, user))
	return guestInRoom{c}
}

// say sends a line, which must be answered unless it is to crash its own handler.
func (g guestInRoom) say(t *testing.T, body, status string) {
	t.Helper()
	payload, err := json.Marshal(map[string]string{"body": body})
	must(t, err)
	r, err := g.Call("rooms:den", "new_message", string(payload))
	must(t, err)
	if r.Status != status {
		t.Fatalf("%q was answered %v, want %s", body, r, status)
	}
}

// hears waits for a line that has all of these texts.
func (g guestInRoom) hears(t *testing.T, texts ...string) string {
	t.Helper()
	m, err := g.Next(func(m hosttest.Message) bool {
		if m.Event != "new_message" {
			return false
		}
		for _, text := range texts {
			if !strings.Contains(string(m.Payload), text) {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatalf("waiting for %q: %v", texts, err)
	}
	return string(m.Payload)
}

// An application of every kind of process: each part is crashed, its supervisor does
// what the tree says, and no socket closes.
func TestRooms(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"rooms": sandboxtest.BuildGo(t, "rtd/plugins/rooms"), "echo": echoGuest(t)},
		Config:  "[plugin.rooms]\nstrategy = \"rest_for_one\"\nmax_restarts = 100\ndeadline = \"30s\"\n",
	})
	ada, grace := enterRoom(t, s, "Ada"), enterRoom(t, s, "Grace")
	bystander := s.Connect(t)
	bystander.MustJoin(t, "echo:1", "{}")

	ada.say(t, "hello https://go.dev", "ok")
	grace.hears(t, "hello", `"Ada"`)
	grace.hears(t, "go.dev is") // by a task, some 300 ms later
	ada.say(t, "darn", "ok")
	ada.hears(t, "trike 1")

	stats := func(who guestInRoom, want ...string) {
		t.Helper()
		who.say(t, "/stats", "ok")
		for _, text := range want {
			who.hears(t, text)
		}
	}
	stats(ada, "Here: Ada, Grace", "hello", `strikes: {\"Ada\":1}`)

	// The handler of one client. Those who joined later restart with it.
	ada.say(t, "/crash me", "error")
	ada.hears(t, "Your handler was restarted")
	grace.hears(t, "Your handler was restarted")
	stats(ada, "Here: Ada, Grace", "hello", `strikes: {\"Ada\":1}`) // nobody else has lost anything

	// A handler of the event manager, restarted alone.
	ada.say(t, "/crash strikes", "ok")
	s.Log.Wait(t, "process crashed", "process", "strikes")
	stats(grace, "hello", `strikes: {}`)

	// A task: whoever waits for it hears of its crash.
	grace.say(t, "/crash preview", "ok")
	grace.hears(t, "No preview of https://nowhere.example/")

	// A process of the tree: what was started after it follows.
	for _, part := range []string{"words", "moderation", "registry"} {
		s.Log.Forget()
		grace.say(t, "/crash "+part, "ok")
		s.Log.Wait(t, "process crashed", "process", part, "then", "restarts")
		ada.hears(t, "Your handler was restarted")
		grace.hears(t, "Your handler was restarted")
		stats(ada, "Here: Ada, Grace")
		grace.say(t, "are you there?", "ok")
		ada.hears(t, "are you there?", `"Grace"`)
	}
	ada.WantOpen(t)
	grace.WantOpen(t)
	bystander.WantReply(t, "echo:1", "x", `{"n":1}`, `ok {"n":1}`)
}

// More crashes than the tree allows, and the plugin has failed: its channels end with
// an error, joins are answered "unavailable", and an operator brings it back.
func TestPluginFails(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"rooms": sandboxtest.BuildGo(t, "rtd/plugins/rooms"), "echo": echoGuest(t)},
		Config:  "[plugin.rooms]\nstrategy = \"rest_for_one\"\nmax_restarts = 0\n",
	})
	ada := enterRoom(t, s, "Ada")
	bystander := s.Connect(t)
	bystander.MustJoin(t, "echo:1", "{}")
	ada.say(t, "/crash registry", "ok")
	ada.Expect(t, "rooms:den", "phx_error")
	s.Log.Wait(t, "plugin failed")
	r, err := ada.Join("rooms:den", `{"user":"Ada"}`)
	must(t, err)
	if r.Status != "error" || !strings.Contains(string(r.Payload), `"unavailable"`) {
		t.Errorf("join of a failed plugin = %v", r)
	}
	bystander.WantReply(t, "echo:1", "x", `{"n":1}`, `ok {"n":1}`)

	s.Configure(t, "[plugin.rooms]\nstrategy = \"rest_for_one\"\nmax_restarts = 1\n")
	hosttest.Eventually(t, "the plugin is back", func() bool {
		r, err := ada.Join("rooms:den", `{"user":"Ada"}`)
		return err == nil && r.Status == "ok"
	})
	ada.say(t, "hello", "ok")
	ada.WantOpen(t)
}
