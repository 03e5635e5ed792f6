package rewrite_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"rtd/sandbox/rewrite"
)

// codePerReduction is how many bytes of random code a reduction stands for at most. That of an adversary may be eight
// times as much: a function pays 16 for its loops in advance, and may then do 127 iterations of a KiB each.
const codePerReduction = 1 << 10

// TestBehindDeepCalls returns from thousands of calls that were in one another, in every way to return. The code behind a
// call was paid for when its function was entered, so there has to be a check, or all of it comes in one go.
func TestBehindDeepCalls(t *testing.T) {
	const budget, depth = 100, 2000
	var f randomFunction
	divide := "\x20\x01\x42\x03\x7f\x21\x01" // x = x / 3
	iteration := strings.Repeat(divide, 140) + f.tally(980) + "\x20\x02\x41\x01\x6b\x22\x02\x0d\x00\x0b"
	call := "\x20\x00\x04\x40\x20\x00\x41\x01\x6b\x10\x00\x0b" // if n { f(n-1) }
	large := call + strings.Repeat(divide, 2000) + f.tally(14_000)
	for name, code := range map[string]string{
		"small code":             call + strings.Repeat(divide, 25) + f.tally(175),
		"a loop":                 call + "\x41\xee\x00\x21\x02\x03\x40" + iteration, // of 110 iterations, which are not charged
		"a loop around the call": "\x41\xee\x00\x21\x02\x03\x40\x20\x02\x41\xee\x00\x46\x04\x40" + call + "\x0b" + iteration,
		"end":                    large,
		"return":                 large + "\x0f",
		"br":                     large + "\x0c\x00",
		"br_if":                  large + "\x41\x01\x0d\x00\x00",
		"br_table":               large + "\x41\x00\x0e\x01\x00\x00",
		"br_table, default":      "\x02\x40" + large + "\x41\x01\x0e\x01\x00\x01\x0b",
		"return_call":            large + "\x12\x01",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, assemble(
				section(1, "\x02\x60\x01\x7f\x00\x60\x00\x00"),
				section(3, "\x02\x00\x01"),
				section(6, "\x01\x7e\x01\x42\x00\x0b"),
				section(7, "\x02\x01f\x00\x00\x04work\x03\x00"),
				section(10, "\x02"+sized("\x02\x01\x7e\x01\x7f"+code+"\x0b")+sized("\x00\x0b"))))
			g.budget = budget
			reductions(g).Set(budget)
			var before, most uint64
			g.seen = func() {
				now := g.ExportedGlobal("work").Get()
				before, most = now, max(most, now-before)
			}
			g.call(t, "f", depth)
			g.seen()
			if allowed := uint64(8*codePerReduction*budget + 130*1024); most > allowed {
				t.Errorf("%d bytes of code without a check, want at most %d", most, allowed)
			}
		})
	}
}

// TestRandomCode runs random functions, bare and rewritten, and looks whether they compute the same, and whether
// reductions keep up with what they do.
func TestRandomCode(t *testing.T) {
	for seed := range uint64(50) {
		checkRandomCode(t, seed, 1)
	}
}

// FuzzRandomCode does the same for more of them.
func FuzzRandomCode(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint64(2))
	}
	f.Fuzz(func(t *testing.T, seed, more uint64) { checkRandomCode(t, seed, more) })
}

func checkRandomCode(t *testing.T, seed, more uint64) {
	t.Helper()
	wasm := randomCode(rand.New(rand.NewPCG(seed, more)))
	module, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		t.Fatalf("seed %d, %d: %v", seed, more, err)
	}
	want, _ := runRandomCode(t, wasm, math.MaxInt64)
	for _, budget := range []int64{0, 1000, math.MaxInt64} {
		got, spent := runRandomCode(t, module.WASM, budget)
		if got != want {
			t.Fatalf("seed %d, %d, budget %d: rewritten it gives\n%+v, bare\n%+v", seed, more, budget, got, want)
		}
		if most := (spent + 1) * codePerReduction; budget == math.MaxInt64 && int64(want.work) > most {
			t.Fatalf("seed %d, %d: %d bytes of code for %d reductions, want at most %d", seed, more, want.work, spent, most)
		}
	}
}

// remains are what random code leaves behind.
type remains struct {
	work, hash uint64
	memory     string
	err        string
}

func runRandomCode(t *testing.T, wasm []byte, budget int64) (o remains, spent int64) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(allFeatures))
	defer r.Close(ctx)
	hostYield(t, r, func(m api.Module) { reductions(m).Set(uint64(budget)) })
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	counter := m.ExportedGlobal("rtd:reductions")
	if counter != nil {
		counter.(api.MutableGlobal).Set(uint64(budget))
	}
	if _, err := m.ExportedFunction("f").Call(ctx, 12); err != nil {
		o.err, _, _ = strings.Cut(err.Error(), "\n")
	}
	if counter != nil {
		spent = budget - int64(counter.Get())
	}
	o.work, o.hash = m.ExportedGlobal("work").Get(), m.ExportedGlobal("hash").Get()
	memory, _ := m.Memory().Read(0, 1<<16)
	o.memory = fmt.Sprint(len(memory), hashOf(memory))
	return o, spent
}

