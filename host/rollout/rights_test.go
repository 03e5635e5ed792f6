package rollout_test

import (
	"fmt"
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

func serves(topics ...string) func(*release.Settings) {
	return func(s *release.Settings) { s.Topics = topics }
}

func publishing(topic, event string) abi.Effect {
	return abi.Effect{Kind: abi.EffectPublish, Name: event, Detail: topic}
}

func tracking(kind abi.Kind, key, topic string) abi.Effect {
	return abi.Effect{Kind: kind, Name: key, Payload: []byte(`{}`), Detail: topic}
}

// inTopic is all that a guest can do in a topic that it names.
func inTopic(topic string) map[string]abi.Effect {
	return map[string]abi.Effect{
		"publish":        publishing(topic, "e"),
		"subscribe":      op(abi.EffectSubscribe, topic),
		"present":        op(abi.EffectPresent, topic),
		"track":          tracking(abi.OpTrack, "eve", topic),
		"update":         tracking(abi.OpUpdate, "eve", topic),
		"presences":      op(abi.OpPresences, topic),
		"presence_count": op(abi.OpPresenceCount, topic),
		"untrack":        tracking(abi.OpUntrack, "eve", topic),
	}
}

// wantRights tries all that can be done in a topic.
func (w *world) wantRights(whom, topic string, may bool) {
	w.t.Helper()
	effects := inTopic(topic)
	for _, name := range []string{"publish", "subscribe", "present", "track", "update", "presences", "presence_count", "untrack"} {
		r := w.ask(whom, effects[name])
		if name == "present" && r.code == abi.CodeNotNow { // it has no client
			continue
		}
		if may != (r.code != abi.CodeDenied) || may && r.code < 0 {
			w.t.Errorf("%s by %s in %s = %v, may %t", name, whom, topic, r, may)
		}
	}
	w.ask(whom, op(abi.EffectUnsubscribe, topic))
}

// A topic is a plugin's own if the router would give it to that plugin, whatever its
// patterns say; a handler keeps its own.
func TestTopicsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", serves("*"), worker("w"))
	w.join("room:1", op(abi.OpRegister, "handler"))
	w.join("lobby", op(abi.OpRegister, "elsewhere"))
	w.wantRights("p/handler", "room:1", true)
	w.wantRights("p/elsewhere", "room:1", true)
	w.wantRights("p/elsewhere", "hall", true)

	w.deploy("q", serves("room:*", "hall"), worker("b"))
	w.wantRights("p/handler", "room:1", true)
	w.wantRights("p/handler", "room:2", false)
	for topic, may := range map[string]bool{"room:1": false, "room:": false, "hall": false, "hall:1": true, "room": true} {
		w.wantRights("p/elsewhere", topic, may)
	}
	w.join("room:1", op(abi.OpRegister, "handler"))
	w.wantRights("q/handler", "room:2", true)
	w.wantRights("q/handler", "lobby", false)

	w.deploy("q", serves("hall"), worker("b"))
	w.wantRights("p/elsewhere", "room:1", true)
	w.wantRights("p/elsewhere", "hall", false)
	w.deploy("p", func(s *release.Settings) { s.Topics, s.Grants = []string{"*"}, []string{"ha*"} }, worker("w"))
	w.join("attic", op(abi.OpRegister, "granted"))
	w.wantRights("p/granted", "hall", true)
	w.set.Remove("q")
	w.deploy("p", serves("*"), worker("w"))
	w.join("cellar", op(abi.OpRegister, "free"))
	w.wantRights("p/free", "hall", true)
}

// heard collects the broadcasts that puppets get, up to a last one, which it publishes to a topic to which
// so many of them have subscribed.
func (w *world) heard(topic string, by int) (events []string) {
	w.t.Helper()
	must(w.t, w.endpoint.Publish(topic, "last", nil, false))
	for by > 0 {
		switch e := w.next(abi.EventBroadcast); e.Name {
		case "last":
			by--
		case "presence_diff":
		default:
			events = append(events, e.Detail+" "+e.Name)
		}
	}
	slices.Sort(events)
	return events
}

func (w *world) publish(topics ...string) {
	w.t.Helper()
	for _, topic := range topics {
		must(w.t, w.endpoint.Publish(topic, "news", nil, false))
	}
}

func (w *world) wantPresent(topic string, keys ...string) {
	w.t.Helper()
	list := string(w.endpoint.Presence.List(topic))
	if n := strings.Count(list, `"phx_ref":`); n != len(keys) {
		w.t.Errorf("%d present in %s, want %q: %s", n, topic, keys, list)
	}
	for _, key := range keys {
		if !strings.Contains(list, `"`+key+`":`) {
			w.t.Errorf("no %s in %s: %s", key, topic, list)
		}
	}
}

