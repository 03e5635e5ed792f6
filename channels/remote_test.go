package channels_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
)

// others is the rest of a cluster, as it was told.
type others struct {
	t      testing.TB
	mu     sync.Mutex
	inUse  map[string]bool
	turns  int // how often a topic came into use, or out of it
	said   []string
	peer   map[string]bool // what a node knows that came later
	joined bool            // it has come
}

func (o *others) Interest(topic string, begun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inUse == nil {
		o.inUse, o.peer = map[string]bool{}, map[string]bool{}
	}
	if o.inUse[topic] == begun {
		o.t.Errorf("%s: begun is %t twice", topic, begun)
	}
	o.inUse[topic] = begun
	o.turns++
	if o.joined {
		o.peer[topic] = begun
	}
}

func (o *others) Broadcast(topic, event string, payload []byte, binary bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kind := ""
	if binary {
		kind = "binary "
	}
	o.said = append(o.said, fmt.Sprintf("%s%s %s %s", kind, topic, event, payload))
}

// meet has another node come, which is told what is in use.
func (o *others) meet(h *channels.Hub) {
	o.mu.Lock()
	o.joined = true
	o.mu.Unlock()
	for topic := range h.Interests() {
		o.mu.Lock()
		o.peer[topic] = true
		o.mu.Unlock()
	}
}

func (o *others) want(said ...string) {
	o.t.Helper()
	settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.said, said) {
		o.t.Errorf("others were told:\n%s\nwant:\n%s", strings.Join(o.said, "\n"), strings.Join(said, "\n"))
	}
	o.said = nil
}

// wantTurns checks how often topics came into use and out of it since the last time, and which are in use.
func (o *others) wantTurns(turns int, inUse ...string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.turns != turns || !slices.Equal(used(o.inUse), inUse) {
		o.t.Errorf("%d turns, %q in use; want %d, %q", o.turns, used(o.inUse), turns, inUse)
	}
	o.turns = 0
}

func used(topics map[string]bool) (list []string) {
	for topic, yes := range topics {
		if yes {
			list = append(list, topic)
		}
	}
	slices.Sort(list)
	return list
}

// What is said here is told to the others, whoever says it, unless it came from them or is each node's own.
func TestRemoteHearsBroadcasts(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		o := &others{t: t}
		s.Hub.Connect(o)
		a, b := s.connect().joined("room:a"), s.connect().joined("room:a")
		a.send(`["1","2","room:a","say",{"n":1}]`)
		a.want(`[null,null,"room:a","said",{"n":1}]`)
		o.want(`room:a said {"n":1}`)
		a.send(`["1","3","room:a","shout",{}]`) // which leaves a out
		b.take()
		b.want(`[null,null,"room:a","shouted",{}]`)
		o.want(`room:a shouted {}`)
		if err := s.Publish("room:nobody", "said", nil, false); err != nil {
			t.Error(err)
		}
		if err := s.Publish("room:a", "said", []byte("\x01"), true); err != nil {
			t.Error(err)
		}
		o.want("room:nobody said ", "binary room:a said \x01")
		a.take()
		s.present(t, 1, "room:a", "ann")
		settle()
		if got := a.take(); len(got) != 1 {
			t.Errorf("it is told %q of who is present", got)
		}
		o.want()
		if err := s.Hub.Deliver("room:a", "said", nil, false); err != nil {
			t.Error(err)
		}
		a.want(`[null,null,"room:a","said",{}]`)
		o.want()
		o.wantTurns(1, "room:a")
	})
}

// What other nodes said reaches everybody here as what is said here does, if it may.
func TestDeliver(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		plain, old, guest := s.connect().joined("room:a"), s.connectWith(channels.SocketOptions{Codec: channels.V1}), s.connect().interceptor("room:a")
		old.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
		settle()
		old.take()
		var heard []string
		defer s.Listen(nil, "room:a", func(b channels.Broadcasted) {
			heard = append(heard, fmt.Sprintf("%s %s %t", b.Event, b.Payload, b.Binary))
		})()
		payload := []byte(`{"n":1}`)
		deliver := func(event string, payload []byte, binary bool) {
			t.Helper()
			if err := s.Hub.Deliver("room:a", event, payload, binary); err != nil {
				t.Error(err)
			}
		}
		deliver("said", payload, false)
		clear(payload) // it was lent
		plain.want(`[null,null,"room:a","said",{"n":1}]`)
		old.want(`{"topic":"room:a","event":"said","payload":{"n":1},"ref":null}`)
		guest.want(`["1",null,"room:a","said out",{"n":1}]`)
		before := s.Stats().Undelivered
		deliver("news", []byte{1}, true)
		plain.want("binary \x02\x06\x04room:anews\x01")
		old.want()
		if n := s.Stats().Undelivered - before; n != 1 {
			t.Errorf("%d could not be told, want 1", n)
		}
		guest.take()
		for _, bad := range []struct {
			event, payload string
			binary         bool
		}{
			{"said", `{}],["forged"`, false}, {"said", `[]`, false}, {"said", `{"a":"` + "\xff" + `"}`, false}, {"said", `{"a":1e999}`, false},
			{"\xff", `{}`, false}, {strings.Repeat("e", 256), "", true},
		} {
			if err := s.Hub.Deliver("room:a", bad.event, []byte(bad.payload), bad.binary); err == nil {
				t.Errorf("%.40q with %.40q was delivered", bad.event, bad.payload)
			}
		}
		plain.want()
		guest.want()
		if err := s.Hub.Deliver("room:nobody", "said", []byte(`{`), false); err != nil {
			t.Errorf("to nobody: %v", err)
		}
		if want := []string{`said {"n":1} false`, "news \x01 true"}; !slices.Equal(heard, want) {
			t.Errorf("a listener heard %q, want %q", heard, want)
		}
	})
}

