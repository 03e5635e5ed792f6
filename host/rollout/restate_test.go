package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// imports stores a state as somebody does who imports it; nil removes the actor.
func (k *keeper) imports(a durable.Actor, s *durable.State) func() error {
	return func() error {
		c := &durable.Commit{Actor: a}
		if old := k.state(a); old != nil {
			c.Last = old.Revision
		}
		if s != nil {
			copied := *s
			copied.Revision = c.Last + 1
			c.State = &copied
		}
		return k.Commit(context.Background(), c)
	}
}

func (w *world) restate(k *keeper, a durable.Actor, s *durable.State) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w.t, w.set.Restate(ctx, a, k.imports(a, s)))
}

// once has no second crash forgiven.
func once(s *release.Settings) {
	durably(s)
	s.Intensity = supervisor.Intensity{Max: 1, Within: time.Minute}
}

// A durable process whose state somebody changes goes on with that, in the same life, and nothing has crashed.
func TestRestateAProcess(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	a := child("a", "{}")
	a.Payload = orders(op(count, ""))
	w.deploy("p", once, a, worker("b"))
	process := w.process("p/a")
	counts := func(want abi.Code) {
		t.Helper()
		if got := w.ask("p/a", op(count, "")).code; got != want {
			t.Errorf("it counts %d, want %d", got, want)
		}
	}
	counts(2)
	w.ask("p/a", op(abi.OpMonitor, "b"))
	saved := k.state(processA)
	for range 4 {
		w.restate(k, processA, nil)
		counts(2) // its arguments have it count as well
		counts(3)
		w.restate(k, processA, saved)
		if e := w.next(abi.EventDown); string(e.Payload) != "noconnection" {
			t.Errorf("it monitored b when that was stored, and hears %q", e.Payload)
		}
		counts(3)
	}
	if got := w.process("p/a"); got != process {
		t.Errorf("it has another life: %v, before %v", got, process)
	}
	if text := w.log.String(); strings.Contains(text, "crashed") || strings.Contains(text, "failed") {
		t.Error("something has crashed")
	}
}

// What it had open, and what is not stored, ends.
func TestRestateEndsWhatIsOpen(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", once, worker("a"))
	saved := k.state(processA)
	open := func() {
		t.Helper()
		w.tell("p/a", op(abi.OpRegister, "other"), op(abi.OpTrapExit, "on"),
			abi.Effect{Kind: abi.OpTrack, Name: "ada", Payload: []byte(`{}`), Detail: "p:1"},
			abi.Effect{Kind: abi.OpSpawn, Flags: abi.Link, Name: "m", Extra: "own"},
			abi.Effect{Kind: abi.OpSendAfter, Payload: []byte("ring"), Detail: "3600000"})
	}
	present := func() bool { return strings.Contains(string(w.endpoint.Presence.List("p:1")), "ada") }
	for name, state := range map[string]*durable.State{"reset": nil, "import": saved} {
		open()
		if !present() || w.process("p/other") != w.process("p/a") {
			t.Fatalf("%s: it has nothing open", name)
		}
		w.restate(k, processA, state)
		w.ask("p/a", op(count, ""))
		if present() {
			t.Errorf("%s: it is still present", name)
		}
		if w.process("p/other") != nil {
			t.Errorf("%s: it still has the other name", name)
		}
		eventually(t, "the end of the process that it was linked with", func() bool { return w.process("p/own") == nil })
		if i := w.process("p/a").Info(); i.TrapExit || i.Links != 0 {
			t.Errorf("%s: it traps exits: %v, and has %d links", name, i.TrapExit, i.Links)
		}
		if things := w.set.Kept("p").Things; things != 0 {
			t.Errorf("%s: %d things are open", name, things)
		}
	}
}

// A call that waits for an answer of the guest that goes is told so.
func TestRestateFailsWhatIsAsked(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", once, worker("a"))
	w.ask("p/a", op(count, ""))
	outcome := make(chan error, 1)
	go func() {
		_, err := w.call("p/a", op(keep, ""))
		outcome <- err
	}()
	eventually(t, "the call", func() bool { return k.commits(processA) == 3 })
	w.restate(k, processA, nil)
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "its stored state was changed") {
		t.Errorf("the call: %v", err)
	}
}

// A change that fails changes nothing.
func TestRestateFails(t *testing.T) {
	w := newWorld(t)
	w.remembers()
	w.deploy("p", once, worker("a"))
	w.ask("p/a", op(count, ""))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.set.Restate(ctx, processA, func() error { return durable.ErrFull }); err == nil {
		t.Error("it has not failed")
	}
	if got := w.ask("p/a", op(count, "")).code; got != 2 {
		t.Errorf("it counts %d, want 2", got)
	}
	w.join("p:1", op(abi.OpRegister, "handler"))
	over, end := context.WithCancel(context.Background())
	end()
	for whom, a := range map[string]durable.Actor{"p/a": processA, "p/handler": topic1} {
		changed := false
		if err := w.set.Restate(over, a, func() error { changed = true; return nil }); err == nil {
			t.Errorf("%v: it has not failed, though nobody waits for it", a)
		}
		if w.ask(whom, op(count, "")); changed {
			t.Errorf("%v: it has changed after it has failed", a)
		}
	}
}

// A state with which nobody could go on is known beforehand.
func TestStatesAreChecked(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", once, worker("a"))
	w.ask("p/a", op(count, ""))
	for name, damage := range map[string]func(*durable.State){
		"":             func(*durable.State) {},
		"damaged":      func(s *durable.State) { s.Held = s.Held[:len(s.Held)-1] },
		"the format 9": func(s *durable.State) { s.Held = append([]byte{9}, s.Held[1:]...) },
		"resume":       func(s *durable.State) { s.Guest = s.Guest[:len(s.Guest)/2] },
		"90ab":         func(s *durable.State) { s.Version = "90ab" },
	} {
		s := *k.state(processA)
		damage(&s)
		switch err := w.set.CheckState(t.Context(), processA, &s); {
		case name == "" && err != nil:
			t.Errorf("a whole one: %v", err)
		case name != "" && (err == nil || !strings.Contains(err.Error(), name)):
			t.Errorf("%s: %v", name, err)
		}
	}
	other := durable.Actor{Plugin: "other", Kind: durable.Process, Name: "a"}
	if err := w.set.CheckState(t.Context(), other, &durable.State{}); err == nil {
		t.Error("of a plugin that does not run nothing is known")
	}
}

// Posts come to an actor that begins anew, without anybody else having to ask it.
func TestPostsComeToWhoBeginsAnew(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	early := durable.Post{ID: durable.PostID{Born: 1, Revision: 1}, To: processA, Kind: uint16(abi.EventCast), Payload: orders(op(count, ""))}
	k.posts[processA] = []durable.Post{early}
	w.deploy("p", once, worker("a"), worker("b"))
	taken := func() bool { return len(k.Posts(processA)) == 0 }
	eventually(t, "a message that waited before the first life", taken)
	cast := abi.Effect{Kind: abi.OpCast, Name: "a", Payload: orders(op(count, ""))}
	w.ask("p/b", cast)
	eventually(t, "a message", taken)
	for n := range 4 {
		w.restate(k, processA, nil)
		w.tell("p/b", cast, cast)
		eventually(t, "messages after a reset", taken)
		if got := w.ask("p/a", op(count, "")).code; got != 3 {
			t.Errorf("reset %d: it counts %d, want 3", n, got)
		}
	}
	if strings.Contains(w.log.String(), "crashed") {
		t.Error("something has crashed")
	}
}