func (w *world) wantLines(text string, n int) {
	w.t.Helper()
	if got := strings.Count(w.log.String(), text); got != n {
		w.t.Errorf("%d log lines %q, want %d", got, text, n)
	}
}

// What a plugin has in a topic that another one takes ends, with one line in the log, and comes back
// with the topic; but for what the guest gave up meanwhile, or whose process has ended.
func TestTopicIsTaken(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", serves("*"), worker("a"), worker("b"), worker("c"))
	w.tell("p/a", op(abi.EffectSubscribe, "free"), op(abi.EffectSubscribe, "room:1"), op(abi.EffectSubscribe, "room:2"), op(abi.EffectSubscribe, "room:3"),
		tracking(abi.OpTrack, "ada", "room:1"), tracking(abi.OpTrack, "bob", "room:1"), tracking(abi.OpTrack, "ada", "room:2"), tracking(abi.OpTrack, "ada", "free"))
	w.tell("p/b", op(abi.EffectSubscribe, "free"), op(abi.EffectSubscribe, "room:1"), tracking(abi.OpTrack, "cyd", "room:1"))
	w.publish("room:1", "room:2")
	if got := w.heard("free", 2); !slices.Equal(got, []string{"room:1 news", "room:1 news", "room:2 news"}) {
		t.Errorf("heard %q", got)
	}
	w.wantPresent("room:1", "ada", "bob", "cyd")

	w.deploy("q", serves("room:*"), worker("x"))
	w.tell("q/x", publishing("room:1", "secret"), tracking(abi.OpTrack, "eve", "room:1"))
	w.publish("room:1", "room:2", "room:3")
	if got := w.heard("free", 2); len(got) != 0 {
		t.Errorf("heard %q of another's topics", got)
	}
	w.wantPresent("room:1", "eve")
	w.wantPresent("room:2")
	w.wantPresent("free", "ada")
	const ended, back = "subscriptions and presence ended", "subscriptions and presence are back"
	w.wantLines(ended, 1)
	w.wantLines(`plugin=p topics="[room:1 room:2 room:3]" to=[q] subscriptions=4 presences=4`, 1)

	// What can still be done is to give up.
	w.wantRights("p/a", "room:1", false)
	if r := w.ask("p/a", tracking(abi.OpUntrack, "bob", "room:1")); r.code < 0 {
		t.Errorf("untrack of what is suspended = %v", r)
	}
	w.tell("p/a", op(abi.EffectUnsubscribe, "room:3"))
	w.crash("p/b")

	w.set.Remove("q")
	w.publish("room:1", "room:2", "room:3")
	if got := w.heard("free", 1); !slices.Equal(got, []string{"room:2 news"}) {
		t.Errorf("heard %q", got) // wantRights has unsubscribed a from room:1
	}
	w.wantPresent("room:1", "ada")
	w.wantPresent("room:2", "ada")
	w.wantLines(ended, 1)
	w.wantLines(back, 1)
	w.wantLines("subscriptions=1 presences=2", 1)

	// A process that ends takes all with it.
	w.deploy("q", serves("room:*"), worker("x"))
	w.crash("p/a")
	w.set.Remove("q")
	w.wantPresent("room:1")
	if st := w.endpoint.Presence.Stats(); st.Owners != 0 || st.Entries != 0 {
		t.Errorf("left of presence: %+v", st)
	}
}

// A handler's own topic stays its own while another plugin serves it, with all that it has there.
func TestHandlerKeepsItsTopic(t *testing.T) {
	for _, of := range []struct{ scope, member string }{{abi.ScopeJoin, ""}, {abi.ScopeTopic, ""}, {abi.ScopeTopic, "@"}} {
		tracking := func(kind abi.Kind, key, topic string) abi.Effect {
			e := tracking(kind, key, topic)
			e.Extra = of.member
			return e
		}
		w := newWorld(t)
		w.deploy("p", func(s *release.Settings) { s.Topics, s.Scope = []string{"*"}, of.scope }, worker("a"))
		c := w.join("room:1", op(abi.OpRegister, "handler"), op(abi.EffectSubscribe, "room:1"), tracking(abi.OpTrack, "ada", ""), tracking(abi.OpTrack, "ada", "room:2"))
		if of.member != "" {
			of.member = w.next(abi.EventJoin).Detail
		}
		w.deploy("q", serves("room:*"), worker("x"))
		w.wantPresent("room:1", "ada")
		w.wantPresent("room:2")
		w.set.Remove("q")
		w.wantPresent("room:2", "ada")
		w.deploy("q", serves("room:*"), worker("x"))
		w.wantPresent("room:2")
		w.tell("p/handler", publishing("room:1", "from the handler"), tracking(abi.OpTrack, "bob", "room:1"))
		if got := w.heard("room:1", 1); !slices.Equal(got, []string{"room:1 from the handler"}) {
			t.Errorf("heard %q", got)
		}
		w.wantPresent("room:1", "ada", "bob")
		c.Close()
		eventually(t, "its end", func() bool { keys, _ := w.endpoint.Presence.Count("room:1"); return keys == 0 })
		w.set.Remove("q")
		w.wantPresent("room:2")
	}
}

