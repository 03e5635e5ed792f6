package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/cluster"
)

func TestBroadcastsReachWhoHasMembers(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a"), start(t, w, "b"), start(t, w, "c")
		defer closeAll(a, b, c)
		b.member("room:1", true) // before they know each other
		wait()
		want(t, "states at a", a.states(), "b there, c there")
		c.member("room:2", true)
		synctest.Wait()
		before := c.Stats().Received
		a.say("room:1", "said", `{"n":1}`)
		a.say("room:2", "said", "{}")
		a.say("room:3", "said", `{}`)
		synctest.Wait()
		want(t, "b got", b.take(), `[room:1 said {"n":1}]`)
		want(t, "c got", c.take(), "[room:2 said {}]")
		want(t, "messages that c got", c.Stats().Received-before, 1)

		b.member("room:1", false)
		synctest.Wait()
		a.say("room:1", "said", "")
		synctest.Wait()
		want(t, "b got when nobody is there", b.take(), "[]")
		want(t, "a relayed", a.Stats().Relayed, 2)
	})
}

// In order and complete, whatever the network loses.
func TestOrderUnderLoss(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a"), start(t, w, "b"), start(t, w, "c")
		nodes := []*node{a, b, c}
		defer closeAll(nodes...)
		wait()
		for _, n := range nodes {
			n.member("room", true)
		}
		synctest.Wait()
		w.set(func() { w.loss, w.delay = 0.05, 5*time.Millisecond })
		const count = 3000
		for i := range count {
			for _, n := range nodes {
				n.say("room", n.name, fmt.Sprint(`{"n":`, i, `}`))
			}
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		wait()
		wait()
		for _, n := range nodes {
			for _, fault := range checkNumbers(n.take(), n, nodes, count) {
				t.Error(fault)
			}
			if s := n.Stats(); s.Asked == 0 || s.Gaps > 0 {
				t.Errorf("%s: %+v; nothing was asked for again, or something given up", n.name, s)
			}
		}
	})
}

// checkNumbers finds what a node did not get of the others, each of which has said so many numbers, or got twice, or too late.
func checkNumbers(list []string, at *node, nodes []*node, count int) (faults []string) {
	next := map[string]int{}
	for _, got := range list {
		parts := strings.Split(got, " ")
		var n int
		if _, err := fmt.Sscanf(parts[2], `{"n":%d}`, &n); err != nil || n != next[parts[1]] {
			faults = append(faults, fmt.Sprintf("%s got %s of %s, want %d", at.name, parts[2], parts[1], next[parts[1]]))
		}
		next[parts[1]] = n + 1
	}
	for _, from := range nodes {
		if from != at && next[from.name] != count {
			faults = append(faults, fmt.Sprintf("%s got %d of %s, want %d", at.name, next[from.name], from.name, count))
		}
	}
	return faults
}

// The checks of these tests find a loss, if nothing notices it and mends it: when what is lost is not missing in the numbers of frames.
func TestChecksFindLoss(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		nodes := []*node{a, b}
		defer closeAll(nodes...)
		b.member("room", true)
		wait()
		say := func() []string {
			for i := range 1000 {
				a.say("room", "a", fmt.Sprint(`{"n":`, i, `}`))
			}
			wait()
			return checkNumbers(b.take(), b, nodes[:1], 1000)
		}
		w.set(func() { w.loss = 0.05 })
		want(t, "faults with numbers", len(say()), 0)
		w.set(func() { w.loss, w.hidden = 0, 0.01 })
		if len(say()) == 0 {
			t.Error("messages are lost, and the checks find nothing")
		}
		s := b.Stats()
		want(t, "gaps that the node noticed", s.Gaps, 0)
	})
}

// The last message of all is lost: nothing comes behind it that would show a gap.
func TestLastMessageLost(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		defer closeAll(a, b)
		b.member("room", true)
		wait()
		w.set(func() { w.loss = 1 })
		a.say("room", "said", `{"n":1}`)
		synctest.Wait()
		w.set(func() { w.loss = 0 })
		wait()
		want(t, "b got", b.take(), `[room said {"n":1}]`)
	})
}

