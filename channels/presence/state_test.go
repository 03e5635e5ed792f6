package presence_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rtd/channels/presence"
)

const runs = 300 // of each property, with seeds of their own

// node is a replica of a cluster: its state, and all the deltas that it has sent.
type node struct {
	self  presence.Replica
	state *presence.State
	own   []*presence.Entry
	sent  []*presence.Delta
	view  map[*presence.Entry]bool // what an observer of the diffs has
	seen  func(presence.Diff)
}

func newNode(t *testing.T, name string, incarnation uint64) *node {
	self := presence.Replica{Name: name, Incarnation: incarnation}
	n := &node{self: self, state: presence.NewState(self), view: map[*presence.Entry]bool{}}
	n.seen = func(d presence.Diff) {
		t.Helper()
		for _, e := range d.Joins {
			if n.view[e] {
				t.Fatalf("%s: %v joins twice", name, e.Tag)
			}
			n.view[e] = true
		}
		for _, e := range d.Leaves {
			if !n.view[e] {
				t.Fatalf("%s: %v leaves without having joined", name, e.Tag)
			}
			delete(n.view, e)
		}
	}
	return n
}

// change adds and removes entries at random and sends one delta of all that.
func (n *node) change(rnd *rand.Rand) {
	d := &presence.Delta{}
	for range 1 + rnd.IntN(4) {
		if len(n.own) > 0 && rnd.IntN(2) == 0 {
			i := rnd.IntN(len(n.own))
			e, at := n.state.Remove(n.own[i].Tag)
			n.own = slices.Delete(n.own, i, i+1)
			d.Remove(e, at)
			n.seen(presence.Diff{Leaves: []*presence.Entry{e}})
			continue
		}
		e := n.state.Add(fmt.Sprint("room:", rnd.IntN(2)), fmt.Sprint("user", rnd.IntN(3)), []byte(`{}`))
		n.own = append(n.own, e)
		d.Add(e)
		n.seen(presence.Diff{Joins: []*presence.Entry{e}})
	}
	n.sent = append(n.sent, d)
}

func (n *node) merge(d *presence.Delta) { n.seen(n.state.Merge(d)) }

// history is a cluster after some changes, of which parts have been exchanged,
// and everything that was ever sent.
func history(t *testing.T, rnd *rand.Rand) (nodes []*node, sent []*presence.Delta) {
	for i := range 3 {
		nodes = append(nodes, newNode(t, fmt.Sprint("node", i), 1))
	}
	for range 5 + rnd.IntN(20) {
		n, o := nodes[rnd.IntN(len(nodes))], nodes[rnd.IntN(len(nodes))]
		switch rnd.IntN(4) {
		case 0:
			full := o.state.Full()
			sent = append(sent, full)
			n.merge(full)
		case 1:
			if len(o.sent) > 0 {
				n.merge(o.sent[rnd.IntN(len(o.sent))])
			}
		default:
			n.change(rnd)
			sent = append(sent, n.sent[len(n.sent)-1])
		}
	}
	return nodes, sent
}

// show is all that can be seen of a state.
func show(s *presence.State) string {
	var b strings.Builder
	for _, e := range slices.SortedFunc(s.All(), byTag) {
		fmt.Fprintln(&b, e.Tag, e.Topic, e.Key)
	}
	clocks := s.Clocks()
	for _, r := range slices.SortedFunc(maps.Keys(clocks), func(a, b presence.Replica) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintln(&b, r, clocks[r])
	}
	fmt.Fprintln(&b, "cloud", s.Cloud())
	return b.String()
}

func byTag(a, b *presence.Entry) int {
	return cmp.Or(strings.Compare(a.Tag.Replica.Name, b.Tag.Replica.Name),
		cmp.Compare(a.Tag.Replica.Incarnation, b.Tag.Replica.Incarnation), cmp.Compare(a.Tag.Clock, b.Tag.Clock))
}

// observer is a state of nobody in the cluster, after merging the given deltas.
func observer(deltas ...*presence.Delta) *presence.State {
	s := presence.NewState(presence.Replica{Name: "observer"})
	for _, d := range deltas {
		s.Merge(d)
	}
	return s
}

