package rollout_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// What is counted besides the bytes of a thing, and of a message that waits.
const (
	thingSize     = 128
	broadcastSize = 256
)

// kept is how many bytes and things a plugin's guests make the host keep.
func (w *world) kept(name string) [2]int64 {
	k := w.set.Kept(name)
	return [2]int64{k.Bytes, k.Things + k.Names}
}

// keptFor waits until nothing is kept but the names of the tree. (What puppets tell of the
// events that they get waits for a moment, too.)
func (w *world) keptFor(name string, names ...string) [2]int64 {
	w.t.Helper()
	want := [2]int64{int64(len(strings.Join(names, "")) + thingSize*len(names)), int64(len(names))}
	eventually(w.t, "nothing but names is kept", func() bool { return w.kept(name) == want })
	return want
}

// Whatever a guest can make the host keep is counted in bytes. When there is no room for it
// the guest is told, another plugin does not notice, and what is given back can be used again.
func TestPending(t *testing.T) {
	long := strings.Repeat("x", 1000)
	task := orders(abi.Effect{Kind: abi.OpSelf, Payload: []byte(long)})
	for name, test := range map[string]struct {
		keeps abi.Effect
		bytes int // that it takes
		gives func(kept result) abi.Effect
	}{
		"timer": {
			abi.Effect{Kind: abi.OpSendAfter, Payload: []byte(long), Detail: "3600000"}, thingSize + 1000,
			func(r result) abi.Effect { return op(abi.OpCancel, r.answer) },
		},
		"name": {
			op(abi.OpRegister, long), thingSize + 1000,
			func(result) abi.Effect { return op(abi.OpUnregister, long) },
		},
		"arguments": {
			abi.Effect{Kind: abi.OpSpawn, Name: "module", Payload: task}, len("module") + len(task),
			func(r result) abi.Effect {
				return abi.Effect{Kind: abi.OpExit, Name: fieldsOf(r.answer)[0], Payload: []byte("kill")}
			},
		},
		"arguments under a supervisor": {
			abi.Effect{Kind: abi.OpSpawn, Name: "module", Payload: task, Detail: "pool"}, len("module") + len(task),
			func(r result) abi.Effect { return op(abi.OpStopChild, fieldsOf(r.answer)[0]) },
		},
		"presence": {
			abi.Effect{Kind: abi.OpTrack, Name: "key1", Payload: []byte(`{"n":"` + long + `"}`), Detail: "p:1"}, thingSize + len("p:1") + len("key1") + len(`"n":""`) + 1000,
			func(result) abi.Effect { return abi.Effect{Kind: abi.OpUntrack, Name: "key1", Detail: "p:1"} },
		},
		"subscription": {
			op(abi.EffectSubscribe, "p:"+long), thingSize + 1002,
			func(result) abi.Effect { return op(abi.EffectUnsubscribe, "p:"+long) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tree := []abi.Effect{worker("a"), worker("b"), child("pool", `{"type":"dynamic"}`)}
			bound := 0
			settings := func(s *release.Settings) { s.Pending = bound }
			deploy := func(n int) {
				bound = n
				w.deploy("p", settings, tree...)
			}
			deploy(1 << 20)
			w.deploy("q", nil, worker("a"))
			base := w.keptFor("p", "a", "b")
			settled := func() bool { return w.kept("p") == base }

			deploy(int(base[0]) + test.bytes)
			eventually(t, "all is quiet", settled)
			kept := w.ask("p/a", test.keeps)
			if kept.code < 0 {
				t.Fatalf("at the bound: %v", kept)
			}
			eventually(t, "it is counted", func() bool { return w.kept("p")[0] == base[0]+int64(test.bytes) })
			if r := w.ask("p/a", vary(test.keeps)); r.code != abi.CodeLimit {
				t.Errorf("beyond the bound: %v", r)
			}
			if r := w.ask("q/a", abi.Effect{Kind: abi.OpSendAfter, Payload: []byte(long), Detail: "3600000"}); r.code < 0 {
				t.Errorf("another plugin is told %v", r)
			}
			if r := w.ask("p/a", test.gives(kept)); r.code < 0 {
				t.Errorf("give back: %v", r)
			}
			eventually(t, "it is given back", settled)
			if r := w.ask("p/a", test.keeps); r.code < 0 {
				t.Errorf("in the room that was given back: %v", r)
			}
			eventually(t, "it is counted", func() bool { return w.kept("p")[0] == base[0]+int64(test.bytes) })
			w.crash("p/a")
			if strings.HasPrefix(name, "arguments") { // those outlive the one that spawned
				return
			}
			eventually(t, "it ends with its process", settled)

			deploy(1)
			if r := w.ask("p/a", test.keeps); r.code >= 0 {
				t.Errorf("with a bound of 1: %v", r)
			}
			eventually(t, "nothing is kept beyond a bound of 1", settled)
		})
	}
}

