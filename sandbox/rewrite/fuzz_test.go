package rewrite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"rtd/sandbox/rewrite"
	"rtd/sandbox/sections"
)

// FuzzRewrite checks that any input is refused with an *Error or gives a module, in time, and that what wazero takes is
// either refused as unsupported or gives a module that wazero takes too.
func FuzzRewrite(f *testing.F) {
	for _, corpus := range []string{"v1", "v2", "tail-call", "extended-const", "threads", "typed-function-references"} {
		files, err := filepath.Glob(filepath.Join(corpusDir(), corpus, "testdata", "*.wasm"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no modules in %s: %v", corpus, err)
		}
		for i, file := range files {
			if info, err := os.Stat(file); i%5 == 0 && err == nil && info.Size() < 2048 {
				f.Add(readFile(f, file))
			}
		}
	}
	for _, wasm := range lies() {
		f.Add(wasm)
	}
	f.Add(assemble(section(12, "")))
	for _, name := range []string{"endless", "state", "names", "loops/hand", "loops/c"} {
		f.Add(readFile(f, "testdata/"+name+".wasm"))
	}
	ctx := context.Background() // the runtime outlives single inputs
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures))
	// The time for an input is that of its bytes and an allowance for a machine that is as
	// busy as can be: what is meant are inputs that take for ever.
	const perByte, allowance = 10 * time.Microsecond, time.Minute

	f.Fuzz(func(t *testing.T, wasm []byte) {
		start := time.Now()
		if _, err := rewrite.Rewrite(wasm, rewrite.Options{}); err != nil {
			wasm = strict(wasm)
		}
		m, err := rewrite.Rewrite(wasm, rewrite.Options{})
		if took := time.Since(start); took > allowance+2*time.Duration(len(wasm))*perByte {
			t.Errorf("%d bytes took %v", len(wasm), took)
		}
		var refusal *sections.Error
		switch {
		case err == nil && len(m.WASM) > 2048+7*len(wasm):
			t.Errorf("%d bytes became %d", len(wasm), len(m.WASM))
		case err == nil:
		case !errors.As(err, &refusal):
			t.Fatalf("error %T", err)
		case !errors.Is(err, sections.ErrMalformed):
			return
		case hasLargeNumber(wasm):
			return // wazero allocates for a count before it finds out that it is a lie
		}
		if !compiles(ctx, r, wasm) {
			return
		}
		if err != nil {
			t.Fatalf("wazero takes it: %v", err)
		}
		rewritten, err := r.CompileModule(ctx, m.WASM)
		if err != nil {
			t.Fatalf("wazero takes the original, but not the rewritten module: %v", err)
		}
		rewritten.Close(ctx)
	})
}

// strict returns a module without the sections of which wazero takes some that are malformed: names, and a data count
// without content.
func strict(wasm []byte) []byte {
	out := []byte(sections.Header)
	for s, err := range sections.Of(wasm) {
		if err != nil {
			return wasm
		}
		if s.Name != "name" && (s.ID != sections.DataCount || s.Content.Left() > 0) {
			out = append(out, s.Whole...)
		}
	}
	return out
}

// compiles reports whether wazero takes an original module. It panics on some that are invalid.
func compiles(ctx context.Context, r wazero.Runtime, wasm []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return false
	}
	m.Close(ctx)
	return true
}

// hasLargeNumber reports whether there may be an integer of 2^14 or more.
func hasLargeNumber(wasm []byte) bool {
	for i := range max(len(wasm)-1, 0) {
		if wasm[i] >= 0x80 && wasm[i+1] >= 0x80 {
			return true
		}
	}
	return false
}