// An effect that was allowed when the guest asked is dropped if the topic has gone to another
// plugin when it is applied.
func TestLateEffects(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", serves("*"), worker("a"), worker("b"))
	c := w.join("lobby", op(abi.OpRegister, "handler"))
	var ears ears
	t.Cleanup(w.endpoint.Listen(nil, "room:1", ears.hear))
	signal := abi.Effect{Kind: abi.OpCast, Name: "rtd/sink", Payload: abi.AppendEvent(nil, &abi.Event{Kind: abi.EventInfo, Name: "asked"})}
	done := make(chan struct{}, 2)
	for _, whom := range []string{"p/a", "p/handler"} {
		order := []abi.Effect{publishing("room:1", "late"), op(abi.EffectSubscribe, "room:1"), signal, calling("b", "20000", op(keep, ""))}
		if whom == "p/handler" {
			order = append([]abi.Effect{op(abi.EffectPresent, "room:1")}, order...)
		}
		go func() {
			_, _ = w.call(whom, order...)
			done <- struct{}{}
		}()
		w.next(abi.EventInfo)
		w.deploy("q", serves("room:*"), worker("x"))
		for waiting := true; waiting; {
			w.tell("p/b", op(late, ""))
			select {
			case <-done:
				waiting = false
			case <-time.After(time.Millisecond):
			}
		}
		w.tell("q/x", tracking(abi.OpTrack, "eve", "room:1"))
		w.publish("room:1")
		w.set.Remove("q")
	}
	if got := ears.all(); slices.Contains(got, "late") {
		t.Errorf("heard %q", got)
	}
	if got := c.all(); len(got) != 1 {
		t.Errorf("the client got %q", got)
	}
	w.wantLines("effect dropped: the topic has gone to another plugin", 2)
	if got := w.heardAfter(t); len(got) != 0 {
		t.Errorf("a late subscription heard %q", got)
	}
}

// heardAfter is what comes of broadcasts to room:1, for a moment.
func (w *world) heardAfter(t *testing.T) (events []string) {
	t.Helper()
	w.tell("p/b", op(abi.EffectSubscribe, "mark"))
	w.publish("room:1")
	return w.heard("mark", 1)
}

type ears struct {
	mu    sync.Mutex
	heard []string
}

func (e *ears) hear(b channels.Broadcasted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, b.Event)
}

func (e *ears) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

// Processes of a plugin that starts subscribe in init to what will be its topics. If it does not
// start, those who had them have them again.
func TestTopicsOfAStart(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", serves("*"), worker("a"))
	w.tell("p/a", op(abi.EffectSubscribe, "room:1"), tracking(abi.OpTrack, "ada", "room:1"))
	begins := func(what ...abi.Effect) abi.Effect {
		return abi.Effect{Kind: abi.EffectChild, Name: "x", Detail: "{}", Payload: orders(what...)}
	}
	if err := w.try("q", serves("room:*"), begins(op(abi.EffectSubscribe, "room:1"), tracking(abi.OpTrack, "eve", "room:1"), op(trap, ""))); err == nil {
		t.Fatal("it has started")
	}
	w.wantPresent("room:1", "ada")
	if got := w.heard("room:1", 1); len(got) != 0 {
		t.Errorf("heard %q", got)
	}
	if err := w.try("q", serves("*"), worker("x")); err == nil || !strings.Contains(err.Error(), `both claim topic pattern "*"`) {
		t.Errorf("two with the same pattern: %v", err)
	}
	w.deploy("q", serves("room:*"), begins(op(abi.EffectSubscribe, "room:1"), tracking(abi.OpTrack, "eve", "room:1")))
	w.wantPresent("room:1", "eve")
	if got := w.heard("room:1", 1); len(got) != 0 {
		t.Errorf("heard %q", got)
	}
}