func joined(deltas ...*presence.Delta) *presence.Delta {
	all := &presence.Delta{}
	for _, d := range deltas {
		all.Merge(d)
	}
	return all
}

func equal(t *testing.T, seed int, law string, a, b *presence.State) {
	t.Helper()
	if a, b := show(a), show(b); a != b {
		t.Fatalf("seed %d: %s:\n%s\nis not\n%s", seed, law, a, b)
	}
}

func TestMergeLaws(t *testing.T) {
	for seed := range runs {
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		_, sent := history(t, rnd)
		pick := func() *presence.Delta { return sent[rnd.IntN(len(sent))] }
		a, b, c, base := pick(), pick(), pick(), pick()

		equal(t, seed, "a b = b a", observer(base, a, b), observer(base, b, a))
		equal(t, seed, "a a = a", observer(base, a, a), observer(base, a))
		equal(t, seed, "(a b) c = a (b c)", observer(base, joined(joined(a, b), c)), observer(base, joined(a, joined(b, c))))
		equal(t, seed, "a then b = (a b)", observer(base, a, b), observer(base, joined(a, b)))
		equal(t, seed, "a then b = full of both", observer(base, a, b), observer(base, observer(a, b).Full()))
	}
}

func TestDeltasInAnyOrderConverge(t *testing.T) {
	for seed := range runs {
		rnd := rand.New(rand.NewPCG(uint64(seed), 2))
		nodes, sent := history(t, rnd)

		truth := map[presence.Tag]bool{}
		for _, n := range nodes {
			for _, e := range n.own {
				truth[e.Tag] = true
			}
		}
		full := observer(nodes[0].state.Full(), nodes[1].state.Full(), nodes[2].state.Full())
		for _, n := range nodes {
			for range 2 { // every delta at least once, in an order of its own
				rnd.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
				for _, d := range sent {
					n.merge(d)
				}
			}
			held := map[presence.Tag]bool{}
			for e := range n.state.All() {
				held[e.Tag] = true
			}
			if !maps.Equal(held, truth) {
				t.Fatalf("seed %d: %s holds %v, not %v", seed, n.self.Name, held, truth)
			}
			if n.state.Cloud() != 0 {
				t.Fatalf("seed %d: %s has seen all, and %d tags are in the cloud", seed, n.self.Name, n.state.Cloud())
			}
			for r, clock := range full.Clocks() {
				if r.Name != "observer" && n.state.Clocks()[r] != clock {
					t.Fatalf("seed %d: %s is at %d of %v, not %d", seed, n.self.Name, n.state.Clocks()[r], r, clock)
				}
			}
		}
	}
}

func TestDiffsAddUpToTheSet(t *testing.T) {
	for seed := range runs {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		nodes, sent := history(t, rnd)
		for range 60 {
			n, o := nodes[rnd.IntN(len(nodes))], nodes[rnd.IntN(len(nodes))]
			switch rnd.IntN(9) {
			case 0:
				n.seen(n.state.Down(o.self))
			case 1, 2:
				n.seen(n.state.Up(o.self))
			case 3:
				n.seen(n.state.PermDown(o.self))
			case 4:
				n.change(rnd)
			case 5: // o starts again; what it was is forgotten where its new life is heard of
				if o.self.Incarnation < 3 {
					*o = *newNode(t, o.self.Name, o.self.Incarnation+1)
				}
			case 6:
				n.merge(sent[rnd.IntN(len(sent))])
			default:
				n.merge(o.state.Full())
			}
			held := map[*presence.Entry]bool{}
			for e := range n.state.All() {
				held[e] = true
			}
			if !maps.Equal(held, n.view) || n.state.Len() != len(held) {
				t.Fatalf("seed %d: set has %d entries, %d by its count, the diffs make %d", seed, len(held), n.state.Len(), len(n.view))
			}
		}
	}
}

