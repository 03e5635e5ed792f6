package rollout_test

import (
	"testing"

	"rtd/host/durable"
	"rtd/host/release"
	"rtd/sandbox/abi"
)

// An event that makes the state of a process too large has not happened, and nothing of it leaves later.
func TestTooLargeForAProcess(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("a"), worker("b"))
	w.ask("p/a", op(count, ""))
	k.set(durable.ErrTooLarge, nil)
	if _, err := w.call("p/a", op(count, ""), abi.Effect{Kind: abi.OpCast, Name: "b", Payload: orders(op(count, ""))}); err == nil {
		t.Error("it was answered")
	}
	k.set(nil, nil)
	if got := w.ask("p/a", op(count, "")).code; got != 2 {
		t.Errorf("it counts %d, want 2", got)
	}
	if got := w.ask("p/b", op(count, "")).code; got != 1 {
		t.Errorf("b counts %d: it has got a message of an event that is not stored", got)
	}
}

// A message or timer that makes the state too large is set aside like one that crashes, and not tried for ever.
func TestTooLargeIsSetAside(t *testing.T) {
	for name, byTimer := range map[string]bool{"message": false, "timer": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.deploy("p", durably, worker("a"), worker("b"))
			b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
			w.ask("p/b", op(count, ""))
			what := orders(op(count, ""), abi.Effect{Kind: abi.OpCast, Name: "a", Payload: orders(op(count, ""))})
			k.refusing(func(c *durable.Commit) error {
				if c.Actor == b && len(c.Posts) > 0 && c.Posts[0].Aside == nil {
					if c.Posts[0].To == b {
						return nil // it sends to itself what is too large
					}
					return durable.ErrTooLarge
				}
				return nil
			})
			if byTimer {
				w.tell("p/b", abi.Effect{Kind: abi.OpSendAfter, Payload: what, Detail: "1"})
			} else {
				w.tell("p/b", abi.Effect{Kind: abi.OpCast, Name: "b", Payload: what})
			}
			eventually(t, "to be set aside", func() bool { return len(k.aside(b)) == 1 })
			if got := w.ask("p/b", op(count, "")).code; got != 2 {
				t.Errorf("b counts %d, want 2", got)
			}
			if got := w.ask("p/a", op(count, "")).code; got != 1 {
				t.Errorf("a counts %d: it has got a message of an event that is not stored", got)
			}
		})
	}
}

// A message for which the guest has no room is set aside, and those behind it come.
func TestMessagesWithoutRoomAreSetAside(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", func(s *release.Settings) {
		durably(s)
		s.Limits.Memory = 4 << 20
	}, worker("a"), worker("b"))
	a, b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "a"}, durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	w.ask("p/a", op(count, ""))
	w.ask("p/b", op(count, ""))
	post := func(index uint32, payload []byte) durable.Post {
		return durable.Post{ID: durable.PostID{Born: 7, Revision: 1, Index: index}, To: b, Kind: uint16(abi.EventCast), Payload: payload}
	}
	state := *k.state(a)
	state.Revision++
	must(t, k.Commit(t.Context(), &durable.Commit{
		Actor: a, Last: state.Revision - 1, State: &state, Posts: []durable.Post{post(0, make([]byte, 5<<20)), post(1, orders(op(count, "")))},
	}))
	w.set.Posted(b)
	eventually(t, "to be set aside", func() bool { return len(k.aside(b)) == 1 })
	eventually(t, "the message behind it", func() bool { return len(k.Posts(b)) == 1 })
}