// A grant that is taken back ends what was made by it. A canary has what its own topics will be
// only when it is current, and grants at once.
func TestRightsOfVersions(t *testing.T) {
	w := newWorld(t)
	granted := func(s *release.Settings) { s.Grants = []string{"news"} }
	w.swap(1, "p", granted, wantsExport, worker("a"))
	w.tell("p/a", op(abi.EffectSubscribe, "news"), tracking(abi.OpTrack, "ada", "news"))
	w.swap(1, "p", nil, wantsExport, worker("a"))
	w.wantPresent("news")
	w.wantLines("subscriptions and presence ended", 1)
	w.wantLines("to=[nobody]", 1)
	w.swap(1, "p", granted, wantsExport, worker("a"))
	w.wantPresent("news", "ada")
	if got := w.heard("news", 1); len(got) != 0 {
		t.Errorf("heard %q", got)
	}

	tries := func(s *release.Settings) {
		canary(time.Hour)(s)
		s.Topics, s.Grants = []string{"p:*", "next:*"}, []string{"news", "more"}
		s.Rollout.Canary = 1
	}
	w.swap(2, "p", tries, wantsExport, worker("a"))
	w.join("p:1", op(abi.OpRegister, "tries"))
	if s := w.stats("p"); s.Canary != puppetID(2) || len(s.Others) != 1 {
		t.Fatalf("no canary: %+v", s)
	}
	w.wantRights("p/tries", "next:1", false)
	w.wantRights("p/tries", "more", true)
	w.tell("p/tries", op(abi.EffectSubscribe, "more"), tracking(abi.OpTrack, "cyd", "more"))
	w.set.EndCanary("p", nil)
	w.wantPresent("more")
	w.wantRights("p/tries", "more", false)
}

// While another plugin comes and goes, nobody hears what is not for them, and nobody says anything
// where they may not.
func TestRightsHammer(t *testing.T) {
	w := newWorld(t)
	const busy, rounds = 4, 40
	var tree []abi.Effect
	for n := range busy {
		tree = append(tree, worker(fmt.Sprint("w", n)))
	}
	many := func(s *release.Settings) { s.Topics, s.Mailbox = []string{"*"}, 100_000 }
	w.deploy("p", many, tree...)
	var taken atomic.Bool
	var wrong atomic.Int64
	for n := range 3 {
		t.Cleanup(w.endpoint.Listen(nil, fmt.Sprint("room:", n), func(b channels.Broadcasted) {
			if taken.Load() && b.Event == "loud" {
				wrong.Add(1)
			}
		}))
	}
	var over atomic.Bool
	var wg sync.WaitGroup
	for n := range busy {
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				topic, key := fmt.Sprint("room:", i%3), fmt.Sprint("k", n)
				w.tell(fmt.Sprint("p/w", n), op(abi.EffectSubscribe, topic), publishing(topic, "loud"), tracking(abi.OpTrack, key, topic),
					publishing(topic, "loud"), tracking(abi.OpUntrack, key, fmt.Sprint("room:", (i+1)%3)))
			}
		})
	}
	wg.Go(func() {
		for !over.Load() {
			select {
			case e := <-w.events:
				if e.Kind == abi.EventBroadcast && e.Name == "secret" {
					wrong.Add(1)
				}
			case <-time.After(time.Millisecond):
			}
		}
	})
	for range rounds {
		w.deploy("q", serves("room:*"), worker("x"))
		taken.Store(true)
		for n := range 3 {
			w.tell("q/x", publishing(fmt.Sprint("room:", n), "secret"), tracking(abi.OpTrack, "eve", fmt.Sprint("room:", n)))
			w.wantPresent(fmt.Sprint("room:", n), "eve")
		}
		taken.Store(false)
		w.set.Remove("q")
	}
	over.Store(true)
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d messages came to the wrong ones", n)
	}
	for n := range busy {
		w.crash(fmt.Sprint("p/w", n))
	}
	if st := w.endpoint.Presence.Stats(); st.Owners != 0 || st.Entries != 0 {
		t.Errorf("left of presence: %+v", st)
	}
}

// A client who is present by a connect is so until that is decided.
func TestPresenceOfConnect(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Allows = []string{"connect"} }, op(abi.EffectWants, "connect"))
	_, err := w.set.Connect(t.Context(), "p", "socket", orders(tracking(abi.OpTrack, "ada", "p:1"), op(abi.EffectSubscribe, "p:1")))
	must(t, err)
	eventually(t, "the end of its presence", func() bool { keys, _ := w.endpoint.Presence.Count("p:1"); return keys == 0 })
}
