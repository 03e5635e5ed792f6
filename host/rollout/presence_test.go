package rollout_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

func TestPresence(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Grants = []string{"lobby"} }, worker("a"), worker("b"))
	track := func(kind abi.Kind, key, meta, topic string) abi.Effect {
		return abi.Effect{Kind: kind, Name: key, Payload: []byte(meta), Detail: topic}
	}
	ref := w.ask("p/a", track(abi.OpTrack, "ada", `{"at":"home"}`, "lobby"))
	if ref.code <= 0 {
		t.Fatalf("track = %v", ref)
	}
	w.ask("p/b", track(abi.OpTrack, "ada", `{"at":"work"}`, "lobby"))
	for name, test := range map[string]struct {
		order abi.Effect
		code  abi.Code
	}{
		"twice":           {track(abi.OpTrack, "ada", `{}`, "lobby"), abi.CodeTaken},
		"no object":       {track(abi.OpTrack, "eve", `[]`, "lobby"), abi.CodeMalformed},
		"no topic":        {track(abi.OpTrack, "eve", `{}`, ""), abi.CodeMalformed},
		"not granted":     {track(abi.OpTrack, "eve", `{}`, "elsewhere"), abi.CodeDenied},
		"update of none":  {track(abi.OpUpdate, "eve", `{}`, "lobby"), abi.CodeNoProcess},
		"list of another": {op(abi.OpPresences, "elsewhere"), abi.CodeDenied},
	} {
		if r := w.ask("p/a", test.order); r.code != test.code {
			t.Errorf("%s: %v, want %v", name, r, test.code)
		}
	}
	var state map[string]struct {
		Metas []map[string]string
	}
	list := func() string {
		answer := w.ask("p/b", op(abi.OpPresences, "lobby")).answer
		state = nil
		must(t, json.Unmarshal([]byte(answer), &state))
		return answer
	}
	if text := list(); len(state["ada"].Metas) != 2 || !strings.Contains(text, ref.answer) {
		t.Errorf("list = %s", text)
	}
	if r := w.ask("p/b", op(abi.OpPresenceCount, "lobby")); strings.Join(fieldsOf(r.answer), " ") != "1 2" {
		t.Errorf("count = %q", r.answer)
	}

	updated := w.ask("p/a", track(abi.OpUpdate, "ada", `{"at":"sea"}`, "lobby"))
	if text := list(); !strings.Contains(text, `"at":"sea"`) || !strings.Contains(text, `"phx_ref_prev":"`+ref.answer) || updated.answer == ref.answer {
		t.Errorf("after update: %s", text)
	}
	w.ask("p/b", track(abi.OpUntrack, "ada", "", "lobby"))
	if text := list(); len(state["ada"].Metas) != 1 {
		t.Errorf("after untrack: %s", text)
	}
	w.call("p/a", op(trap, "")) // the host untracks who ends, for whatever reason
	eventually(t, "a has left", func() bool { list(); return len(state) == 0 })
}

// TestPresent: a channel handler can show who is present in its own topic and in those
// granted to the plugin; a process that is none has nobody to show it to.
func TestPresent(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Topics, s.Grants = []string{"room"}, []string{"lobby"} }, worker("a"))
	if r := w.ask("p/a", op(abi.EffectPresent, "lobby")); r.code != abi.CodeNotNow {
		t.Errorf("present in a process without a client = %v", r)
	}
	track := abi.Effect{Kind: abi.OpTrack, Name: "ada", Payload: []byte(`{"at":"home"}`), Detail: "lobby"}
	ref := w.ask("p/a", track).answer

	var box frames
	s := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &box})
	defer s.Close()
	what := orders(op(abi.EffectPresent, "room"), op(abi.EffectPresent, "elsewhere"), op(abi.EffectPresent, "lobby"), op(abi.EffectPresent, ""))
	must(t, s.Receive(append([]byte("\x00\x01\x01\x04\x0811roomphx_join"), what...), true))
	here := fmt.Sprintf(`["1",null,"room","presence_state",{"ada":{"metas":[{"at":"home","phx_ref":%q}]}}]`, ref)
	nobody := `["1",null,"room","presence_state",{}]`
	want := []string{`["1","1","room","phx_reply",{"status":"ok","response":{}}]`, nobody, here, nobody}
	eventually(t, "states", func() bool { return len(box.all()) >= len(want) })
	if got := box.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPresenceOfMembers: a handler of all members tracks each for itself, and itself.
