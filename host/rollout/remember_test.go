package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

// remembers has the world's plugins use a keeper.
func (w *world) remembers() *keeper {
	k := newKeeper()
	k.posted = w.set.Posted
	w.set.Remember(func() (durable.Keeper, error) { return k, nil })
	return k
}

func durably(s *release.Settings) {
	s.Scope, s.Durable, s.DurableIdle = abi.ScopeTopic, []string{"p:*", "process:a", "process:b"}, 50*time.Millisecond
}

var topic1 = durable.Actor{Plugin: "p", Kind: durable.Topic, Name: "p:1"}

// What a crash leaves is what was stored: an event that crashes has not happened.
func TestACrashIsARollback(t *testing.T) {
	w := newWorld(t)
	w.remembers()
	w.deploy("p", durably, worker("a"))
	w.join("p:1", op(count, ""), op(abi.OpRegister, "handler"))
	for _, whom := range []string{"p/handler", "p/a"} {
		before := w.ask(whom, op(count, "")).code
		process := w.process(whom)
		if _, err := w.call(whom, op(count, ""), op(trap, "")); err == nil {
			t.Error("a call that crashed was answered")
		}
		eventually(t, whom+" is back", func() bool { p := w.process(whom); return p != nil && p != process })
		if got := w.ask(whom, op(count, "")).code; got != before+1 {
			t.Errorf("%s counts %d after a crash, want %d", whom, got, before+1)
		}
	}
}

