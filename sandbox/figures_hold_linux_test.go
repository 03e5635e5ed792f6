package sandbox_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rtd/sandbox"
)

// holds are what guests do to keep a processor to themselves, by the letters of
// testdata/memory.wat and its numbers.
var holds = []struct {
	name string
	what byte
	n    int
}{
	{"fill", 'f', 0},
	{"copy", 'c', 0},
	{"random_get", 'r', 0},
	{"touch snapshot", 't', 1},
	{"grow and touch", 'a', 480},
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHold reports by how much of the processor guests overrun a deadline of 30 ms
// that try to, at the most and with all that is to be done after their end, and how long an
// echo takes beside four of them. Run it with -benchtime 1x on a
// machine that does nothing else.
func BenchmarkHold(b *testing.B) {
	for _, h := range holds {
		b.Run(h.name, func(b *testing.B) {
			const deadline = 30 * time.Millisecond
			p := load(b, fixture(b, "memory"), sandbox.LoadOptions{Limits: sandbox.Limits{Deadline: deadline}})
			echo := load(b, fixture(b, "echo"), sandbox.LoadOptions{})
			for b.Loop() {
				var over time.Duration
				for range 20 {
					i := start(b, p)
					for end := time.Now().Add(time.Second); time.Now().Before(end); {
						at := processorTime()
						if _, err := have(i, h.what, h.n); err != nil {
							over = max(over, processorTime()-at-deadline)
							break
						}
					}
					i.Close()
				}
				b.ReportMetric(over.Seconds()*1e3, "overrun-ms")

				var ended atomic.Bool
				var hostile sync.WaitGroup
				for range 4 {
					hostile.Go(func() {
						for !ended.Load() {
							i, err := p.Start("room:1", nil)
							if err != nil {
								b.Error(err)
								return
							}
							for range 3 {
								if _, err := have(i, h.what, h.n); err != nil {
									break
								}
							}
							i.Close()
						}
					})
				}
				i := start(b, echo)
				var took []time.Duration
				done := make(chan struct{})
				ask, answer := make(chan time.Time), make(chan time.Duration)
				go func() { // two hops, as from a connection to an actor and back
					defer close(done)
					for at := range ask {
						if _, err := i.Handle(message("echo", "hi")); err != nil {
							b.Error(err)
							return
						}
						answer <- time.Since(at)
					}
				}()
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
					time.Sleep(time.Millisecond + rand.N(time.Millisecond))
					ask <- time.Now()
					took = append(took, <-answer)
					if rand.N(50) == 0 {
						runtime.GC()
					}
				}
				close(ask)
				<-done
				ended.Store(true)
				hostile.Wait()
				slices.Sort(took)
				b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "echo-p99-ms")
				b.ReportMetric(took[len(took)-1].Seconds()*1e3, "echo-max-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
