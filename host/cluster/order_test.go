package cluster_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/cluster"
)

// remembers has topics have history.
func remembers(o *cluster.Options) {
	o.Hub.KeepHistory(64<<20, func(string) (channels.Keep, bool) {
		return channels.Keep{Bounds: history.Bounds{Messages: 10_000}, Most: history.Most{Messages: 10_000}}, true
	})
}

// told is what members of a topic got: an event with its payload and position.
type told struct{ at, event, payload string }

func (n *node) told(t *testing.T) (list []told) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, frame := range n.got {
		var f [5]json.RawMessage
		if err := json.Unmarshal([]byte(frame), &f); err != nil {
			t.Fatal(err)
		}
		list = append(list, told{strings.Trim(string(f[1]), `"`), strings.Trim(string(f[3]), `"`), string(f[4])})
	}
	n.got = nil
	return list
}

// past is the history of a topic at a node, as text.
func (n *node) past(topic string) string {
	page, ok := n.History(topic, 0, 1000)
	if !ok {
		return "none"
	}
	text := page.Position.String()
	for _, m := range page.Messages {
		text += fmt.Sprint(" ", m.Offset, m.Event, string(m.Payload))
	}
	return text
}

// checkSequence fails for what a member was not told, and returns how often it was told of a gap.
func checkSequence(t *testing.T, who string, list []told) (gaps int) {
	t.Helper()
	gaps, faults := sequence(list)
	for _, fault := range faults {
		t.Errorf("%s got %s", who, fault)
	}
	return gaps
}

// sequence finds what a member was not told: offsets are dense in an epoch, but where it is told of a gap.
func sequence(list []told) (gaps int, faults []string) {
	var at history.Position
	for i, m := range list {
		now, ok := history.Parse(m.at)
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("%v without a position", m))
		case m.event == "recovered":
			gaps++
		case i > 0 && (now.Epoch != at.Epoch || now.Offset != at.Offset+1):
			faults = append(faults, fmt.Sprintf("%v behind %v, and nobody told it of a gap", m, at))
		}
		at = now
	}
	return gaps, faults
}

// The check of sequences finds each message that is left out, comes twice, or too early.
func TestSequence(t *testing.T) {
	var list []told
	for i := range 20 {
		list = append(list, told{fmt.Sprint("abcdefghij:", i+1), "said", "{}"})
	}
	list[10].event = "recovered"
	check := func(what string, list []told, want bool) {
		t.Helper()
		if _, faults := sequence(list); (len(faults) > 0) != want {
			t.Errorf("%s: faults are %q", what, faults)
		}
	}
	check("all", list, false)
	for i := 1; i < len(list)-1; i++ {
		told := i == 9 // the next one tells of a gap
		check(fmt.Sprint("without ", i), slices.Delete(slices.Clone(list), i, i+1), !told)
		if i != 10 {
			check(fmt.Sprint("twice ", i), slices.Insert(slices.Clone(list), i, list[i]), true)
		}
	}
}

func TestHistoryHasOneOrder(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a", remembers), start(t, w, "b", remembers), start(t, w, "c", remembers)
		nodes := []*node{a, b, c}
		defer closeAll(nodes...)
		wait()
		for i := range 12 {
			topic := fmt.Sprint("room:", i)
			for _, n := range nodes {
				n.member(topic, true)
			}
			time.Sleep(100 * time.Millisecond)
			w.set(func() { w.loss = 0.05 })
			for k := range 100 {
				for _, n := range nodes {
					n.say(topic, n.name, fmt.Sprint(`{"n":`, k, `}`))
				}
				time.Sleep(time.Millisecond)
			}
			w.set(func() { w.loss = 0 })
			wait()
			first := a.told(t)
			want(t, "messages", len(first), 300)
			want(t, "gaps", checkSequence(t, "a", first), 0)
			for _, n := range nodes[1:] {
				if got := n.told(t); fmt.Sprint(got) != fmt.Sprint(first) {
					t.Errorf("%s: %s and a got something else:\n%v\n%v", topic, n.name, got, first)
				}
				want(t, "history at "+n.name, n.past(topic), a.past(topic))
			}
			for _, n := range nodes {
				n.member(topic, false)
			}
		}
		owners := map[string]bool{}
		for i := range 12 {
			owners[a.OwnerName(fmt.Sprint("room:", i))] = true
		}
		want(t, "owners", len(owners), 3)
	})
}

// Whoever leaves itself out of a broadcast does not get it, also if another node orders it.
func TestOrderedFrom(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a", remembers), start(t, w, "b", remembers)
		defer closeAll(a, b)
		wait()
		for i := range 8 {
			topic := fmt.Sprint("room:", i)
			a.member(topic, true)
			b.member(topic, true)
			wait()
			a.mu.Lock()
			self := a.members[topic]
			a.mu.Unlock()
			o := channels.Outgoing{Kind: channels.Broadcast, Topic: topic, Name: "said", Payload: []byte(`{}`)}
			_ = a.Hub.Broadcast(&o, self)
			wait()
			want(t, "a got", a.told(t), "[]")
			want(t, "b got", len(b.told(t)), 1)
		}
	})
}

