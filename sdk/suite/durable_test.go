package suite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/admin"
	"rtd/host/hosttest"
)

const durableConfig = `
[server]
presence_grace = "0s"
[socket.socket]
connect = "suite"
[plugin.suite]
deadline = "5s"
max_restarts = 1000
depends = ["base"]
allows = ["connect", "disconnect"]
durable_idle = "50ms"
[plugin.suite.config]
durable = "yes"
`

// remembering is a server with the plugin suite, whose accounts are durable.
type remembering struct {
	*stack
	setup hosttest.Setup
	whole *testing.T // until whose end a server runs
}

func remember(t *testing.T, language string) *remembering {
	t.Helper()
	r := &remembering{whole: t, setup: hosttest.Setup{
		Plugins: map[string][]byte{
			"base":  read(t, "../../sandbox/testdata/echo.wasm"),
			"suite": suiteGuest(t, language),
		},
		Config: durableConfig,
	}}
	r.stack = &stack{language: language}
	r.begin()
	r.setup.Dir = filepath.Dir(r.Dir)
	return r
}

// restart ends the server, and runs another one in its place.
func (r *remembering) restart(t *testing.T) {
	t.Helper()
	r.Stop(t)
	r.begin()
}

func (r *remembering) begin() {
	r.whole.Helper()
	r.stack = &stack{language: r.language, Server: hosttest.Start(r.whole, r.setup)}
}

// TestDurable holds the durable accounts of every language to what sdk/durable.md promises.
func TestDurable(t *testing.T) {
	for _, language := range languages(t) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			r := remember(t, language)
			for _, test := range []struct {
				name string
				run  func(*testing.T, *remembering)
			}{
				{"a topic sleeps", sleeps},
				{"a crash is a rollback", rollsBack},
				{"a restart goes on", goesOn},
				{"a timer says that it is late", isLate},
				{"a process goes on", ledgerGoesOn},
				{"a history goes on", historyGoesOn},
				{"a message comes once", comesOnce},
				{"stop is the end", ends},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, r) })
			}
		})
	}
}

func (m *member) has(t *testing.T, want string) {
	t.Helper()
	m.does(t, "ok "+want, "state")
}

func rollsBack(t *testing.T, r *remembering) {
	ada := r.join(t, "durable:back", `{"name":"Ada"}`)
	grace := r.join(t, "durable:back", `{"name":"Grace"}`)
	ada.does(t, `ok {"count":1}`, "add", "text", "a")
	grace.hears(t, "added", `{"text":"a"}`)
	seen := map[any]bool{}
	for range 2 {
		id := ada.get(t, "event_id")["id"]
		if id == "" || seen[id] {
			t.Errorf("%v is the id of two events", id)
		}
		seen[id] = true
		ada.does(t, `error {"reason":"crashed"}`, "add", "text", "spoil b")
	}
	ada.has(t, `{"count":1,"last":["a"]}`)
	ada.does(t, `ok {"names":["Ada","Grace"]}`, "names")
	ada.get(t, "add", "text", "c")
	grace.hears(t, "added", `{"text":"c"}`) // and of b nothing
}

func goesOn(t *testing.T, r *remembering) {
	ada := r.join(t, "durable:on", `{"name":"Ada"}`)
	for _, text := range []string{"a", "b", "c", "d"} {
		ada.get(t, "add", "text", text)
	}
	id := ada.get(t, "event_id")["id"]
	r.restart(t)
	grace := r.join(t, "durable:on", `{"name":"Grace"}`)
	grace.has(t, `{"count":4,"last":["b","c","d"]}`)
	grace.does(t, `ok {"names":["Grace"]}`, "names")
	if again := grace.get(t, "event_id")["id"]; again == id {
		t.Errorf("%v is the id of two events", id)
	}
	grace.does(t, `ok {"count":5}`, "add", "text", "e")
}

// historyGoesOn has offsets and epoch of a history be what they were.
func historyGoesOn(t *testing.T, r *remembering) {
	const topic, said = "suite:stored1", `1 1 [1 said {"text":"a"}]`
	ada := r.join(t, topic, "{}")
	ada.does(t, "ok {}", "broadcast", "event", "said", "text", "a")
	position := ada.get(t, "history")["position"]
	for range 2 {
		if got := ada.past(t, "limit", 10); got != said {
			t.Errorf("the history is %s, want %s", got, said)
		}
		if got := ada.get(t, "history")["position"]; got != position {
			t.Errorf("the position is %v, and was %v", got, position)
		}
		r.restart(t)
		ada = r.join(t, topic, "{}")
	}
	ada.does(t, "ok {}", "broadcast", "event", "said", "text", "b")
	if got := ada.past(t, "after", 1, "limit", 10); got != `2 1 [2 said {"text":"b"}]` {
		t.Errorf("the history goes on with %s", got)
	}
}

func sleeps(t *testing.T, r *remembering) {
	guests := func() float64 { return r.Metric(t, "rtd_instances", `plugin="suite"`) }
	before := guests() // processes of the tree, as this test is the first
	ada := r.join(t, "durable:sleep", `{"name":"Ada"}`)
	ada.get(t, "add", "text", "a")
	if n := guests(); n != before+1 {
		t.Errorf("there are %v guests, and were %v", n, before)
	}
	ada.Close()
	eventually(t, "the topic sleeps", func() string {
		if n := guests(); n != before {
			return fmt.Sprint(n, " guests")
		}
		return ""
	})
	grace := r.join(t, "durable:sleep", `{"name":"Grace"}`)
	grace.has(t, `{"count":1,"last":["a"]}`)
	grace.does(t, `ok {"names":["Grace"]}`, "names")
}

