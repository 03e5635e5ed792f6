package rewrite_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"rtd/sandbox/rewrite"
)

func mutable(m api.Module, name string) api.MutableGlobal {
	return m.ExportedGlobal(name).(api.MutableGlobal)
}

// trap instantiates a guest and returns the error of its function first.
func trap(t *testing.T, wasm []byte) string {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(context.Background()) })
	hostYield(t, r, func(m api.Module) { reductions(m).Set(1000) })
	hostEnv(t, r)
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.ExportedFunction("first").Call(ctx, 7)
	if err == nil {
		t.Fatal("no trap")
	}
	return err.Error()
}

// TestNames compares stack traces of the original and the rewritten module.
func TestNames(t *testing.T) {
	wasm := readFile(t, "testdata/names.wasm")
	m, err := rewrite.Rewrite(wasm, rewrite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, want := trap(t, m.WASM), trap(t, wasm)
	if got != want || !strings.Contains(want, "chain.last(i32) i32\n\tchain.middle(i32) i32\n\tchain.first(i32) i32") {
		t.Errorf("stack trace of the rewritten module:\n%s\nof the original:\n%s", got, want)
	}
}

// TestNamesOfAdded lets yield panic inside of added functions, whose names then show.
func TestNamesOfAdded(t *testing.T) {
	g := newGuest(t, readFile(t, "testdata/endless.wasm"))
	g.kills = true
	for function, want := range map[string]string{"br": "rtd:charge", "fills": "rtd:fill"} {
		reductions(g).Set(1000)
		_, err := g.ExportedFunction(function).Call(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: stack trace does not show %s:\n%v", function, want, err)
		}
	}
}

// TestCustomSections checks what is kept, shifted, dropped and repaired.
func TestCustomSections(t *testing.T) {
	custom := func(name, content string) string { return section(0, sized(name)+content) }
	subsection := func(id byte, content string) string { return string(rune(id)) + sized(content) }
	base := function("\x60\x00\x00", "\x00\x41\x00\x40\x00\x1a\x0b") // memory.grow, which calls a helper
	with := func(sections ...string) []byte { return append(slices.Clone(base), strings.Join(sections, "")...) }

	added := "\x00\x09rtd:yield"
	behind := "\x02\x09rtd:pages"
	none := custom("name", subsection(1, "\x02"+added+behind))
	for _, c := range []struct {
		name    string
		wasm    []byte
		want    string // the end of the output
		dropped []string
	}{
		{"none", with(), none, nil},
		{"kept", with(custom("producers", "x"), custom("target_features", "y"), custom("mine", "")),
			custom("producers", "x") + custom("target_features", "y") + custom("mine", "") + none, nil},
		{"offsets", with(custom(".debug_info", "x"), custom("mine", "z"), custom("linking", ""), custom("reloc.CODE", ""),
			custom("sourceMappingURL", "u"), custom("metadata.code.branch_hint", "")), custom("mine", "z") + none,
			[]string{".debug_info", "linking", "reloc.CODE", "sourceMappingURL", "metadata.code.branch_hint"}},
		{"function", with(custom("name", subsection(1, "\x01\x00\x01f"))),
			custom("name", subsection(1, "\x03"+added+"\x01\x01f"+behind)), nil},
		{"beyond", with(custom("name", subsection(1, "\x02\x00\x01f\x07\x01g"))),
			custom("name", subsection(1, "\x03"+added+"\x01\x01f"+behind)), nil},
		{"all", with(custom("name", subsection(0, "\x01m")+subsection(1, "\x01\x00\x01f")+
			subsection(2, "\x01\x00\x01\x00\x01l")+subsection(3, "\x01\x00\x01\x00\x01b")+subsection(7, "\x01\x00\x01g"))),
			custom("name", subsection(0, "\x01m")+subsection(1, "\x03"+added+"\x01\x01f"+behind)+
				subsection(2, "\x01\x01\x01\x00\x01l")+subsection(7, "\x01\x00\x01g")), []string{"name: labels"}},
		{"locals only", with(custom("name", subsection(2, "\x01\x00\x01\x00\x01l"))),
			custom("name", subsection(1, "\x02"+added+behind)+subsection(2, "\x01\x01\x01\x00\x01l")), nil},
		{"twice", with(custom("name", subsection(1, "\x01\x00\x01f")+subsection(1, "\x00"))), none, []string{"name: function names twice or out of order"}},
		{"no text", with(custom("name", subsection(1, "\x01\x00\x01\xff"))), none, []string{"name: a name is not UTF-8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := rewrite.Rewrite(c.wasm, rewrite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(m.WASM), c.want) {
				t.Errorf("got  %q\nwant … %q", m.WASM, c.want)
			}
			if !slices.Equal(m.Dropped, c.dropped) {
				t.Errorf("dropped %q, want %q", m.Dropped, c.dropped)
			}
			r := wazero.NewRuntime(t.Context())
			defer r.Close(context.Background())
			if _, err := r.CompileModule(t.Context(), m.WASM); err != nil {
				t.Error(err)
			}
		})
	}
}
