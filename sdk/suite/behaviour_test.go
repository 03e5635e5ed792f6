package suite_test

import (
	"testing"
)

var behaviours = []scenario{
	{"agent", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:agent", "{}")
		m.does(t, `ok {"n":10}`, "agent_get", "to", "counter")
		m.does(t, `ok {"n":17}`, "agent_add", "to", "counter", "n", 7)
		m.does(t, "ok {}", "agent_set", "to", "counter", "n", -3)
		m.does(t, `ok {"n":-3}`, "agent_get", "to", "counter")
		m.fails(t, "ended: *told to crash*", "agent_crash", "to", "counter")
		eventually(t, "it is restarted", func() string {
			f := m.answer(t, m.send(t, "agent_get", `{"to":"counter"}`))
			if !same(f.Payload, []byte(`{"n":10}`)) {
				return f.String()
			}
			return ""
		})
		other := m.get(t, "spawn", "module", "counter", "args", "5")["pid"]
		m.does(t, `ok {"n":6}`, "agent_add", "to", other, "n", 1)
		m.does(t, `ok {"n":10}`, "agent_get", "to", "counter")
	}},
	{"task", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:task", `{"push":"hi"}`)
		m.next(t, "joined")
		m.does(t, `ok {"answer":"done a"}`, "task_await", "args", "a")
		m.does(t, `ok {"answer":"slow"}`, "task_await", "args", "slow")
		m.fails(t, "ended: *job crashed", "task_await", "args", "crash")
		m.does(t, `ok {"answer":"done b"}`, "task_linked", "args", "b")
		ref := m.get(t, "task_notify", "args", "slow")["ref"]
		m.does(t, `ok {"count":6}`, "count") // meanwhile
		m.hears(t, "reply", object("ref", ref, "answer", "slow"))
		ref = m.get(t, "task_notify", "args", "crash")["ref"]
		if reply := m.hearsOf(t, "reply"); reply["ref"] != ref || !matches(reply["reason"].(string), "ended: *") {
			t.Errorf("reply = %v", reply)
		}
		m.get(t, "task_start", "args", "c")
		s.recorded(t, "job a", "job b", "job c")
		m.send(t, "task_linked", `{"args":"crash"}`)
		m.hears(t, "joined", `{"text":"hi","replay":true}`)
		eventually(t, "no task is left", func() string {
			if left := m.get(t, "children", "under", "jobs")["pids"].([]any); len(left) > 0 {
				return object("left", left)
			}
			return ""
		})
	}},
	{"event manager", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:events", "{}")
		m.does(t, `ok {"ids":["keeper","flimsy"]}`, "events_list")
		m.does(t, "ok {}", "notify", "text", "a")
		m.does(t, "ok {}", "sync_notify", "text", "b")
		m.does(t, `ok {"answer":"a,b"}`, "events_call", "id", "keeper", "text", "")
		m.does(t, `ok {"answer":"a,b"}`, "events_call", "id", "flimsy", "text", "")
		m.fails(t, "no_process", "events_call", "id", "nobody", "text", "")

		m.does(t, "ok {}", "events_add", "id", "third", "restart", "")
		m.fails(t, "taken", "events_add", "id", "third", "restart", "")
		m.fails(t, "ended: *init crashed", "events_add", "id", "crash", "restart", "")
		m.does(t, `ok {"ids":["keeper","flimsy","third"]}`, "events_list")
		s.recorded(t, "listening third", "listening crash")
		m.does(t, "ok {}", "notify", "text", "leave third")
		m.lists(t, "keeper", "flimsy")
		m.does(t, "ok {}", "events_add", "id", "third", "restart", "yes")
		m.does(t, "ok {}", "events_remove", "id", "third")
		m.fails(t, "no_process", "events_remove", "id", "third")
		s.recorded(t, "listening third")

		// A crash is the handler's own affair.
		m.does(t, "ok {}", "sync_notify", "text", "crash flimsy")
		m.lists(t, "keeper")
		m.does(t, "ok {}", "sync_notify", "text", "crash keeper")
		s.recorded(t, "listening keeper")
		m.does(t, "ok {}", "sync_notify", "text", "c")
		m.does(t, `ok {"answer":"c"}`, "events_call", "id", "keeper", "text", "")
		m.fails(t, "ended: *told to crash", "events_call", "id", "keeper", "text", "crash")
		s.recorded(t, "listening keeper")
		m.does(t, `ok {"ids":["keeper"]}`, "events_list")

		// That of the manager is not.
		m.does(t, "ok {}", "exit", "to", "events", "reason", "kill")
		s.recordedInAnyOrder(t, "listening keeper", "listening flimsy")
		m.lists(t, "keeper", "flimsy")
	}},
}

// versions are about a deploy of the same plugin again.
var versions = []scenario{
	{"event handlers in the next version", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:versions", "{}")
		m.lists(t, "keeper", "flimsy")
		m.does(t, "ok {}", "events_add", "id", "books", "module", "archive")
		m.does(t, "ok {}", "events_add", "id", "third", "restart", "yes")
		m.does(t, "ok {}", "sync_notify", "text", "a")
		s.redeploy(t)
		m.does(t, `ok {"ids":["keeper","flimsy","books","third"]}`, "events_list")
		m.does(t, "ok {}", "sync_notify", "text", "b")
		for _, id := range []string{"keeper", "flimsy", "third"} {
			m.does(t, `ok {"answer":"b"}`, "events_call", "id", id, "text", "")
		}
		m.does(t, `ok {"answer":"a,b"}`, "events_call", "id", "books", "text", "")
		m.does(t, "ok {}", "events_remove", "id", "books")
		m.does(t, "ok {}", "sync_notify", "text", "leave third")
		m.lists(t, "keeper", "flimsy")
	}},
}

// lists waits until the event manager has these handlers.
func (m *member) lists(t *testing.T, ids ...string) {
	t.Helper()
	want := object("ids", ids)
	eventually(t, "handlers "+want, func() string {
		if f := m.answer(t, m.send(t, "events_list", "{}")); !same(f.Payload, []byte(want)) {
			return f.String()
		}
		return ""
	})
}