// topicOf returns a topic that a node orders.
func (n *node) topicOf(owner string) string {
	if owner == n.name {
		owner = ""
	}
	for i := 0; ; i++ {
		if topic := fmt.Sprint("room:", i); n.OwnerName(topic) == owner {
			return topic
		}
	}
}

// The node that orders a topic goes without a word: members are told that something may be missing, and it goes on.
func TestOwnerIsKilled(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a", remembers), start(t, w, "b", remembers), start(t, w, "c", remembers)
		defer closeAll(a, b)
		wait()
		topic := a.topicOf("c")
		a.member(topic, true)
		b.member(topic, true)
		wait()
		a.say(topic, "said", `{"n":1}`)
		wait()
		w.cutBoth("a", "c", true)
		w.cutBoth("b", "c", true)
		c.Close()
		wait()
		b.say(topic, "said", `{"n":2}`)
		wait()
		for _, n := range []*node{a, b} {
			got := n.told(t)
			want(t, n.name+" was told of gaps", checkSequence(t, n.name, got), 1)
			want(t, n.name+" got", len(got), 3)
			if last := got[len(got)-1]; last.payload != `{"n":2}` {
				t.Errorf("%s got %v", n.name, got)
			}
		}
		want(t, "history", a.past(topic), b.past(topic))
	})
}

// A node that comes gets topics, with their history, and nobody notices.
func TestOwnerHandsOver(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a", remembers), start(t, w, "b", remembers)
		wait()
		topics := make([]string, 40)
		for i := range topics {
			topics[i] = fmt.Sprint("room:", i)
			a.member(topics[i], true)
			b.member(topics[i], true)
		}
		wait()
		say := func(n int) {
			for _, topic := range topics {
				a.say(topic, "said", fmt.Sprint(`{"n":`, n, `}`))
			}
		}
		say(1)
		c := start(t, w, "c", remembers)
		defer closeAll(a, b, c)
		for n := range 200 {
			say(n + 2)
			time.Sleep(5 * time.Millisecond)
		}
		wait()
		moved := 0
		pasts := map[string]string{}
		for _, topic := range topics {
			if a.OwnerName(topic) == "c" {
				moved++
				want(t, "history at c", c.past(topic), a.past(topic))
			}
			pasts[topic] = a.past(topic)
			want(t, "history at b", b.past(topic), pasts[topic])
		}
		if moved == 0 {
			t.Error("no topic is c's")
		}
		for _, n := range []*node{a, b} {
			got := n.told(t)
			want(t, n.name+" got", len(got), 201*len(topics))
			for _, m := range got {
				if m.event != "said" {
					t.Fatalf("%s was told %v", n.name, m)
				}
			}
		}
	})
}

// Both sides of a cut go on, and afterwards one of them counts.
func TestCutAndHealed(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a", remembers), start(t, w, "b", remembers)
		defer closeAll(a, b)
		wait()
		topic := a.topicOf("a")
		a.member(topic, true)
		b.member(topic, true)
		wait()
		a.say(topic, "said", `{"n":1}`)
		synctest.Wait()
		w.cutBoth("a", "b", true)
		wait()
		a.say(topic, "said", `{"n":2}`)
		b.say(topic, "said", `{"n":3}`)
		wait()
		w.cutBoth("a", "b", false)
		wait()
		a.say(topic, "said", `{"n":4}`)
		wait()
		want(t, "gaps at a", checkSequence(t, "a", a.told(t)), 1) // of what b said meanwhile
		if gaps := checkSequence(t, "b", b.told(t)); gaps < 2 {   // when it is alone, and when it is not any more; that may take two steps
			t.Errorf("b was told of %d gaps", gaps)
		}
		want(t, "history", b.past(topic), a.past(topic))
	})
}

