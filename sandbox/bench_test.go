package sandbox_test

import (
	"runtime"
	"testing"

	"rtd/sandbox"
)

func guests(b *testing.B) map[string]*sandbox.Plugin {
	return map[string]*sandbox.Plugin{
		"wat": load(b, fixture(b, "echo"), sandbox.LoadOptions{}),
		"go":  load(b, goGuest(b), sandbox.LoadOptions{}),
	}
}

func BenchmarkHandle(b *testing.B) {
	for name, p := range guests(b) {
		b.Run(name, func(b *testing.B) {
			i := start(b, p)
			e := message("echo", `{"body":"hello","user":"someone"}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Handle(e); err != nil {
					b.Fatal(err)
				}
			}
		})
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
