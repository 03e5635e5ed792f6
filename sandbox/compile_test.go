package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// lines is a log that a test can read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// engineOf returns an engine, and what it logs. It closes it in the end, without anything left.
func engineOf(t *testing.T, o sandbox.Options) (*sandbox.Engine, *lines) {
	t.Helper()
	log := &lines{}
	o.Log = log.logger()
	e, err := sandbox.NewEngine(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		noChildren(t)
	})
	return e, log
}

// noChildren fails the test if this process has children. Tests that start some do not run beside others.
func noChildren(t *testing.T) {
	t.Helper()
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
			t.Errorf("children are left: %s", text)
		}
	}
}

// works loads a module, and has it answer.
func works(t *testing.T, e *sandbox.Engine, log *lines, wasm []byte) {
	t.Helper()
	p, err := e.Load(t.Context(), wasm, sandbox.LoadOptions{Name: "echo", Version: "v1", Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	i := start(t, p)
	defer i.Close()
	wantReply(t, i, "echo", "hi", "hi")
}

// Both ways to compile: in a child, and in the process.
var compilers = map[string]func() []string{"child": sandbox.Compiler, "process": func() []string { return nil }}

// begun waits until a child runs, so that a test finds it at work.
func begun(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		files, _ := filepath.Glob("/proc/self/task/*/children")
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
				return
			}
		}
	}
	t.Fatal("no child has begun")
}

func TestCompilingIsBounded(t *testing.T) {
	for name, wasm := range map[string][]byte{"blocks": sandboxtest.Slow(), "br_table": sandboxtest.Module(sandboxtest.Branches(500_000))} {
		t.Run(name, func(t *testing.T) {
			e, log := engineOf(t, sandbox.Options{CacheDir: t.TempDir(), Compiler: sandbox.Compiler(), CompileTime: time.Second})
			_, err := e.Load(t.Context(), wasm, sandbox.LoadOptions{Name: "slow", Version: "v1"})
			if err == nil || !strings.Contains(err.Error(), "more than 1s of processor time") || !strings.Contains(err.Error(), "compile_time") {
				t.Fatalf("error = %v", err)
			}
			works(t, e, log, fixture(t, "echo"))
		})
	}
}

func TestMemoryToCompileIsBounded(t *testing.T) {
	e, log := engineOf(t, sandbox.Options{CacheDir: t.TempDir(), Compiler: sandbox.Compiler(), CompileMemory: 40 << 20})
	_, err := e.Load(t.Context(), sandboxtest.Module(sandboxtest.Branches(500_000)), sandbox.LoadOptions{Name: "large", Version: "v1"})
	if err == nil || !strings.Contains(err.Error(), "more than 40 MiB of memory") || !strings.Contains(err.Error(), "compile_memory") {
		t.Fatalf("error = %v", err)
	}
	works(t, e, log, fixture(t, "echo"))
}

// Somebody's endless compilation stops nobody else's, and ends when it is not wanted any more.
func TestOthersCompileMeanwhile(t *testing.T) {
	e, log := engineOf(t, sandbox.Options{CacheDir: t.TempDir(), Compiler: sandbox.Compiler(), CompileTime: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := e.Load(ctx, sandboxtest.Slow(), sandbox.LoadOptions{Name: "slow", Version: "v1"})
		ended <- err
	}()
	begun(t)
	for _, name := range []string{"echo", "crash"} {
		p, err := e.Load(t.Context(), fixture(t, name), sandbox.LoadOptions{Name: name, Version: "v1", Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("the slow one has ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	noChildren(t)
}

func TestCloseEndsCompilations(t *testing.T) {
	e, _ := engineOf(t, sandbox.Options{Compiler: sandbox.Compiler(), CompileTime: time.Hour})
	ended := make(chan error, 1)
	go func() {
		_, err := e.Load(context.Background(), sandboxtest.Slow(), sandbox.LoadOptions{Name: "slow", Version: "v1"})
		ended <- err
	}()
	begun(t)
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("error = %v", err)
	}
	noChildren(t)
}

// A child finds the same wrong with a module as the process would.
func TestErrorsOfTheModuleComeFromTheChild(t *testing.T) {
	e, _ := engineOf(t, sandbox.Options{Compiler: sandbox.Compiler()})
	_, err := e.Load(t.Context(), sandboxtest.Module("\x6a"), sandbox.LoadOptions{Name: "bad", Version: "v1"}) // i32.add of nothing
	if err == nil || !strings.Contains(err.Error(), "invalid function") || !strings.Contains(err.Error(), "build without threads") {
		t.Errorf("error = %v", err)
	}
}

// Many load the same module at once, with one cache, and all of it works.
func TestManyLoadTheSame(t *testing.T) {
	for name, compiler := range compilers {
		t.Run(name, func(t *testing.T) {
			e, log := engineOf(t, sandbox.Options{CacheDir: t.TempDir(), Compiler: compiler()})
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() { works(t, e, log, fixture(t, "echo")) })
			}
			all.Wait()
			if log.String() != "" {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// A child that cannot be started is told, with the way out.
func TestNoChildCanBeStarted(t *testing.T) {
	e, _ := engineOf(t, sandbox.Options{Compiler: []string{"/nowhere/rtd"}})
	_, err := e.Load(t.Context(), fixture(t, "echo"), sandbox.LoadOptions{Name: "echo", Version: "v1"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/rtd") || !strings.Contains(err.Error(), `compile_time = "0s"`) {
		t.Errorf("error = %v", err)
	}
}
