package rollout_test

import (
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtd/host/ask"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
	"rtd/supervisor"
)

// The figures of the process runtime with guests:
//
//	go test ./host/rollout -run '^$' -bench . -benchtime 2s
//	go test ./host/rollout -run '^$' -bench Burst -benchtime 1x

// BenchmarkCall is one guest's call to another, both resident: what it costs beyond
// the handling of the event that the other one gets.
func BenchmarkCall(b *testing.B) {
	w := newWorld(b)
	w.deploy("p", func(s *release.Settings) { s.Limits.Deadline = time.Minute }, worker("a"), worker("b"))
	n := binary.LittleEndian.AppendUint32(nil, uint32(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := ask.Call(ctx, w.process("p/a"), orders(abi.Effect{Kind: laps, Name: "b", Payload: n})); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHandle is what the one that is called does in [BenchmarkCall], alone.
func BenchmarkHandle(b *testing.B) {
	p, err := sandboxtest.Engine(b).Load(b.Context(), puppetWASM, sandbox.LoadOptions{Name: "p", Config: orders(worker("a"))})
	must(b, err)
	defer p.Close()
	i, err := p.Start("", nil)
	must(b, err)
	defer i.Close()
	e := abi.Event{Kind: abi.EventCall, Name: "1", Payload: orders(op(echo, ""))}
	for b.Loop() {
		if _, err := i.Handle(&e); err != nil {
			b.Fatal(err)
		}
		i.Release()
	}
}

// BenchmarkCallFromGo is the same from a goroutine of the host.
func BenchmarkCallFromGo(b *testing.B) {
	w := newWorld(b)
	w.deploy("p", nil, worker("a"))
	a, order := w.process("p/a"), orders(op(echo, ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ask.Call(b.Context(), a, order); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpawn lets a guest start processes under a dynamic supervisor: each
// from the operation to the end of the new one's init.
func BenchmarkSpawn(b *testing.B) {
	w := newWorld(b)
	w.deploy("p", many, worker("a"), child("pool", `{"type":"dynamic","restart":"temporary"}`))
	w.spawn(batch)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		all := w.spawn(batch)
		b.StopTimer()
		for _, p := range all {
			p.Stop(nil)
			<-p.Done()
		}
		b.StartTimer()
	}
}

// batch is how many processes one call starts.
const batch = 100

func many(s *release.Settings) {
	s.Processes, s.References, s.Pending = 2_000_000, 2_000_000, 1<<30
	s.Intensity = supervisor.Intensity{Max: 1_000_000, Within: time.Second}
}

// spawn starts n processes under "pool" of plugin p and returns them.
func (w *world) spawn(n int) (all []*supervisor.Process) {
	spawns := make([]abi.Effect, batch)
	for i := range spawns {
		spawns[i] = abi.Effect{Kind: abi.OpSpawn, Name: "m", Detail: "pool"}
	}
	for len(all) < n {
		for _, r := range w.tell("p/a", spawns...) {
			if r.code < 0 {
				w.t.Fatal(r)
			}
			all = append(all, w.process(fieldsOf(r.answer)[0]))
		}
		w.drain()
	}
	return all
}

func (w *world) drain() {
	for len(w.events) > 0 {
		<-w.events
	}
}

// BenchmarkIdle is the memory of a guest process that has begun and does nothing, outside of
// guest memory, which it has not written to.
func BenchmarkIdle(b *testing.B) {
	const n = 100_000
	w := newWorld(b)
	w.deploy("p", many, worker("a"), child("pool", `{"type":"dynamic","restart":"temporary"}`))
	w.spawn(10 * batch)
	before, rss := heap(), resident(b)
	for range b.N {
		w.spawn(n)
	}
	b.ReportMetric(float64(heap()-before)/float64(n*b.N), "heap-B/process")
	b.ReportMetric(float64(resident(b)-rss)/float64(n*b.N), "rss-B/process")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is the memory of this process, in bytes.
func resident(t testing.TB) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatalf("this figure needs /proc of Linux: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

// BenchmarkBurst lets 100,000 processes of one plugin crash at once, and looks at
// calls to a process of another plugin meanwhile.
func BenchmarkBurst(b *testing.B) {
	const n = 100_000
	w := newWorld(b)
	w.deploy("p", many, worker("a"), child("pool", `{"type":"dynamic","restart":"permanent","max_restarts":1000,"max_seconds":5}`))
	w.deploy("q", nil, worker("a"))
	all := w.spawn(n)
	q, order := w.process("q/a"), orders(op(echo, ""))
	for range b.N {
		before := w.begun.Load()
		start := time.Now()
		go func() {
			for _, p := range all {
				p.Send(&ask.Message{Kind: abi.EventCast, Payload: orders(op(trap, ""))})
			}
		}()
		var took []time.Duration
		for w.begun.Load()-before < n {
			if time.Since(start) > time.Minute {
				b.Fatalf("%d are back after a minute", w.begun.Load()-before)
			}
			from := time.Now()
			if _, err := ask.Call(b.Context(), q, order); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(from))
			time.Sleep(100 * time.Microsecond)
		}
		slices.Sort(took)
		b.ReportMetric(time.Since(start).Seconds(), "s/all-back")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99-of-others")
		b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs-worst-of-others")
		b.ReportMetric(float64(strings.Count(w.log.String(), "\n")), "log-lines")
	}
}