// isLate sets a timer that is due while the server is away. On a slow machine the timer may come before the server has
// ended: then it has to be a longer one.
func isLate(t *testing.T, r *remembering) {
	for ms := 100; ; ms *= 2 {
		text := fmt.Sprint("tick", ms)
		ada := r.join(t, "durable:late", `{"name":"Ada"}`)
		ada.get(t, "send_after", "text", text, "ms", ms)
		set := time.Now()
		r.Stop(t)
		time.Sleep(time.Until(set.Add(time.Duration(ms) * time.Millisecond)))
		r.begin()
		grace := r.join(t, "durable:late", `{"name":"Grace"}`)
		var last string
		eventually(t, "the timer", func() string {
			last = fmt.Sprint(grace.get(t, "state")["last"])
			if !strings.Contains(last, text) {
				return "the topic has " + last
			}
			return ""
		})
		if strings.Contains(last, text+" late") {
			return
		}
	}
}

// ledger asks the process.
func (m *member) ledger(t *testing.T, question string) string {
	t.Helper()
	return m.get(t, "call", "to", "ledger", "text", question)["answer"].(string)
}

func ledgerGoesOn(t *testing.T, r *remembering) {
	ada := r.join(t, "durable:asks", "{}")
	if got := ada.ledger(t, "a"); got != "1" {
		t.Errorf("the ledger counts %s", got)
	}
	ada.fails(t, "ended: *told to crash", "call", "to", "ledger", "text", "spoil b")
	eventually(t, "the ledger's next life", func() string {
		got := ada.answer(t, ada.send(t, "call", object("to", "ledger", "text", "state")))
		if !same(got.Payload, []byte(`{"answer":"1 a"}`)) {
			return got.String()
		}
		return ""
	})
	r.restart(t)
	ada = r.join(t, "durable:asks", "{}")
	if got := ada.ledger(t, "state"); got != "1 a" {
		t.Errorf("the ledger has %q", got)
	}
	if first, second := ada.ledger(t, "id"), ada.ledger(t, "id"); first == "" || first == second {
		t.Errorf("the ids of two events are %s and %s", first, second)
	}
}

// comesOnce sends from one durable actor to another. What the event sends that crashes does not come, and at what the
// receiver crashes it is tried again, and then set aside.
func comesOnce(t *testing.T, r *remembering) {
	ada := r.join(t, "durable:sends", "{}")
	before := ada.ledger(t, "state")
	ada.get(t, "send", "to", "ledger", "text", "spoil m")
	r.logged(t, "set aside", "process:ledger")
	eventually(t, "the ledger's next life", func() string {
		got := ada.answer(t, ada.send(t, "call", object("to", "ledger", "text", "state")))
		if !same(got.Payload, []byte(object("answer", before))) {
			return got.String()
		}
		return ""
	})
	ada.get(t, "send", "to", "ledger", "text", "n")
	ada.get(t, "cast", "to", "ledger", "text", "o")
	eventually(t, "the messages", func() string {
		if got := ada.ledger(t, "state"); !strings.HasSuffix(got, "n,o") {
			return "the ledger has " + got
		}
		return ""
	})
	after := ada.ledger(t, "state")
	r.restart(t)
	ada = r.join(t, "durable:sends", "{}")
	if got := ada.ledger(t, "state"); got != after {
		t.Errorf("the ledger has %q, want %q", got, after)
	}
	r.decides(t)
	eventually(t, "the ledger as before", func() string {
		got := ada.answer(t, ada.send(t, "call", object("to", "ledger", "text", "state")))
		if !same(got.Payload, []byte(object("answer", after))) {
			return got.String()
		}
		return ""
	})
}

// decides tries again what was set aside, at which the receiver crashes once more, and throws it away.
func (r *remembering) decides(t *testing.T) {
	t.Helper()
	c, err := admin.Connect(admin.Target{Paths: admin.SocketPaths(admin.Auto, r.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	asides := func() []admin.Aside {
		list, err := c.Asides(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	list := asides()
	if len(list) != 1 || string(list[0].Payload) != "spoil m" || list[0].Actor != "suite/process:ledger" {
		t.Fatalf("set aside: %+v", list)
	}
	if _, err := c.RetryAside(t.Context(), list[0].ID); err == nil || !strings.Contains(err.Error(), "stays set aside") {
		t.Errorf("a retry at which it crashes: %v", err)
	}
	if len(asides()) != 1 {
		t.Error("it is gone after a retry at which it crashed")
	}
	eventually(t, "the ledger's next life", func() string { // whoever is asked meanwhile is not there
		if _, err := c.DropAside(t.Context(), list[0].ID); err != nil {
			return err.Error()
		}
		return ""
	})
	if left := asides(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func ends(t *testing.T, r *remembering) {
	ada := r.join(t, "durable:end", "{}")
	ada.get(t, "add", "text", "a")
	ada.get(t, "stop", "reason", "normal")
	ada.next(t, "phx_close")
	ada = r.join(t, "durable:end", "{}")
	ada.has(t, `{"count":0,"last":[]}`)
	ada.get(t, "add", "text", "b")
	r.restart(t)
	r.join(t, "durable:end", "{}").has(t, `{"count":1,"last":["b"]}`)
}