func hashOf(b []byte) (h uint64) {
	for ; len(b) >= 8; b = b[8:] {
		h = h*0x100000001b3 ^ binary.LittleEndian.Uint64(b)
	}
	return h
}

// workLimit is from how many bytes of code on that are done a random function comes to an end.
const workLimit = 3_000_000

// randomCode is a module of random functions that call each other, with a global in which they count the bytes of code
// that they have done, and one for what they have computed. The first is exported as f.
func randomCode(r *rand.Rand) []byte {
	const functions = 6
	var types, elements, code strings.Builder
	for n := range functions {
		types.WriteString("\x00")
		elements.WriteString(leb(n))
		code.WriteString(sized((&randomFunction{Rand: r, functions: functions}).body()))
	}
	return assemble(
		section(1, "\x02\x60\x01\x7f\x00\x60\x01\x7f\x01\x7f"), // func(i32), func(i32) i32
		section(3, leb(functions)+types.String()),
		section(4, "\x01\x70\x00"+leb(functions)),
		section(5, "\x01\x00\x01"),
		section(6, "\x02\x7e\x01\x42\x00\x0b\x7e\x01\x42\x00\x0b"),
		section(7, "\x04\x01f\x00\x00\x04work\x03\x00\x04hash\x03\x01\x06memory\x02\x00"),
		section(9, "\x01\x00\x41\x00\x0b"+leb(functions)+elements.String()),
		section(10, leb(functions)+code.String()))
}

// randomFunction writes a function whose locals are how deep it may call, two numbers of each type, and a counter for each
// of its loops.
type randomFunction struct {
	*rand.Rand
	functions, loops, blocks int
}

const (
	depthLocal = 0
	i32Local   = 1
	i64Local   = 3
	f32Local   = 5
	f64Local   = 7
	loopLocal  = 9
)

func get(local int) string { return "\x20" + leb(local) }
func set(local int) string { return "\x21" + leb(local) }

func (f *randomFunction) body() string {
	code := f.code(3) + f.code(2)
	for _, local := range []string{get(i64Local), get(i64Local + 1), get(i32Local) + "\xad", get(i32Local+1) + "\xad",
		get(f32Local) + "\xbc\xad", get(f32Local+1) + "\xbc\xad", get(f64Local) + "\xbd", get(f64Local+1) + "\xbd"} {
		code += "\x23\x01\x42\x1f\x7e" + local + "\x7c\x24\x01" // hash = hash*31 + local
	}
	if f.IntN(4) == 0 { // a tail call
		code += f.goesOn() + "\x45\x0d\x00" + f.argument() + "\x12" + leb(f.IntN(f.functions))
	}
	return leb(5) + "\x02\x7f\x02\x7e\x02\x7d\x02\x7c" + leb(f.loops) + "\x7f" + code + "\x0b"
}

// goesOn is a condition: there is work to do, and depth for a call.
func (f *randomFunction) goesOn() string { return f.works() + get(depthLocal) + "\x41\x00\x4a\x71" }

func (f *randomFunction) works() string { return "\x23\x00\x42\xc0\x8d\xb7\x01\x54" } // work < 3,000,000

func (f *randomFunction) argument() string { return get(depthLocal) + "\x41\x01\x6b" }

// coin is a condition that is as good as random.
func (f *randomFunction) coin() string {
	return get(i64Local) + "\x42" + leb(f.IntN(40)) + "\x88\xa7\x41\x01\x71"
}

// code is some statements, with blocks in one another up to a depth.
func (f *randomFunction) code(depth int) (code string) {
	for range 1 + f.IntN(4) {
		kind := f.IntN(12)
		if depth == 0 || f.loops > 40 {
			kind = f.IntN(2)
		}
		switch kind {
		default:
			code += f.straight(1 + f.IntN(4))
		case 1:
			if f.IntN(8) == 0 {
				code += f.straight(200 + f.IntN(200)) // large
			} else {
				code += f.memory()
			}
		case 2, 3, 4:
			code += f.loop(depth)
		case 5: // a block that may be left early
			code += "\x02\x40" + f.code(depth-1) + f.coin() + "\x0d\x00" + f.code(depth-1) + "\x0b"
		case 6:
			code += f.coin() + "\x04\x40" + f.code(depth-1) + "\x05" + f.code(depth-1) + "\x0b"
		case 7: // a way for each of two coins
			code += "\x02\x40\x02\x40\x02\x40" + f.coin() + f.coin() + "\x6a\x0e\x02\x00\x01\x02\x0b" + f.code(depth-1) + "\x0b" +
				f.code(depth-1) + "\x0b"
		case 8, 9:
			code += f.goesOn() + "\x04\x40" + f.argument() + "\x10" + leb(f.IntN(f.functions)) + "\x0b"
		case 10:
			code += f.goesOn() + "\x04\x40" + f.argument() + "\x41" + leb(f.IntN(f.functions)) + "\x11\x00\x00\x0b"
		case 11: // an early return
			code += f.coin() + f.coin() + f.coin() + "\x71\x71\x04\x40\x0f\x0b"
		}
	}
	return code
}