// What it tracks for a member is there as long as the member, whatever becomes of the handler.
func TestPresenceOfMembers(t *testing.T) {
	w := newWorld(t)
	settings := func(s *release.Settings) { s.Scope, s.Grants = abi.ScopeTopic, []string{"lobby"} }
	w.swap(1, "p", settings, wantsExport, worker("a"))
	track := func(kind abi.Kind, key, meta, topic, member string) abi.Effect {
		return abi.Effect{Kind: kind, Name: key, Payload: []byte(meta), Detail: topic, Extra: member}
	}
	first := w.join("p:1", op(abi.OpRegister, "handler"), track(abi.OpTrack, "ada", `{"n":1}`, "", "@"))
	member := w.next(abi.EventJoin).Detail
	second := w.join("p:1", track(abi.OpTrack, "ada", `{"n":2}`, "", "@"), track(abi.OpTrack, "ada", `{"n":3}`, "lobby", "@"))
	w.tell("p/handler", track(abi.OpTrack, "ada", `{"n":0}`, "", ""))
	list := func(topic string) string { return string(w.endpoint.Presence.List(topic)) }
	refOf := func(text string) string {
		_, ref, _ := strings.Cut(list("p:1"), text+`,"phx_ref":"`)
		ref, _, _ = strings.Cut(ref, `"`)
		return ref
	}
	one, two, own := refOf(`"n":1`), refOf(`"n":2`), refOf(`"n":0`)
	if keys, metas := w.endpoint.Presence.Count("p:1"); keys != 1 || metas != 3 || one == "" || two == "" || own == "" {
		t.Fatalf("present is %s", list("p:1"))
	}

	for name, test := range map[string]struct {
		whom  string
		order abi.Effect
		code  abi.Code
	}{
		"twice":              {"p/handler", track(abi.OpTrack, "ada", `{}`, "", member), abi.CodeTaken},
		"nobody":             {"p/handler", track(abi.OpTrack, "ada", `{}`, "", "3"), abi.CodeNoProcess},
		"no member's id":     {"p/handler", track(abi.OpTrack, "ada", `{}`, "", "ada"), abi.CodeNoProcess},
		"update of nobody":   {"p/handler", track(abi.OpUpdate, "ada", `{}`, "", "3"), abi.CodeNoProcess},
		"update of none":     {"p/handler", track(abi.OpUpdate, "eve", `{}`, "", member), abi.CodeNoProcess},
		"untrack of nobody":  {"p/handler", track(abi.OpUntrack, "ada", "", "", "3"), 0},
		"not granted":        {"p/handler", track(abi.OpTrack, "ada", `{}`, "elsewhere", member), abi.CodeDenied},
		"without members":    {"p/a", track(abi.OpTrack, "ada", `{}`, "lobby", member), abi.CodeNoProcess},
		"untrack of another": {"p/handler", track(abi.OpUntrack, "ada", "", "lobby", member), 0},
	} {
		if r := w.ask(test.whom, test.order); r.code != test.code {
			t.Errorf("%s: %v, want %v", name, r, test.code)
		}
	}

	t.Log("after a crash the members are there, and the handler is not until it says so")
	before := list("lobby")
	first.send(t, "die", "p:1", op(trap, ""))
	w.next(abi.EventMembers)
	wanted := fmt.Sprintf(`{"ada":{"metas":[{"n":1,"phx_ref":%q},{"n":2,"phx_ref":%q}]}}`, one, two)
	eventually(t, "the handler has settled", func() bool { return list("p:1") == wanted })
	second.send(t, "again", "p:1", op(abi.OpRegister, "handler"))
	eventually(t, "its name", func() bool { return w.process("p/handler") != nil })
	if r := w.ask("p/handler", track(abi.OpTrack, "ada", `{"n":1}`, "", member)); r.answer != one {
		t.Errorf("tracked again the ref is %v, was %s", r, one)
	}
	if r := w.ask("p/handler", track(abi.OpTrack, "ada", `{"n":1}`, "", member)); r.code != abi.CodeTaken {
		t.Errorf("tracked twice in this life: %v", r)
	}
	if list("p:1") != wanted || list("lobby") != before {
		t.Errorf("present is %s and %s", list("p:1"), list("lobby"))
	}

	t.Log("and in the next version, with its state or by a replay")
	w.swap(2, "p", settings, wantsExport, worker("a"))
	w.next(abi.EventImport)
	w.swap(3, "p", settings, worker("a"))
	w.next(abi.EventMembers)
	if list("p:1") != wanted || list("lobby") != before {
		t.Errorf("present is %s and %s", list("p:1"), list("lobby"))
	}
	for _, frame := range first.all() {
		if strings.Contains(frame, one) && strings.Contains(frame, `"leaves":{"`) {
			t.Errorf("a client heard of it: %s", frame)
		}
	}

	t.Log("a join that fails leaves nothing")
	other := &puppetClient{}
	other.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &other.frames})
	defer other.Close()
	other.send(t, "phx_join", "p:1", track(abi.OpTrack, "eve", `{}`, "", "@"), abi.Effect{Kind: abi.EffectReply, Name: "error"})
	eventually(t, "a refusal", func() bool { return len(other.all()) == 1 })
	other.send(t, "phx_join", "p:1", track(abi.OpTrack, "eve", `{}`, "", "@"), op(trap, ""))
	eventually(t, "another", func() bool { return len(other.all()) == 2 })
	if list("p:1") != wanted {
		t.Errorf("present is %s", list("p:1"))
	}

	t.Log("who leaves has left everywhere, also who says nothing")
	second.send(t, "phx_leave", "p:1")
	alone := fmt.Sprintf(`{"ada":{"metas":[{"n":1,"phx_ref":%q}]}}`, one)
	eventually(t, "two has left", func() bool { return list("p:1") == alone && list("lobby") == "{}" })
	first.Close()
	eventually(t, "one has left", func() bool { return list("p:1") == "{}" })
	if s := w.endpoint.Presence.Stats(); s.Owners+s.Entries != 0 {
		t.Errorf("left over: %+v", s)
	}
}

