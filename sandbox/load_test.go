package sandbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

func TestLoadErrorsSayWhatToDo(t *testing.T) {
	noLeaks(t)
	e := sandboxtest.Engine(t)
	echo := fixture(t, "echo")
	for _, c := range []struct {
		name string
		wasm []byte
		want []string
	}{
		{"empty", nil, []string{"not a WebAssembly module"}},
		{"text", []byte("#!/bin/sh\n"), []string{"not a WebAssembly module"}},
		{"magic only", echo[:6], []string{"file is truncated"}},
		{"no sections", echo[:8], []string{"exports no memory named memory", "exports no function inbox(i32) i32", "exports no function handle(i32) i32"}},
		{"truncated", echo[:len(echo)/2], []string{"file is truncated"}},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), []string{"a component", "wasm32-wasip1"}},
		{"other version", []byte("\x00asm\x02\x00\x00\x00"), []string{"version 02 00 00 00"}},
		{"tail call", sandboxtest.Module("\x41\x00\x12\x00\x1a"), []string{"it uses tail-call", "build without"}},
		{"wrong exports", fixture(t, "wrong_exports"), []string{
			"exports no memory named memory", "exports no function inbox(i32) i32",
			"exports handle(i64) i32, want handle(i32) i32", "exports _initialize() i32, want _initialize()",
			"-buildmode=c-shared",
		}},
		{"wrong imports", fixture(t, "wrong_imports"), []string{
			"imports env.emscripten_notify, wasi_snapshot_preview1.fd_open, which rtd does not have",
			"it offers rtd_v1.op and wasi_snapshot_preview1",
			"imports rtd_v1.op as (i32) i32, it is (i32,i32,i32,i32) i32",
		}},
		{"imported memory", fixture(t, "import_memory"), []string{"imports env.memory, which is no function"}},
		{"too much memory", fixture(t, "big_memory"), []string{"begins with 100 MiB, the limit is 64 MiB"}},
		{"threads", fixture(t, "threads"), []string{"build without threads"}},
		{"too large", make([]byte, 64<<20+1), []string{"at most 64 MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := e.Load(t.Context(), c.wasm, sandbox.LoadOptions{Name: "chat", Version: "v2"})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.want, "load plugin chat v2: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %v", err)
			}
		})
	}
}

func TestLimitsAreChecked(t *testing.T) {
	e := sandboxtest.Engine(t)
	for _, l := range []sandbox.Limits{
		{Memory: 1}, {Memory: -1}, {Memory: 5 << 30}, {Deadline: -1}, {Effects: -1}, {EffectBytes: -1}, {LogLines: -1},
	} {
		if _, err := e.Load(t.Context(), fixture(t, "echo"), sandbox.LoadOptions{Limits: l}); err == nil {
			t.Errorf("no error for %+v", l)
		}
	}
}

func TestPluginTellsAboutItself(t *testing.T) {
	wasm := fixture(t, "echo")
	p := load(t, wasm, sandbox.LoadOptions{Name: "echo", Version: "abc"})
	s := p.LoadStats()
	if p.Name() != "echo" || p.Version() != "abc" || p.Size() != len(wasm) ||
		s.Compile <= 0 || s.Start <= 0 || s.Memory != 2<<16 {
		t.Errorf("%s %s of %d bytes: %+v", p.Name(), p.Version(), p.Size(), s)
	}
}

func TestPluginLivesAsLongAsItsInstances(t *testing.T) {
	noLeaks(t)
	e, err := sandbox.NewEngine(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Load(t.Context(), fixture(t, "echo"), sandbox.LoadOptions{Name: "echo", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	same, err := e.Load(t.Context(), fixture(t, "echo"), sandbox.LoadOptions{Name: "echo", Version: "v2"})
	if err != nil {
		t.Fatal(err)
	}
	i := start(t, p)
	p.Close()
	p.Close()
	if _, err := p.Start("", nil); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	wantReply(t, i, "echo", "hi", "hi")

	same.Close() // shares its machine code with p
	wantReply(t, i, "echo", "hi", "hi")

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "echo v1 (1 instances)") {
		t.Errorf("engine closes under a live instance: %v", err)
	}
	wantReply(t, i, "echo", "hi", "hi")
	i.Close()
	i.Close()
	if _, err := i.Handle(message("echo", "hi")); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("Handle after Close: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := e.Load(t.Context(), fixture(t, "echo"), sandbox.LoadOptions{}); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("Load after Close: %v", err)
	}
}

// The cache's directory is named by this version, see engine.go.
func TestCacheIsOfTheRightWazero(t *testing.T) {
	dir := t.TempDir()
	e, err := sandbox.NewEngine(sandbox.Options{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(t.Context())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/tetratelabs/wazero " + entries[0].Name(); !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not require %s", want)
	}
}

// Damaged files are what a folder watcher sees. Whatever they have in them, the
// process survives.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		if strings.Contains(file, "loop") {
			continue // takes its whole deadline each time
		}
		wasm, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	e, err := sandbox.NewEngine(sandbox.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		p, err := e.Load(t.Context(), wasm, sandbox.LoadOptions{
			Limits: sandbox.Limits{Memory: 1 << 20, Deadline: 20 * time.Millisecond},
		})
		if err != nil {
			return
		}
		defer p.Close()
		if i, err := p.Start("", nil); err == nil {
			i.Handle(message("echo", "0"))
			i.Close()
		}
	})
}
