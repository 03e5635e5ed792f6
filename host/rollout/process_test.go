package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

func TestCall(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	counted := func(whom string) abi.Effect { return calling(whom, "", op(count, "")) }

	r := w.ask("p/a", counted("b"))
	if got := results([]byte(r.answer)); r.code <= 0 || len(got) != 1 || got[0].code != 1 {
		t.Errorf("call = %v, %v", r, got)
	}
	for name, test := range map[string]struct {
		order  abi.Effect
		code   abi.Code
		reason string
	}{
		"unknown name":         {counted("nobody"), abi.CodeNoProcess, ""},
		"unknown pid":          {counted("#99999999"), abi.CodeNoProcess, ""},
		"no pid":               {counted("#x"), abi.CodeMalformed, ""},
		"itself":               {counted("a"), abi.CodeSelf, ""},
		"in circles":           {calling("b", "", calling("a", "")), 0, ""},
		"no answer":            {calling("b", "30", op(keep, "")), abi.CodeTimeout, ""},
		"crash while it waits": {calling("b", "", op(trap, "")), abi.CodeEnded, "unreachable"},
		"bad timeout":          {calling("b", "soon"), abi.CodeMalformed, ""},
		"another plugin":       {counted("q/a"), abi.CodeDenied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "b lives", func() bool { return w.ask("p/a", calling("b", "", op(count, ""))).code > 0 })
			r := w.ask("p/a", test.order)
			if test.code != 0 && r.code != test.code || !strings.Contains(r.answer, test.reason) {
				t.Errorf("got %v %q, want %v", r.code, r.answer, test.code)
			}
			if test.code == 0 {
				if inner := results([]byte(r.answer)); len(inner) != 1 || inner[0].code != abi.CodeDeadlock {
					t.Errorf("the one called got %v, want %v", inner, abi.CodeDeadlock)
				}
			}
		})
	}
}

func TestLateAnswer(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	request := w.ask("p/a", abi.Effect{Kind: abi.OpRequest, Name: "b", Payload: orders(op(keep, ""))}).answer
	if r := w.ask("p/a", abi.Effect{Kind: abi.OpAwait, Name: request, Detail: "20"}); r.code != abi.CodeTimeout {
		t.Errorf("await before the answer = %v", r)
	}
	w.tell("p/b", abi.Effect{Kind: late, Payload: []byte("at last")})
	if r := w.ask("p/a", op(abi.OpAwait, request)); r.answer != "at last" {
		t.Errorf("await = %v", r)
	}
	if r := w.ask("p/a", op(abi.OpAwait, request)); r.code != abi.CodeNoProcess {
		t.Errorf("await twice = %v", r)
	}
}

func TestAnswerAsEvent(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	ask := func(what ...abi.Effect) string {
		return w.ask("p/a", abi.Effect{Kind: abi.OpRequest, Flags: abi.Notify, Name: "b", Payload: orders(what...)}).answer
	}
	id := ask(abi.Effect{Kind: echo, Payload: []byte("hello")})
	if e := w.next(abi.EventReply); e.Name != id || string(e.Payload) != "hello" || e.Flags&abi.Failed != 0 {
		t.Errorf("reply = %+v", e)
	}
	id = ask(op(trap, ""))
	if e := w.next(abi.EventReply); e.Name != id || e.Flags&abi.Failed == 0 {
		t.Errorf("reply of one that crashed = %+v", e)
	}
}

// Each process has its own memory: one that crashes loses it, the others do not.
func TestMemoriesAreApart(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"), worker("c"))
	for _, p := range []string{"p/a", "p/b", "p/b", "p/c", "p/c", "p/c"} {
		w.ask(p, op(count, ""))
	}
	w.crash("p/b")
	for p, want := range map[string]abi.Code{"p/a": 2, "p/b": 1, "p/c": 4} {
		if r := w.ask(p, op(count, "")); r.code != want {
			t.Errorf("%s counts %d, want %d", p, r.code, want)
		}
	}
}