// Members come and go while their handler tracks them, and crashes, and is killed: in the end
// nobody is present.
func TestPresenceOfMembersHammer(t *testing.T) {
	w := newWorld(t)
	settings := func(s *release.Settings) { s.Scope, s.Intensity.Max, s.Pending = abi.ScopeTopic, 1_000_000, 1<<30 }
	w.swap(1, "p", settings, wantsExport, worker("a"))
	w.keptFor("p", "a")
	var clients, others sync.WaitGroup
	var left, present atomic.Bool
	var another atomic.Pointer[abi.Event] // some member's join
	for n := range 6 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 7))
			track := func() abi.Effect {
				whom := "@"
				if e := another.Load(); e != nil && random.IntN(2) == 0 {
					whom = e.Detail // or of who has left
				}
				return abi.Effect{Kind: abi.OpTrack, Name: fmt.Sprint("key", random.IntN(3)), Extra: whom}
			}
			for range 100 {
				c := &puppetClient{}
				c.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &c.frames})
				c.send(t, "phx_join", "p:1", op(abi.OpRegister, "handler"), track(), track(), track())
				for range random.IntN(6) {
					what := []abi.Effect{track(), track()}
					if random.IntN(8) == 0 {
						what = append(what, op(trap, ""))
					}
					c.send(t, "x", "p:1", what...)
				}
				time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond) // or all is over before it has begun
				if w.endpoint.Presence.Stats().Entries > 0 {
					present.Store(true)
				}
				if p := w.process("p/handler"); p != nil && random.IntN(8) == 0 {
					p.Kill()
				}
				if random.IntN(2) == 0 {
					c.send(t, "phx_leave", "p:1")
				}
				c.Close()
			}
		})
	}
	others.Go(func() {
		for n := 1; !left.Load(); n++ {
			if err := w.trySwap(n%2+1, "p", settings, wantsExport, worker("a")); err != nil {
				t.Error(err)
			}
		}
	})
	gone := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case e := <-w.events:
				if e.Kind == abi.EventJoin {
					another.Store(&e)
				}
			case <-gone:
				return
			}
		}
	})
	clients.Wait()
	left.Store(true)
	close(gone)
	others.Wait()
	if !present.Load() {
		t.Error("nobody was ever present")
	}
	eventually(t, "nobody is present", func() bool { s := w.endpoint.Presence.Stats(); return s.Owners+s.Entries == 0 })
	w.keptFor("p", "a")
}

// frames is an outbox that keeps them.
type frames struct {
	mu   sync.Mutex
	sent []string
}

func (f *frames) Send(frame channels.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, string(frame.Data))
}

func (f *frames) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}
