package rollout_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/app"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

// How the export and import of puppets go.
const (
	stateless abi.Kind = 0x407 + iota // export gives nothing
	lost                              // export traps
	picky                             // import is refused
	broken                            // import traps
)

// wantsExport is what a puppet declares that can hand on its state.
var wantsExport = op(abi.EffectWants, "export")

func puppetVersion(n int) []byte { return withVersion(puppetWASM, n) }

// withVersion is a module of other bytes that does the same: a custom section tells
// versions apart.
func withVersion(wasm []byte, n int) []byte {
	name := fmt.Sprintf("v%04d", n)
	return append(slices.Clone(wasm), append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...)...)
}

// swap deploys version n of a puppet.
func (w *world) swap(n int, name string, change func(*release.Settings), start ...abi.Effect) {
	w.t.Helper()
	must(w.t, w.trySwap(n, name, change, start...))
}

func (w *world) trySwap(n int, name string, change func(*release.Settings), start ...abi.Effect) error {
	return w.set.Deploy(context.Background(), name, puppetVersion(n), puppetSettings(name, change, start...))
}

// stats are the figures of the only plugin, or of the one that is called so.
func (w *world) stats(name string) app.Stats {
	w.t.Helper()
	for _, s := range w.set.Stats() {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("there is no plugin %s", name)
	return app.Stats{}
}

func (w *world) wantMoves(name string, want app.Moves) {
	w.t.Helper()
	for end := time.Now().Add(patience); w.stats(name).Moves != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("moves are %+v, want %+v", w.stats(name).Moves, want)
		}
	}
}

// TestTreeMigrates moves a tree to another version. Pids, names, timers, monitors,
// links, calls that wait for an answer and the states stay; nobody hears of it.
func TestTreeMigrates(t *testing.T) {
	w := newWorld(t)
	tree := []abi.Effect{wantsExport, worker("a"), worker("b"), child("pool", `{"type":"dynamic"}`), child("once", `{"restart":"temporary"}`)}
	w.swap(1, "p", nil, tree...)
	names := []string{"a", "b", "once", "pooled", "task"}
	w.tell("p/a",
		abi.Effect{Kind: abi.OpSpawn, Name: "m", Detail: "pool", Extra: "pooled"},
		abi.Effect{Kind: abi.OpSpawn, Flags: abi.Link, Name: "m", Extra: "task"},
		op(abi.OpMonitor, "b"),
		op(abi.OpTrapExit, "on"),
		op(abi.EffectWants, "terminate"),
	)
	eventually(t, "the task", func() bool { return w.process("p/task") != nil })
	pids := map[string]string{}
	for i, name := range names {
		for range i + 1 {
			w.ask("p/"+name, op(count, ""))
		}
		pids[name] = w.ask("p/"+name, op(abi.OpSelf, "")).answer
	}
	timer := w.ask("p/b", abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("ring"), Detail: "3600000"}).answer
	soon := w.ask("p/a", abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("soon"), Detail: "300"})
	if soon.code < 0 {
		t.Fatal(soon.code)
	}
	answer := make(chan string, 1)
	go func() {
		b, err := w.call("p/b", op(keep, ""))
		answer <- fmt.Sprint(string(b), err)
	}()
	eventually(t, "the call is kept", func() bool { return w.process("p/b").Info().State.String() == "waiting" })

	before := w.stats("p").Version
	w.swap(2, "p", nil, tree...)
	w.wantMoves("p", app.Moves{WithState: uint64(len(names))})
	for range names {
		e := w.next(abi.EventImport)
		var extra []string
		for f := range abi.Fields([]byte(e.Extra)) {
			extra = append(extra, string(f))
		}
		if e.Detail != "1" || len(extra) != 2 || !slices.Contains([]string{"a", "b", "once", "m"}, e.Name) || !strings.HasPrefix(extra[0], "#") {
			t.Errorf("import %q %q of %q", e.Name, e.Detail, extra)
		}
	}
	s := w.stats("p")
	if s.Version == before || len(s.Others) != 0 || s.Sandbox.Live != int64(len(names)) {
		t.Errorf("after the swap from %s: %+v", before, s)
	}
	for i, name := range names {
		if got := w.ask("p/"+name, op(count, "")); int(got.code) != i+2 {
			t.Errorf("%s counts %d, want %d", name, got.code, i+2)
		}
		if got := w.ask("p/"+name, op(abi.OpSelf, "")).answer; got != pids[name] {
			t.Errorf("%s has the pid %s, had %s", name, got, pids[name])
		}
	}
	if left := w.ask("p/b", op(abi.OpCancel, timer)).answer; left == "" {
		t.Error("the timer is gone")
	}
	if e := w.next(abi.EventInfo); string(e.Payload) != "soon" {
		t.Errorf("a message %q came, not that of the timer", e.Payload)
	}
	w.ask("p/b", abi.Effect{Kind: late, Payload: []byte("at last")})
	if got := <-answer; got != "at last<nil>" {
		t.Errorf("the kept call was answered %s", got)
	}
	w.crash("p/b")
	if e := w.next(abi.EventDown); e.Detail != pids["b"] {
		t.Errorf("down of %s, want %s", e.Detail, pids["b"])
	}
	w.call("p/task", op(trap, ""))
	if e := w.next(abi.EventExit); e.Name != pids["task"] {
		t.Errorf("exit of %s, want %s", e.Name, pids["task"])
	}
	if got := w.ask("p/b", op(count, "")); got.code != 1 {
		t.Errorf("after its crash b counts %d", got.code)
	}
	w.tell("p/a", abi.Effect{Kind: abi.EffectStop, Name: "shutdown"})
	w.next(abi.EventTerminate) // which the old guest has wanted
}