// Answers that nobody fetches count for the one who has asked, who is told if there is no room.
func TestPendingAnswers(t *testing.T) {
	w := newWorld(t)
	tree := []abi.Effect{worker("a"), worker("b")}
	w.deploy("p", func(s *release.Settings) { s.Pending = len("ab") + 4*thingSize + 2500 }, tree...)
	base := w.keptFor("p", "a", "b")
	echoed := abi.Effect{Kind: abi.OpRequest, Name: "b", Payload: orders(abi.Effect{Kind: echo, Payload: make([]byte, 1000)})}
	first := w.ask("p/a", echoed).answer
	eventually(t, "the answer is counted", func() bool { return w.kept("p") == [2]int64{base[0] + thingSize + 1000, base[1] + 1} })
	second := w.ask("p/a", abi.Effect{Kind: abi.OpRequest, Name: "b", Payload: orders(op(keep, ""))}).answer
	third := w.ask("p/a", abi.Effect{Kind: abi.OpRequest, Flags: abi.Notify, Name: "b", Payload: orders(abi.Effect{Kind: echo, Payload: make([]byte, 1)})}).answer
	if e := w.next(abi.EventReply); e.Name != third || e.Flags&abi.Failed != 0 {
		t.Errorf("an answer for which there is room: %+v", e)
	}
	w.ask("p/b", abi.Effect{Kind: late, Payload: make([]byte, 1501)})
	if r := w.ask("p/a", op(abi.OpAwait, second)); r.code != abi.CodeLimit {
		t.Errorf("an answer for which there is none: %v", r)
	}
	if r := w.ask("p/a", op(abi.OpAwait, first)); len(r.answer) != 1000 {
		t.Errorf("the one that was kept: %v", r.code)
	}
	eventually(t, "all is fetched", func() bool { return w.kept("p") == base })
	w.ask("p/a", echoed)
	eventually(t, "the answer is counted", func() bool { return w.kept("p")[0] == base[0]+thingSize+1000 })
	w.crash("p/a")
	eventually(t, "it ends with its process", func() bool { return w.kept("p") == base })
}

// vary names something else in an order of the same size.
func vary(o abi.Effect) abi.Effect {
	if o.Kind == abi.OpRegister || o.Kind == abi.EffectSubscribe || o.Kind == abi.OpTrack {
		o.Name = o.Name[:len(o.Name)-1] + "y"
	}
	return o
}

// What waits for a process that does not take it counts for the plugin that has sent it, or
// whose process has subscribed to it.
func TestPendingMessages(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	must(t, w.set.Services().Provide(ask.Service{Name: "slow", Start: func() supervisor.Actor { return waits(gate) }}))
	slow := func(s *release.Settings) { s.Services = append(s.Services, "rtd/slow") }
	w.deploy("p", slow, worker("a"))
	w.deploy("q", slow, worker("a"))
	base := w.keptFor("p", "a")
	w.deploy("p", func(s *release.Settings) { slow(s); s.Pending = int(base[0]) + 32<<10 }, worker("a"))
	w.keptFor("p", "a")
	cast := abi.Effect{Kind: abi.OpCast, Name: "rtd/slow", Payload: make([]byte, 10<<10)}
	for i, want := range []abi.Code{0, 0, 0, abi.CodeFull, abi.CodeFull} {
		if r := w.ask("p/a", cast); r.code != want {
			t.Errorf("cast %d to a service that does not take it: %v, want %v", i+1, r, want)
		}
	}
	if r := w.ask("p/a", calling("rtd/slow", "20", abi.Effect{Kind: abi.OpSelf, Payload: make([]byte, 4<<10)})); r.code != abi.CodeFull {
		t.Errorf("a call: %v", r)
	}
	if r := w.ask("q/a", cast); r.code != 0 {
		t.Errorf("another plugin is told %v", r)
	}
	close(gate)
	eventually(t, "all is taken", func() bool { return w.kept("p") == base })
	if r := w.ask("p/a", cast); r.code != 0 {
		t.Errorf("afterwards: %v", r)
	}
}

