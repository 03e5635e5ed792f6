package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"rtd/sandbox/rewrite"
)

var errKilled = errors.New("killed by yield")

// guest is an instance of a rewritten module. When it yields, it gets budget reductions more; with kills set, it ends.
type guest struct {
	api.Module
	module *rewrite.Module
	budget int64
	kills  bool
	yields int
	seen   func() // at each yield, or nil
}

func newGuest(t testing.TB, wasm []byte) *guest {
	t.Helper()
	module, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{module: module}
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(allFeatures))
	t.Cleanup(func() { r.Close(context.Background()) })
	hostYield(t, r, func(m api.Module) {
		g.yields++
		if g.seen != nil {
			g.seen()
		}
		if g.kills {
			panic(errKilled)
		}
		reductions(m).Set(uint64(g.budget))
	})
	hostEnv(t, r)
	if g.Module, err = r.Instantiate(ctx, module.WASM); err != nil {
		t.Fatal(err)
	}
	if module.Start != "" {
		g.call(t, module.Start)
	}
	return g
}

const allFeatures = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// hostEnv provides pass, a host function that returns its argument.
func hostEnv(t testing.TB, r wazero.Runtime) {
	t.Helper()
	i32 := []api.ValueType{api.ValueTypeI32}
	_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(context.Context, []uint64) {}), i32, i32).
		Export("pass").Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

func (g *guest) call(t testing.TB, function string, args ...uint64) uint64 {
	t.Helper()
	results, err := g.ExportedFunction(function).Call(t.Context(), args...)
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	return append(results, 0)[0]
}

// TestPreempt stops every way to run for ever by a panic in yield, and uses the instance again.
func TestPreempt(t *testing.T) {
	g := newGuest(t, readFile(t, "testdata/endless.wasm"))
	for _, e := range g.module.Exports {
		if e.Kind != rewrite.FunctionKind || e.Name == "ok" {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			g.kills, g.yields = true, 0
			reductions(g).Set(10_000)
			if _, err := g.ExportedFunction(e.Name).Call(t.Context()); !errors.Is(err, errKilled) {
				t.Errorf("error %v, want %v", err, errKilled)
			}
			if g.yields != 1 {
				t.Errorf("%d yields, want 1", g.yields)
			}
			g.kills, g.budget = false, math.MaxInt64
			if got := g.call(t, "ok", 41); got != 42 {
				t.Errorf("after the kill, ok(41) gives %d", got)
			}
		})
	}
}

// TestYieldAndGoOn lets the guest go on after each yield: the budget decides how often it yields.
func TestYieldAndGoOn(t *testing.T) {
	g := newGuest(t, readFile(t, "testdata/loops/hand.wasm"))
	for _, budget := range []int64{0, 1_000, 100_000} {
		g.budget, g.yields = budget, 0
		reductions(g).Set(uint64(budget))
		g.call(t, "tightest", 1_000_000)
		most, least := 1_000_000/max(int(budget), 127)+2, 1_000_000/(int(budget)+256)-2
		if g.yields > most || g.yields < least {
			t.Errorf("a million iterations with a budget of %d yield %d times, want %d to %d", budget, g.yields, least, most)
		}
	}
}

// TestReductions checks what is charged, which the host reads as a difference.
func TestReductions(t *testing.T) {
	g := newGuest(t, readFile(t, "testdata/loops/hand.wasm"))
	spent := func(function string, args ...uint64) int {
		reductions(g).Set(1 << 40)
		g.call(t, function, args...)
		return 1<<40 - int(reductions(g).Get())
	}
	for _, c := range []struct {
		function    string
		n           uint64
		least, most int
	}{
		{"fib", 10, 354, 354},                  // two for each of 177 calls, as they call twice
		{"tightest", 100, 17, 17},              // the call, and 16 for its loop
		{"tightest", 100_000, 99_800, 101_000}, // one per iteration
		{"nested", 10_000, 49_800, 51_000},     // inner and outer
		{"copy", 100_000, 162_000, 166_000},    // 24 bytes are free, but may be in new pages
	} {
		if got := spent(c.function, c.n); got < c.least || got > c.most {
			t.Errorf("%s(%d) costs %d reductions, want %d to %d", c.function, c.n, got, c.least, c.most)
		}
	}

	g = newGuest(t, readFile(t, "testdata/endless.wasm"))
	if got, want := spent("fills"), 8*64<<20/256; got < want || got > want+100 {
		t.Errorf("eight fills of 64 MiB cost %d reductions, want %d", got, want)
	}
}

