package rollout_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/durable"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// aside returns what is set aside of an actor.
func (k *keeper) aside(a durable.Actor) (items []durable.Post) {
	for _, p := range k.Posts(a) {
		if p.Aside != nil {
			items = append(items, p)
		}
	}
	return items
}

// mend changes what an item does, as a fix of the guest would.
func (k *keeper) mend(a durable.Actor, id durable.PostID, what ...abi.Effect) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.posts[a] {
		if k.posts[a][i].ID == id {
			k.posts[a][i].Payload = orders(what...)
		}
	}
}

// poison makes the actor behind a process crash at a message, or at a timer.
func (w *world) poison(whom string, byTimer bool) {
	w.t.Helper()
	what := orders(op(count, ""), op(trap, ""))
	if byTimer {
		w.tell(whom, abi.Effect{Kind: abi.OpSendAfter, Payload: what, Detail: "1"})
		return
	}
	_, name, _ := strings.Cut(whom, "/")
	w.tell("p/a", abi.Effect{Kind: abi.OpCast, Name: name, Payload: what})
}

func (w *world) retry(a durable.Actor, id durable.PostID) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.set.Retry(ctx, a, id)
}

// A message or timer at which an actor crashes twice stays with it, until it is tried again and goes well, or is thrown away.
func TestWhatIsSetAsideStays(t *testing.T) {
	for name, byTimer := range map[string]bool{"message": false, "timer": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.deploy("p", durably, worker("a"), worker("b"))
			b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
			w.poison("p/b", byTimer)
			eventually(t, "to be set aside", func() bool { return len(k.aside(b)) == 1 })
			eventually(t, "two crashes", func() bool { return strings.Count(w.log.String(), "process crashed") == 2 })
			item := k.aside(b)[0]
			if item.Aside.Timer != byTimer || item.Aside.Event == "" || item.Aside.Cause == "" || item.To != b {
				t.Errorf("set aside: %+v, %+v", item, item.Aside)
			}
			eventually(t, "b again", func() bool { return w.process("p/b") != nil })
			before := w.ask("p/b", op(count, "")).code

			if err := w.retry(b, item.ID); err == nil || !strings.Contains(err.Error(), "crashed again") || !strings.Contains(err.Error(), "stays set aside") {
				t.Errorf("a retry that crashes: %v", err)
			}
			if len(k.aside(b)) != 1 {
				t.Fatal("it is gone after a retry that crashed")
			}
			eventually(t, "a third crash", func() bool { return strings.Count(w.log.String(), "process crashed") == 3 })
			k.mend(b, item.ID, op(count, ""), abi.Effect{Kind: abi.OpCast, Name: "a", Payload: orders(op(count, ""))})
			eventually(t, "b again", func() bool { return w.process("p/b") != nil })
			must(t, w.retry(b, item.ID))
			if got := w.ask("p/b", op(count, "")).code; got != before+2 {
				t.Errorf("b counts %d after the retry, want %d", got, before+2)
			}
			if err := w.retry(b, item.ID); !errors.Is(err, process.ErrNotAside) {
				t.Errorf("a second retry: %v", err)
			}

			w.poison("p/b", byTimer)
			eventually(t, "another to be set aside", func() bool { return len(k.aside(b)) == 1 })
			eventually(t, "b again", func() bool { return w.process("p/b") != nil })
			must(t, w.set.Discard(context.Background(), b, k.aside(b)[0].ID))
			if len(k.Posts(b)) != 0 {
				t.Error("it is there, though it was thrown away")
			}
		})
	}
}

