package sandbox_test

import (
	"runtime"
	"testing"
	"time"

	"rtd/sandbox"
)

func guests(b *testing.B) map[string]*sandbox.Module {
	return map[string]*sandbox.Module{
		"wat": load(b, fixture(b, "echo"), sandbox.LoadOptions{}),
		"go":  load(b, goGuest(b), sandbox.LoadOptions{}),
	}
}

// BenchmarkHandle is of an event of a few instructions, so of the host's part in it: for a plugin like any other, and for
// one that is suspected of long turns, as any may be on a busy machine.
func BenchmarkHandle(b *testing.B) {
	for name, p := range guests(b) {
		for state, d := range map[string]time.Duration{"": 0, ", suspected": time.Hour} {
			b.Run(name+state, func(b *testing.B) {
				i := start(b, p)
				e := message("echo", `{"body":"hello","user":"someone"}`)
				b.ReportAllocs()
				for b.Loop() {
					p.Suspect(d)
					if _, err := i.Handle(e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for name, p := range guests(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				i, err := p.Start("room:1", nil)
				if err != nil {
					b.Fatal(err)
				}
				i.Close()
			}
		})
	}
}

// BenchmarkResident reports the heap that a live instance holds, after one event.
func BenchmarkResident(b *testing.B) {
	for name, p := range guests(b) {
		b.Run(name, func(b *testing.B) {
			const n = 50
			for b.Loop() {
				before := heap()
				for range n {
					wantReply(b, start(b, p), "echo", "hi", "hi")
				}
				b.ReportMetric(float64(heap()-before)/n, "heap-B/instance")
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
