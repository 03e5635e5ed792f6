package channels_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"rtd/channels"
	"rtd/channels/history"
)

// nowhere is an outbox of which nothing is left.
type nowhere struct{}

func (nowhere) Send(channels.Frame) {}

func subscribed(h *channels.Hub, topic string, n int) []*channels.Subscription {
	list := make([]*channels.Subscription, n)
	for i := range list {
		list[i] = &channels.Subscription{Topic: topic, Codec: channels.V2, Out: nowhere{}}
		h.Subscribe(list[i])
	}
	return list
}

// BenchmarkHub broadcasts to topics of all sizes.
func BenchmarkHub(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := channels.NewHub()
			subscribed(h, "t", n)
			b.ReportAllocs()
			for b.Loop() {
				h.Broadcast(news("t"), nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}

// BenchmarkHistory is BenchmarkHub with 100 messages of history, beside none.
func BenchmarkHistory(b *testing.B) {
	for _, n := range []int{1, 1000} {
		for _, kept := range []int{0, 100} {
			b.Run(fmt.Sprint(n, "/", kept), func(b *testing.B) {
				h := channels.NewHub()
				h.KeepHistory(1<<30, func(string) (channels.Keep, bool) {
					return channels.Keep{Bounds: history.Bounds{Messages: kept}}, kept > 0
				})
				subscribed(h, "t", n)
				b.ReportAllocs()
				for b.Loop() {
					h.Broadcast(news("t"), nil)
				}
			})
		}
	}
}

// BenchmarkRecovery is what it takes to tell a client of a hundred messages.
func BenchmarkRecovery(b *testing.B) {
	s := newServer(b, options{})
	s.keep(100)
	for range 100 {
		s.says(1)
	}
	page, _ := s.Hub.History("room:a", 0, 0)
	c := s.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: nowhere{}})
	join := fmt.Appendf(nil, `["1","1","room:a","phx_join",{"since":"%s:0"}]`, page.Position.Epoch)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Receive(join, false); err != nil {
			b.Fatal(err)
		}
		for before := s.Stats().JoinsAccepted; s.Stats().JoinsAccepted == before; {
			runtime.Gosched()
		}
	}
	c.Close()
}

// BenchmarkHubMemory is what a place in a topic takes, besides the value that is in
// it: as one of 100,000 members, and as the only member of one of 100,000 topics, with
// the topic's name.
func BenchmarkHubMemory(b *testing.B) {
	const n = 100_000
	for name, topic := range map[string]func(i int) string{
		"one topic":      func(int) string { return "room:lobby" },
		"as many topics": func(i int) string { return fmt.Sprintf("room:%d", i) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h := channels.NewHub()
				before := heap()
				list := make([]channels.Subscription, n)
				for i := range list {
					list[i] = channels.Subscription{Topic: topic(i), Codec: channels.V2, Out: nowhere{}}
					h.Subscribe(&list[i])
				}
				b.ReportMetric(float64(heap()-before)/n, "B/subscription")
				runtime.KeepAlive(list)
				runtime.KeepAlive(h)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkHubParallel has all processors join, leave and broadcast in 100,000 topics.
func BenchmarkHubParallel(b *testing.B) {
	const topics = 100_000
	h := channels.NewHub()
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf("room:%d", i)
		subscribed(h, names[i], 1)
	}
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s := &channels.Subscription{Topic: names[rand.IntN(topics)], Codec: channels.V2, Out: nowhere{}}
			h.Subscribe(s)
			h.Broadcast(news(s.Topic), nil)
			h.Unsubscribe(s)
		}
	})
}
