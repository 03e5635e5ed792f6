package rewrite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/rewrite"
	"rtd/sandbox/sections"
)

// TestModule checks what Rewrite tells about a module.
func TestModule(t *testing.T) {
	m, err := rewrite.Rewrite(readFile(t, "testdata/state.wasm"), rewrite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.WASM = nil
	want := &rewrite.Module{
		Reductions: "rtd:reductions",
		Start:      "rtd:start",
		Memory:     rewrite.Memory{Export: "rtd:memory", Min: 1, Max: 4, Bounded: true},
		Globals: []rewrite.Global{{"rtd:global:0", rewrite.I32}, {"shown", rewrite.F64}, {"rtd:global:2", rewrite.I64},
			{"rtd:global:3", rewrite.F32}},
		Exports:   []rewrite.Export{{"shown", rewrite.GlobalKind}, {"step", rewrite.FunctionKind}},
		Functions: 2, Charged: 2,
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

// TestSnapshot copies memory and globals of one instance to another, which then goes on as the first one does.
func TestSnapshot(t *testing.T) {
	wasm := readFile(t, "testdata/state.wasm")
	first, second := newGuest(t, wasm), newGuest(t, wasm)
	for i := range uint64(5) {
		first.call(t, "step", i)
	}
	size := first.ExportedMemory(first.module.Memory.Export).Size()
	memory, _ := first.ExportedMemory(first.module.Memory.Export).Read(0, size)
	second.ExportedMemory(second.module.Memory.Export).Write(0, memory)
	for _, global := range first.module.Globals {
		mutable(second, global.Export).Set(first.ExportedGlobal(global.Export).Get())
	}
	for i := range uint64(5) {
		if a, b := first.call(t, "step", i), second.call(t, "step", i); a != b {
			t.Errorf("step %d: the original gives %#x, the copy %#x", i, a, b)
		}
	}
}

// TestPinned finds each kind of state that cannot be copied from outside.
func TestPinned(t *testing.T) {
	f := func(body string) []byte { return function("\x60\x00\x00", "\x00"+body+"\x0b") }
	for _, c := range []struct {
		wasm []byte
		want string
	}{
		{f("\x41\x00\xd0\x70\x26\x00"), "it changes a table: function[0]"},                                        // table.set
		{f("\xd0\x70\x41\x01\xfc\x0f\x00\x1a"), "it changes a table: function[0]"},                                // table.grow
		{f("\x41\x00\xd0\x70\x41\x01\xfc\x11\x00"), "it changes a table: function[0]"},                            // table.fill
		{f("\x41\x00\x41\x00\x41\x01\xfc\x0e\x00\x00"), "it changes a table: function[0]"},                        // table.copy
		{f("\x41\x00\x41\x00\x41\x01\xfc\x0c\x00\x00"), "it changes a table: function[0]"},                        // table.init
		{f("\xfc\x09\x00"), "it drops a data segment: function[0]"},                                               // data.drop
		{f("\xfc\x0d\x00"), "it drops an element segment: function[0]"},                                           // elem.drop
		{assemble(section(2, "\x01\x01e\x01m\x02\x00\x01")), "it imports its memory: e.m"},                        // a memory
		{assemble(section(2, "\x01\x01e\x01t\x01\x70\x00\x01")), "it imports a table: e.t"},                       // a table
		{assemble(section(2, "\x01\x01e\x01g\x03\x7f\x01")), "it imports a mutable global: e.g"},                  // a global
		{assemble(section(6, "\x01\x70\x01\xd0\x70\x0b")), "it has a mutable global that is no number: global 0"}, // a reference
	} {
		m, err := rewrite.Rewrite(c.wasm, rewrite.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if !slices.Equal(m.Pinned, []string{c.want}) {
			t.Errorf("pinned %q, want %q", m.Pinned, c.want)
		}
	}
	// Twice the same reason is one reason.
	m, err := rewrite.Rewrite(f("\xfc\x09\x00\xfc\x09\x00"), rewrite.Options{})
	if err != nil || len(m.Pinned) != 1 {
		t.Errorf("pinned %q, %v", m.Pinned, err)
	}
}

// TestRefused checks that errors say where and what.
func TestRefused(t *testing.T) {
	f := func(body string) []byte { return function("\x60\x00\x00", "\x00"+body+"\x0b") }
	small := rewrite.Options{Limits: rewrite.Limits{Functions: 1, Body: 20, Locals: 5, AllLocals: 6, Depth: 2, Loops: 1, Types: 2, Values: 3, AllValues: 4,
		Entries: 2, Segments: 2, Elements: 3, Names: 2, Tables: 2, TableEntries: 10}}
	for _, c := range []struct {
		name string
		wasm []byte
		opts rewrite.Options
		kind error
		text string // part of the message
	}{
		{"empty", nil, small, sections.ErrMalformed, "offset 0x0: not a WebAssembly module"},
		{"text", []byte("(module)"), small, sections.ErrMalformed, "not a WebAssembly module"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), small, sections.ErrUnsupported, "component"},
		{"atomic", f("\x00\xfe\x03\x00"), small, sections.ErrUnsupported, "at offset 0x2a, function[0]: opcode 0xfe (threads)"},
		{"exceptions", f("\x06\x40\x0b"), small, sections.ErrUnsupported, "exception handling"},
		{"call_ref", f("\x14\x00"), small, sections.ErrUnsupported, "typed function references"},
		{"gc", f("\xfb\x00\x00"), small, sections.ErrUnsupported, "garbage collection"},
		{"relaxed simd", f("\xfd\x80\x02"), small, sections.ErrUnsupported, "opcode 0xfd8002"},
		{"simd in disguise", f("\xfd\xae\x6a"), small, sections.ErrUnsupported, "opcode"},
		{"padded simd", f("\xfd\xae\x81\x00"), small, sections.ErrUnsupported, "padded"},
		{"second memory", f("\x3f\x01\x1a"), small, sections.ErrUnsupported, "memory other than 0"},
		{"memory index in a load", f("\x41\x00\x28\x42\x00\x00\x1a"), small, sections.ErrUnsupported, "memory other than 0"},
		{"shared memory", assemble(section(5, "\x01\x03\x01\x01")), small, sections.ErrUnsupported, "threads"},
		{"64-bit memory", assemble(section(5, "\x01\x04\x01")), small, sections.ErrUnsupported, "build for 32-bit memory"},
		{"tags", assemble(section(13, "\x01\x00\x00")), small, sections.ErrUnsupported, "exception handling"},
		{"two memories", assemble(section(5, "\x02\x00\x01\x00\x01")), small, sections.ErrUnsupported, "more than one memory"},

		{"rewritten code", f(strings.Repeat("\x03\x40\x0c\x00\x0b", 10)), rewrite.Options{Limits: rewrite.Limits{Code: 200}}, sections.ErrLimit, "too many small loops"},

		// What would reach the functions and the global that are added.
		{"call beyond", f("\x10\x01"), small, sections.ErrMalformed, "unknown function"},
		{"reference beyond", f("\xd2\x01\x1a"), small, sections.ErrMalformed, "unknown function"},
		{"global beyond", f("\x23\x00\x1a"), small, sections.ErrMalformed, "unknown global"},
		{"local beyond", f("\x20\x00\x1a"), small, sections.ErrMalformed, "unknown local"},
		{"type beyond", f("\x02\x01\x0b"), small, sections.ErrMalformed, "unknown type"},
		{"export beyond", assemble(section(7, "\x01\x01c\x03\x00")), small, sections.ErrMalformed, "unknown global"},
		{"own export", assemble(section(5, "\x01\x00\x01"), section(7, "\x01\x05rtd:x\x02\x00")), small, sections.ErrUnsupported, `"rtd:x"`},
		{"own import", assemble(section(1, "\x01\x60\x00\x00"), section(2, "\x01\x03rtd\x05yield\x00\x00")), small,
			sections.ErrUnsupported, "import rtd.yield"},

		{"unknown label", f("\x0c\x01"), small, sections.ErrMalformed, "unknown label"},
		{"code behind end", f("\x0b"), small, sections.ErrMalformed, "behind the end"},
		{"code without end", f("\x02\x40"), small, sections.ErrMalformed, "unexpected end"},
		{"section order", assemble(section(5, "\x00"), section(4, "\x00")), small, sections.ErrMalformed, "out of order"},
		{"twice", assemble(section(5, "\x00"), section(5, "\x00")), small, sections.ErrMalformed, "out of order"},
		{"count", assemble(section(1, "\xff\xff\xff\xff\x0f")), small, sections.ErrMalformed, "more elements than bytes"},
		{"length", []byte("\x00asm\x01\x00\x00\x00\x01\xff\xff\xff\xff\x0f"), small, sections.ErrLimit, "section 1 has 4294967295 bytes"},
		{"length beyond the file", []byte("\x00asm\x01\x00\x00\x00\x01\x02\x00"), small, sections.ErrTruncated, "the file is truncated"},
		{"no content", assemble(section(1, "")), small, sections.ErrMalformed, "section 1 has no content"},
		{"data count", assemble(section(12, "\x01\x01")), small, sections.ErrMalformed, "behind the end"},
		{"broken names", append(f(""), section(0, "\x04name\x01\x04\x02\x00\x01f")...), small, sections.ErrMalformed, "unexpected end"},
		{"name of the module", append(f(""), section(0, "\x04name\x00\x03\x01mm")...), small, sections.ErrMalformed, "behind the end"},

		{"integer", []byte("\x00asm\x01\x00\x00\x00\x01\xff\xff\xff\xff\x1f"), small, sections.ErrMalformed, "too large"},

		{"too many bytes", make([]byte, sections.MaxModule+1), small, sections.ErrLimit, "67108865 bytes, at most 64 MiB"},
		{"too many types", assemble(section(1, "\x03"+strings.Repeat("\x60\x00\x00", 3))), small, sections.ErrLimit, "3 types, allowed are 2"},
		{"too many parameters", assemble(section(1, "\x01\x60\x04\x7f\x7f\x7f\x7f\x00")), small, sections.ErrLimit, "4 parameters"},
		{"too many parameters of all", assemble(section(1, "\x02\x60\x03\x7f\x7f\x7f\x00\x60\x01\x7f\x01\x7f")), small, sections.ErrLimit, "more than 4 parameters and results"},
		{"too many imports", assemble(section(1, "\x01\x60\x00\x00"), section(2, "\x03"+strings.Repeat("\x01e\x01f\x00\x00", 3))), small, sections.ErrLimit, "3 imports"},
		{"too many custom sections", assemble(section(0, "\x00"), section(0, "\x00"), section(0, "\x00")), small, sections.ErrLimit, "more than 2 custom sections"},
		{"too many functions", assemble(section(1, "\x01\x60\x00\x00"), section(3, "\x02\x00\x00")), small, sections.ErrLimit, "2 functions, allowed are 1"},
		{"too many tables", assemble(section(4, "\x03"+strings.Repeat("\x70\x00\x01", 3))), small, sections.ErrLimit, "3 tables"},
		{"too many globals", assemble(section(6, "\x03"+strings.Repeat("\x7f\x00\x41\x00\x0b", 3))), small, sections.ErrLimit, "3 globals"},
		{"too many exports", assemble(section(5, "\x01\x00\x01"), section(7, "\x03\x01a\x02\x00\x01b\x02\x00\x01c\x02\x00")), small, sections.ErrLimit, "3 exports"},
		{"too many element segments", assemble(section(4, "\x01\x70\x00\x01"), section(9, "\x03"+strings.Repeat("\x00\x41\x00\x0b\x00", 3))), small, sections.ErrLimit, "3 element segments"},
		{"too many elements", assemble(section(1, "\x01\x60\x00\x00"), section(3, "\x01\x00"), section(4, "\x01\x70\x00\x02"),
			section(9, "\x02"+strings.Repeat("\x00\x41\x00\x0b\x02\x00\x00", 2)), section(10, "\x01\x02\x00\x0b")), small, sections.ErrLimit, "4 elements"},
		{"too many data segments", assemble(section(5, "\x01\x00\x01"), section(11, "\x03"+strings.Repeat("\x00\x41\x00\x0b\x00", 3))), small, sections.ErrLimit, "3 data segments"},
		{"too many groups of locals", function("\x60\x00\x00", "\x06"+strings.Repeat("\x00\x7f", 6)+"\x0b"), small, sections.ErrLimit, "6 groups of locals"},
		{"too many locals of all", assemble(section(1, "\x01\x60\x00\x00"), section(3, "\x02\x00\x00"), section(10, "\x02"+strings.Repeat("\x04\x01\x04\x7f\x0b", 2))),
			rewrite.Options{Limits: rewrite.Limits{AllLocals: 6}}, sections.ErrLimit, "more than 6 locals in all functions"},
		{"too many names", append(f(""), section(0, "\x04name\x01\x0a\x03\x00\x01a\x00\x01b\x00\x01c")...), small, sections.ErrLimit, "3 names of functions"},
		{"too many names of locals", append(f(""), section(0, "\x04name\x02\x0d\x02\x00\x01\x00\x01a\x00\x02\x00\x01b\x01\x01c")...), small, sections.ErrLimit, "3 names of locals"},
		{"body too long", f(strings.Repeat("\x01", 20)), small, sections.ErrLimit, "function of 22 bytes, allowed are 20"},
		{"too many locals", function("\x60\x00\x00", "\x01\x06\x7f\x0b"), small, sections.ErrLimit, "5 locals"},
		{"too deep", f("\x02\x40\x02\x40\x02\x40\x0b\x0b\x0b"), small, sections.ErrLimit, "2 nested blocks"},
		{"too many loops", f("\x03\x40\x03\x40\x0b\x0b"), small, sections.ErrLimit, "1 nested loops"},
		{"table too large", assemble(section(4, "\x01\x70\x00\x0b")), small, sections.ErrLimit, "tables of 11 entries, allowed are 10"},
		{"tables too large", assemble(section(4, "\x02\x70\x00\x05\x70\x00\x06")), small, sections.ErrLimit, "tables of 11 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := rewrite.Rewrite(c.wasm, c.opts)
			var e *sections.Error
			if !errors.As(err, &e) || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got  %v\nwant %v … %s", err, c.kind, c.text)
			}
		})
	}
}

// TestProposals gives Rewrite the tests of proposals that it does not support: what it does not refuse, it got right.
func TestProposals(t *testing.T) {
	for _, proposal := range []string{"threads", "exception-handling", "typed-function-references"} {
		t.Run(proposal, func(t *testing.T) {
			ctx := t.Context()
			r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures))
			defer r.Close(context.Background())
			files, err := filepath.Glob(filepath.Join(corpusDir(), proposal, "testdata", "*.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			unsupported := 0
			for _, file := range files {
				wasm, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				_, invalid := r.CompileModule(ctx, wasm)
				m, err := rewrite.Rewrite(wasm, rewrite.Options{})
				switch {
				case errors.Is(err, sections.ErrUnsupported):
					unsupported++
				case invalid == nil && err != nil:
					t.Errorf("%s: %v, but wazero takes it", filepath.Base(file), err)
				case invalid == nil:
					if _, err := r.CompileModule(ctx, m.WASM); err != nil {
						t.Errorf("%s: %v", filepath.Base(file), err)
					}
				}
			}
			if unsupported == 0 {
				t.Errorf("none of %d modules is refused as unsupported", len(files))
			}
		})
	}
}

// TestTableBound lets a table grow to the limit and no further.
func TestTableBound(t *testing.T) {
	grow := function("\x60\x01\x7f\x01\x7f", "\x00\xd0\x70\x20\x00\xfc\x0f\x00\x0b")
	g := newGuest(t, grow)
	g.budget = 1 << 40
	for _, c := range []struct{ by, want uint64 }{{90, 10}, {65_437, 0xffffffff}, {65_436, 100}, {1, 0xffffffff}} {
		if got := g.call(t, "f", c.by); got != c.want {
			t.Errorf("table.grow by %d gives %d, want %d", c.by, int32(got), int32(c.want))
		}
	}
}

// TestSize bounds the output for modules made of what grows most.
func TestSize(t *testing.T) {
	for name, code := range map[string]string{
		"loops":            "\x03\x40\x0c\x00\x0b",
		"bulk":             "\x41\x00\x40\x00\x1a",
		"calls":            "\x10\x00",
		"calls and blocks": "\x10\x00\x02\x40\x0b",
	} {
		wasm := function("\x60\x00\x00", "\x00"+strings.Repeat(code, 50_000)+"\x0b")
		m, err := rewrite.Rewrite(wasm, rewrite.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ratio := float64(len(m.WASM)) / float64(len(wasm)); ratio > 7 {
			t.Errorf("%s: %d bytes become %d", name, len(wasm), len(m.WASM))
		}
	}
}