// Nothing leaves for an event that is not stored, and the client is told.
func TestNothingLeavesBeforeItIsStored(t *testing.T) {
	for _, test := range []struct {
		name   string
		fails  error
		down   error
		answer string
	}{
		{"unavailable", durable.ErrUnavailable, nil, `"reason":"unavailable"`},
		{"full", durable.ErrFull, nil, `"reason":"unavailable"`},
		{"too large", durable.ErrTooLarge, nil, `"reason":"too_large"`},
		{"down", nil, durable.ErrUnavailable, `"reason":"unavailable"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.deploy("p", durably, worker("c"))
			c := w.join("p:1", op(count, ""))
			k.set(test.fails, test.down)
			said := abi.Effect{Kind: abi.EffectBroadcast, Name: "said"}
			tell := abi.Effect{Kind: abi.OpCast, Name: "c", Payload: orders(op(count, ""))}
			shown := abi.Effect{Kind: abi.OpTrack, Name: "ada", Payload: []byte(`{}`)}
			c.send(t, "hello", "p:1", op(count, ""), said, tell, shown, op(abi.EffectReply, "ok"))
			eventually(t, "an answer", func() bool {
				return slices.ContainsFunc(c.all(), func(f string) bool { return strings.Contains(f, test.answer) })
			})
			if got := w.ask("p/c", op(count, "")).code; got != 1 {
				t.Errorf("a message came for an event that is not stored: c counts %d", got)
			}
			k.set(nil, nil)
			c.send(t, "hello", "p:1", op(abi.OpRegister, "handler"), op(abi.EffectReply, "ok"))
			eventually(t, "the handler again", func() bool { return w.process("p/handler") != nil })
			if got := w.ask("p/handler", op(count, "")).code; got != 2 {
				t.Errorf("the handler counts %d, want 2", got)
			}
			for _, f := range c.all() {
				if strings.Contains(f, `"said"`) || strings.Contains(f, "ada") || strings.Contains(f, "phx_error") {
					t.Errorf("left for an event that is not stored: %s", f)
				}
			}
		})
	}
}

// A topic that nobody is in leaves memory, and goes on where it was: for the next join, or when a timer is due.
func TestTopicsSleep(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("c"))
	c := w.join("p:1", op(count, ""))
	c.Close()
	w.next(abi.EventLeave)
	eventually(t, "sleep", func() bool { return w.endpoint.Stats().Shared == 0 })
	if k.state(topic1) == nil {
		t.Fatal("nothing is stored")
	}
	w.join("p:1", op(count, ""), op(abi.OpRegister, "handler"))
	if e := w.next(abi.EventMembers); e.Name != "p:1" || len(e.Payload) != 0 {
		t.Errorf("members %s: %q", e.Name, e.Payload)
	}
	if got := w.ask("p/handler", op(count, "")).code; got != 3 {
		t.Errorf("the handler counts %d after it has slept, want 3", got)
	}

	c = w.join("p:2", abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("ring"), Detail: "1000"})
	c.Close()
	eventually(t, "sleep", func() bool { return w.endpoint.Stats().Shared == 1 })
	state := k.state(durable.Actor{Plugin: "p", Kind: durable.Topic, Name: "p:2"})
	if state == nil || state.Due.IsZero() || time.Until(state.Due) > time.Second {
		t.Fatalf("stored: %+v", state)
	}
	time.Sleep(time.Until(state.Due)) // it is late then
	w.set.Due(durable.Actor{Plugin: "p", Kind: durable.Topic, Name: "p:2"})
	if e := w.next(abi.EventInfo); string(e.Payload) != "ring" || e.Detail == "" {
		t.Errorf("the timer came as %q, late %q", e.Payload, e.Detail)
	}
	eventually(t, "sleep again", func() bool { return w.endpoint.Stats().Shared == 1 })
}

// A message between durable actors comes once, though the receiver is not there when it is sent, or crashes at it.
func TestPostsComeOnce(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("a"), worker("b"))
	for range 3 {
		w.tell("p/a", abi.Effect{Kind: abi.OpCast, Name: "b", Payload: orders(op(count, ""))})
	}
	b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	taken := func() bool { return len(k.Posts(b)) == len(k.aside(b)) }
	eventually(t, "three messages", taken)
	if got := w.ask("p/b", op(count, "")).code; got != 4 {
		t.Errorf("b counts %d after three messages and a call", got)
	}
	process := w.process("p/b")
	w.tell("p/a", abi.Effect{Kind: abi.OpCast, Name: "b", Payload: orders(op(count, ""), op(trap, ""))})
	eventually(t, "to be set aside", func() bool { return strings.Contains(w.log.String(), "set aside") })
	if n := strings.Count(w.log.String(), "process crashed"); n != 2 {
		t.Errorf("it was tried %d times, want 2", n)
	}
	eventually(t, "b is back", func() bool { p := w.process("p/b"); return p != nil && p != process })
	if got := w.ask("p/b", op(count, "")).code; got != 5 {
		t.Errorf("b counts %d, want 5: what it crashed at has not happened", got)
	}
	if !taken() {
		t.Error("messages are left")
	}
}

// Whoever ends in order is forgotten; whoever is stopped with its plugin is not.
func TestStopNormalForgets(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, child("a", `{"restart":"transient"}`))
	a := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "a"}
	w.ask("p/a", op(count, ""))
	if k.state(a) == nil {
		t.Fatal("nothing is stored")
	}
	w.tell("p/a", op(abi.EffectStop, "normal"))
	eventually(t, "its end", func() bool { return w.process("p/a") == nil })
	if k.state(a) != nil {
		t.Error("it is still stored")
	}
}

var _ = errors.Is
var _ = channels.ErrNotStored

// A stranger who is refused leaves nothing behind, whatever topics he makes up.
func TestTheRefusedAreNotStored(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("a"))
	c := &puppetClient{}
	c.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &c.frames})
	t.Cleanup(c.Close)
	refuse := abi.Effect{Kind: abi.EffectReply, Name: "error", Payload: []byte(`{"reason":"stranger"}`)}
	c.send(t, "phx_join", "p:1", refuse)
	eventually(t, "a refusal", func() bool { return len(c.all()) > 0 })
	if got := c.all()[0]; !strings.Contains(got, "stranger") {
		t.Fatalf("the join: %s", got)
	}
	eventually(t, "its end", func() bool { return w.endpoint.Stats().Shared == 0 })
	if k.state(topic1) != nil {
		t.Error("the topic is stored")
	}
	w.join("p:1", op(count, ""))
	if k.state(topic1) == nil {
		t.Error("a topic that was joined is not stored")
	}
}