func TestOnlyTheOwnerRemoves(t *testing.T) {
	a, b := newNode(t, "a", 1), newNode(t, "b", 1)
	e := a.state.Add("room", "ann", []byte(`{}`))
	b.merge(a.state.Full())

	if got, _ := b.state.Remove(e.Tag); got != nil {
		t.Error("b removed an entry of a")
	}
	forged := &presence.Delta{}
	forged.Remove(e, a.state.Next())
	a.view[e] = true
	a.merge(forged)
	if len(slices.Collect(a.state.All())) != 1 {
		t.Error("a lost its entry by a delta of somebody else")
	}
	if got, _ := a.state.Remove(e.Tag); got != e {
		t.Error("a cannot remove its entry")
	}
	if got, _ := a.state.Remove(e.Tag); got != nil {
		t.Error("a can remove its entry twice")
	}
	if b.state.Clocks()[a.self] >= a.state.Clocks()[a.self] {
		t.Error("b has missed a removal, and nobody can tell")
	}
	b.merge(a.state.Full())
	if len(b.view) != 0 {
		t.Error("b keeps what a has removed")
	}
}

func TestDownAndUp(t *testing.T) {
	a, b := newNode(t, "a", 1), newNode(t, "b", 1)
	first := a.state.Add("room", "ann", []byte(`{}`))
	b.merge(a.state.Full())

	if d := b.state.Down(a.self); len(d.Leaves) != 1 || d.Leaves[0] != first {
		t.Fatalf("down: %v", d)
	}
	second := a.state.Add("room", "bob", []byte(`{}`))
	if d := b.state.Merge(a.state.Full()); len(d.Joins)+len(d.Leaves) != 0 {
		t.Fatalf("merged while down: %v", d)
	}
	if d := b.state.Up(a.self); !slices.Equal(d.Joins, []*presence.Entry{first, second}) {
		t.Fatalf("up: %v", d)
	}
	if d := b.state.PermDown(a.self); len(d.Leaves) != 2 {
		t.Fatalf("permanently down: %v", d)
	}
	if d := b.state.Merge(a.state.Full()); len(d.Joins) != 0 {
		t.Fatalf("a third replica brought it back: %v", d)
	}
	b.state.Up(a.self)
	if d := b.state.Merge(a.state.Full()); len(d.Joins) != 2 {
		t.Fatalf("up again: %v", d)
	}
	if d := b.state.Down(b.self); len(d.Leaves) != 0 {
		t.Fatalf("a replica is down for itself: %v", d)
	}
}

func TestNewIncarnationEndsTheOld(t *testing.T) {
	old, b := newNode(t, "a", 1), newNode(t, "b", 1)
	e := old.state.Add("room", "ann", []byte(`{}`))
	before := old.state.Full()
	b.merge(before)

	young := newNode(t, "a", 2)
	d := b.state.Merge(young.state.Full())
	if !slices.Equal(d.Leaves, []*presence.Entry{e}) {
		t.Fatalf("diff %v", d)
	}
	if d := b.state.Merge(before); len(d.Joins) != 0 {
		t.Error("a late delta of the old life brought it back")
	}
	if d := young.state.Merge(before); len(d.Joins) != 0 {
		t.Error("the new life took over entries of the old one")
	}
}

func TestCloud(t *testing.T) {
	a, b := newNode(t, "a", 1), newNode(t, "b", 1)
	var deltas []*presence.Delta
	for range 4 {
		d := &presence.Delta{}
		d.Add(a.state.Add("room", "ann", []byte(`{}`)))
		deltas = append(deltas, d)
	}
	for _, step := range []struct {
		delta, cloud int
		clock        uint64
	}{{3, 1, 0}, {1, 2, 0}, {1, 2, 0}, {0, 1, 2}, {2, 0, 4}} {
		b.merge(deltas[step.delta])
		if b.state.Cloud() != step.cloud || b.state.Clocks()[a.self] != step.clock {
			t.Errorf("after delta %d: cloud %d, clock %d", step.delta, b.state.Cloud(), b.state.Clocks()[a.self])
		}
	}
}