// straight computes something in locals of all types, and says how much code that was.
func (f *randomFunction) straight(n int) (code string) {
	for range n {
		from, to := f.IntN(2), f.IntN(2)
		switch f.IntN(4) {
		case 0:
			code += get(i32Local+from) + "\x41" + leb(f.IntN(60)) + "\x6a\x41\x0d\x6c" + set(i32Local+to)
		case 1:
			code += get(i64Local+from) + "\x42" + leb(f.IntN(60)) + "\x7c\x42\x0d\x7e" + set(i64Local+to)
		case 2: // half of it and a number
			code += get(f32Local+from) + "\x43\x00\x00\x00\x3f\x94\x43\x00\x00" + string([]byte{byte(f.IntN(128)), 0x3f, 0x92}) + set(f32Local+to)
		case 3:
			code += get(f64Local+from) + "\x44\x00\x00\x00\x00\x00\x00\xe0\x3f\xa2\x44\x00\x00\x00\x00\x00\x00" +
				string([]byte{byte(0xf0 + f.IntN(8)), 0x3f, 0xa0}) + set(f64Local+to)
		}
	}
	return code + f.tally(len(code))
}

// tally adds bytes to the work that was done.
func (f *randomFunction) tally(bytes int) string {
	number := leb(bytes)
	if number[len(number)-1]&0x40 != 0 { // would be negative
		number = number[:len(number)-1] + string([]byte{number[len(number)-1] | 0x80, 0})
	}
	return "\x23\x00\x42" + number + "\x7c\x24\x00"
}

// memory reads, writes, copies or fills some.
func (f *randomFunction) memory() string {
	address := get(i32Local+f.IntN(2)) + "\x41\xf8\xff\x00\x71" // & 0x3ff8
	switch f.IntN(4) {
	case 0:
		return address + get(i64Local) + "\x37\x03" + leb(f.IntN(4000)) + f.tally(16)
	case 1:
		return address + "\x29\x03" + leb(f.IntN(4000)) + set(i64Local+f.IntN(2)) + f.tally(16)
	case 2: // of any length, and of one that is known
		return address + "\x41\x80\x80\x02" + address + "\xfc\x0a\x00\x00" + address + "\x41\x80\x80\x01\x41\x18\xfc\x0a\x00\x00" + f.tally(40)
	default:
		return address + "\x41" + leb(f.IntN(60)) + address + "\xfc\x0b\x00" + address + "\x41\x07\x41" + "\xc0\x01" + "\xfc\x0b\x00" + f.tally(40)
	}
}

// loop is one of some iterations, in one of the ways to go back.
func (f *randomFunction) loop(depth int) string {
	counter := loopLocal + f.loops
	f.loops++
	times := []int{1, 3, 60, 127, 128, 129, 5000}[f.IntN(7)]
	number := leb(times)
	if number[len(number)-1]&0x40 != 0 {
		number = number[:len(number)-1] + string([]byte{number[len(number)-1] | 0x80, 0})
	}
	start := "\x41" + number
	body := f.code(depth - 1)
	more := get(counter) + "\x41\x01\x6b\x22" + leb(counter) + "\x41\x00\x4a" + f.works() + "\x71" // the counter goes down
	start += set(counter)
	switch f.IntN(6) {
	case 0:
		return start + "\x03\x40" + body + more + "\x04\x40\x0c\x01\x0b\x0b"
	case 1: // by a table
		return start + "\x02\x40\x03\x40" + body + more + "\x0e\x01\x01\x00\x0b\x0b"
	case 2: // a value on the stack goes along
		return start + get(i32Local) + "\x03\x01" + set(i32Local) + body + get(i32Local+1) + more + "\x0d\x00\x0b" + set(i32Local+1)
	case 3: // out of a block
		return start + "\x03\x40\x02\x40" + body + more + "\x45\x0d\x00\x0c\x01\x0b\x0b"
	case 4: // from two places
		return start + "\x03\x40\x02\x40" + more + "\x45\x0d\x00" + body + f.coin() + "\x0d\x01\x0c\x01\x0b\x0b"
	default:
		return start + "\x03\x40" + body + more + "\x0d\x00\x0b"
	}
}