// Of a topic that sleeps, too: it does not wake for what is set aside, and wakes to try it again.
func TestWhatIsSetAsideLetsSleep(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("a"))
	c := w.join("p:1", abi.Effect{Kind: abi.OpSendAfter, Payload: orders(op(trap, "")), Detail: "1"})
	c.Close()
	eventually(t, "to be set aside", func() bool { return len(k.aside(topic1)) == 1 })
	eventually(t, "sleep", func() bool { return w.endpoint.Stats().Shared == 0 })
	w.set.Posted(topic1)
	if w.endpoint.Stats().Shared != 0 {
		t.Error("it has woken for what is set aside")
	}
	item := k.aside(topic1)[0]
	k.mend(topic1, item.ID, op(count, ""))
	must(t, w.retry(topic1, item.ID))
	if len(k.Posts(topic1)) != 0 {
		t.Error("it is still there")
	}
	eventually(t, "sleep again", func() bool { return w.endpoint.Stats().Shared == 0 })
}

// What cannot be set aside, as nothing can be stored, comes up again.
func TestSetAsideWaitsForTheDisk(t *testing.T) {
	for name, byTimer := range map[string]bool{"message": false, "timer": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.remembers()
			w.deploy("p", durably, worker("a"), worker("b"))
			b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
			var refused atomic.Int64
			k.refusing(func(c *durable.Commit) error {
				if len(c.Posts) > 0 && c.Posts[0].Aside != nil {
					refused.Add(1)
					return durable.ErrUnavailable
				}
				return nil
			})
			w.poison("p/b", byTimer)
			w.tell("p/a", abi.Effect{Kind: abi.OpCast, Name: "b", Payload: orders(op(count, ""))}) // which waits behind a message
			eventually(t, "a complaint", func() bool { return strings.Contains(w.log.String(), "cannot be set aside") })
			eventually(t, "a second attempt", func() bool { return refused.Load() > 1 })
			if n := refused.Load(); n > 100 || len(k.aside(b)) != 0 {
				t.Errorf("%d attempts within a moment, %d set aside", n, len(k.aside(b)))
			}
			k.refusing(nil)
			eventually(t, "to be set aside, and the other one to come", func() bool { return len(k.aside(b)) == 1 && len(k.Posts(b)) == 1 })
		})
	}
}

// A message that crashes its receiver twice counts as one crash, as it would in OTP, where it comes once.
func TestATryCountsOnce(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", func(s *release.Settings) {
		durably(s)
		s.Intensity = supervisor.Intensity{Max: 3, Within: time.Minute}
	}, worker("a"), worker("b"))
	b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	for n := range 3 {
		w.poison("p/b", n == 1)
		eventually(t, "to be set aside", func() bool { return len(k.aside(b)) == n+1 })
	}
	eventually(t, "b again", func() bool { return w.process("p/b") != nil })
	w.ask("p/b", op(count, ""))
	eventually(t, "six crashes", func() bool { return strings.Count(w.log.String(), "process crashed") == 6 })
	if strings.Contains(w.log.String(), "gives up") {
		t.Error("the plugin has ended for three messages")
	}
	w.poison("p/b", false)
	eventually(t, "the end of the plugin", func() bool { return strings.Contains(w.log.String(), "gives up") })
}

// What is set aside is bounded: the oldest goes.
func TestSetAsideIsBounded(t *testing.T) {
	w := newWorld(t)
	k := w.remembers()
	w.deploy("p", durably, worker("a"), worker("b"))
	b := durable.Actor{Plugin: "p", Kind: durable.Process, Name: "b"}
	k.mu.Lock()
	for n := range uint32(100) {
		k.posts[b] = append(k.posts[b], durable.Post{ID: durable.PostID{Born: 1, Revision: 1, Index: n}, To: b, Aside: &durable.Aside{Event: "x"}})
	}
	k.mu.Unlock()
	w.poison("p/b", false)
	eventually(t, "the oldest to go", func() bool { return strings.Contains(w.log.String(), "thrown away") })
	if items := k.aside(b); len(items) != 100 || items[0].ID.Index != 1 || items[99].ID.Born == 1 {
		t.Errorf("%d are set aside, from %v to %v", len(items), items[0].ID, items[len(items)-1].ID)
	}
}