// A state that cannot be handed on: the process begins anew, or stays, as is wished;
// what would not be started again stays where it is, if it can.
func TestTreeThatCannotMigrate(t *testing.T) {
	for _, test := range []struct {
		from, to abi.Kind
		crashes  string
		dies     bool
	}{
		{from: stateless},
		{from: lost, crashes: "unreachable", dies: true},
		{to: picky},
		{to: broken, crashes: "unreachable"},
	} {
		for _, stay := range []bool{false, true} {
			t.Run(fmt.Sprintf("%x %x %v", test.from, test.to, stay), func(t *testing.T) {
				w := newWorld(t)
				settings := func(s *release.Settings) { s.Rollout.Stay = stay }
				tree := []abi.Effect{wantsExport, child("a", `{"name":"a"}`), child("once", `{"restart":"temporary"}`)}
				w.swap(1, "p", settings, append(tree, op(test.from, ""))...)
				pid := w.ask("p/a", op(abi.OpSelf, "")).answer
				w.ask("p/a", op(count, ""))
				w.ask("p/once", op(count, ""))
				want := app.Moves{Anew: 1, Stayed: 1}
				switch {
				case test.dies:
					want = app.Moves{Anew: 1}
				case stay:
					want = app.Moves{Stayed: 2}
				}
				var config []abi.Effect
				if test.to != 0 {
					config = append(tree, op(test.to, ""))
				} else {
					config = append(tree, op(count, ""))
				}
				w.swap(2, "p", settings, config...)
				w.wantMoves("p", want)
				begins := 1 // count is part of the new config
				if test.to != 0 {
					begins = 0
				}
				if want.Anew == 0 {
					begins = 1
				}
				if got := w.ask("p/a", op(count, "")).code; int(got) != begins+1 {
					t.Errorf("a counts %d, want %d", got, begins+1)
				}
				if got := w.ask("p/a", op(abi.OpSelf, "")).answer; got != pid {
					t.Errorf("a has the pid %s, had %s", got, pid)
				}
				if test.dies {
					eventually(t, "the end of once", func() bool { return w.process("p/once") == nil })
				} else if got := w.ask("p/once", op(count, "")).code; got != 2 {
					t.Errorf("once counts %d, want 2", got)
				}
				crashed := func() bool { return strings.Contains(w.log.String(), "crashed") }
				if test.crashes != "" {
					eventually(t, "the line of the crash", crashed)
				} else if crashed() {
					t.Error("there is a crash in the log")
				}
			})
		}
	}
}

