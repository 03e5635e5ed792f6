package clustertest

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Nowhere is an address at which nobody listens.
const Nowhere = "127.0.0.1:1"

// retransmitted is when a packet that was lost is sent again, about.
const retransmitted = 200 * time.Millisecond

// Net is the network between the nodes of a test. Its methods may be called from any goroutine.
type Net struct {
	t     testing.TB
	nodes []string
	seeds map[way]string // where from reaches to

	mu      sync.Mutex
	changed *sync.Cond
	places  map[string]string
	rules   map[way]rule
	conns   map[net.Conn]way // way is that of who has made it
	ended   bool
	running sync.WaitGroup
}

// way is from one node to another.
type way struct{ from, to string }

// rule is what becomes of what goes a way.
type rule struct {
	cut   bool
	delay time.Duration
	loss  float64
}

// NewNet makes the network between nodes. It ends with the test.
func NewNet(t testing.TB, nodes ...string) *Net {
	t.Helper()
	n := &Net{t: t, nodes: nodes, seeds: map[way]string{}, places: map[string]string{}, rules: map[way]rule{}, conns: map[net.Conn]way{}}
	n.changed = sync.NewCond(&n.mu)
	var listeners []net.Listener
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, l)
			w := way{from, to}
			n.seeds[w] = l.Addr().String()
			n.running.Go(func() { n.accept(l, w) })
		}
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		n.mu.Lock()
		n.ended = true
		n.changed.Broadcast()
		for c := range n.conns {
			c.Close()
		}
		n.mu.Unlock()
		n.running.Wait()
	})
	return n
}

// Place says where a node listens. Before, and if it is "", its connections are refused.
func (n *Net) Place(node, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[node] = address
}

// Seeds returns the addresses by which a node reaches the others.
func (n *Net) Seeds(node string) (list []string) {
	for _, to := range n.nodes {
		if to != node {
			list = append(list, n.seeds[way{node, to}])
		}
	}
	return list
}

// Cut lets nothing through between two nodes, neither way.
func (n *Net) Cut(a, b string) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay lets nothing through from one node to another, so neither hears that the other has heard it.
func (n *Net) CutOneWay(from, to string) { n.change(from, to, func(r *rule) { r.cut = true }) }

// Part cuts all ways between the nodes of a group and the others.
func (n *Net) Part(group ...string) {
	for _, a := range group {
		for _, b := range n.nodes {
			if !slices.Contains(group, b) {
				n.Cut(a, b)
			}
		}
	}
}

// Delay has what goes from one node to another take so long.
func (n *Net) Delay(from, to string, d time.Duration) {
	n.change(from, to, func(r *rule) { r.delay = d })
}

// Lose has a share of what goes from one node to another sent again, 0.2 s later, with all that follows it: as TCP sees a loss of packets.
func (n *Net) Lose(from, to string, share float64) {
	n.change(from, to, func(r *rule) { r.loss = share })
}

// Everywhere changes all ways, such as by Delay or Lose.
func (n *Net) Everywhere(change func(from, to string)) {
	for _, from := range n.nodes {
		for _, to := range n.nodes {
			if from != to {
				change(from, to)
			}
		}
	}
}

// Break ends the connections between two nodes. They can make new ones at once.
func (n *Net) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, w := range n.conns {
		if w == (way{a, b}) || w == (way{b, a}) {
			c.Close()
		}
	}
}

// Heal ends all cuts, delays and losses. What was held goes on.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rules)
	n.changed.Broadcast()
}

func (n *Net) change(from, to string, f func(*rule)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seeds[way{from, to}] == "" {
		n.t.Errorf("no way from %q to %q", from, to)
	}
	r := n.rules[way{from, to}]
	f(&r)
	n.rules[way{from, to}] = r
	n.changed.Broadcast()
}

func (n *Net) accept(l net.Listener, w way) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		n.running.Go(func() { n.join(near, w) })
	}
}

// join connects the node that has made a connection to the one that it is for.
func (n *Net) join(near net.Conn, w way) {
	if !n.passes(w) { // once the cut has ended
		near.Close()
		return
	}
	n.mu.Lock()
	to := n.places[w.to]
	n.mu.Unlock()
	if to == "" {
		near.Close()
		return
	}
	far, err := net.DialTimeout("tcp", to, time.Second)
	if err != nil {
		near.Close()
		return
	}
	if n.add(near, w) && n.add(far, w) {
		n.running.Go(func() { n.pass(far, near, w) })
		n.pass(near, far, way{w.to, w.from})
	}
	near.Close()
	far.Close()
	n.mu.Lock()
	delete(n.conns, near)
	delete(n.conns, far)
	n.mu.Unlock()
}

// add keeps a connection, so that it can be broken.
func (n *Net) add(c net.Conn, w way) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return false
	}
	n.conns[c] = w
	return true
}

// passes waits while a way is cut. It reports false at the end of the test.
func (n *Net) passes(w way) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.rules[w].cut && !n.ended {
		n.changed.Wait()
	}
	return !n.ended
}

// late returns how long something takes, now.
func (n *Net) late(w way) time.Duration {
	n.mu.Lock()
	r := n.rules[w]
	n.mu.Unlock()
	if r.loss > 0 && rand.Float64() < r.loss {
		return r.delay + retransmitted
	}
	return r.delay
}

// pass copies what one sends to another, until either ends.
func (n *Net) pass(to, from net.Conn, w way) {
	type chunk struct {
		data []byte
		due  time.Time
	}
	queue := make(chan chunk, 64)
	n.running.Go(func() {
		defer close(queue)
		for {
			data := make([]byte, 32<<10)
			k, err := from.Read(data)
			if k > 0 {
				queue <- chunk{data[:k], time.Now().Add(n.late(w))}
			}
			if err != nil {
				return
			}
		}
	})
	for c := range queue {
		time.Sleep(time.Until(c.due))
		if !n.passes(w) {
			break
		}
		if _, err := to.Write(c.data); err != nil {
			break
		}
	}
	n.passes(w) // the end of a connection does not come through a cut either
	to.Close()
	from.Close()
	for range queue { // until the reader has noticed
	}
}
