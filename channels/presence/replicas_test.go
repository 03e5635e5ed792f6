package presence_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels/presence"
)

// replica is a node with a tracker, and those who watch its topics.
type replica struct {
	t       *testing.T
	name    string
	life    uint64
	tracker *presence.Tracker
	signals int // of changes, since they were taken
	o       presence.Options

	mu       sync.Mutex
	watching map[string][]*client
	truth    map[place]string // refs
}

type place struct {
	owner      any
	topic, key string
}

func newReplica(t *testing.T, name string, life uint64, o presence.Options) *replica {
	r := &replica{t: t, name: name, life: life, o: o, truth: map[place]string{}, watching: map[string][]*client{}}
	o.Broadcast = func(topic string, d presence.Diff) {
		text := d.JSON()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.watching[topic] {
			c.apply(t, text)
		}
	}
	r.tracker = presence.New(o)
	if err := r.tracker.Connect(presence.Replica{Name: name, Incarnation: life}, func() { r.mu.Lock(); r.signals++; r.mu.Unlock() }); err != nil {
		t.Fatal(err)
	}
	return r
}

// watch has another client come.
func (r *replica) watch(topic string) {
	c := &client{waiting: true}
	r.mu.Lock()
	r.watching[topic] = append(r.watching[topic], c)
	r.mu.Unlock()
	r.tracker.Show(topic, func(list []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		c.state(r.t, list)
	})
}

// take returns all that has changed.
func (r *replica) take() (pieces [][]byte) {
	r.mu.Lock()
	told := r.signals
	r.mu.Unlock()
	for piece := r.tracker.TakeChanges(); piece != nil; piece = r.tracker.TakeChanges() {
		pieces = append(pieces, piece)
	}
	if len(pieces) > 0 && told == 0 {
		r.t.Errorf("%s has changes, and does not say so", r.name)
	}
	r.mu.Lock()
	r.signals = 0
	r.mu.Unlock()
	return pieces
}

func (r *replica) track(owner any, topic, key string) {
	if ref, err := r.tracker.Track(owner, topic, key, []byte(`{"at":"`+r.name+`"}`)); err == nil {
		r.truth[place{owner, topic, key}] = ref
	} else if !errors.Is(err, presence.ErrTracked) {
		r.t.Error(err)
	}
}

// change does something at random.
func (r *replica) change(rnd *rand.Rand, topics, keys int) {
	owner, topic, key := rnd.IntN(12), fmt.Sprint("room:", rnd.IntN(topics)), fmt.Sprint("user", rnd.IntN(keys))
	p := place{owner, topic, key}
	switch rnd.IntN(9) {
	case 0:
		r.tracker.Untrack(owner, topic, key)
		delete(r.truth, p)
	case 1:
		r.tracker.Leave(owner)
		maps.DeleteFunc(r.truth, func(p place, _ string) bool { return p.owner == owner })
	case 2:
		if ref, err := r.tracker.Update(owner, topic, key, []byte(`{"updated":true}`)); err == nil {
			r.truth[p] = ref
		}
	case 3:
		r.tracker.Hold(owner)
		maps.DeleteFunc(r.truth, func(p place, _ string) bool { return p.owner == owner })
		r.track(owner, topic, key)
		r.tracker.Settle(owner)
	case 4:
		r.watch(topic)
	default:
		r.track(owner, topic, key)
	}
}

// wire is a link from one node to another: ordered, and without loss until it is reset.
type wire struct {
	from, to *replica
	queue    [][]byte
	rest     func() ([]byte, bool) // of the snapshot that it begins with
	stop     func()
	down     bool
}

func (w *wire) reset() {
	if w.stop != nil {
		w.stop()
	}
	w.queue = nil
	w.rest, w.stop = iter.Pull(w.from.tracker.Snapshot())
}

// goOn puts a piece of the snapshot on the wire, if there is one left.
func (w *wire) goOn() bool {
	piece, more := w.rest()
	if more {
		w.queue = append(w.queue, piece)
	}
	return more
}

// deliver takes the first piece from the wire. It was lent.
func (w *wire) deliver() bool {
	if len(w.queue) == 0 || w.down {
		return false
	}
	piece := slices.Clone(w.queue[0])
	if err := w.to.tracker.Merge(w.from.name, piece); err != nil {
		w.to.t.Error(err)
	}
	clear(piece)
	w.queue = w.queue[1:]
	return true
}

type mesh struct {
	nodes []*replica
	wires []*wire
}

func newMesh(t *testing.T, n int, o presence.Options) *mesh {
	m := &mesh{}
	for i := range n {
		m.nodes = append(m.nodes, newReplica(t, fmt.Sprint("node", i), 1, o))
	}
	for _, from := range m.nodes {
		for _, to := range m.nodes {
			if from != to {
				w := &wire{from: from, to: to}
				w.reset()
				to.tracker.Up(from.name)
				m.wires = append(m.wires, w)
			}
		}
	}
	return m
}

// take puts what a node has changed on its wires.
func (m *mesh) take(from *replica) {
	for _, piece := range from.take() {
		for _, w := range m.wires {
			if w.from == from && !w.down {
				w.queue = append(w.queue, piece)
			}
		}
	}
}

