package presence_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels/presence"
)

// TestDiffsKeepOrder: a diff never has the join and the leave of one entry, and
// none comes in the wrong order, while changes are as fast as they can be.
func TestDiffsKeepOrder(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, 1, "room", "ann", `{}`)
		for range 5 {
			if _, err := tr.Update(1, "room", "ann", []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
		tr.Untrack(1, "room", "ann")
		settle()
		c := newClient(t, []byte(`{}`))
		diffs := l.take("room")
		for _, d := range diffs {
			c.apply(t, []byte(d))
		}
		if len(diffs) != 7 || c.surplus != 0 || len(c.present) != 0 {
			t.Errorf("clients have %v, with %d leaves too many, after\n%q", c.present, c.surplus, diffs)
		}
	})
}

// TestCrowd: to a crowd, what one owner does in a row goes out together, and without
// what nobody can have seen.
func TestCrowd(t *testing.T) {
	inBubble(t, presence.Options{Audience: func(string) int { return 500 }}, func(t *testing.T, tr *presence.Tracker, l *log) {
		update := func() (ref string) {
			for range 5 {
				ref, _ = tr.Update(1, "room", "ann", []byte(`{}`))
			}
			return ref
		}
		track(t, tr, "other", "room", "bob", `{}`)
		synctest.Wait()
		l.take("room")
		track(t, tr, 1, "room", "ann", `{}`)
		update()
		tr.Untrack(1, "room", "ann")
		settle()
		l.want(t, "room")

		first := track(t, tr, 1, "room", "ann", `{}`)
		settle()
		l.want(t, "room", `{"joins":{"ann":{"metas":[{"phx_ref":"`+first+`"}]}},"leaves":{}}`)
		synctest.Wait()
		tr.Update("other", "room", "bob", []byte(`{}`))
		synctest.Wait()
		l.take("room")
		last := update()
		settle()
		diffs := l.take("room")
		d := decode[diffPayload](t, []byte(diffs[0]))
		if joined, left := d.Joins["ann"].Metas, d.Leaves["ann"].Metas; len(diffs) != 1 || len(joined) != 1 || ref(joined[0]) != last || len(left) != 1 || ref(left[0]) != first {
			t.Errorf("after five updates in a row: %q", diffs)
		}
		tr.Update("other", "room", "bob", []byte(`{}`))
		synctest.Wait()
		l.take("room")
		update()
		tr.Untrack(1, "room", "ann")
		settle()
		if d := decode[diffPayload](t, []byte(l.take("room")[0])); len(d.Joins) != 0 || len(d.Leaves["ann"].Metas) != 1 || ref(d.Leaves["ann"].Metas[0]) != last {
			t.Errorf("after five updates and the end: %v", d)
		}
	})
}

// TestSlowBroadcast: changes that come during a broadcast are collected; their
// number does not make more diffs than the queue may have, and those that nobody
// can have seen disappear.
func TestSlowBroadcast(t *testing.T) {
	const flips = 1000
	for _, reads := range []bool{false, true} {
		c := newClient(t, []byte(`{}`))
		var late *client // one that has read a list in the middle of it
		largest := 0
		o := presence.Options{Broadcast: func(topic string, d presence.Diff) {
			time.Sleep(time.Second)
			largest = max(largest, len(d.Joins)+len(d.Leaves))
			c.apply(t, d.JSON())
			if late != nil {
				late.apply(t, d.JSON())
			}
		}}
		inBubble(t, o, func(t *testing.T, tr *presence.Tracker, l *log) {
			track(t, tr, "other", "room", "bob", `{}`)
			time.Sleep(time.Second / 2) // in the middle of the broadcast
			for i := range flips {
				track(t, tr, i, "room", "ann", `{}`)
				if reads && i == flips/2 {
					late = newClient(t, tr.List("room"))
				}
				tr.Leave(i)
			}
			last := track(t, tr, "last", "room", "ann", `{}`)
			time.Sleep(time.Minute)
			settle()
			if !c.present["ann"][last] || !c.agrees(t, tr.List("room")) {
				t.Errorf("clients have %v, the list is %s", c.present, tr.List("room"))
			}
			if reads && !late.agrees(t, tr.List("room")) {
				t.Errorf("one that came in the middle has %v, the list is %s", late.present, tr.List("room"))
			}
			if c.diffs > 20 || largest > 3 {
				t.Errorf("%d diffs with up to %d entries for %d changes, none of which lasted", c.diffs, largest, 2*flips)
			}
		})
	}
}

