package sandbox_test

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
)

// BenchmarkWake is a wake (an actor of which only the delta is there gets a message in a slot from
// which another one has to be sent to rest first), on as many goroutines as processors:
//
//	go test ./sandbox -run '^$' -bench Wake -cpu 1,2
//
// Beside it stand two controls that have nothing in common but the machine: a loop, and copies of as many
// bytes as a wake of a small guest looks at. What they do not reach on two processors, no wake can: those of a
// virtual machine may be halves of one, and others may have them.
func BenchmarkWake(b *testing.B) {
	for _, control := range controls {
		b.Run(control.name, func(b *testing.B) { inParallel(b, control.worker) })
	}
	for _, language := range []string{"c", "rust", "go"} {
		b.Run(language, func(b *testing.B) {
			w := newWakers(b, language)
			b.ResetTimer()
			inParallel(b, w.worker)
		})
	}
}

// BenchmarkCores is how many times as many wakes two processors do as one, and the same of the controls, in turns:
// what the machine does to one it does to all.
//
//	go test ./sandbox -run '^$' -bench Cores -benchtime 15x
func BenchmarkCores(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("there is one processor")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, language := range []string{"c", "rust", "go"} {
		b.Run(language, func(b *testing.B) {
			w := newWakers(b, language)
			all := append(slices.Clone(controls), work{language, w.worker})
			rates := make([][2][]float64, len(all))
			for b.Loop() {
				for n, what := range all {
					for cores := 1; cores <= 2; cores++ {
						runtime.GOMAXPROCS(cores)
						rates[n][cores-1] = append(rates[n][cores-1], rate(what.worker, cores))
					}
				}
			}
			for n, what := range all {
				var ratios []float64
				for k, one := range rates[n][0] {
					ratios = append(ratios, rates[n][1][k]/one)
				}
				b.ReportMetric(quantile(ratios, 0.5), what.name+"-×")
			}
			b.ReportMetric(1e6/quantile(rates[len(all)-1][0], 0.5), "µs/wake")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// work is something that several goroutines do, each with a function of its own.
type work struct {
	name   string
	worker func(n int) (do func())
}

// controls have nothing in common but the machine.
var controls = []work{
	{"spin", func(int) func() {
		return func() {
			x, y, z, v := uint64(1), uint64(2), uint64(3), uint64(4) // as many sums as a processor can do at once
			for range 3_000 {
				x = x<<1 ^ x + 1
				y = y<<1 ^ y + 1
				z = z<<1 ^ z + 1
				v = v<<1 ^ v + 1
			}
			if x^y^z^v == 1 {
				panic("never")
			}
		}
	}},
	{"copy", func(int) func() {
		from, to := make([]byte, 128<<10), make([]byte, 128<<10)
		return func() { copy(to, from) }
	}},
}

// inParallel does b.N times what a worker does, on as many goroutines as processors.
func inParallel(b *testing.B, worker func(n int) func()) {
	workers := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for n := range workers {
		do := worker(n)
		all.Go(func() {
			for range (b.N + workers - 1 - n) / workers {
				do()
			}
		})
	}
	all.Wait()
}

// rate is how often in a second that many goroutines do something.
func rate(worker func(n int) func(), workers int) float64 {
	const during = 50 * time.Millisecond
	var all sync.WaitGroup
	rates := make([]float64, workers)
	for n := range workers {
		do := worker(n)
		all.Go(func() {
			begin, done := time.Now(), 0
			for time.Since(begin) < during {
				do()
				done++
			}
			rates[n] = float64(done) / time.Since(begin).Seconds()
		})
	}
	all.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// wakers are the actors of a plugin, many more than its slots, of which there are as many as by default.
type wakers struct {
	b      *testing.B
	actors []*sandbox.Instance
}

func newWakers(b *testing.B, language string) *wakers {
	p := newPopulation(b, language, 0)
	if err := p.grow(4_000); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.close)
	shuffle(p.actors)
	return &wakers{b, p.actors}
}

// worker wakes one actor of its own after the other.
func (w *wakers) worker(n int) func() {
	workers := runtime.GOMAXPROCS(0)
	said := sayings()
	k := n
	return func() {
		k += workers
		if err := tell(w.actors[k%len(w.actors)], said[k%len(said)]); err != nil {
			w.b.Error(err)
		}
	}
}