// flow brings everything to where it is to go.
func (m *mesh) flow() {
	for _, n := range m.nodes {
		m.take(n)
	}
	for _, w := range m.wires {
		for w.goOn() {
		}
		for w.deliver() {
		}
	}
}

// cut cuts a wire, so that the node behind it is down, and gone perhaps. heal mends it.
func (w *wire) cut(gone bool) {
	w.down = true
	w.to.tracker.Down(w.from.name)
	if gone {
		w.to.tracker.Gone(w.from.name)
	}
}

func (w *wire) heal(early bool) {
	w.down = false
	w.reset()
	if early { // what is not there any more flickers; this is allowed, too
		w.to.tracker.Up(w.from.name)
	}
	for w.goOn() {
		w.deliver()
	}
	for w.deliver() {
	}
	w.to.tracker.Up(w.from.name)
}

// restart has a node start again, with nothing.
func (m *mesh) restart(i int) {
	old := m.nodes[i]
	old.tracker.Close()
	n := newReplica(old.t, old.name, old.life+1, old.o)
	m.nodes[i] = n
	for _, w := range m.wires {
		switch old {
		case w.from:
			w.from = n
		case w.to:
			w.to = n
			n.tracker.Up(w.from.name)
		default:
			continue
		}
		w.reset()
	}
}

func (m *mesh) close() {
	for _, w := range m.wires {
		w.stop()
	}
	for _, n := range m.nodes {
		n.tracker.Close()
	}
}

// check holds every list, and every client, to what was tracked on all nodes.
func (m *mesh) check(t *testing.T, topics int) {
	t.Helper()
	for i := range topics {
		topic := fmt.Sprint("room:", i)
		want := map[string]map[string]bool{}
		metas := 0
		for _, n := range m.nodes {
			for p, ref := range n.truth {
				if p.topic != topic {
					continue
				}
				if want[p.key] == nil {
					want[p.key] = map[string]bool{}
				}
				want[p.key][ref] = true
				metas++
			}
		}
		for _, n := range m.nodes {
			list := n.tracker.List(topic)
			if got := newClient(t, list).present; !maps.EqualFunc(got, want, maps.Equal[map[string]bool]) {
				t.Fatalf("%s has %v in %s, want %v", n.name, got, topic, want)
			}
			if k, c := n.tracker.Count(topic); k != len(want) || c != metas {
				t.Fatalf("%s counts %d keys with %d metas in %s, want %d, %d", n.name, k, c, topic, len(want), metas)
			}
			for _, c := range n.watching[topic] {
				if !c.agrees(t, list) {
					t.Fatalf("a client of %s has %v, the list is %s", n.name, c.present, list)
				}
			}
		}
	}
	for _, n := range m.nodes {
		if s := n.tracker.Stats(); s.Early != 0 || s.Declined != 0 || s.Peers != len(m.nodes)-1 {
			t.Fatalf("%s: %+v", n.name, s)
		}
	}
}

// Whatever is tracked, and whatever happens to the nodes and between them: when all is well again, all nodes have the same, which is what was tracked, and so
// have all clients.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	const topics, keys = 3, 4
	seeds := 40
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		o := presence.Options{}
		switch seed % 4 {
		case 1:
			o.Grace = 30 * time.Millisecond
		case 2:
			o.Audience = func(string) int { return 300 } // crowded
		case 3:
			o.Interval = -1
		}
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			m := newMesh(t, 3, o)
			defer m.close()
			for range 4 {
				for range 150 {
					w := m.wires[rnd.IntN(len(m.wires))]
					switch rnd.IntN(40) {
					case 0:
						w.reset()
					case 1:
						w.cut(rnd.IntN(3) == 0)
					case 2, 3:
						if w.down {
							w.heal(rnd.IntN(2) == 0)
						}
					case 4:
						m.restart(rnd.IntN(len(m.nodes)))
					case 5:
						time.Sleep(time.Duration(rnd.IntN(25)) * time.Millisecond)
					case 6, 7, 8, 9, 10:
						m.take(m.nodes[rnd.IntN(len(m.nodes))])
					case 11, 12, 13, 14, 15, 16, 17, 18, 19:
						w.deliver()
					case 20, 21:
						w.goOn()
					default:
						m.nodes[rnd.IntN(len(m.nodes))].change(rnd, topics, keys)
					}
				}
				for _, w := range m.wires {
					if w.down {
						w.heal(rnd.IntN(2) == 0)
					}
				}
				m.flow()
				settle()
				settle() // a grace is over now
				m.flow()
				settle()
				m.check(t, topics)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			for _, n := range m.nodes {
				for owner := range 12 {
					n.tracker.Leave(owner)
				}
				n.truth = nil
			}
			m.flow()
			settle()
			settle()
			m.flow()
			settle()
			m.check(t, topics)
			for _, n := range m.nodes {
				if s := n.tracker.Stats(); s != (presence.Stats{Peers: 2}) {
					t.Errorf("%s has left over: %+v", n.name, s)
				}
			}
		})
	}
}

