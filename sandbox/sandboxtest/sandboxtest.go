// Package sandboxtest helps tests that run guests: an engine whose compiled
// code outlives the test run, and guests built from Go source.
package sandboxtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
)

// Engine returns an engine that is closed when the test ends; instances that
// are still open then fail the test. Compiled code is kept in one directory
// under the user's cache directory for all packages and runs, since compiling a
// Go guest takes 1 s, and 10 s under the race detector. wazero names its files
// by content, version and CPU, and renames them into place, so that processes
// may share the directory.
func Engine(t testing.TB) *sandbox.Engine {
	t.Helper()
	e, err := sandbox.NewEngine(sandbox.Options{CacheDir: CacheDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// CacheDir is the directory in which the engines of tests keep compiled code.
func CacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no home directory
		dir = os.TempDir()
	}
	return filepath.Join(dir, "rtd-test", "wazero")
}

// BuildGo builds a Go main package as a guest and returns the module. pkg is
// what go build takes: an import path of this module, such as
// "rtd/plugins/chat", or a directory with a leading "./". Each package is built
// once per process.
func BuildGo(t testing.TB, pkg string) []byte {
	t.Helper()
	key := pkg
	if pkg[0] == '.' {
		abs, err := filepath.Abs(pkg)
		if err != nil {
			t.Fatal(err)
		}
		key = abs
	}
	build, _ := builds.LoadOrStore(key, sync.OnceValues(func() ([]byte, error) { return buildGo(pkg) }))
	wasm, err := build.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

var builds sync.Map // from package to func() ([]byte, error)

// buildGo uses flags that make the module depend on its source alone, not on
// where and at which commit it lies: it is the key of the compiled code.
func buildGo(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "rtd-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build guest %s: %w\n%s", pkg, err, text)
	}
	return os.ReadFile(out)
}
