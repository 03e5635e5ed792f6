package sandbox_test

import (
	"math/rand/v2"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// beside is how a process fares in which four guests of another plugin never return, each
// under a supervisor that starts it again when its deadline has ended it.
func (t *figures) beside(b *testing.B, w want) {
	wasm := actorGuest(b, w.language)
	spinning := load(b, wasm, sandbox.LoadOptions{Name: "a", Limits: sandbox.Limits{Deadline: time.Second}})
	serving := load(b, wasm, sandbox.LoadOptions{Name: "b", Limits: sandbox.Limits{Deadline: time.Second}})
	period := max(time.Duration(float64(8*time.Second)*t.scale), 1500*time.Millisecond)

	quiet := lateness(period / 2)

	rt := supervisor.New(supervisor.Options{})
	for range 4 {
		s := rt.Spawn(supervisor.Spec{Actor: supervisor.NewSupervisor(supervisor.Config{
			Intensity: supervisor.Intensity{Max: 1000, Within: time.Second},
			Children: []supervisor.ChildSpec{{ID: "endless", Start: func() supervisor.Spec {
				return supervisor.Spec{Actor: &guestProcess{plugin: spinning, first: message("spin", "{}")}}
			}}},
		})})
		defer func() { s.Stop(nil); <-s.Done() }()
	}
	var latencies []time.Duration
	var mu sync.Mutex
	var served []*supervisor.Process
	for range 1000 {
		p := rt.Spawn(supervisor.Spec{Actor: &guestProcess{plugin: serving, handled: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, d)
		}}})
		defer func() { p.Stop(nil); <-p.Done() }()
		served = append(served, p)
	}
	time.Sleep(200 * time.Millisecond) // all are in their loops
	var ended atomic.Bool
	var background sync.WaitGroup
	background.Go(func() { // a client
		said := sayings()
		for n := 0; !ended.Load(); n++ {
			if err := served[rand.IntN(len(served))].Send(told{said[n%len(said)], time.Now()}); err != nil {
				b.Error(err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	background.Go(func() { // work for the garbage collector
		for keep := make([][]byte, 64); !ended.Load(); time.Sleep(time.Millisecond) {
			for range 16 {
				keep[rand.IntN(len(keep))] = make([]byte, 64<<10)
			}
		}
	})
	before := pauses()
	loud := lateness(period)
	pause, collections := before.since()
	ended.Store(true)
	background.Wait()
	time.Sleep(50 * time.Millisecond) // the last messages

	mu.Lock()
	defer mu.Unlock()
	if len(latencies) < 100 || collections == 0 || spinning.Stats().Traps[sandbox.KindDeadline] == 0 {
		b.Fatalf("%d messages, %d pauses, traps %v: too few", len(latencies), collections, spinning.Stats().Traps)
	}
	const beside = "beside 4 endless guests: "
	t.atMost(b, beside+"send to handled, p99", w, millis(quantile(latencies, 0.99)), "ms", 20)
	t.atMost(b, beside+"lateness of a sleeper over an idle run's, p99", w,
		millis(quantile(loud, 0.99)-quantile(quiet, 0.99)), "ms", 2)
	t.atMost(b, beside+"GC pause, p99", w, pause*1e3, "ms", 5)
}

// guestProcess is an actor under a supervisor.
type guestProcess struct {
	plugin  *sandbox.Module
	first   *abi.Event // that it sends itself, if any
	handled func(time.Duration)
	guest   *sandbox.Instance
}

// told is an event and when it was sent.
type told struct {
	event *abi.Event
	at    time.Time
}

func (g *guestProcess) Init(p *supervisor.Process) (err error) {
	if g.guest, err = g.plugin.Start("actor:1", nil); err != nil {
		return err
	}
	if g.first != nil {
		if err := p.Post(told{g.first, time.Now()}); err != nil {
			return err
		}
	}
	return tell(g.guest, joining(0))
}

func (g *guestProcess) Handle(_ *supervisor.Process, msg any) error {
	m := msg.(told)
	if err := tell(g.guest, m.event); err != nil {
		return err
	}
	g.handled(time.Since(m.at))
	return nil
}

func (g *guestProcess) Terminate(*supervisor.Process, error) {
	if g.guest != nil {
		g.guest.Close()
	}
}

// lateness is by how much each of many sleeps of 1 ms was too long.
func lateness(period time.Duration) (late []time.Duration) {
	for begin := time.Now(); time.Since(begin) < period; {
		at := time.Now()
		time.Sleep(time.Millisecond)
		late = append(late, time.Since(at)-time.Millisecond)
	}
	return late
}

// histogram is the runtime's of the time that its collector stops all goroutines.
type histogram metrics.Float64Histogram

func pauses() *histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return (*histogram)(sample[0].Value.Float64Histogram())
}

// since is the 99th percentile of the pauses after h was taken, in seconds and
// rounded up, and how many there were.
func (h *histogram) since() (p99 float64, count uint64) {
	now := pauses()
	for k := range now.Counts {
		now.Counts[k] -= h.Counts[k]
		count += now.Counts[k]
	}
	var seen uint64
	for k, n := range now.Counts {
		if seen += n; n > 0 && float64(seen) >= 0.99*float64(count) {
			return now.Buckets[k+1], count
		}
	}
	return 0, 0
}