// TestBulkReductions checks what instructions cost by their length, besides one reduction for the call.
func TestBulkReductions(t *testing.T) {
	for name, c := range map[string]struct {
		body string // of a function whose parameter is the length
		n    uint64
		want int
	}{
		"memory.grow":               {"\x20\x00\x40\x00\x1a", 3, 3 * 256},
		"memory.grow by nothing":    {"\x20\x00\x40\x00\x1a", 0, 0},
		"memory.grow beyond 4 GiB":  {"\x20\x00\x40\x00\x1a", 1 << 31, 0},
		"memory.fill":               {"\x41\x00\x41\x07\x20\x00\xfc\x0b\x00", 0x8000, 128},
		"memory.copy":               {"\x41\x00\x41\x07\x20\x00\xfc\x0a\x00\x00", 0x8000, 128},
		"memory.fill, out of range": {"\x41\x00\x41\x07\x20\x00\xfc\x0b\x00", 0xffff_ffff, 0},
		"table.grow":                {"\xd0\x70\x20\x00\xfc\x0f\x00\x1a", 6400, 200},
		"table.fill, out of range":  {"\x41\x00\xd0\x70\x20\x00\xfc\x11\x00", 320, 10},
		"table.copy, out of range":  {"\x41\x00\x41\x00\x20\x00\xfc\x0e\x00\x00", 64, 2},
	} {
		g := newGuest(t, function("\x60\x01\x7f\x00", "\x00"+c.body+"\x0b"))
		reductions(g).Set(1 << 40)
		_, err := g.ExportedFunction("f").Call(t.Context(), c.n)
		if out := strings.Contains(name, "out of range"); out != (err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if got := 1<<40 - int(reductions(g).Get()) - 1; got != c.want {
			t.Errorf("%s of %d costs %d reductions, want %d", name, c.n, got, c.want)
		}
	}
}

// adversaries are functions made to get as much done per reduction as possible.
func adversaries() map[string][]byte {
	divide := "\x20\x00\x42\x03\x7f\x21\x00"        // local.set 0 (i64.div_s (local.get 0) (i64.const 3))
	again := "\x20\x01\x41\x01\x6b\x22\x01\x0d\x00" // br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))
	body := func(code string) []byte { return []byte("\x02\x01\x7e\x01\x7f" + code + "\x0b") }
	loops := func(n int, code string) string { // a loop of 127 iterations, which is never charged
		return strings.Repeat("\x41\xff\x00\x21\x01\x03\x40"+code+again+"\x0b", n)
	}
	return map[string][]byte{
		"straight":    body(strings.Repeat(divide, 100_000)),
		"loop 64 B":   body(loops(1, strings.Repeat(divide, 9))),
		"loop 256 B":  body(loops(1, strings.Repeat(divide, 36))),
		"loop 1 KiB":  body(loops(1, strings.Repeat(divide, 146))),
		"loop 4 KiB":  body(loops(1, strings.Repeat(divide, 585))),
		"loop 64 KiB": body(loops(1, strings.Repeat(divide, 9362))),
		"loop 1 MiB":  body(loops(1, strings.Repeat(divide, 149_700))),
	}
}

// BenchmarkAdversary reports the time per reduction of functions that make it as long as they can; the host's budget
// times the largest of them bounds the time between two yields.
func BenchmarkAdversary(b *testing.B) {
	for name, body := range adversaries() {
		b.Run(name, func(b *testing.B) {
			// f calls the adversary as often as it is told.
			driver := "\x00\x03\x40\x10\x01\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b\x0b"
			wasm := assemble(
				section(1, "\x02\x60\x01\x7f\x00\x60\x00\x00"),
				section(3, "\x02\x00\x01"),
				section(7, "\x01\x01f\x00\x00"),
				section(10, "\x02"+sized(driver)+sized(string(body))))
			g := newGuest(b, wasm)
			f := g.ExportedFunction("f")
			n := uint64(1 + 20_000_000/(len(body)*127))
			best := math.Inf(1)
			for b.Loop() {
				reductions(g).Set(math.MaxInt64)
				start := time.Now()
				if _, err := f.Call(b.Context(), n); err != nil {
					b.Fatal(err)
				}
				best = min(best, float64(time.Since(start))/float64(math.MaxInt64-reductions(g).Get()))
			}
			b.ReportMetric(best, "ns/reduction")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestLargeLoops runs loops whose single iterations are worth a charge, whose check is another.
func TestLargeLoops(t *testing.T) {
	for _, size := range []int{1 << 10, 400_000, 600_000} {
		code := "\x01\x01\x7f\x41\x05\x21\x00\x03\x40" + strings.Repeat("\x01", size) +
			"\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b\x20\x00\x0b"
		g := newGuest(t, function("\x60\x00\x01\x7f", code))
		for _, budget := range []int64{0, 1000} {
			g.budget = budget
			reductions(g).Set(uint64(budget))
			if got := g.call(t, "f"); got != 0 {
				t.Errorf("a loop of %d bytes gives %d, want 0", size, got)
			}
		}
	}
}

// assemble, section, sized and function build small modules by hand.
func assemble(sections ...string) []byte {
	return []byte("\x00asm\x01\x00\x00\x00" + strings.Join(sections, ""))
}

func section(id byte, content string) string { return string(rune(id)) + sized(content) }

func sized(content string) string { return leb(len(content)) + content }

func leb(n int) string {
	var b bytes.Buffer
	for ; n >= 0x80; n >>= 7 {
		b.WriteByte(byte(n) | 0x80)
	}
	b.WriteByte(byte(n))
	return b.String()
}

// function is a module of one exported function f, with a memory and a table of ten functions.
func function(typ, body string) []byte {
	return assemble(
		section(1, "\x01"+typ),
		section(3, "\x01\x00"),
		section(4, "\x01\x70\x00\x0a"),
		section(5, "\x01\x00\x01"),
		section(7, "\x01\x01f\x00\x00"),
		section(10, "\x01"+sized(body)))
}