func TestAwayAndBack(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a"), start(t, w, "b"), start(t, w, "c")
		defer closeAll(a, b, c)
		b.member("room", true)
		c.member("room", true)
		wait()
		w.cutBoth("a", "b", true)
		wait()
		want(t, "states at a", a.states(), "b away, c there")
		want(t, "states at c", c.states(), "a there, b there")
		a.say("room", "said", `{"n":1}`)
		synctest.Wait()
		want(t, "relayed to one", len(c.take()), 1)
		b.member("room", false)
		b.member("other", true)
		w.cutBoth("a", "b", false)
		wait()
		want(t, "states at a", a.states(), "b there, c there")
		a.say("room", "said", `{"n":2}`)
		a.say("other", "said", `{"n":3}`)
		synctest.Wait()
		want(t, "b got", b.take(), `[other said {"n":3}]`)
		want(t, "lines", a.log.count("node is away"), 1)
		want(t, "lines", a.log.count("again=true"), 1)
	})
}

// A node that is heard, and does not hear, is of no use.
func TestCutOneWay(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		defer closeAll(a, b)
		b.member("room", true)
		a.member("room", true)
		wait()
		w.set(func() { w.cut[[2]string{"a", "b"}] = true })
		wait()
		a.say("room", "said", `{"n":1}`)
		b.say("room", "said", `{"n":2}`)
		want(t, "relayed", a.Stats().Relayed+b.Stats().Relayed, 0)
		w.set(func() { clear(w.cut) })
		wait()
		want(t, "states", a.states()+b.states(), "b therea there")
		a.take()
		b.take()
		a.say("room", "said", `{"n":3}`)
		b.say("room", "said", `{"n":4}`)
		synctest.Wait()
		want(t, "got", fmt.Sprint(b.take(), a.take()), `[room said {"n":4} room said {"n":3}] [room said {"n":3} room said {"n":4}]`)
	})
}

// A short cut is not noticed by anybody: what was said meanwhile comes late.
func TestShortCut(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		defer closeAll(a, b)
		b.member("room", true)
		wait()
		w.cutBoth("a", "b", true)
		var all []string
		for i := range 1000 {
			a.say("room", "said", fmt.Sprint(`{"n":`, i, `}`))
			all = append(all, fmt.Sprint(`room said {"n":`, i, `}`))
		}
		time.Sleep(2 * time.Second)
		w.cutBoth("a", "b", false)
		wait()
		want(t, "b got", b.take(), all)
		want(t, "away", a.log.count("node is away"), 0)
	})
}

// A node that does not keep up loses what it cannot get, and is told so.
func TestOverflow(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		long := func(o *cluster.Options) { o.DownAfter = time.Hour }
		a, b := start(t, w, "a", long), start(t, w, "b", long)
		defer closeAll(a, b)
		b.member("room", true)
		wait()
		w.cutBoth("a", "b", true)
		large := `{"n":"` + strings.Repeat("x", 1<<20) + `"}`
		for range 40 {
			a.say("room", "said", large)
		}
		synctest.Wait()
		if held := a.Members()[1].Waiting; held > 20<<20 {
			t.Errorf("%d bytes wait for a node that gets nothing", held)
		}
		w.cutBoth("a", "b", false)
		wait()
		b.take()
		want(t, "overflows, gaps", fmt.Sprint(a.Stats().Overflows > 0, b.Stats().Gaps), "true 1")
		a.say("room", "said", `{"n":7}`)
		synctest.Wait()
		want(t, "b got", b.take(), `[room said {"n":7}]`)
		a.say("room", "said", `{"n":"`+strings.Repeat("x", 3<<20)+`"}`)
		synctest.Wait()
		want(t, "too large", fmt.Sprint(a.Stats().TooLarge, len(b.take())), "1 0")
	})
}

