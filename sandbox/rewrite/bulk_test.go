package rewrite_test

import (
	"bytes"
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

// bulkSegment is the size of the passive segment of bulkModule.
const bulkSegment = 200_000

// bulkModule has a memory of 1 MiB, a large passive segment, and a function of three operands for each instruction on a
// range.
func bulkModule() []byte {
	data := make([]byte, 0, bulkSegment)
	random := rand.New(rand.NewPCG(1, 2))
	for len(data) < bulkSegment {
		data = binary.LittleEndian.AppendUint64(data, random.Uint64())
	}
	operands := "\x00\x20\x00\x20\x01\x20\x02"
	return assemble(
		section(1, "\x01\x60\x03\x7f\x7f\x7f\x00"),
		section(3, "\x04\x00\x00\x00\x00"),
		section(5, "\x01\x01\x10\x10"),
		section(7, "\x05\x01m\x02\x00\x04fill\x00\x00\x04copy\x00\x01\x04init\x00\x02\x04drop\x00\x03"),
		section(12, "\x01"),
		section(10, "\x04"+sized(operands+"\xfc\x0b\x00\x0b")+sized(operands+"\xfc\x0a\x00\x00\x0b")+
			sized(operands+"\xfc\x08\x00\x00\x0b")+sized("\x00\xfc\x09\x00\x0b")),
		section(11, "\x01\x01"+sized(string(data))))
}

// bulkWorld is an instance of bulkModule, bare or rewritten.
type bulkWorld struct {
	api.Module
	yields int
	seen   func() // at each yield
}

func newBulkWorld(t testing.TB, wasm []byte) *bulkWorld {
	w := &bulkWorld{}
	r := wazero.NewRuntime(t.Context())
	t.Cleanup(func() { r.Close(context.Background()) })
	hostYield(t, r, func(m api.Module) {
		w.yields++
		if w.seen != nil {
			w.seen()
		}
		reductions(m).Set(0)
	})
	var err error
	if w.Module, err = r.Instantiate(t.Context(), wasm); err != nil {
		t.Fatal(err)
	}
	return w
}

func rewritten(t testing.TB, wasm []byte) []byte {
	m, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m.WASM
}

// run calls an instruction and says how it ended.
func (w *bulkWorld) run(t testing.TB, instruction string, a, b, n uint32) string {
	_, err := w.ExportedFunction(instruction).Call(t.Context(), uint64(a), uint64(b), uint64(n))
	return outcome(nil, nil, err)
}

func (w *bulkWorld) bytes(t testing.TB) []byte {
	memory, ok := w.ExportedMemory("m").Read(0, w.ExportedMemory("m").Size())
	if !ok {
		t.Fatal("no memory")
	}
	return memory
}

// TestPieces watches what one instruction writes between two yields.
func TestPieces(t *testing.T) {
	const most = 64 << 10
	for _, c := range []struct {
		instruction string
		a, b, n     uint32
	}{
		{"fill", 5, 7, 1<<20 - 5},
		{"copy", 0, 1, 1<<20 - 1},
		{"copy", 1, 0, 1<<20 - 1},
		{"init", 3, 0, bulkSegment},
	} {
		t.Run(fmt.Sprintf("%s %d from %d", c.instruction, c.a, c.b), func(t *testing.T) {
			w := newBulkWorld(t, rewritten(t, bulkModule()))
			random := rand.New(rand.NewPCG(3, 4))
			memory := w.bytes(t)
			for i := range memory {
				memory[i] = byte(random.Uint32())
			}
			before := bytes.Clone(memory)
			changes := 0 // pieces seen
			w.seen = func() {
				first, last := -1, 0
				for i := range memory {
					if memory[i] != before[i] {
						if first < 0 {
							first = i
						}
						last = i
					}
				}
				if first >= 0 {
					changes++
					if last-first >= most {
						t.Errorf("%d bytes were written without a yield", last-first+1)
					}
					copy(before, memory)
				}
			}
			if got := w.run(t, c.instruction, c.a, c.b, c.n); got != "" && got != "[]" {
				t.Fatal(got)
			}
			w.seen()
			if want := int(c.n) / most; changes < want {
				t.Errorf("%d pieces, want %d or more", changes, want)
			}
		})
	}
}

// TestBulkSame compares instructions on ranges of all sizes, that overlap and that leave the memory or the segment, with
// the same code as it was.
func TestBulkSame(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	compareBulk(t, 400, func() uint32 { return random.Uint32() })
}

// FuzzBulk does the same with operands of the fuzzer's.
func FuzzBulk(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00\x00\x0f\x00"))
	f.Fuzz(func(t *testing.T, operands []byte) {
		compareBulk(t, len(operands)/16, func() uint32 {
			v := binary.LittleEndian.Uint32(operands)
			operands = operands[4:]
			return v
		})
	})
}

func compareBulk(t *testing.T, n int, next func() uint32) {
	wasm := bulkModule()
	bare, pieces := newBulkWorld(t, wasm), newBulkWorld(t, rewritten(t, wasm))
	for i, b := range bare.bytes(t) {
		b = byte(i * i >> 7)
		bare.bytes(t)[i], pieces.bytes(t)[i] = b, b
	}
	operand := func(v uint32) uint32 {
		switch v % 8 {
		case 0:
			return v
		case 1: // beside the end of the memory
			return 1<<20 - v>>3%3 + 1
		case 2: // beside the end of the segment
			return bulkSegment - v>>3%3 + 1
		case 3: // beside a piece
			return 64<<10 - v>>3%3 + 1
		case 4:
			return v >> 3 % 300
		}
		return v >> 3 % (1 << 20)
	}
	traps := 0
	for i := range n {
		instruction := []string{"fill", "copy", "copy", "copy", "init", "init"}[next()%6]
		if i == n-n/8 { // from here on the segment is empty
			instruction = "drop"
		}
		a, b, n := operand(next()), operand(next()), operand(next())
		got, want := pieces.run(t, instruction, a, b, n), bare.run(t, instruction, a, b, n)
		if got != want {
			t.Fatalf("%s(%d, %d, %d): %q, want %q", instruction, a, b, n, got, want)
		}
		if strings.HasPrefix(want, "error") {
			traps++
		}
		if !bytes.Equal(pieces.bytes(t), bare.bytes(t)) {
			t.Fatalf("%s(%d, %d, %d) leaves another memory", instruction, a, b, n)
		}
	}
	if n >= 100 && (traps == 0 || traps == n || pieces.yields == 0) {
		t.Errorf("%d traps and %d yields in %d calls: not much was compared", traps, pieces.yields, n)
	}
}

// touching are functions that reach as many pages as they can with few checks: f touches pages new pages a call.
func touching(stores int) map[string]string {
	var straight strings.Builder
	for i := range stores {
		straight.WriteString("\x41\x00\x41\x01\x36\x02" + leb(i*4096))
	}
	loop := "\x01\x01\x7f\x03\x40\x20\x00\x41\x01\x36\x02\x00\x20\x00\x41\x80\x20\x6a\x22\x00\x41" // of one store each
	var bound bytes.Buffer
	for n := stores * 4096; ; n >>= 7 {
		if n < 64 {
			bound.WriteByte(byte(n))
			break
		}
		bound.WriteByte(byte(n)&0x7f | 0x80)
	}
	return map[string]string{
		"straight line": "\x00" + straight.String() + "\x0b",
		"loop":          loop + bound.String() + "\x49\x0d\x00\x0b\x0b",
	}
}

// TestTouches checks that no code reaches many pages between two checks, or for few reductions: each may cost the host
// some microseconds.
func TestTouches(t *testing.T) {
	const stores = 1000
	for name, body := range touching(stores) {
		wasm := assemble(
			section(1, "\x01\x60\x00\x00"),
			section(3, "\x01\x00"),
			section(5, "\x01\x00\xe8\x07"),
			section(7, "\x01\x01f\x00\x00"),
			section(10, "\x01"+sized(body)))
		g := newGuest(t, wasm)
		memory := g.Memory()
		reached, most := 0, 0
		look := func() {
			n := 0
			for ; reached < stores; reached++ {
				if b, _ := memory.ReadByte(uint32(reached * 4096)); b == 0 {
					break
				}
				n++
			}
			most = max(most, n)
		}
		g.budget, g.seen = 0, look
		reductions(g).Set(0)
		g.call(t, "f")
		look()
		if reached != stores || most > 600 {
			t.Errorf("%s: %d of %d pages were reached, up to %d of them without a yield", name, reached, stores, most)
		}
		g.budget, g.seen = math.MaxInt64, nil
		reductions(g).Set(1 << 40)
		g.call(t, "f")
		if spent := 1<<40 - int(reductions(g).Get()); spent < stores/4-128 { // what a call may leave uncharged
			t.Errorf("%s: %d pages for %d reductions", name, stores, spent)
		}
	}
}