// waits is a service that takes nothing before its gate is closed.
type waits chan struct{}

func (waits) Init(*supervisor.Process) error       { return nil }
func (waits) Terminate(*supervisor.Process, error) {}
func (g waits) Handle(p *supervisor.Process, _ any) error {
	p.Block(func() { <-g })
	return nil
}

// Broadcasts wait for a subscriber up to the bound of its plugin, and no further.
func TestPendingBroadcasts(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	w.deploy("q", nil, worker("a"))
	for _, who := range []string{"p/a", "p/b"} {
		w.ask(who, op(abi.EffectSubscribe, "p:news"))
	}
	w.ask("q/a", op(abi.EffectSubscribe, "q:news"))
	base := [2]int64{int64(len("a") + len("b") + 2*len("p:news") + 4*thingSize), 4} // with the subscriptions
	eventually(t, "all is quiet", func() bool { return w.kept("p") == base })
	payload := fmt.Appendf(nil, `{"n":%q}`, strings.Repeat("x", 1000))
	size := broadcastSize + len("p:news") + len("flash") + len(payload)
	w.deploy("p", func(s *release.Settings) { s.Pending = int(base[0]) + 2*size }, worker("a"), worker("b"))
	for _, who := range []string{"p/a", "p/b"} { // settings are a deploy, after which the tree is new
		w.ask(who, op(abi.EffectSubscribe, "p:news"))
	}
	slept := make(chan struct{}, 2)
	for _, who := range []string{"p/a", "p/b"} {
		go func() {
			w.call(who, abi.Effect{Kind: abi.OpRequest, Name: "nobody"}, abi.Effect{Kind: abi.OpSleep, Detail: "60000"})
			slept <- struct{}{}
		}()
		eventually(t, who+" sleeps", func() bool { return w.process(who).Info().State == supervisor.Blocked })
	}
	for range 5 {
		must(t, w.endpoint.Publish("p:news", "flash", payload, false))
		must(t, w.endpoint.Publish("q:news", "flash", payload, false))
	}
	eventually(t, "two of five wait, once for both", func() bool { return w.kept("p")[0]-base[0] == int64(2*size) })
	for range 5 {
		if e := w.next(abi.EventBroadcast); e.Detail != "q:news" {
			t.Errorf("broadcast of %s", e.Detail)
		}
	}
	for _, who := range []string{"p/a", "p/b"} {
		w.process(who).Kill()
		<-slept
	}
	eventually(t, "all is given back", func() bool { return w.kept("p")[0] == int64(len("a")+len("b")+2*thingSize) })
}

// What connect says of a client counts until the client has gone.
func TestPendingAssigns(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Pending, s.Allows = 300, []string{"connect"} }, op(abi.EffectWants, "connect"))
	info := orders(abi.Effect{Kind: abi.EffectReply, Name: "ok", Payload: make([]byte, 100), Detail: "id"})
	eventually(t, "two sockets", func() bool { // what the guest tells of the event waits for a moment, too
		first, err := w.set.Connect(t.Context(), "p", "/socket", info)
		if err != nil {
			return false
		}
		defer first.Closed()
		second, err := w.set.Connect(t.Context(), "p", "/socket", info)
		if err != nil {
			return false
		}
		s := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: nobody{}, Assigns: second.Assigns, Closed: second.Closed})
		defer s.Close()
		eventually(t, "both count", func() bool { return w.kept("p")[0] == 2*102 })
		if _, err := w.set.Connect(t.Context(), "p", "/socket", info); !errors.Is(err, process.ErrNoRoom) {
			t.Errorf("a third: %v", err)
		}
		return true
	})
	eventually(t, "nothing is kept", func() bool { return w.kept("p") == [2]int64{} })
}

// A tree that would not fit is refused.
func TestPendingTree(t *testing.T) {
	w := newWorld(t)
	large := abi.Effect{Kind: abi.EffectChild, Name: "a", Payload: orders(abi.Effect{Kind: abi.OpSelf, Payload: make([]byte, 2000)})}
	for name, change := range map[string]func(*release.Settings){
		"pending":   func(s *release.Settings) { s.Pending = 2000 },
		"processes": func(s *release.Settings) { s.Processes = 1 },
	} {
		if err := w.try("p", change, large, worker("b")); err == nil || !strings.Contains(err.Error(), name+" in [plugin.p]") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.deploy("p", nil, large, worker("b"))
}

// What a handler intercepts counts by its name.
func TestPendingIntercepts(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 1000)
	w.deploy("p", func(s *release.Settings) { s.Pending, s.Scope = 2500, abi.ScopeTopic }, op(count, ""))
	c := w.join("p:1", op(abi.EffectIntercept, long), op(abi.EffectIntercept, long), op(abi.EffectIntercept, long[1:]))
	eventually(t, "the two names are counted", func() bool { return w.kept("p") == [2]int64{1999 + 2*thingSize, 2} })
	d := w.join("p:1", op(abi.EffectIntercept, long[2:]))
	eventually(t, "a third is not", func() bool { return w.kept("p") == [2]int64{1999 + 2*thingSize, 2} })
	c.Close()
	d.Close()
	eventually(t, "all is given back", func() bool { return w.kept("p") == [2]int64{} })
}