func TestStartedAnew(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		defer closeAll(a)
		b.member("room", true)
		wait()
		w.cutBoth("a", "b", true)
		b.Close() // nobody hears that it ends
		w.cutBoth("a", "b", false)
		b = start(t, w, "b")
		wait()
		a.say("room", "said", `{"n":1}`)
		b.member("room", true)
		synctest.Wait()
		a.say("room", "said", `{"n":2}`)
		synctest.Wait()
		want(t, "b got", b.take(), `[room said {"n":2}]`)
		want(t, "lines", a.log.count("it was started anew"), 1)
		b.Close()
		synctest.Wait()
		want(t, "states at a", a.states(), "b left")
		want(t, "forgotten", fmt.Sprint(a.Forget("b"), a.Forget("b"))+a.states(), "true false")
	})
}

func TestNameIsTaken(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		time.Sleep(time.Second)
		again := start(t, w, "a")
		defer closeAll(a, b, again)
		wait()
		want(t, "lines", fmt.Sprint(a.log.count("node name is taken"), again.log.count("node name is taken")), "1 1")
		if cause := a.Members()[0].Cause; !strings.Contains(cause, "cluster.node") {
			t.Errorf("cause is %q", cause)
		}
	})
}

func TestAsk(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		free := make(chan struct{})
		answers := func(o *cluster.Options) {
			o.Answers = map[string]cluster.Answer{
				"echo": func(_ context.Context, from string, body []byte) ([]byte, error) { return append(body, from...), nil },
				"fail": func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("no luck") },
				"large": func(context.Context, string, []byte) ([]byte, error) {
					return make([]byte, 3<<20), nil
				},
				"wait": func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
					select {
					case <-free:
						return nil, nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				},
			}
		}
		a, b := start(t, w, "a"), start(t, w, "b", answers)
		defer closeAll(a, b)
		wait()
		ask := func(method, body string) string {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			answer, err := a.Ask(ctx, "b", method, []byte(body))
			return fmt.Sprint(string(answer), err)
		}
		want(t, "answer", ask("echo", "hi "), "hi a<nil>")
		want(t, "error", ask("fail", ""), "node b: no luck")
		want(t, "large", ask("large", ""), "node b: too large to be sent: an answer of 3145728 bytes")
		want(t, "too large", ask("echo", strings.Repeat("x", 3<<20)), "too large to be sent: a question of 3145728 bytes")
		want(t, "unknown", ask("dance", ""), "node does not know the question: b, dance")
		_, err := a.Ask(t.Context(), "z", "echo", nil)
		want(t, "nobody", errors.Is(err, cluster.ErrAway), true)

		results := make(chan string, 100)
		for range 70 {
			go func() { results <- ask("wait", "") }()
		}
		synctest.Wait()
		for range 6 {
			want(t, "busy", <-results, "node is busy: b")
		}
		w.cutBoth("a", "b", true)
		wait()
		for range 64 {
			want(t, "away", <-results, "node is away: b")
		}
	})
}

// What beats tell: what a node has to do, and how far it is.
func TestTripAndLoad(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		w.delay = 20 * time.Millisecond
		a := start(t, w, "a", func(o *cluster.Options) { o.Load = func() cluster.Load { return cluster.Load{Connections: 7} } })
		b := start(t, w, "b")
		defer closeAll(a, b)
		wait()
		m := b.Members()[0]
		want(t, "load, trip", fmt.Sprint(m.Name, m.Load.Connections, m.Trip.Round(10*time.Millisecond)), "a7 40ms")
	})
}

// A node that starts knows who wants what before it says that it is ready, also of a node that it reaches later than others.
func TestMet(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a"), start(t, w, "b")
		a.member("room", true)
		b.member("room", true)
		wait()
		w.cutBoth("b", "c", true)
		time.AfterFunc(2*time.Second, func() { w.cutBoth("b", "c", false) })
		c := start(t, w, "c")
		defer closeAll(a, b, c)
		c.Met(t.Context())
		c.say("room", "said", `{"n":1}`)
		synctest.Wait()
		want(t, "a and b got", fmt.Sprint(a.take(), b.take()), `[room said {"n":1}] [room said {"n":1}]`)
		w.set(func() { w.loss = 1 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d := start(t, w, "d")
		d.Met(ctx) // nobody is there: it ends with ctx
		d.Close()
	})
}