// A topic with history is in use as long as the history, and what other nodes say has positions of this one.
func TestDeliverIntoHistory(t *testing.T) {
	run(t, options{}, func(t *testing.T, s *server) {
		o := &others{t: t}
		s.Hub.Connect(o)
		s.keep(10)
		a := s.connect().enters("")
		epoch := a.heard(joinedA, positionOf(0))
		s.says(1)
		if err := s.Hub.Deliver("room:a", "said", []byte(`{"n":2}`), false); err != nil {
			t.Error(err)
		}
		a.heard(said1, said2)
		a.Close()
		settle()
		o.wantTurns(1, "room:a")
		if err := s.Hub.Deliver("room:a", "said", []byte(`{"n":3}`), false); err != nil {
			t.Error(err)
		}
		s.connect().enters(epoch+":1").heard(joinedA, said2, said3, recovered(3, 2))
		o.want(`room:a said {"n":1}`)
		if err := s.Publish("room:b", "said", nil, false); err != nil { // its history begins
			t.Error(err)
		}
		o.want("room:b said ")
		o.wantTurns(1, "room:a", "room:b")
		if err := s.Hub.Deliver("room:c", "said", nil, false); err != nil { // of which nobody here knows
			t.Error(err)
		}
		o.wantTurns(0, "room:a", "room:b")
		s.Hub.KeepHistory(0, func(string) (channels.Keep, bool) { return channels.Keep{}, false })
		o.wantTurns(1, "room:a")
	})
}

// What other nodes say in a topic with a durable history is stored here, too, and told as it is stored.
func TestDeliverIntoArchive(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		o, a := &others{t: t}, &shelf{}
		s.Hub.Connect(o)
		s.archives(a)
		c := s.connect().enters("")
		c.heard(joinedA, positionOf(0))
		deliver := func(n int) {
			t.Helper()
			payload := fmt.Appendf(nil, `{"n":%d}`, n)
			if err := s.Hub.Deliver("room:a", "said", payload, false); err != nil {
				t.Error(err)
			}
			clear(payload)
		}
		deliver(1)
		settle()
		if err := s.publishes(2); err != nil {
			t.Error(err)
		}
		deliver(3)
		c.heard(said1, said2, said3)
		o.want(`room:a said {"n":2}`)
		if got := len(a.topics["room:a"].Messages); got != 3 {
			t.Errorf("%d are stored", got)
		}
		a.goes(true)
		deliver(4)
		c.heard()
		if n := s.Stats().HistoryRefused; n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
		a.goes(false)
		large := make([]byte, 6<<20)
		a.mu.Lock() // one of them may be on its way
		for range 4 {
			if err := s.Hub.Deliver("room:a", "said", large, true); err != nil {
				t.Error(err)
			}
		}
		a.mu.Unlock()
		settle()
		c.take()
		if n := s.Stats().HistoryRefused; n < 2 || n > 3 {
			t.Errorf("%d were refused, and %d bytes waited", n, 4*len(large))
		}
	})
}