// References are what is held, however they end.
func TestReferencesCannotBeGivenBackTwice(t *testing.T) {
	w := newWorld(t)
	const most = 10
	w.deploy("p", func(s *release.Settings) { s.References = most }, worker("a"), worker("b"), worker("c"))
	timers := func() (n int) {
		for w.ask("p/a", abi.Effect{Kind: abi.OpSendAfter, Detail: "3600000"}).code > 0 {
			n++
		}
		return n
	}
	if n := timers(); n != most {
		t.Errorf("%d timers, want %d", n, most)
	}
	w.ask("p/a", op(abi.OpTrapExit, "on"))
	for range 3 * most {
		w.ask("p/a", op(abi.OpUnlink, "b")) // although there is no link
		w.ask("p/b", abi.Effect{Kind: abi.OpExit, Name: "a", Payload: []byte("shutdown")})
		w.next(abi.EventExit)
		w.ask("p/b", op(abi.OpLink, "a")) // beyond the bound
		w.ask("p/a", op(abi.OpCancel, "77"))
		w.ask("p/a", op(abi.OpDemonitor, "77"))
		w.ask("p/a", op(abi.OpAwait, "77"))
	}
	if n := timers(); n != 0 {
		t.Errorf("%d timers more than there may be", n)
	}
	if got := w.kept("p")[1]; got != most+3 { // and three names
		t.Errorf("%d things are kept, want %d", got, most+3)
	}
	w.crash("p/a")

	// Links and their ends, of either side.
	linked := func(order abi.Effect, times int, want int64) {
		t.Helper()
		for range times {
			if r := w.ask("p/a", order); r.code < 0 {
				t.Fatalf("%v = %v", order.Kind, r)
			}
		}
		eventually(t, fmt.Sprint("there are ", want), func() bool { return w.kept("p")[1]-3 == want })
	}
	w.ask("p/a", op(abi.OpTrapExit, "on"))
	linked(op(abi.OpLink, "b"), 5, 1)
	linked(op(abi.OpUnlink, "b"), 5, 0)
	linked(op(abi.OpLink, "b"), 1, 1)
	w.crash("p/b")
	w.next(abi.EventExit)
	linked(op(abi.OpSelf, ""), 1, 0)
	linked(op(abi.OpTrapExit, "off"), 1, 0)
	for range 3 * most { // those that end without a word
		task := fieldsOf(w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m"}).answer)[0]
		linked(op(abi.OpLink, task), 1, 1)
		_, _ = w.call(task, abi.Effect{Kind: abi.EffectStop, Name: "normal"})
		linked(op(abi.OpSelf, ""), 1, 0)
	}
}

// A callee that never answers keeps nothing of those who have stopped to wait.
func TestQuestionsNobodyAnswersAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), worker("b"))
	base := w.keptFor("p", "a", "b")
	for range 100 {
		if r := w.ask("p/a", calling("b", "1", op(keep, ""), abi.Effect{Kind: abi.OpSelf, Payload: make([]byte, 20<<10)})); r.code != abi.CodeTimeout {
			t.Fatalf("call = %v", r)
		}
	}
	eventually(t, "nothing is kept", func() bool { return w.kept("p") == base })
}

