package rewrite_test

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"rtd/sandbox/rewrite"
	"rtd/sandbox/sandboxtest"
)

// BenchmarkRewrite reports the speed on a Go guest, in bytes of the original, and how much larger it becomes.
func BenchmarkRewrite(b *testing.B) {
	wasm := sandboxtest.BuildGo(b, "rtd/plugins/chat")
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	var m *rewrite.Module
	for b.Loop() {
		var err error
		if m, err = rewrite.Rewrite(wasm, rewrite.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(m.WASM))/float64(len(wasm)), "size-ratio")
}

// loops are the functions that are compared, each with an amount of work that takes about a millisecond.
var loops = []struct {
	guest, function string
	n               uint64
}{
	{"hand", "tightest", 3_000_000},
	{"hand", "random", 1_000_000},
	{"hand", "sweep", 1_000_000},
	{"hand", "nested", 300_000},
	{"hand", "fib", 22},
	{"hand", "copy", 100_000},
	{"c", "sort", 3},
	{"c", "sieve", 5},
	{"c", "matrix", 10},
	{"c", "json", 3000},
	{"c", "hash", 15},
	{"rust", "sort", 5},
	{"rust", "sieve", 5},
	{"rust", "map", 5},
	{"rust", "text", 1000},
	{"rust", "hash", 15},
	{"assemblyscript", "sort", 1},
	{"assemblyscript", "sieve", 3},
	{"assemblyscript", "map", 5},
	{"assemblyscript", "text", 500},
	{"assemblyscript", "matrix", 8},
	{"go", "sort", 2},
	{"go", "sieve", 2},
	{"go", "matrix", 5},
	{"go", "json", 100},
	{"go", "map", 3},
	{"go", "text", 300},
}

// TestLoops runs the loops on guests of all languages, bare and rewritten, with a yield every few reductions.
func TestLoops(t *testing.T) {
	var modules []api.Module
	for i, l := range loops {
		if i == 0 || loops[i-1].guest != l.guest {
			modules = forms(t, loadLoops(t, l.guest), 10, 2)
		}
		t.Run(l.guest+"/"+l.function, func(t *testing.T) {
			var results [2]uint64
			for i := range results {
				r, err := modules[i].ExportedFunction(l.function).Call(t.Context(), 1+l.n/200)
				if err != nil {
					t.Fatal(err)
				}
				results[i] = r[0]
			}
			if results[0] != results[1] {
				t.Errorf("bare %d, rewritten %d", results[0], results[1])
			}
		})
	}
}

func loadLoops(tb testing.TB, guest string) []byte {
	tb.Helper()
	if guest == "go" {
		return sandboxtest.BuildGo(tb, "./testdata/loops/goguest")
	}
	return readFile(tb, "testdata/loops/"+guest+".wasm")
}

// rounds is how often each loop runs in each form, in turn, so that a busy machine slows all of them.
const rounds = 41

// BenchmarkLoops compares every loop on bare wazero, rewritten, and under WithCloseOnContextDone. It reports the
// medians of the ratios to bare wazero. Run it with -benchtime 1x: a benchmark iteration is a whole comparison.
func BenchmarkLoops(b *testing.B) {
	var modules []api.Module
	for i, l := range loops {
		if i == 0 || loops[i-1].guest != l.guest {
			modules = forms(b, loadLoops(b, l.guest), math.MaxInt64, 3)
		}
		b.Run(l.guest+"/"+l.function, func(b *testing.B) {
			for b.Loop() {
				compare(b, modules, l.function, l.n)
			}
		})
	}
}

// compare reports the ratios of one loop.
func compare(b *testing.B, modules []api.Module, function string, n uint64) {
	ctx, cancel := context.WithCancel(context.Background()) // one that can be done, or wazero does not watch it
	defer cancel()
	var bare, rewritten, closing []float64
	var want uint64
	for range rounds {
		var times [3]float64
		for i, m := range modules {
			f := m.ExportedFunction(function)
			start := time.Now()
			result, err := f.Call(ctx, n)
			times[i] = float64(time.Since(start))
			if err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				want = result[0]
			} else if result[0] != want {
				b.Fatalf("%s gives %d, bare wazero %d", function, result[0], want)
			}
		}
		bare = append(bare, times[0])
		rewritten = append(rewritten, times[1]/times[0])
		closing = append(closing, times[2]/times[0])
	}
	b.ReportMetric(median(bare)/1e3, "bare-µs")
	b.ReportMetric(median(rewritten), "rewritten")
	b.ReportMetric(median(closing), "close-on-done")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// forms instantiates a guest in the first n of three forms: bare, rewritten with a budget between yields, and bare under
// WithCloseOnContextDone.
func forms(tb testing.TB, wasm []byte, budget uint64, n int) (modules []api.Module) {
	tb.Helper()
	ctx := context.Background() // closing comes after the end of the test's
	rewritten, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	compiled, err := wazero.NewCompilationCacheWithDir(sandboxtest.CacheDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { compiled.Close(ctx) })
	for i, form := range []struct {
		wasm  []byte
		close bool
	}{{wasm, false}, {rewritten.WASM, false}, {wasm, true}}[:n] {
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled).WithCloseOnContextDone(form.close))
		tb.Cleanup(func() { r.Close(ctx) })
		wasi_snapshot_preview1.MustInstantiate(ctx, r)
		hostYield(tb, r, func(m api.Module) { reductions(m).Set(budget) })
		m, err := r.InstantiateWithConfig(ctx, form.wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
		if err != nil {
			tb.Fatal(err)
		}
		if i == 1 && rewritten.Start != "" {
			if _, err := m.ExportedFunction(rewritten.Start).Call(ctx); err != nil {
				tb.Fatal(err)
			}
		}
		modules = append(modules, m)
	}
	return modules
}
