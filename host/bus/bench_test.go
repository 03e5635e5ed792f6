package bus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rtd/host/bus"
)

// percentiles reports how long a benchmark's rounds took.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}

// One committer appends records of 1 KB, one after the other, and beside it the same bytes are written and synced by
// themselves: the least that it can take.
func BenchmarkAppend(b *testing.B) {
	data := make([]byte, 1024)
	b.Run("synced", func(b *testing.B) {
		l, err := open(b, bus.Options{Dir: b.TempDir()}).Log(limited(b), "log")
		must(b, err)
		took := make([]time.Duration, 0, b.N)
		last := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			began := time.Now()
			last, err = l.Append(b.Context(), last, data)
			took = append(took, time.Since(began))
			must(b, err)
		}
		percentiles(b, took)
	})
	b.Run("file", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "file"))
		must(b, err)
		defer f.Close()
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			began := time.Now()
			_, err := f.Write(data)
			must(b, err)
			must(b, f.Sync())
			took = append(took, time.Since(began))
		}
		percentiles(b, took)
	})
	b.Run("unsynced", func(b *testing.B) {
		l, err := open(b, bus.Options{Dir: b.TempDir(), SyncEvery: time.Minute}).Log(limited(b), "log")
		must(b, err)
		last := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			last, err = l.Append(b.Context(), last, data)
			must(b, err)
		}
	})
}

// Reading one entry of 10,000, and storing a thousand at once.
func BenchmarkStore(b *testing.B) {
	bus := open(b, bus.Options{Dir: b.TempDir()})
	s, err := bus.Store(limited(b), "store")
	must(b, err)
	writes := batch()
	_, err = s.WriteAll(b.Context(), writes)
	must(b, err)
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := s.Get(b.Context(), writes[i%len(writes)].Key)
			must(b, err)
		}
	})
	b.Run("WriteAll-1000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := s.WriteAll(b.Context(), writes)
			must(b, err)
		}
	})
}

// batch returns as many entries of 256 bytes as fit.
func batch() []bus.Write {
	writes := make([]bus.Write, bus.MaxWrites)
	for i := range writes {
		writes[i] = bus.Write{Key: fmt.Sprintf("key.%d", i), Value: make([]byte, 256), Last: bus.Any}
	}
	return writes
}

// Replay of a log of 10,000 records of 1 KB.
func BenchmarkRead(b *testing.B) {
	l, err := open(b, bus.Options{Dir: b.TempDir(), SyncEvery: time.Minute}).Log(limited(b), "log")
	must(b, err)
	const records = 10_000
	for i := range records {
		_, err := l.Append(b.Context(), uint64(i), make([]byte, 1024))
		must(b, err)
	}
	b.SetBytes(records * 1024)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range l.Read(b.Context(), 1) {
			must(b, err)
			n++
		}
		if n != records {
			b.Fatalf("%d records", n)
		}
	}
}

// From nothing to a bus that works, and its end: a new folder each time.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		opened, err := bus.Open(bus.Options{Dir: b.TempDir(), Log: (&lines{}).logger()})
		must(b, err)
		must(b, opened.Up(b.Context()))
		must(b, opened.Close())
	}
}