// TestAllIsGivenBack has processes do at random what makes the host keep something, and
// undo it, and crash. When they have ended nothing is left.
func TestAllIsGivenBack(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.References, s.Pending, s.Intensity.Max = 200, 50_000, 1_000_000 },
		worker("a"), child("pool", `{"type":"dynamic","max_restarts":1000000}`))
	w.deploy("q", func(s *release.Settings) { s.Depends = []string{"p"} }, worker("b"))
	base := w.keptFor("p", "a")
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []byte { return make([]byte, random.IntN(3000)) }
	var tasks []string
	task := func() string { return tasks[random.IntN(len(tasks))] }
	spawn := func() {
		o := abi.Effect{Kind: abi.OpSpawn, Name: "m", Payload: orders(abi.Effect{Kind: abi.OpTrapExit, Name: "on", Payload: text()})}
		o.Detail = []string{"", "pool"}[random.IntN(2)]
		o.Flags = abi.Flags(random.IntN(2)) * abi.Request
		if r := w.ask("p/a", o); r.code > 0 {
			tasks = append(tasks, fieldsOf(r.answer)[0])
		}
	}
	for range 8 {
		spawn()
	}
	number := func() string { return fmt.Sprint(random.IntN(20) + 1) }
	asks := func() []byte {
		return [][]byte{orders(op(keep, "")), orders(abi.Effect{Kind: echo, Payload: text()}), orders(op(trap, ""))}[random.IntN(25)%3]
	}
	kinds := []func() abi.Effect{
		func() abi.Effect { return abi.Effect{Kind: abi.OpSendAfter, Payload: text(), Detail: "3600000"} },
		func() abi.Effect { return abi.Effect{Kind: abi.OpSendAfter, Payload: text(), Detail: number()} },
		func() abi.Effect { return op(abi.OpCancel, number()) },
		func() abi.Effect { return op(abi.OpMonitor, task()) },
		func() abi.Effect { return op(abi.OpDemonitor, number()) },
		func() abi.Effect { return op(abi.OpLink, task()) },
		func() abi.Effect { return op(abi.OpUnlink, task()) },
		func() abi.Effect { return op(abi.OpRegister, "name"+number()) },
		func() abi.Effect { return op(abi.OpUnregister, "name"+number()) },
		func() abi.Effect { return op(abi.EffectSubscribe, "p:"+number()) },
		func() abi.Effect {
			return abi.Effect{
				Kind: []abi.Kind{abi.OpTrack, abi.OpUpdate, abi.OpUntrack}[random.IntN(3)], Name: number(),
				Payload: fmt.Appendf(nil, `{"n":%q}`, strings.Repeat("x", random.IntN(100))), Detail: "p:1",
			}
		},
		func() abi.Effect { return op(abi.EffectUnsubscribe, "p:"+number()) },
		func() abi.Effect {
			return abi.Effect{Kind: abi.EffectPublish, Name: "e", Payload: []byte(`{}`), Detail: "p:" + number()}
		},
		func() abi.Effect {
			return abi.Effect{Kind: abi.OpRequest, Flags: abi.Flags(random.IntN(2)) * abi.Notify, Name: task(), Payload: asks()}
		},
		func() abi.Effect { return abi.Effect{Kind: abi.OpAwait, Name: number(), Detail: "0"} },
		func() abi.Effect { return abi.Effect{Kind: abi.OpCall, Name: task(), Payload: asks(), Detail: "1"} },
		func() abi.Effect {
			return abi.Effect{Kind: abi.OpSend, Name: task(), Payload: orders(op(abi.OpSelf, ""))}
		},
		func() abi.Effect { return abi.Effect{Kind: abi.OpExit, Name: task(), Payload: []byte("shutdown")} },
	}
	for range 3000 {
		if len(tasks) < 8 {
			spawn()
			continue
		}
		i := random.IntN(len(tasks))
		var what []abi.Effect
		for range 1 + random.IntN(5) {
			what = append(what, kinds[random.IntN(len(kinds))]())
		}
		if random.IntN(40) == 0 {
			what = append(what, op(trap, ""))
		}
		if _, err := w.call(tasks[i], what...); err != nil {
			tasks = append(tasks[:i], tasks[i+1:]...)
		}
		if got := w.kept("p"); got[0] < 0 || got[1] < 0 || got[0] > 50_000 {
			t.Fatalf("kept is %d", got)
		}
	}
	// All that there are, also those of which the test does not know any more.
	for pid := range 20_000 {
		if p := w.runtime.Find(supervisor.PID(pid)); p != nil && p != w.process("p/a") && p.Group() == w.process("p/a").Group() {
			p.Kill()
		}
	}
	w.crash("p/a") // with what it has asked and never awaited
	eventually(t, "all is given back", func() bool {
		// A child of the pool may have been between two lives.
		for _, pid := range fieldsOf(w.ask("p/a", op(abi.OpChildren, "pool")).answer) {
			w.ask("p/a", op(abi.OpStopChild, pid))
		}
		return w.kept("p") == base
	})
}