// Whatever happens to the nodes, no member misses a broadcast that others got without being told so, and in the end all agree.
func TestHistoryUnderFaults(t *testing.T) {
	seeds := uint64(8)
	if text := os.Getenv("RTD_TEST_SEEDS"); text != "" {
		seeds, _ = strconv.ParseUint(text, 10, 32)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			simulate(t, func(t *testing.T, w *network) {
				random := rand.New(rand.NewPCG(seed, 7))
				names := []string{"a", "b", "c", "d"}
				nodes := map[string]*node{}
				topics := []string{"room:1", "room:2", "room:3"}
				begin := func(name string) {
					nodes[name] = start(t, w, name, remembers)
					for _, topic := range topics {
						nodes[name].member(topic, true)
					}
				}
				end := func(name string) {
					n := nodes[name]
					n.Close()
					checkTopics(t, seed, n, topics)
				}
				for _, name := range names {
					begin(name)
				}
				said := 0
				for range 400 {
					name := names[random.IntN(len(names))]
					other := names[random.IntN(len(names))]
					switch k := random.IntN(40); {
					case k == 0:
						end(name)
						time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
						begin(name)
					case k == 1:
						w.cutBoth(name, other, true)
					case k == 2:
						w.set(func() { w.cut[[2]string{name, other}] = true })
					case k == 3 || k == 4:
						w.set(func() { clear(w.cut) })
					case k == 5:
						w.set(func() { w.loss = random.Float64() * 0.2 })
					case k < 10:
						time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
					default:
						said++
						nodes[name].say(topics[random.IntN(len(topics))], "said", fmt.Sprint(`{"n":`, said, `}`))
						time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
					}
				}
				w.set(func() { clear(w.cut); w.loss = 0 })
				wait()
				wait()
				for _, topic := range topics {
					nodes["a"].say(topic, "said", `{"n":"last"}`)
				}
				wait()
				for _, name := range names {
					for _, topic := range topics {
						if got, at := nodes[name].past(topic), nodes["a"].past(topic); got != at || !strings.Contains(got, "last") {
							t.Errorf("%s at %s, whose owner is %q: %s; at a: %s; %s; %+v", topic, name, nodes[name].OwnerName(topic), short(got), short(at), nodes[name].states(), nodes[name].Stats())
						}
					}
				}
				for _, name := range names {
					end(name)
				}
			})
		})
	}
}

func checkTopics(t *testing.T, seed uint64, n *node, topics []string) {
	t.Helper()
	n.mu.Lock()
	frames := n.got
	n.mu.Unlock()
	for _, topic := range topics {
		n.mu.Lock()
		n.got = nil
		for _, f := range frames {
			if strings.Contains(f, `"`+topic+`"`) {
				n.got = append(n.got, f)
			}
		}
		n.mu.Unlock()
		checkSequence(t, fmt.Sprint("seed ", seed, ", ", topic, " at ", n.name), n.told(t))
	}
}

// short is the beginning and the end of a long text.
func short(s string) string {
	if len(s) < 100 {
		return s
	}
	return s[:40] + "…" + s[len(s)-40:]
}

// However much there is to be handed over, no link overflows, and nothing is lost.
func TestOwnerHandsOverMuch(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a := start(t, w, "a", remembers)
		const count = 600
		text := `{"n":"` + strings.Repeat("x", 4000) + `"}`
		for i := range count {
			for range 10 {
				a.say(fmt.Sprint("room:", i), "said", text)
			}
		}
		wait()
		b := start(t, w, "b", remembers)
		defer closeAll(a, b)
		wait()
		wait()
		moved := 0
		for i := range count {
			topic := fmt.Sprint("room:", i)
			if a.OwnerName(topic) != "b" {
				continue
			}
			moved++
			if page, ok := b.History(topic, 0, 100); !ok || page.Position.Offset != 10 || len(page.Messages) != 10 {
				t.Fatalf("%s at b: %v, %d messages", topic, page.Position, len(page.Messages))
			}
		}
		if moved < count/4 {
			t.Errorf("%d topics are b's", moved)
		}
		want(t, "overflows", a.Stats().Overflows, 0)
	})
}

// The way between two nodes is cut, and each still sees the others: what the one says that does not see the owner reaches all who see both, once.
func TestCutBetweenTwo(t *testing.T) {
	for _, names := range [][]string{{"a", "b", "c"}, {"a", "b", "c", "d", "e"}} {
		t.Run(fmt.Sprint(len(names)), func(t *testing.T) {
			simulate(t, func(t *testing.T, w *network) {
				var nodes []*node
				for _, name := range names {
					nodes = append(nodes, start(t, w, name, remembers))
				}
				defer closeAll(nodes...)
				wait()
				topic := nodes[0].topicOf("c")
				for _, n := range nodes {
					n.member(topic, true)
				}
				wait()
				w.cutBoth("a", "c", true)
				wait()
				const count = 100
				for k := range count {
					for _, n := range nodes {
						n.say(topic, n.name, fmt.Sprint(`{"n":`, k, `}`))
					}
					time.Sleep(10 * time.Millisecond)
				}
				wait()
				for _, n := range nodes {
					if n.name == "a" {
						continue // it does not see the owner: it is told of gaps
					}
					next := map[string]int{}
					list := n.told(t)
					checkSequence(t, n.name, list)
					for _, m := range list {
						if m.event == "recovered" {
							continue
						}
						if m.payload != fmt.Sprint(`{"n":`, next[m.event], `}`) {
							t.Fatalf("%s got %v, want number %d", n.name, m, next[m.event])
						}
						next[m.event]++
					}
					for _, from := range names {
						want(t, n.name+" got of "+from, next[from], count)
					}
				}
				w.cutBoth("a", "c", false)
				wait()
				nodes[0].say(topic, "last", `{}`)
				wait()
				for _, n := range nodes {
					want(t, "history at "+n.name, n.past(topic), nodes[0].past(topic))
					checkSequence(t, n.name, n.told(t))
				}
			})
		})
	}
}
