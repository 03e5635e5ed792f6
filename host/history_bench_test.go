package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
	"rtd/host/process"
)

// drops is the outbox of a member that is there to be sent to.
type drops struct{ frames atomic.Int64 }

func (d *drops) Send(channels.Frame) { d.frames.Add(1) }

// historyOwner is a plugin whose topics all have history.
type historyOwner struct {
	channels.Plugin
	version channels.Version
}

func (o *historyOwner) Name() string               { return "bench" }
func (o *historyOwner) Current() *channels.Version { return &o.version }

// BenchmarkHistory broadcasts as the API does to 100 topics of 10 members each, with history in memory and durable history: at most, one broadcaster to
// a topic, and at a rate of 5,000/s. p50 and p99 are from the call to its return, when members have it, at a rate from when it was due.
func BenchmarkHistory(b *testing.B) {
	for _, durably := range []bool{false, true} {
		name := map[bool]string{false: "memory", true: "durable"}[durably]
		b.Run(name, func(b *testing.B) { benchmarkHistory(b, durably, 0) })
		b.Run(name+" at 5000 per s", func(b *testing.B) { benchmarkHistory(b, durably, 5000) })
	}
}

func benchmarkHistory(b *testing.B, durably bool, rate int) {
	const topics, members = 100, 10
	log := slog.New(slog.DiscardHandler)
	bus, err := bus.Open(bus.Options{Dir: b.TempDir(), Log: log})
	if err != nil {
		b.Fatal(err)
	}
	defer bus.Close()
	k := store.Open(bus, store.Options{Log: log})
	defer k.Close()
	e := channels.NewEndpoint(channels.Limits{})
	defer e.Presence.Close()
	e.Hub.Archive(process.Archive{Keeper: func() (durable.Histories, error) { return k, nil }})
	owner := &historyOwner{version: channels.Version{Archives: durably, History: func(string) (channels.Keep, bool) {
		return channels.Keep{Durable: durably, Bounds: history.Bounds{Messages: 100, Bytes: 1 << 20, Age: time.Hour}}, true
	}}}
	if err := e.Router.Set(owner, []string{"room:*"}); err != nil {
		b.Fatal(err)
	}
	e.ReviewHistory()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.Hub.RunArchive(ctx) })
	defer running.Wait()
	defer cancel()
	box := &drops{}
	for i := range topics {
		topic := fmt.Sprint("room:", i)
		for range members {
			e.Hub.Subscribe(&channels.Subscription{Topic: topic, Codec: channels.V2, Out: box})
		}
		if err := e.Hub.AwaitHistory(ctx, topic); err != nil {
			b.Fatal(err)
		}
	}
	payload := fmt.Appendf(nil, `{"body":"%0100d"}`, 1)
	took := make([][]time.Duration, topics)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	began := time.Now()
	var group sync.WaitGroup
	for i := range topics {
		group.Go(func() {
			list := []channels.Publication{{Topic: fmt.Sprint("room:", i), Event: "said", Payload: payload}}
			due := began
			if rate > 0 {
				due = due.Add(time.Duration(i) * time.Second / time.Duration(rate))
			}
			for left.Add(-1) >= 0 {
				if rate > 0 {
					time.Sleep(time.Until(due))
				} else {
					due = time.Now()
				}
				if _, err := e.PublishAll(ctx, list); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(due))
				if rate > 0 {
					due = due.Add(topics * time.Second / time.Duration(rate))
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/time.Since(began).Seconds(), "broadcasts/s")
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(all[min(len(all)*p/100, len(all)-1)].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}