func TestStrategies(t *testing.T) {
	for strategy, want := range map[supervisor.Strategy][3]abi.Code{
		supervisor.OneForOne:  {2, 1, 2},
		supervisor.RestForOne: {2, 1, 1},
		supervisor.OneForAll:  {1, 1, 1},
	} {
		t.Run(strategy.String(), func(t *testing.T) {
			w := newWorld(t)
			w.deploy("p", func(s *release.Settings) { s.Strategy = strategy }, worker("a"), worker("b"), worker("c"))
			names := []string{"p/a", "p/b", "p/c"}
			var before []*supervisor.Process
			for _, p := range names {
				w.ask(p, op(count, ""))
				before = append(before, w.process(p))
			}
			w.call("p/b", op(trap, ""))
			for i, p := range names {
				eventually(t, p+" is as it should be", func() bool {
					now := w.process(p)
					return now != nil && (now != before[i]) == (want[i] == 1)
				})
				if r := w.ask(p, op(count, "")); r.code != want[i] {
					t.Errorf("%s counts %d, want %d", p, r.code, want[i])
				}
			}
		})
	}
}

// A supervisor that gives up is restarted by its own, and takes its children along.
func TestEscalation(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil,
		worker("outer"),
		child("sup", `{"type":"supervisor","strategy":"one_for_one","max_restarts":1,"max_seconds":60}`),
		child("x", `{"under":"sup"}`), child("y", `{"under":"sup"}`))
	w.ask("p/outer", op(count, ""))
	w.ask("p/y", op(count, ""))
	y := w.process("p/y")
	for range 2 {
		w.crash("p/x")
	}
	eventually(t, "y is another", func() bool { p := w.process("p/y"); return p != nil && p != y })
	if r := w.ask("p/y", op(count, "")); r.code != 1 {
		t.Errorf("y kept its memory: %d", r.code)
	}
	if r := w.ask("p/outer", op(count, "")); r.code != 2 {
		t.Errorf("outer lost its memory: %d", r.code)
	}
}

func TestPluginThatGivesUp(t *testing.T) {
	w := newWorld(t)
	tight := func(s *release.Settings) { s.Intensity = supervisor.Intensity{Max: 0, Within: time.Second} }
	w.deploy("p", tight, worker("a"))
	w.deploy("q", nil, worker("a"))
	w.call("p/a", op(trap, ""))
	eventually(t, "p fails", func() bool { return strings.Contains(w.log.String(), "plugin failed") })
	if w.process("p/a") != nil {
		t.Error("a failed plugin has processes")
	}
	if r := w.ask("q/a", op(count, "")); r.code != 1 {
		t.Errorf("another plugin answers %v", r)
	}
	w.deploy("p", tight, worker("a")) // the same again
	if r := w.ask("p/a", op(count, "")); r.code != 1 {
		t.Errorf("deployed again, it answers %v", r)
	}
	if err := w.try("p", tight, worker("a")); !errors.Is(err, rollout.ErrUnchanged) {
		t.Errorf("deployed twice: %v", err)
	}
}

func TestDynamicSupervisor(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), child("pool", `{"type":"dynamic","restart":"transient"}`))
	spawn := func(name string, init ...abi.Effect) result {
		return w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Payload: orders(init...), Detail: "pool", Extra: name})
	}
	spawn("one")
	two := spawn("")
	if got := fieldsOf(w.ask("p/a", op(abi.OpChildren, "pool")).answer); len(got) != 2 {
		t.Errorf("children = %q, want 2", got)
	}
	w.ask("p/one", op(count, ""))
	w.crash("p/one")
	if r := w.ask("p/one", op(count, "")); r.code != 1 {
		t.Errorf("after a restart it counts %d", r.code)
	}
	if r := w.ask("p/a", op(abi.OpStopChild, fieldsOf(two.answer)[0])); r.code != 0 {
		t.Errorf("stop_child = %v", r)
	}
	eventually(t, "two is gone", func() bool { return len(fieldsOf(w.ask("p/a", op(abi.OpChildren, "pool")).answer)) == 1 })
	if r := spawn("", op(trap, "")); r.code != abi.CodeEnded || !strings.Contains(r.answer, "unreachable") {
		t.Errorf("spawn of one that crashes in init = %v", r)
	}
	if r := spawn("one"); r.code != abi.CodeTaken {
		t.Errorf("spawn with a name that is taken = %v", r)
	}
	if r := w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Detail: "nowhere"}); r.code != abi.CodeNoProcess {
		t.Errorf("spawn under nobody = %v", r)
	}
}

