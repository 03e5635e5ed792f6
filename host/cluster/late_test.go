package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rtd/host/cluster"
)

// A node that starts does not know yet which topics have history: meanwhile others order them, and nobody notices when it takes its share.
func TestLateNode(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a", remembers), start(t, w, "b", remembers)
		wait()
		topics := join(a, b)
		wait()
		sayAll(a, topics, 1)
		var options *cluster.Options
		c := start(t, w, "c", func(o *cluster.Options) { o.Late, options = true, o })
		defer closeAll(a, b, c)
		for n := range 100 {
			sayAll(a, topics, n+2)
			time.Sleep(5 * time.Millisecond)
		}
		wait()
		want(t, "topics of c", owned(a, topics, "c"), 0)
		want(t, "topics of c, as it sees that", owned(c, topics, ""), 0)
		remembers(options)
		c.Order()
		for n := range 100 {
			sayAll(a, topics, n+102)
			time.Sleep(5 * time.Millisecond)
		}
		wait()
		if owned(a, topics, "c") == 0 {
			t.Error("no topic is c's")
		}
		checkWhole(t, topics, 201, a, b)
	})
}

// A node that ends leaves the histories that it has ordered to the others, and nobody notices.
func TestRetiringNode(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a", remembers), start(t, w, "b", remembers), start(t, w, "c", remembers)
		defer closeAll(a, b)
		wait()
		topics := join(a, b)
		wait()
		if owned(a, topics, "c") == 0 {
			t.Error("no topic is c's")
		}
		w.set(func() { w.loss = 0.05 })
		for n := range 100 {
			sayAll(a, topics, n+1)
			time.Sleep(5 * time.Millisecond)
		}
		c.Retire(t.Context())
		c.Close()
		for n := range 100 {
			sayAll(a, topics, n+101)
			time.Sleep(5 * time.Millisecond)
		}
		w.set(func() { w.loss = 0 })
		wait()
		checkWhole(t, topics, 200, a, b)
	})
}

// Topics whose owner has no history of them, as its config is another one, are in nobody's way.
func TestOwnerWithoutHistory(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b, c := start(t, w, "a", remembers), start(t, w, "b", remembers), start(t, w, "c")
		defer closeAll(a, b, c)
		wait()
		var others []string
		for i := range 100 {
			topic := fmt.Sprint("room:", i)
			a.member(topic, true)
			b.member(topic, true)
			if a.OwnerName(topic) != "c" {
				others = append(others, topic)
			}
		}
		if len(others) > 80 {
			t.Error("too few topics are c's")
		}
		wait()
		sayAll(a, others, 1)
		wait()
		for _, topic := range others {
			want(t, "history of "+topic, b.past(topic), a.past(topic))
			if a.past(topic) == "none" {
				t.Errorf("%s, whose owner is %q, has no history", topic, a.OwnerName(topic))
			}
		}
	})
}

// join has two nodes join some topics.
func join(a, b *node) []string {
	topics := make([]string, 40)
	for i := range topics {
		topics[i] = fmt.Sprint("room:", i)
		a.member(topics[i], true)
		b.member(topics[i], true)
	}
	return topics
}

func sayAll(n *node, topics []string, k int) {
	for _, topic := range topics {
		n.say(topic, "said", fmt.Sprint(`{"n":`, k, `}`))
	}
}

func owned(n *node, topics []string, owner string) (count int) {
	for _, topic := range topics {
		if n.OwnerName(topic) == owner {
			count++
		}
	}
	return count
}

// checkWhole finds what members were not told, and histories that differ.
func checkWhole(t *testing.T, topics []string, messages int, nodes ...*node) {
	t.Helper()
	for _, topic := range topics {
		want(t, "history of "+topic, nodes[1].past(topic), nodes[0].past(topic))
	}
	for _, n := range nodes {
		got := n.told(t)
		want(t, n.name+" got", len(got), messages*len(topics))
		for _, m := range got {
			if m.event != "said" {
				t.Fatalf("%s was told %v", n.name, m)
			}
		}
	}
}

// A broadcast that is too large for other nodes reaches those here, whoever orders the topic, and what is said behind it reaches all.
func TestTooLargeToOrder(t *testing.T) {
	simulate(t, func(t *testing.T, w *network) {
		a, b := start(t, w, "a", remembers), start(t, w, "b", remembers)
		defer closeAll(a, b)
		wait()
		for _, topic := range []string{a.topicOf("a"), a.topicOf("b")} {
			a.member(topic, true)
			b.member(topic, true)
			wait()
			for _, size := range []int{3 << 20, 2095616 - 512, 2095616, 100} {
				a.say(topic, "said", `{"text":"`+strings.Repeat("x", size)+`"}`)
			}
			wait()
			want(t, "a got", len(a.told(t)), 4)
			got := b.told(t)
			want(t, "b was told of gaps", checkSequence(t, "b", got), 0)
			want(t, "b got", len(got), 1)
			want(t, "history", b.past(topic), a.past(topic))
		}
	})
}