// A durable history of one node among others does not know what was said while it was not in use, or was lost on the way, and says so.
func TestArchiveAmongOthers(t *testing.T) {
	a, epoch := &shelf{}, ""
	life := func(test func(t *testing.T, s *server)) {
		run(t, options{}, func(t *testing.T, s *server) {
			s.Hub.Connect(&others{t: t})
			s.archives(a)
			test(t, s)
		})
	}
	told := func(reason history.Gap, n int) string {
		return fmt.Sprintf(`[null,"E:%d","room:a","recovered",{"complete":false,"reason":%q,"position":"E:%d","count":0}]`, n, reason, n)
	}
	life(func(t *testing.T, s *server) {
		b := s.connect().enters("")
		b.heard(joinedA, positionOf(0))
		if err := s.publishes(1, 2); err != nil {
			t.Error(err)
		}
		epoch = b.heard(said1, said2)
		s.connect().enters(epoch+":1").heard(joinedA, said2, recovered(2, 1))
	})
	life(func(t *testing.T, s *server) { // it was down
		b := s.connect().enters(epoch + ":1")
		epoch = b.heard(joinedA, said1, said2, lost(history.GapEpoch, 2, 2))
		b.Close()
		time.Sleep(20 * time.Minute) // nobody uses it
		s.Hub.TidyHistory(time.Now())
		b = s.connect().enters(epoch + ":2")
		epoch = b.heard(joinedA, said1, said2, lost(history.GapEpoch, 2, 2))
		s.Hub.Missed()
		if now := b.heard(told("missed", 2)); now == epoch {
			t.Error("the epoch is the same")
		}
		s.connect().enters(epoch+":2").heard(joinedA, said1, said2, lost(history.GapEpoch, 2, 2))
		a.goes(true)
		if err := s.Hub.Deliver("room:a", "said", []byte(`{"n":3}`), false); err != nil {
			t.Error(err)
		}
		b.heard()
		a.goes(false)
		if err := s.publishes(3); err != nil {
			t.Error(err)
		}
		epoch = b.heard(told("missed", 2), said3)
		s.connect().enters(epoch+":2").heard(joinedA, said3, recovered(3, 1))
	})
}

// A client that comes back to its handler takes the place that was kept for it: the topic is in use all the time.
func TestInterestWhileResuming(t *testing.T) {
	runLingering(t, options{}, func(t *testing.T, s *server) {
		o := &others{t: t}
		s.Hub.Connect(o)
		a := s.connect().entersWith(`{"intercept":true}`)
		key := a.key(joinedA, resume(false))
		a.breaks()
		o.wantTurns(1, "room:a")
		b := s.connect().resumes(key, "")
		settle()
		b.take()
		o.wantTurns(0, "room:a")
	})
}

// Whatever happens at the same time, the others know in the end which topics are in use, also those that came in the middle, and begun alternates.
func TestInterest(t *testing.T) {
	const topics, goroutines, steps = 5, 8, 2000
	h, o := channels.NewHub(), &others{t: t}
	e := channels.Endpoint{Hub: h}
	early, _ := member("t0")
	h.Subscribe(early)
	h.Connect(o)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(g)))
			var undo []func()
			for range steps {
				topic := fmt.Sprint("t", rnd.IntN(topics))
				switch {
				case len(undo) > 0 && rnd.IntN(2) == 0:
					i := rnd.IntN(len(undo))
					undo[i]()
					undo = slices.Delete(undo, i, i+1)
				case rnd.IntN(3) == 0:
					undo = append(undo, e.Listen(g, topic, func(channels.Broadcasted) {}))
				default:
					s, _ := member(topic)
					h.Subscribe(s)
					undo = append(undo, func() { h.Unsubscribe(s) })
				}
			}
			for i, f := range undo {
				if i > 0 || g > 1 { // two keep what they have first
					f()
				}
			}
		})
	}
	all.Go(func() {
		for i := range 20 {
			h.Suspend(func(string) bool { return true }, func(owner any, _ string) bool { return owner == i%goroutines })
			h.KeepHistory(1<<20, func(topic string) (channels.Keep, bool) {
				return channels.Keep{Bounds: history.Bounds{Messages: 1}}, topic == "t1" && i%2 == 0
			})
			h.Resume(func(any, string) bool { return true })
			if i == 10 {
				o.meet(h)
			}
		}
	})
	all.Wait()
	truth := map[string]bool{}
	for topic := range h.Interests() {
		truth[topic] = true
	}
	if !truth["t0"] {
		t.Errorf("%q are in use", used(truth))
	}
	if !slices.Equal(used(o.inUse), used(truth)) || !slices.Equal(used(o.peer), used(truth)) {
		t.Errorf("others know of %q, one that came later of %q; in use are %q", used(o.inUse), used(o.peer), used(truth))
	}
}

// BenchmarkDeliver is a broadcast of another node, beside one that is made here and is not checked.
func BenchmarkDeliver(b *testing.B) {
	small := []byte(`{"body":"hello there","user":17}`)
	large := []byte(`{"body":"` + strings.Repeat("hello there ", 100) + `","user":17}`)
	for _, n := range []int{1, 1000} {
		for name, payload := range map[string][]byte{"small": small, "large": large} {
			h := channels.NewHub()
			subscribed(h, "t", n)
			b.Run(fmt.Sprint(n, "/", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := h.Deliver("t", "news", payload, false); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprint(n, "/", name, " here"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.Broadcast(&channels.Outgoing{Kind: channels.Broadcast, Topic: "t", Name: "news", Payload: payload}, nil)
				}
			})
		}
	}
}