func TestLinks(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"))
	linked := abi.Effect{Kind: abi.OpSpawn, Flags: abi.Link, Name: "m"}
	a := w.process("p/a")
	b := fieldsOf(w.ask("p/a", linked).answer)[0]
	w.call(b, op(trap, ""))
	eventually(t, "a ended with b", func() bool { p := w.process("p/a"); return p != nil && p != a })

	w.ask("p/a", op(abi.OpTrapExit, "on"))
	b = fieldsOf(w.ask("p/a", linked).answer)[0]
	w.ask("p/a", abi.Effect{Kind: abi.OpExit, Name: b, Payload: []byte("shutdown")})
	if e := w.next(abi.EventExit); e.Name != b || string(e.Payload) != "shutdown" {
		t.Errorf("exit = %+v", e)
	}
	b = fieldsOf(w.ask("p/a", linked).answer)[0]
	w.ask("p/a", op(abi.OpUnlink, b))
	gone := w.process(b)
	w.ask("p/a", abi.Effect{Kind: abi.OpExit, Name: b, Payload: []byte("kill")})
	<-gone.Done()
	if !errors.Is(gone.Reason(), supervisor.Killed) {
		t.Errorf("killed: %v", gone.Reason())
	}
	if r := w.ask("p/a", op(abi.OpLink, b)); r.code != abi.CodeNoProcess {
		t.Errorf("link to a dead one = %v", r)
	}
}

func TestMonitors(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	b := w.ask("p/a", op(abi.OpWhereis, "b")).answer
	ref := w.ask("p/a", op(abi.OpMonitor, "b")).answer
	other := w.ask("p/a", op(abi.OpMonitor, "b")).answer
	if r := w.ask("p/a", op(abi.OpDemonitor, other)); r.code != 0 {
		t.Errorf("demonitor = %v", r)
	}
	w.call("p/b", op(trap, ""))
	if e := w.next(abi.EventDown); e.Name != ref || e.Detail != b || !strings.Contains(string(e.Payload), "unreachable") {
		t.Errorf("down = %+v", e)
	}
	if r := w.ask("p/a", op(abi.OpDemonitor, ref)); r.code != abi.CodeNoProcess {
		t.Errorf("demonitor of one that is down = %v", r)
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	for _, step := range []struct {
		order abi.Effect
		code  abi.Code
	}{
		{op(abi.OpRegister, "me"), 0},
		{op(abi.OpRegister, "me"), 0},
		{op(abi.OpRegister, "b"), abi.CodeTaken},
		{op(abi.OpRegister, "#7"), abi.CodeMalformed},
		{op(abi.OpRegister, "x/y"), abi.CodeMalformed},
		{abi.Effect{Kind: abi.OpRegister, Name: "also", Payload: []byte("b")}, 0},
		{calling("also", ""), 0},
		{op(abi.OpUnregister, "also"), 0},
		{op(abi.OpUnregister, "also"), abi.CodeNoProcess},
		{op(abi.OpWhereis, "also"), abi.CodeNoProcess},
	} {
		if r := w.ask("p/a", step.order); min(r.code, 0) != step.code {
			t.Errorf("%v %s = %v, want %v", step.order.Kind, step.order.Name, r, step.code)
		}
	}
	w.crash("p/a")
	if w.process("p/me") != nil {
		t.Error("a name outlived its process")
	}
}

func TestTimers(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"))
	after := func(ms, text string) string {
		return w.ask("p/a", abi.Effect{Kind: abi.OpSendAfter, Payload: []byte(text), Detail: ms}).answer
	}
	cancelled := after("60000", "never")
	if r := w.ask("p/a", op(abi.OpCancel, cancelled)); r.code <= 0 || len(r.answer) != 5 {
		t.Errorf("cancel = %v, want some 59999 ms", r)
	}
	fired := after("5", "tick")
	if e := w.next(abi.EventInfo); string(e.Payload) != "tick" {
		t.Errorf("info = %+v", e)
	}
	if r := w.ask("p/a", op(abi.OpCancel, fired)); r.code != abi.CodeNoProcess {
		t.Errorf("cancel of a timer that fired = %v", r)
	}
}

// With one slot, processes that wait must not keep others from answering.
func TestWaitingNeverStarves(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Limits.Slots = 1 }, worker("a"), worker("b"), worker("c"), worker("d"), worker("e"))
	chain := calling("b", "", calling("c", "", calling("d", "", calling("e", "", op(count, "")))))
	for n := range 3 {
		answer := w.ask("p/a", chain).answer
		for range 3 {
			answer = results([]byte(answer))[0].answer
		}
		if got := results([]byte(answer)); len(got) != 1 || int(got[0].code) != n+1 {
			t.Fatalf("round %d ends with %v", n, got)
		}
	}
}

