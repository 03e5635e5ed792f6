package suite_test

import (
	"slices"
	"strings"
	"testing"
)

var others = []scenario{
	{"processes of other plugins", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:depends", "{}")
		m.fails(t, "no_process", "call", "to", "base/nobody", "text", "")
		m.fails(t, "denied", "call", "to", "stranger/nobody", "text", "")
	}},
}

var processes = []scenario{
	{"call", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:call", "{}")
		pid := m.get(t, "spawn", "module", "server", "args", "one more")["pid"]
		m.does(t, `ok {"answer":"one more"}`, "call", "to", pid, "text", "args")
		m.does(t, `ok {"answer":"2"}`, "call", "to", pid, "text", "count")
		m.does(t, `ok {"answer":"echo: \u2028 \"é\""}`, "call", "to", pid, "text", "\u2028 \"é\"")
		m.does(t, object2("answer", pid), "call", "to", pid, "text", "self")
		m.does(t, `ok {"answer":"late"}`, "call", "to", pid, "text", "later")
		m.fails(t, "timeout", "call", "to", pid, "text", "never", "ms", 30)
		m.fails(t, "no_process", "call", "to", "nobody", "text", "")
		m.fails(t, "self", "call", "to", m.get(t, "socket")["pid"], "text", "")
		m.fails(t, "ended: *told to crash", "call", "to", pid, "text", "crash")
		m.fails(t, "no_process", "call", "to", pid, "text", "args")
		s.recorded(t, "init one more")
	}},
	{"calls behind calls", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:calls", "{}")
		m.does(t, `ok {"answer":"right"}`, "call", "to", "left", "text", "ask right")
		m.does(t, `ok {"answer":"no_process"}`, "call", "to", "left", "text", "ask nobody")
		m.does(t, `ok {"answer":"self"}`, "call", "to", "left", "text", "ask left")
		me := m.get(t, "socket")["pid"].(string)
		// Who comes to wait last is told, which on a busy machine may be the first to ask.
		got := m.answer(t, m.send(t, "call", object("to", "left", "text", "ask "+me))).String()
		if got != `ok {"answer":"deadlock"}` && got != `error {"reason":"deadlock"}` {
			t.Errorf("two that ask each other are answered %s", got)
		}
	}},
	{"requests", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:request", "{}")
		ref := m.get(t, "request", "to", "left", "text", "later")["ref"]
		for range 100 { // the answer comes after 20 ms, before which a busy machine may not ask
			if got := m.answer(t, m.send(t, "await", object("ref", ref, "ms", 1))).String(); got == `error {"reason":"timeout"}` {
				break
			}
			ref = m.get(t, "request", "to", "left", "text", "later")["ref"]
		}
		m.does(t, `ok {"answer":"late"}`, "await", "ref", ref, "ms", 10_000)
		m.fails(t, "no_process", "await", "ref", ref)

		ref = m.get(t, "request_notify", "to", "left", "text", "args")["ref"]
		m.hears(t, "reply", object("ref", ref, "answer", "left"))
		pid := m.get(t, "spawn", "module", "server", "args", "x")["pid"]
		ref = m.get(t, "request_notify", "to", pid, "text", "crash")["ref"]
		reply := m.hearsOf(t, "reply")
		if reason, _ := reply["reason"].(string); reply["ref"] != ref || !strings.HasPrefix(reason, "ended: ") || !strings.HasSuffix(reason, "told to crash") {
			t.Errorf("reply = %v", reply)
		}
	}},
	{"cast and send", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:cast", "{}")
		m.does(t, "ok {}", "cast", "to", "left", "text", "a \"b\"")
		m.does(t, "ok {}", "send", "to", "left", "text", "c")
		s.recorded(t, `cast a "b"`, "info c")
		m.does(t, "ok {}", "send", "to", m.get(t, "socket")["pid"], "text", "to myself")
		m.hears(t, "info", `{"text":"to myself"}`)
		m.fails(t, "no_process", "cast", "to", "nobody", "text", "")
	}},
	{"spawn and names", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:names", "{}")
		pid := m.get(t, "spawn", "module", "server", "args", "a", "name", "a server")["pid"]
		m.does(t, object2("pid", pid), "whereis", "name", "a server")
		m.fails(t, "taken", "spawn", "module", "server", "args", "b", "name", "a server")
		m.does(t, `ok {"answer":"a"}`, "call", "to", "a server", "text", "args")
		m.does(t, "ok {}", "unregister", "name", "a server")
		m.fails(t, "no_process", "whereis", "name", "a server")
		m.fails(t, "no_process", "unregister", "name", "a server")
		m.does(t, "ok {}", "register", "name", "b server", "to", pid)
		m.fails(t, "taken", "register", "name", "b server", "to", m.get(t, "socket")["pid"])
		info := m.get(t, "process_info", "to", "b server")
		if info["pid"] != pid {
			t.Errorf("process_info = %v, want pid %v", info, pid)
		}
		m.does(t, "ok {}", "cast", "to", "b server", "text", "stop normal")
		eventually(t, "the name is free", func() string {
			f := m.answer(t, m.send(t, "whereis", `{"name":"b server"}`))
			return strings.TrimPrefix(f.String(), `error {"reason":"no_process"}`)
		})
		m.fails(t, "no_process", "process_info", "to", pid)
		s.recorded(t, "init a", "terminate a normal")
	}},
	{"monitors", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:monitors", "{}")
		pid := m.get(t, "spawn", "module", "server", "args", "a")["pid"]
		ref := m.get(t, "monitor", "to", pid)["ref"]
		silent := m.get(t, "monitor", "to", pid)["ref"]
		m.does(t, "ok {}", "demonitor", "ref", silent)
		m.does(t, "ok {}", "exit", "to", pid, "reason", "no more needed")
		m.hears(t, "down", object("ref", ref, "pid", pid, "reason", "no more needed"))
		m.fails(t, "no_process", "monitor", "to", pid)
		m.hasNot(t, "down")

		pid = m.get(t, "spawn", "module", "server", "args", "b")["pid"]
		ref = m.get(t, "monitor", "to", pid)["ref"]
		m.does(t, `ok {"answer":"stopped"}`, "call", "to", pid, "text", "stop")
		m.hears(t, "down", object("ref", ref, "pid", pid, "reason", "normal"))

		pid = m.get(t, "spawn", "module", "server", "args", "c")["pid"]
		ref = m.get(t, "monitor", "to", pid)["ref"]
		m.does(t, "ok {}", "cast", "to", pid, "text", "stop shutdown: enough")
		m.hears(t, "down", object("ref", ref, "pid", pid, "reason", "shutdown: enough"))
		s.recorded(t, "init a", "terminate a crash: no more needed", "init b", "terminate b normal", "init c", "terminate c shutdown: enough")
	}},
	{"links", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:links", `{"push":"hi"}`)
		m.next(t, "joined")
		m.does(t, "ok {}", "trap_exit", "on", "yes")
		pid := m.get(t, "spawn", "module", "server", "args", "a", "link", "yes")["pid"]
		m.does(t, "ok {}", "exit", "to", pid, "reason", "kill")
		m.hears(t, "exit", object("pid", pid, "reason", "killed"))
		pid = m.get(t, "spawn", "module", "server", "args", "b")["pid"]
		m.does(t, "ok {}", "link", "to", pid)
		m.does(t, "ok {}", "unlink", "to", pid)
		m.does(t, "ok {}", "cast", "to", pid, "text", "crash")
		eventually(t, "it is gone", func() string {
			f := m.answer(t, m.send(t, "process_info", object("to", pid)))
			return strings.TrimPrefix(f.String(), `error {"reason":"no_process"}`)
		})
		m.hasNot(t, "exit")

		m.does(t, "ok {}", "trap_exit", "on", "")
		pid = m.get(t, "spawn", "module", "server", "args", "c")["pid"]
		m.does(t, "ok {}", "link", "to", pid)
		m.does(t, "ok {}", "cast", "to", pid, "text", "crash")
		m.hears(t, "joined", `{"text":"hi","replay":true}`) // it was taken along, and restarted
	}},
	{"init crashes", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:init", "{}")
		m.fails(t, "ended: *init crashed", "spawn", "module", "server", "args", "crash", "under", "jobs")
	}},
	{"dynamic supervisor", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:dynamic", "{}")
		m.does(t, `ok {"pids":[]}`, "children", "under", "pool")
		a := m.get(t, "spawn", "module", "server", "args", "a", "under", "pool", "name", "a")["pid"]
		b := m.get(t, "spawn", "module", "server", "args", "b", "under", "pool")["pid"]
		if pids := m.get(t, "children", "under", "pool")["pids"].([]any); len(pids) != 2 || !slices.Contains(pids, a) || !slices.Contains(pids, b) {
			t.Errorf("children = %v, want %v and %v", pids, a, b)
		}
		m.fails(t, "ended: *told to crash", "call", "to", a, "text", "crash")
		eventually(t, "a is restarted", func() string {
			f := m.answer(t, m.send(t, "whereis", `{"name":"a"}`))
			if f.String() == "ok "+object("pid", a) || strings.HasPrefix(f.String(), "error") {
				return f.String()
			}
			return ""
		})
		m.does(t, `ok {"answer":"1"}`, "call", "to", "a", "text", "count")
		m.does(t, "ok {}", "stop_child", "to", b)
		s.recorded(t, "init a", "init b", "init a", "terminate b shutdown*")
		m.does(t, `ok {"answer":"stopped"}`, "call", "to", "a", "text", "stop") // transient
		eventually(t, "the pool is empty", func() string {
			f := m.answer(t, m.send(t, "children", `{"under":"pool"}`))
			return strings.TrimPrefix(f.String(), `ok {"pids":[]}`)
		})
		s.recorded(t, "terminate a normal")
		m.fails(t, "no_process", "children", "under", "nobody")
	}},
}

// trees crash what the others rely on, so they come last.
var trees = []scenario{
	{"one_for_all", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:pair", "{}")
		m.does(t, "ok {}", "exit", "to", "right", "reason", "kill")
		s.recorded(t, "terminate left shutdown*", "init left", "init right")
	}},
	{"rest_for_one", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:chain", "{}")
		m.does(t, "ok {}", "cast", "to", "two", "text", "crash")
		s.recorded(t, "terminate three shutdown*", "init two", "init three")
		m.does(t, `ok {"answer":"one"}`, "call", "to", "one", "text", "args")
	}},
	{"a worker without a name", func(t *testing.T, s *stack) {
		s.join(t, "suite:nameless", "{}").fails(t, "no_process", "whereis", "name", "nameless")
	}},
	{"a permanent worker", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:permanent", "{}")
		m.does(t, "ok {}", "cast", "to", "three", "text", "stop normal")
		s.recorded(t, "terminate three normal", "init three")
	}},
}

// object2 is an answer that is an object of one key.
func object2(key string, value any) string { return "ok " + object(key, value) }