// TestInterval: the first change goes out at once, the next ones together.
func TestInterval(t *testing.T) {
	inBubble(t, presence.Options{Interval: time.Second}, func(t *testing.T, tr *presence.Tracker, l *log) {
		for i := range 10 {
			track(t, tr, i, "room", fmt.Sprint("user", i), `{}`)
			synctest.Wait()
		}
		if n := len(l.take("room")); n != 1 {
			t.Errorf("%d diffs at once", n)
		}
		track(t, tr, 1, "lobby", "user1", `{}`)
		synctest.Wait()
		if n := len(l.take("lobby")); n != 1 {
			t.Errorf("another topic had to wait: %d diffs", n)
		}
		time.Sleep(time.Second + time.Millisecond)
		diffs := l.take("room")
		if len(diffs) != 1 || len(decode[diffPayload](t, []byte(diffs[0])).Joins) != 9 {
			t.Errorf("diffs %q", diffs)
		}
	})
}

// TestShow: a list that is shown takes its place among the diffs, also for clients that
// forget at a list what they knew.
func TestShow(t *testing.T) {
	var mu sync.Mutex
	var watching []*client
	o := presence.Options{Interval: -1, Broadcast: func(_ string, d presence.Diff) {
		text := d.JSON()
		for range 5 { // a diff is on its way for a while
			runtime.Gosched()
		}
		mu.Lock()
		defer mu.Unlock()
		for _, c := range watching {
			c.apply(t, text)
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		tr := presence.New(o)
		defer tr.Close()
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				c := &client{present: map[string]map[string]bool{}}
				mu.Lock()
				watching = append(watching, c)
				mu.Unlock()
				for i := range 200 {
					id := [2]int{g, i}
					track(t, tr, id, "room", fmt.Sprint("user", i), `{}`)
					if i%10 == 0 {
						tr.Show("room", func(list []byte) {
							runtime.Gosched()
							mu.Lock()
							defer mu.Unlock()
							c.state(t, list)
						})
					}
					if i%3 > 0 {
						tr.Leave(id)
					}
				}
			})
		}
		all.Wait()
		settle()
		for i, c := range watching {
			if list := tr.List("room"); !c.agrees(t, list) {
				t.Errorf("client %d has %d keys, the list is %.300s", i, len(c.present), list)
			}
		}
	})
}

// TestAudience: the more are told, the longer the interval, up to a limit.
func TestAudience(t *testing.T) {
	for audience, interval := range map[int]time.Duration{
		0: 20 * time.Millisecond, 200: 20 * time.Millisecond, 5_000: 500 * time.Millisecond, 1_000_000: 1500 * time.Millisecond,
	} {
		o := presence.Options{Audience: func(string) int { return audience }}
		inBubble(t, o, func(t *testing.T, tr *presence.Tracker, l *log) {
			track(t, tr, 1, "room", "first", `{}`)
			synctest.Wait()
			track(t, tr, 2, "room", "second", `{}`)
			time.Sleep(interval - time.Millisecond)
			if n := len(l.take("room")); n != 1 {
				t.Errorf("%d diffs for %d clients before the interval is over", n, audience)
			}
			time.Sleep(2 * time.Millisecond)
			if n := len(l.take("room")); n != 1 {
				t.Errorf("%d diffs for %d clients after the interval", n, audience)
			}
			time.Sleep(2 * interval)
		})
	}
}

// TestChurn has thousands of owners that come, change and die on many goroutines.
// Observers come at any time, subscribe and then read the list. Whenever it is
// quiet all agree with it; afterwards nothing is left.
func TestChurn(t *testing.T) {
	for name, o := range map[string]presence.Options{
		"plain":       {},
		"no interval": {Interval: -1},
		"grace":       {Grace: 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { churn(t, o) }) })
	}
}