func TestTooManyWait(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Limits.Waiting = 1 }, worker("a"), worker("b"))
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		w.call("p/a", abi.Effect{Kind: abi.OpSleep, Detail: "3600000"})
	}()
	eventually(t, "a sleeps", func() bool { return w.process("p/a").Info().State == supervisor.Blocked })
	if r := w.ask("p/b", abi.Effect{Kind: abi.OpSleep, Detail: "1"}); r.code != abi.CodeBusy {
		t.Errorf("the second that waits got %v, want %v", r, abi.CodeBusy)
	}
	w.process("p/a").Kill()
	<-slept
	eventually(t, "alone, it may", func() bool { return w.ask("p/b", abi.Effect{Kind: abi.OpSleep, Detail: "1"}).code == 0 })
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) {
		s.Processes, s.References, s.Pending, s.Mailbox = 20, 10, 10_000, 5
	}, worker("a"), worker("b"))
	until := func(order abi.Effect, most int) result {
		for range most {
			if r := w.ask("p/a", order); r.code < 0 {
				return r
			}
		}
		t.Fatalf("%v is without bound", order.Kind)
		return result{}
	}
	if r := until(abi.Effect{Kind: abi.OpSendAfter, Detail: "60000"}, 20); r.code != abi.CodeLimit {
		t.Errorf("timers end with %v", r)
	}
	if r := until(abi.Effect{Kind: abi.OpSpawn, Name: "m"}, 30); r.code != abi.CodeLimit {
		t.Errorf("spawns end with %v", r)
	}
	busy := func() { w.ask("p/a", abi.Effect{Kind: abi.OpCast, Name: "b", Payload: orders(op(abi.OpSelf, ""))}) }
	busy()
	// b sleeps in a call, and does not empty its mailbox.
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		w.call("p/b", abi.Effect{Kind: abi.OpSleep, Detail: "3600000"})
	}()
	defer func() { w.process("p/b").Kill(); <-slept }()
	eventually(t, "b sleeps", func() bool { return w.process("p/b").Info().State == supervisor.Blocked })
	if r := until(abi.Effect{Kind: abi.OpCast, Name: "b"}, 20); r.code != abi.CodeFull {
		t.Errorf("casts end with %v", r)
	}
	if r := until(abi.Effect{Kind: abi.OpSend, Name: "b", Payload: make([]byte, 9_000)}, 20); r.code != abi.CodeFull {
		t.Errorf("large messages end with %v", r)
	}
}