// A wire that is reset changes nothing that clients see, if nothing has changed; nor do other clients see who is at two nodes leave, when one is lost.
func TestReplicasWithoutFlicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, 2, presence.Options{})
		defer m.close()
		a, b := m.nodes[0], m.nodes[1]
		a.track(1, "room", "ann")
		b.track(1, "room", "ann")
		a.track(2, "room", "bob")
		m.flow()
		settle()
		b.watch("room")
		c := b.watching["room"][0]
		ab := m.wires[0]
		ab.reset()
		m.flow()
		settle()
		if c.diffs != 0 {
			t.Errorf("a reset made %d diffs", c.diffs)
		}
		before := string(b.tracker.List("room"))
		ab.cut(false)
		settle()
		if len(c.present["ann"]) != 1 || c.present["bob"] != nil || c.diffs != 1 {
			t.Errorf("without a: %v", c.present)
		}
		a.track(3, "room", "eve")
		a.tracker.Leave(2)
		m.take(a) // nobody hears of it
		a.tracker.Update(1, "room", "ann", []byte(`{}`))
		a.tracker.Update(1, "room", "ann", []byte(`{}`))
		ab.heal(false)
		settle()
		if c.diffs != 2 || len(c.present["ann"]) != 2 || c.present["bob"] != nil || len(c.present["eve"]) != 1 || c.surplus != 0 {
			t.Errorf("when a is back: %d diffs, %v", c.diffs, c.present)
		}
		if !c.agrees(t, b.tracker.List("room")) {
			t.Errorf("before %s, now %s", before, b.tracker.List("room"))
		}
	})
}

// An update of another node's entry is one diff, and the key keeps its place in the list.
func TestUpdateOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, 2, presence.Options{})
		defer m.close()
		a, b := m.nodes[0], m.nodes[1]
		a.track(1, "room", "ann")
		b.track(1, "room", "bob")
		m.flow()
		settle()
		b.watch("room")
		ref, err := a.tracker.Update(1, "room", "ann", []byte(`{"n":1}`))
		if err != nil {
			t.Fatal(err)
		}
		old := a.truth[place{1, "room", "ann"}]
		m.flow()
		settle()
		ann := fmt.Sprintf(`{"metas":[{"n":1,"phx_ref":%q,"phx_ref_prev":%q}]}`, ref, old)
		if metas, _ := b.tracker.Get("room", "ann"); string(metas) != ann {
			t.Errorf("ann is %s, want %s", metas, ann)
		}
		wantList(t, b.tracker, "room", fmt.Sprintf(`{"bob":{"metas":[{"at":"node1","phx_ref":%q}]},"ann":%s}`, b.truth[place{1, "room", "bob"}], ann))
		if c := b.watching["room"][0]; c.diffs != 1 || c.surplus != 0 || len(c.present) != 2 {
			t.Errorf("after %d diffs the client has %v", c.diffs, c.present)
		}
	})
}

// Who reconnects to another node while it lingers here is there once.
func TestLingeringEndsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, 2, presence.Options{Grace: time.Minute})
		defer m.close()
		a, b := m.nodes[0], m.nodes[1]
		a.track(1, "room", "ann")
		m.flow()
		a.tracker.Leave(1)
		m.flow()
		if k, metas := b.tracker.Count("room"); k != 1 || metas != 1 {
			t.Errorf("%d keys, %d metas while ann lingers", k, metas)
		}
		b.track(1, "room", "ann")
		m.flow() // a hears of it
		m.flow() // b hears that a's has gone
		for _, n := range m.nodes {
			if k, metas := n.tracker.Count("room"); k != 1 || metas != 1 {
				t.Errorf("%s: %d keys, %d metas after she came to b", n.name, k, metas)
			}
		}
		time.Sleep(time.Hour)
		if s := a.tracker.Stats(); s.Entries != 1 || s.Lingering != 0 {
			t.Errorf("left over: %+v", s)
		}
		b.tracker.Leave(1)
		a.track(2, "room", "ann") // the one that lingers is b's
		m.flow()
		m.flow()
		if _, metas := a.tracker.Count("room"); metas != 1 {
			t.Errorf("%d metas after she came back to a", metas)
		}
	})
}

// What a node sets aside nobody has, and what it takes back all have.
func TestSuspendedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, 2, presence.Options{})
		defer m.close()
		a, b := m.nodes[0], m.nodes[1]
		a.track(1, "room", "ann")
		b.track(1, "room", "bob")
		m.flow()
		all, owner := func(string) bool { return true }, func(any, string) bool { return true }
		a.tracker.Suspend(all, owner, all)
		m.flow()
		for _, n := range m.nodes {
			if list := newClient(t, n.tracker.List("room")).present; len(list) != 1 || list["bob"] == nil {
				t.Errorf("%s has %v", n.name, list)
			}
		}
		a.tracker.Resume(owner)
		m.flow()
		if list := b.tracker.List("room"); len(newClient(t, list).present) != 2 || !newClient(t, list).agrees(t, a.tracker.List("room")) {
			t.Errorf("b has %s, a %s", list, a.tracker.List("room"))
		}
	})
}