// Versions that declare different trees, or do not both export, cannot share processes:
// they are started anew, as they always were.
func TestTreeThatChangesIsRestarted(t *testing.T) {
	w := newWorld(t)
	w.swap(1, "p", nil, wantsExport, worker("a"))
	pid := w.ask("p/a", op(abi.OpSelf, "")).answer
	w.ask("p/a", op(count, ""))
	for n, tree := range [][]abi.Effect{{wantsExport, worker("a"), worker("b")}, {worker("a")}, {wantsExport, worker("a")}} {
		w.swap(n+2, "p", nil, tree...)
		eventually(t, "another process", func() bool {
			p := w.process("p/a")
			return p != nil && string(w.runtime.AppendPID(nil, p.PID())) != pid
		})
		pid = w.ask("p/a", op(abi.OpSelf, "")).answer
		if got := w.ask("p/a", op(count, "")); got.code != 1 {
			t.Errorf("deploy %d: a counts %d, want 1", n, got.code)
		}
	}
}

// client joins the topic "p:TOPIC" of puppets, with orders.
type puppetClient struct {
	*channels.Socket
	frames
}

func (w *world) join(topic string, what ...abi.Effect) *puppetClient {
	w.t.Helper()
	c := &puppetClient{}
	c.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &c.frames})
	w.t.Cleanup(c.Close)
	c.send(w.t, "phx_join", topic, what...)
	eventually(w.t, "join of "+topic, func() bool { return len(c.all()) > 0 })
	if got := c.all()[0]; !strings.Contains(got, `"status":"ok"`) {
		w.t.Fatalf("join of %s: %s", topic, got)
	}
	return c
}

// send sends a binary frame with orders.
func (c *puppetClient) send(t testing.TB, event, topic string, what ...abi.Effect) {
	t.Helper()
	must(t, c.Receive(slices.Concat([]byte{0, 1, 1, byte(len(topic)), byte(len(event))}, []byte("11"+topic+event), orders(what...)), true))
}

// TestChannelMigrates: what a channel handler has in the world outlives the versions.
func TestChannelMigrates(t *testing.T) {
	for _, scope := range []string{abi.ScopeJoin, abi.ScopeTopic} {
		t.Run(scope, func(t *testing.T) {
			w := newWorld(t)
			settings := func(s *release.Settings) { s.Scope, s.Grants = scope, []string{"news"} }
			w.swap(1, "p", settings, wantsExport)
			c := w.join("p:1", op(count, ""), op(abi.OpRegister, "handler"), op(abi.EffectSubscribe, "news"),
				abi.Effect{Kind: abi.OpTrack, Name: "ada", Payload: []byte(`{"n":1}`)},
				abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("ring"), Detail: "200"})
			process := w.process("p/handler")
			present := string(w.endpoint.Presence.List("p:1"))

			w.swap(2, "p", settings, wantsExport)
			w.wantMoves("p", app.Moves{WithState: 1})
			if e := w.next(abi.EventImport); e.Name != "p:1" || binary.LittleEndian.Uint32(e.Payload) != 1 {
				t.Errorf("import %s of %q", e.Name, e.Payload)
			}
			if e := w.next(abi.EventInfo); string(e.Payload) != "ring" {
				t.Errorf("a message %q came, not that of the timer", e.Payload)
			}
			if p := w.process("p/handler"); p != process {
				t.Error("the handler has another process")
			}
			if got := string(w.endpoint.Presence.List("p:1")); got != present || !strings.Contains(got, "ada") {
				t.Errorf("present is %s, was %s", got, present)
			}
			must(t, w.endpoint.Publish("news", "flash", []byte(`{}`), false))
			if e := w.next(abi.EventBroadcast); e.Name != "flash" || e.Detail != "news" {
				t.Errorf("broadcast %s of %s", e.Name, e.Detail)
			}
			c.send(t, "hello", "p:1", op(abi.EffectBroadcast, "said"))
			eventually(t, "a broadcast", func() bool {
				return slices.Contains(c.all(), `[null,null,"p:1","said",{}]`)
			})
			for _, frame := range c.all() {
				if strings.Contains(frame, "presence_diff") && strings.Contains(frame, `"leaves":{"`) || strings.Contains(frame, "phx_error") || strings.Contains(frame, "phx_close") {
					t.Errorf("the client heard of it: %s", frame)
				}
			}
		})
	}
}