func TestTerminate(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"), worker("c"))
	wants := abi.Effect{Kind: abi.EffectWants, Name: "terminate"}
	w.tell("p/a", wants)
	w.tell("p/a", abi.Effect{Kind: abi.EffectStop, Name: "shutdown", Payload: []byte("had enough")})
	if e := w.next(abi.EventTerminate); e.Name != "shutdown" || string(e.Payload) != "had enough" {
		t.Errorf("terminate = %+v", e)
	}
	w.tell("p/b", wants)
	w.set.Remove("p")
	if e := w.next(abi.EventTerminate); e.Name != "shutdown" {
		t.Errorf("terminate = %+v", e)
	}
	select {
	case e := <-w.events:
		if e.Kind == abi.EventTerminate {
			t.Errorf("c did not ask for %+v", e)
		}
	default:
	}
}

func TestInfo(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	// b is registered before its first turn has ended.
	eventually(t, "b waits", func() bool { return w.process("p/b").Info().State == supervisor.Waiting })
	r := w.ask("p/a", op(abi.OpInfo, "b"))
	for _, want := range []string{`"names":["b"]`, `"state":"waiting"`, `"mailbox":0`, `"reductions":`} {
		if !strings.Contains(r.answer, want) {
			t.Errorf("info lacks %s: %s", want, r.answer)
		}
	}
}

func TestDependencies(t *testing.T) {
	w := newWorld(t)
	needs := abi.Effect{Kind: abi.EffectDepends, Name: "accounts"}
	var waiting *rollout.WaitingError
	granted := func(s *release.Settings) { s.Depends = []string{"accounts"} }
	if err := w.try("shop", granted, needs, worker("a")); !errors.As(err, &waiting) || waiting.For[0] != "accounts" {
		t.Errorf("deployed before accounts: %v", err)
	}
	w.deploy("accounts", nil, worker("a"))
	w.deploy("shop", granted, needs, worker("a"))
	if r := w.ask("shop/a", calling("accounts/a", "", op(count, ""))); r.code <= 0 {
		t.Errorf("call to a plugin that it depends on = %v", r)
	}
	if r := w.ask("accounts/a", calling("shop/a", "")); r.code != abi.CodeDenied {
		t.Errorf("call to a plugin that it does not = %v", r)
	}
	back := w.ask("shop/a", op(abi.OpSelf, "")).answer
	if r := w.ask("accounts/a", calling(back, "", op(count, ""))); r.code <= 0 {
		t.Errorf("call to a pid of a plugin that depends on it = %v", r)
	}
}

func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	w.ask("p/a", op(count, ""))
	w.deploy("p", nil, worker("a"), worker("c"))
	if w.process("p/b") != nil || w.process("p/c") == nil {
		t.Error("the tree is the old one")
	}
	if r := w.ask("p/a", op(count, "")); r.code != 1 {
		t.Errorf("a counts %d, want a new memory", r.code)
	}
	// A tree that does not start leaves the old one.
	if err := w.try("p", nil, worker("a"), abi.Effect{Kind: abi.EffectChild, Name: "bad", Payload: orders(op(trap, ""))}); err == nil {
		t.Error("deployed a tree that does not start")
	}
	if w.process("p/c") == nil {
		t.Error("the old tree is not back")
	}
	for _, bad := range []abi.Effect{
		child("x", `{"type":"thread"}`), child("x", `{"under":"y"}`), child("x", `[]`), child("a", `{}`), child("channels", `{}`),
		child("x", `{"restart":"always"}`), child("x", `{"shutdown":-1}`), child("x", `{"max_seconds":0}`),
	} {
		if err := w.try("p", nil, worker("a"), bad); err == nil || !strings.Contains(err.Error(), "declares child") {
			t.Errorf("%s: %v", bad.Detail, err)
		}
	}
}

func fieldsOf(answer string) (list []string) {
	for f := range abi.Fields([]byte(answer)) {
		list = append(list, string(f))
	}
	return list
}