func churn(t *testing.T, o presence.Options) {
	const (
		rounds, goroutines = 4, 16
		lives              = 40 // of owners, on each goroutine and in each round
		topics, keys       = 3, 40
	)
	var mu sync.Mutex // of the observers; held by a broadcast as by a hub
	observers := map[string][]*client{}
	early := map[string]*client{}
	o.Broadcast = func(topic string, d presence.Diff) {
		text := d.JSON()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range observers[topic] {
			c.apply(t, text)
		}
	}
	tr := presence.New(o)
	defer tr.Close()
	observe := func(topic string) *client {
		c := &client{waiting: true}
		mu.Lock()
		observers[topic] = append(observers[topic], c)
		mu.Unlock()
		list := tr.List(topic) // after the subscription
		mu.Lock()
		defer mu.Unlock()
		c.state(t, list)
		return c
	}
	for i := range topics {
		topic := fmt.Sprint("room:", i)
		early[topic] = observe(topic)
	}

	var alive []any // of earlier rounds
	for round := range rounds {
		for _, id := range alive {
			tr.Leave(id)
		}
		alive = nil
		var lived sync.WaitGroup
		for g := range goroutines {
			lived.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for i := range lives {
					id := [3]int{round, g, i}
					live(t, tr, rnd, id, topics, keys)
					if rnd.IntN(100) == 0 {
						observe(fmt.Sprint("room:", rnd.IntN(topics)))
					}
					if rnd.IntN(5) > 0 {
						tr.Leave(id)
						continue
					}
					mu.Lock()
					alive = append(alive, id)
					mu.Unlock()
				}
			})
		}
		lived.Wait()
		settle()
		for topic, cs := range observers {
			list := tr.List(topic)
			for _, c := range cs {
				if !c.agrees(t, list) {
					t.Fatalf("round %d: an observer of %s has %v, the list is %s", round, topic, c.present, list)
				}
			}
			present := decode[payload](t, list)
			metas := 0
			for _, p := range present {
				metas += len(p.Metas)
			}
			if k, m := tr.Count(topic); k != len(present) || m != metas {
				t.Fatalf("round %d: count %d, %d, the list has %d, %d", round, k, m, len(present), metas)
			}
		}
		if n := tr.Stats(); n.Lingering != 0 {
			t.Fatalf("round %d: %+v", round, n)
		}
	}
	for _, id := range alive {
		tr.Leave(id)
	}
	settle()
	for topic, c := range early {
		if len(c.present) != 0 || c.diffs == 0 {
			t.Errorf("after %d diffs of %s it is said to have %v", c.diffs, topic, c.present)
		}
	}
	if n := tr.Stats(); n != (presence.Stats{}) || len(tr.Topics()) != 0 {
		t.Errorf("left over: %+v, %q", n, tr.Topics())
	}
}

// live is what an owner does before it dies: some changes, some of them refused,
// and now and then a restart.
func live(t *testing.T, tr *presence.Tracker, rnd *rand.Rand, id any, topics, keys int) {
	for range 1 + rnd.IntN(8) {
		topic, key := fmt.Sprint("room:", rnd.IntN(topics)), fmt.Sprint("user", rnd.IntN(keys))
		switch rnd.IntN(8) {
		case 0:
			tr.Untrack(id, topic, key)
		case 1:
			tr.Update(id, topic, key, []byte(`{"n":1}`))
		case 2:
			tr.Hold(id)
			tr.Track(id, topic, key, []byte(`{"n":2}`))
			tr.Settle(id)
		default:
			if r, err := tr.Track(id, topic, key, []byte(`{}`)); err == nil {
				if got, ok := tr.Get(topic, key); !ok || !slices.ContainsFunc(metasOf(t, got), func(m map[string]any) bool { return ref(m) == r }) {
					t.Errorf("%s is not in %s after it was tracked", r, got)
				}
			}
		}
	}
}

func metasOf(t *testing.T, text []byte) []map[string]any {
	return decode[struct{ Metas []map[string]any }](t, text).Metas
}