// TestDeploysWhileProcessesCome starts processes all the time: none is left behind in
// a version that was replaced.
func TestDeploysWhileProcessesCome(t *testing.T) {
	w := newWorld(t)
	tree := []abi.Effect{wantsExport, worker("a"), child("pool", `{"type":"dynamic"}`)}
	many := func(s *release.Settings) { s.Processes = 100_000 } // also on a slow machine, where many begin before the next version does
	w.swap(0, "p", many, tree...)
	var stop atomic.Bool
	spawned := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			w.call("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Detail: "pool"})
		}
		spawned <- n
	}()
	for n := range 8 {
		w.swap(n+1, "p", many, tree...)
		time.Sleep(20 * time.Millisecond)
	}
	stop.Store(true)
	n := <-spawned
	eventually(t, "all in the last version", func() bool {
		s := w.stats("p")
		return len(s.Others) == 0 && s.Sandbox.Live == int64(n)+1
	})
}

// A process that begins anew ends what it had spawned and linked itself with: its init
// will spawn that again.
func TestSpawnedEndWithWhatBeginsAnew(t *testing.T) {
	w := newWorld(t)
	tree := []abi.Effect{wantsExport, worker("a"), op(stateless, "")}
	w.swap(1, "p", nil, tree...)
	w.tell("p/a", op(abi.OpTrapExit, "on"), abi.Effect{Kind: abi.OpSpawn, Flags: abi.Link, Name: "m", Extra: "own"},
		abi.Effect{Kind: abi.OpSpawn, Name: "m", Extra: "free"})
	eventually(t, "both", func() bool { return w.process("p/own") != nil && w.process("p/free") != nil })
	own, free := w.process("p/own"), w.process("p/free")
	w.swap(2, "p", nil, tree...)
	<-own.Done()
	eventually(t, "a is new", func() bool { return w.stats("p").Moves.Anew == 1 })
	if free.Reason() != nil {
		t.Errorf("what was not linked has ended: %v", free.Reason())
	}
	if i := w.process("p/a").Info(); i.Links != 0 || i.TrapExit {
		t.Errorf("a has %d links, traps exits: %v", i.Links, i.TrapExit)
	}
}

// So does a channel whose join is replayed.
func TestSpawnedEndWithAChannelThatBeginsAnew(t *testing.T) {
	for _, scope := range []string{abi.ScopeJoin, abi.ScopeTopic} {
		t.Run(scope, func(t *testing.T) {
			w := newWorld(t)
			settings := func(s *release.Settings) { s.Scope = scope }
			w.swap(1, "p", settings, op(count, ""))
			w.join("p:1", abi.Effect{Kind: abi.OpSpawn, Flags: abi.Link, Name: "m", Extra: "own"})
			eventually(t, "what it spawned", func() bool { return w.process("p/own") != nil })
			own := w.process("p/own")
			w.swap(2, "p", settings, op(count, ""))
			eventually(t, "the channel is new", func() bool { return w.stats("p").Moves.Anew == 1 })
			<-own.Done()
		})
	}
}
