package cluster_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/cluster"
)

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// bench starts a node outside a test's time.
func bench(b *testing.B, w *network, name string) (*cluster.Node, *hub) {
	b.Helper()
	h := &hub{Hub: channels.NewHub(), members: map[string]*channels.Subscription{}}
	n, err := cluster.New(cluster.Options{Name: name, Carrier: carrier{w, name}, Hub: h.Hub, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	n.Start()
	b.Cleanup(n.Close)
	return n, h
}

func until(holds func() bool) {
	for !holds() {
		time.Sleep(time.Millisecond)
	}
}

// What 100,000 topics with members on one node cost on another: bytes of memory for each.
func BenchmarkInterest(b *testing.B) {
	const topics = 100_000
	for b.Loop() {
		w := newNetwork()
		_, there := bench(b, w, "there")
		out := nobody{}
		for i := range topics {
			there.Subscribe(&channels.Subscription{Topic: fmt.Sprintf("room:%06d", i), Codec: channels.V2, Out: out})
		}
		before := heap()
		here, _ := bench(b, w, "here")
		until(func() bool { return here.Stats().Received > topics }) // and that it has told all
		time.Sleep(time.Second)                                      // until the frames are acknowledged
		b.ReportMetric((heap()-before)/topics, "B/topic")
	}
}

type nobody struct{}

func (nobody) Send(channels.Frame) {}

// A broadcast of one node that a member on another gets.
func BenchmarkBroadcast(b *testing.B) {
	w := newNetwork()
	node, here := bench(b, w, "here")
	there, far := bench(b, w, "there")
	far.Subscribe(&channels.Subscription{Topic: "room", Codec: channels.V2, Out: nobody{}})
	for _, n := range []*cluster.Node{node, there} {
		until(func() bool {
			list := n.Members()
			return len(list) == 2 && (list[0].State == cluster.There || list[1].State == cluster.There)
		})
	}
	payload := []byte(`{"text":"hello, all of you there"}`)
	before := there.Stats().Received
	b.ReportAllocs()
	sent := uint64(0)
	for b.Loop() {
		o := channels.Outgoing{Kind: channels.Broadcast, Topic: "room", Name: "said", Payload: payload}
		_ = here.Broadcast(&o, nil)
		if sent++; sent%1024 == 0 { // as much as may be on its way
			until(func() bool { return there.Stats().Received-before+64 >= sent })
		}
	}
	until(func() bool { return there.Stats().Received-before >= sent })
}
