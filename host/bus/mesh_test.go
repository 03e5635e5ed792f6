package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rtd/host/bus"
)

const secret = "0123456789abcdef0123456789abcdef"

// mesh opens one, and waits until it works.
func mesh(t testing.TB, o bus.MeshOptions) *bus.Mesh {
	t.Helper()
	m, _ := beginMesh(t, o)
	must(t, m.Up(limited(t)))
	return m
}

// beginMesh opens one that need not work.
func beginMesh(t testing.TB, o bus.MeshOptions) (*bus.Mesh, *lines) {
	t.Helper()
	log := &lines{}
	o.Log = log.logger()
	if o.Cluster == "" {
		o.Cluster = "c"
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	m, err := bus.OpenMesh(o)
	must(t, err)
	t.Cleanup(func() {
		must(t, m.Close())
		if t.Failed() {
			t.Logf("the log of %s:\n%s", o.Node, log)
		}
	})
	return m, log
}

// inbox is one of a mesh with some subjects.
func inbox(t testing.TB, m *bus.Mesh, limit int, subjects ...string) *bus.Inbox {
	t.Helper()
	i := m.Inbox(limit)
	t.Cleanup(i.Close)
	for _, s := range subjects {
		must(t, i.Subscribe(limited(t), s))
	}
	return i
}

// reached waits until a message of one mesh comes to an inbox of another.
func reached(t testing.TB, from *bus.Mesh, to *bus.Inbox, subject string) {
	t.Helper()
	eventually(t, "way from one to the other", func() bool {
		if from.Publish(subject, []byte("hello")) != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err := to.Next(ctx)
		return err == nil
	})
}

// nodes names those that a mesh has routes to.
func nodes(m *bus.Mesh) string {
	var list []string
	for _, r := range m.Routes() {
		list = append(list, r.Node)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func knows(t testing.TB, m *bus.Mesh, names string) {
	t.Helper()
	eventually(t, "routes to "+names, func() bool { return nodes(m) == names })
}

// meshPlaces are the kinds of meshes.
var meshPlaces = []struct {
	name    string
	options func(t testing.TB) bus.MeshOptions
}{
	{"embedded", func(t testing.TB) bus.MeshOptions { return bus.MeshOptions{} }},
	{"secret", func(t testing.TB) bus.MeshOptions { return bus.MeshOptions{Secret: secret} }},
	{"external", func(t testing.TB) bus.MeshOptions {
		return bus.MeshOptions{URL: startOutside(t, func(o *server.Options) { o.JetStream = false }).ClientURL()}
	}},
}

// everyMesh runs an exercise that every kind of mesh must pass, with a way to open nodes of one cluster.
func everyMesh(t *testing.T, exercise func(t *testing.T, node func(name string) *bus.Mesh)) {
	for _, p := range meshPlaces {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o, known := p.options(t), []string{}
			exercise(t, func(name string) *bus.Mesh {
				o.Node, o.Seeds = name, known
				m := mesh(t, o)
				if len(known) == 0 && o.URL == "" {
					known = []string{m.Address()}
				}
				return m
			})
		})
	}
}

// Messages come to who has their subject, in order. A queue that is full says so.
func TestInbox(t *testing.T) {
	t.Parallel()
	everyMesh(t, func(t *testing.T, node func(string) *bus.Mesh) {
		m, ctx := node("a"), limited(t)
		i := inbox(t, m, 100, "topic.a", "topic.b.>", "topic.a")
		for n := range 10 {
			for _, subject := range []string{"topic.a", "topic.b.c", "topic.other"} {
				must(t, m.Publish(subject, []byte(strconv.Itoa(n))))
			}
		}
		for n := range 10 {
			for _, subject := range []string{"topic.a", "topic.b.c"} {
				m, err := i.Next(ctx)
				must(t, err)
				if m.Subject != subject || string(m.Data) != strconv.Itoa(n) {
					t.Fatalf("%s %s, and should be %s %d", m.Subject, m.Data, subject, n)
				}
			}
		}
		i.Unsubscribe("topic.a")
		must(t, m.Publish("topic.a", nil))
		must(t, m.Publish("topic.b.last", nil))
		if m, err := i.Next(ctx); err != nil || m.Subject != "topic.b.last" {
			t.Errorf("%s: %v", m.Subject, err)
		}

		for range 300 {
			must(t, m.Publish("topic.b.flood", nil))
		}
		eventually(t, "loss", func() bool { return m.Status().Losses > 0 })
		_, err := i.Next(ctx)
		want(t, err, bus.ErrLost)
		if m, err := i.Next(ctx); err != nil || m.Subject != "topic.b.flood" {
			t.Errorf("%s: %v", m.Subject, err)
		}

		short, cancel := context.WithCancel(ctx)
		cancel()
		other := m.Inbox(1)
		if _, err := other.Next(short); err != context.Canceled {
			t.Errorf("the error is %v", err)
		}
		other.Close()
		_, err = other.Next(ctx)
		want(t, err, bus.ErrClosed)
		want(t, other.Subscribe(ctx, "a"), bus.ErrClosed)
		want(t, m.Publish("a.*", nil), bus.ErrName)
		want(t, i.Subscribe(ctx, "a.>.b"), bus.ErrName)
		want(t, m.Publish("a", make([]byte, bus.MaxData+1)), bus.ErrTooLarge)
	})
}

// Three nodes of which two know the first hear each other, in the order of each publisher, and of up to MaxData.
func TestNodesHearEachOther(t *testing.T) {
	t.Parallel()
	everyMesh(t, func(t *testing.T, node func(string) *bus.Mesh) {
		ctx := limited(t)
		var all []*bus.Mesh
		var inboxes []*bus.Inbox
		for _, name := range []string{"a", "b", "c"} {
			all = append(all, node(name))
		}
		for n, m := range all {
			inboxes = append(inboxes, inbox(t, m, 10000, "all", "to."+strconv.Itoa(n)))
		}
		for n, i := range inboxes {
			for _, m := range all {
				reached(t, m, i, "to."+strconv.Itoa(n))
			}
		}
		const count = 1000
		var senders sync.WaitGroup
		for n, m := range all {
			senders.Go(func() {
				data := make([]byte, 0, 64)
				for k := range count {
					data = fmt.Appendf(data[:0], "%d %d", n, k) // used again at once
					must(t, m.Publish("all", data))
				}
			})
		}
		for n, i := range inboxes {
			next := make([]int, len(all))
			for range count * len(all) {
				got, err := i.Next(ctx)
				must(t, err)
				if got.Subject != "all" {
					t.Fatalf("a message of %s", got.Subject)
				}
				var from, k int
				if _, err := fmt.Sscanf(string(got.Data), "%d %d", &from, &k); err != nil || next[from] != k {
					t.Fatalf("node %d got %q, and should have %d", n, got.Data, next[from])
				}
				next[from]++
			}
		}
		senders.Wait()
		must(t, all[0].Publish("to.2", make([]byte, bus.MaxData)))
		if m, err := inboxes[2].Next(ctx); err != nil || len(m.Data) != bus.MaxData {
			t.Errorf("%d bytes: %v", len(m.Data), err)
		}
	})
}

// Nodes without interest get nothing, and those of another cluster neither.
func TestInterest(t *testing.T) {
	t.Parallel()
	a := mesh(t, bus.MeshOptions{Node: "a"})
	b := mesh(t, bus.MeshOptions{Node: "b", Seeds: []string{a.Address()}})
	c := mesh(t, bus.MeshOptions{Node: "c", Seeds: []string{a.Address()}})
	other, log := beginMesh(t, bus.MeshOptions{Node: "d", Cluster: "other", Seeds: []string{a.Address(), b.Address()}})
	heard := inbox(t, b, 10, "x")
	reached(t, a, heard, "x")
	knows(t, a, "b c")
	must(t, other.Up(limited(t)))
	stranger := inbox(t, other, 10, "x")
	before := func() uint64 {
		for _, r := range a.Routes() {
			if r.Node == "c" {
				return r.OutMessages
			}
		}
		return 0
	}()
	for n := range 100 {
		must(t, a.Publish("x", []byte(strconv.Itoa(n))))
		if m, err := heard.Next(limited(t)); err != nil || string(m.Data) != strconv.Itoa(n) {
			t.Fatalf("%s: %v", m.Data, err)
		}
	}
	for _, r := range a.Routes() {
		if r.Node == "c" && r.OutMessages != before {
			t.Errorf("%d messages to a node without interest", r.OutMessages-before)
		}
		if r.Node == "b" && (r.OutMessages < 100 || r.OutBytes == 0 || r.Since.IsZero() || r.Address == "") {
			t.Errorf("%+v", r)
		}
	}
	eventually(t, "round trip time", func() bool { return a.Routes()[0].RTT > 0 && b.Routes()[0].RTT > 0 })
	must(t, other.Publish("x", []byte("of another cluster")))
	must(t, other.Publish("end", nil))
	must(t, a.Publish("x", []byte("end")))
	if m, err := heard.Next(limited(t)); err != nil || string(m.Data) != "end" {
		t.Errorf("%s: %v", m.Data, err)
	}
	if n := strings.Count(log.String(), "level=WARN"); nodes(other) != "" || n != 1 { // of both peers, who are at one host
		t.Errorf("it has routes to %q, and logs %d warnings:\n%s", nodes(other), n, log)
	}
	short, cancel := context.WithTimeout(limited(t), time.Millisecond)
	defer cancel()
	if m, err := stranger.Next(short); err != nil || string(m.Data) != "of another cluster" {
		t.Errorf("%s: %v", m.Data, err) // its own
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

// A node that ends is gone from the others, and one of the same name can take its place at once, at its address or another.
func TestNodeEndsAndReturns(t *testing.T) {
	t.Parallel()
	a := mesh(t, bus.MeshOptions{Node: "a", Secret: secret})
	b := mesh(t, bus.MeshOptions{Node: "b", Secret: secret, Seeds: []string{a.Address()}})
	c := mesh(t, bus.MeshOptions{Node: "c", Secret: secret, Seeds: []string{a.Address()}})
	knows(t, c, "a b")
	heard := inbox(t, c, 10, "x")
	reached(t, b, heard, "x")
	for _, listen := range []string{b.Address(), "127.0.0.1:0"} {
		must(t, b.Close())
		knows(t, a, "c")
		knows(t, c, "a")
		want(t, b.Publish("x", nil), bus.ErrClosed)
		b = mesh(t, bus.MeshOptions{Node: "b", Secret: secret, Listen: listen, Seeds: []string{listen, a.Address()}})
		reached(t, b, heard, "x")
		knows(t, a, "b c")
		knows(t, b, "a c")
	}
}

// The last words of a node come, too.
func TestLastWords(t *testing.T) {
	t.Parallel()
	everyMesh(t, func(t *testing.T, node func(string) *bus.Mesh) {
		a := node("a")
		heard := inbox(t, a, 1000, "x", "last")
		for range 5 {
			b := node("b")
			reached(t, b, heard, "x")
			for n := range 100 {
				must(t, b.Publish("last", []byte{byte(n)}))
			}
			must(t, b.Close())
			for n := range 100 {
				m, err := heard.Next(limited(t))
				for err == nil && m.Subject == "x" {
					m, err = heard.Next(limited(t))
				}
				if err != nil || m.Data[0] != byte(n) {
					t.Fatalf("%d: %v: %v", n, m, err)
				}
			}
		}
	})
}

// A node starts without its seeds, and finds them when they come.
func TestSeedsComeLater(t *testing.T) {
	t.Parallel()
	first := mesh(t, bus.MeshOptions{Node: "first"})
	at := first.Address()
	must(t, first.Close())
	m, log := beginMesh(t, bus.MeshOptions{Node: "m", Seeds: []string{at}})
	must(t, m.Up(limited(t)))
	heard := inbox(t, m, 10, "x")
	must(t, m.Publish("x", nil)) // to itself
	if _, err := heard.Next(limited(t)); err != nil {
		t.Error(err)
	}
	first = mesh(t, bus.MeshOptions{Node: "first", Listen: at})
	reached(t, first, heard, "x")
	if n := strings.Count(log.String(), "node does not answer"); n > 1 {
		t.Errorf("it is told %d times", n)
	}
}

// An address that is taken is told, and tried again.
func TestAddressIsTaken(t *testing.T) {
	t.Parallel()
	first := mesh(t, bus.MeshOptions{Node: "first"})
	second, _ := beginMesh(t, bus.MeshOptions{Node: "second", Listen: first.Address()})
	eventually(t, "cause", func() bool { return strings.Contains(fmt.Sprint(second.Err()), "router port") })
	want(t, second.Err(), bus.ErrDown)
	if second.Address() != "" {
		t.Errorf("it listens at %s", second.Address())
	}
	must(t, first.Close())
	must(t, second.Up(limited(t)))
}

// Of two nodes with one name the second is refused, and says nothing; it gets the name when the first has ended.
func TestNameIsTaken(t *testing.T) {
	t.Parallel()
	for _, p := range meshPlaces {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := p.options(t)
			o.Node = "b"
			b := mesh(t, o)
			if o.URL == "" {
				o.Seeds = []string{b.Address()}
			}
			o.Node = "a"
			first := mesh(t, o)
			heard := inbox(t, b, 100, ">")
			reached(t, first, heard, "x")
			// Should the second reach the first late, the time decides.
			eventually(t, "clear difference", func() bool { return time.Since(first.Status().Since) > 500*time.Millisecond })
			second, log := beginMesh(t, o)
			eventually(t, "refusal", func() bool { return errors.Is(second.Err(), bus.ErrTaken) })
			want(t, second.Publish("x", []byte("of the second")), bus.ErrDown)
			want(t, second.Inbox(1).Subscribe(limited(t), "x"), bus.ErrDown)
			if !strings.Contains(second.Err().Error(), first.Address()) {
				t.Errorf("it does not say who has the name: %v", second.Err())
			}
			must(t, first.Err())
			must(t, first.Publish("x", []byte("last")))
			if m, err := heard.Next(limited(t)); err != nil || string(m.Data) != "last" {
				t.Errorf("%s: %v", m.Data, err)
			}
			must(t, first.Close())
			must(t, second.Up(limited(t)))
			reached(t, second, heard, "x")
			if n := strings.Count(log.String(), "level=WARN"); n != 1 { // it was tried again meanwhile
				t.Errorf("%d warnings:\n%s", n, log)
			}
		})
	}
}

// Two nodes of one name that have worked apart meet: one of them goes on.
func TestNamesMeet(t *testing.T) {
	t.Parallel()
	first := mesh(t, bus.MeshOptions{Node: "a"})
	second := mesh(t, bus.MeshOptions{Node: "a"})
	bridge := mesh(t, bus.MeshOptions{Node: "b", Seeds: []string{first.Address(), second.Address()}})
	eventually(t, "refusal of one", func() bool { return errors.Is(first.Err(), bus.ErrTaken) || errors.Is(second.Err(), bus.ErrTaken) })
	winner, loser := first, second
	if first.Err() != nil {
		winner, loser = second, first
	}
	must(t, winner.Err())
	heard := inbox(t, winner, 10, "x")
	reached(t, bridge, heard, "x")
	want(t, loser.Err(), bus.ErrTaken)
}

func TestMeshOptions(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]bus.MeshOptions{
		"name of cluster":         {Node: "a", Listen: "127.0.0.1:0"},
		"name of node":            {Cluster: "c", Node: "a b", Listen: "127.0.0.1:0"},
		"no host:port":            {Cluster: "c", Node: "a", Listen: "127.0.0.1"},
		"has no port":             {Cluster: "c", Node: "a", Listen: "127.0.0.1:70000"},
		"need a secret":           {Cluster: "c", Node: "a", Listen: "0.0.0.0:0"},
		"nodes that others":       {Cluster: "c", Node: "a", Listen: ":0"},
		"openssl rand -base64 32": {Cluster: "c", Node: "a", Listen: "127.0.0.1:0", Secret: strings.Repeat("x", 31)},
		"seeds":                   {Cluster: "c", Node: "a", Listen: "127.0.0.1:0", Seeds: []string{"127.0.0.1"}},
		"advertise":               {Cluster: "c", Node: "a", Listen: "127.0.0.1:0", Advertise: "x"},
		"not both":                {Cluster: "c", Node: "a", Listen: "127.0.0.1:0", Secret: secret, TLS: bus.MutualTLS(nil, nil)},
	} {
		m, err := bus.OpenMesh(o)
		if err == nil {
			must(t, m.Close())
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error is %v, and should say %q", err, says)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
