//go:build unix

package sandbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// entry is the file of machine code in a cache that has one, and its seal. There is nothing else.
func entry(t *testing.T, dir string) (code, seal string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if err != nil || len(files) != 2 || files[1] != files[0]+".seal" {
		t.Fatalf("the cache has %q: %v", files, err)
	}
	if others, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(others) != 1 {
		t.Errorf("workplaces are left: %q", others)
	}
	return files[0], files[1]
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever has become of a file in the cache, it is never executed, the plugin works, and the file is replaced.
func TestDamagedCacheIsReplaced(t *testing.T) {
	echo := fixture(t, "echo")
	for _, damage := range []struct {
		name  string
		do    func(t *testing.T, code, seal string)
		quiet bool // nothing is there that anybody could wonder about
	}{
		{"empty", func(t *testing.T, code, _ string) { must(t, os.Truncate(code, 0)) }, false},
		{"cut", func(t *testing.T, code, _ string) { must(t, os.Truncate(code, int64(len(read(t, code))/2))) }, false},
		{"cut by a byte", func(t *testing.T, code, _ string) { must(t, os.Truncate(code, int64(len(read(t, code))-1))) }, false},
		{"longer", func(t *testing.T, code, _ string) { must(t, os.WriteFile(code, append(read(t, code), 0), 0o600)) }, false},
		{"other bytes", func(t *testing.T, code, _ string) {
			must(t, os.WriteFile(code, bytes.Repeat([]byte{0xcc}, len(read(t, code))), 0o600))
		}, false},
		// wazero would allocate 32 GB.
		{"four billion functions", func(t *testing.T, code, _ string) {
			data := read(t, code)
			copy(data[7+int(data[6]):], "\xff\xff\xff\xff")
			must(t, os.WriteFile(code, data, 0o600))
		}, false},
		// The first function begins elsewhere, which wazero's checksum does not cover.
		{"another offset", func(t *testing.T, code, _ string) {
			data := read(t, code)
			data[7+int(data[6])+4] ^= 0x40
			must(t, os.WriteFile(code, data, 0o600))
		}, false},
		{"a folder", func(t *testing.T, code, _ string) {
			must(t, os.Remove(code))
			must(t, os.MkdirAll(filepath.Join(code, "in", "it"), 0o700))
		}, false},
		{"a link to something endless", func(t *testing.T, code, _ string) {
			must(t, os.Remove(code))
			must(t, os.Symlink("/dev/zero", code))
		}, false},
		{"a pipe", func(t *testing.T, code, _ string) {
			must(t, os.Remove(code))
			must(t, syscall.Mkfifo(code, 0o600))
		}, false},
		{"seal of a pipe", func(t *testing.T, _, seal string) {
			must(t, os.Remove(seal))
			must(t, syscall.Mkfifo(seal, 0o600))
		}, false},
		{"empty seal", func(t *testing.T, _, seal string) { must(t, os.Truncate(seal, 0)) }, false},
		{"long seal", func(t *testing.T, _, seal string) { must(t, os.Truncate(seal, 1<<30)) }, false},
		{"a folder as seal", func(t *testing.T, _, seal string) {
			must(t, os.Remove(seal))
			must(t, os.MkdirAll(filepath.Join(seal, "in", "it"), 0o700))
		}, false},
		{"no seal", func(t *testing.T, code, seal string) {
			must(t, os.Truncate(code, 0))
			must(t, os.Remove(seal))
		}, true},
		{"no code", func(t *testing.T, code, _ string) { must(t, os.Remove(code)) }, true},
		{"nothing", func(t *testing.T, code, _ string) { must(t, os.RemoveAll(filepath.Dir(code))) }, true},
	} {
		for name, compiler := range compilers {
			t.Run(damage.name+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				e, log := engineOf(t, sandbox.Options{CacheDir: dir, Compiler: compiler()})
				works(t, e, log, echo)
				code, seal := entry(t, dir)
				whole, sealed := read(t, code), read(t, seal)

				damage.do(t, code, seal)
				works(t, e, log, echo)
				if warned := strings.Contains(log.String(), "no use, compiling again"); warned == damage.quiet {
					t.Errorf("log: %q", log)
				}
				entry(t, dir)
				if !bytes.Equal(read(t, code), whole) || !bytes.Equal(read(t, seal), sealed) {
					t.Error("the file was not replaced")
				}
				before := log.String()
				works(t, e, log, echo)
				if log.String() != before {
					t.Errorf("log: %s", log)
				}
			})
		}
	}
}

// A file of another module does not stand in for this one's, even with its seal.
func TestCacheTakesNoOtherModulesCode(t *testing.T) {
	dir := t.TempDir()
	e, log := engineOf(t, sandbox.Options{CacheDir: dir})
	works(t, e, log, fixture(t, "echo"))
	code, seal := entry(t, dir)
	other := t.TempDir()
	e2, _ := engineOf(t, sandbox.Options{CacheDir: other})
	p, err := e2.Load(t.Context(), fixture(t, "crash"), sandbox.LoadOptions{})
	must(t, err)
	p.Close()
	code2, seal2 := entry(t, other)
	must(t, os.WriteFile(code, read(t, code2), 0o600))
	must(t, os.WriteFile(seal, read(t, seal2), 0o600))
	works(t, e, log, fixture(t, "echo"))
	if !strings.Contains(log.String(), "no use") {
		t.Errorf("log: %q", log)
	}
}

// What was compiled once is not compiled again: by nobody, as the compiler is gone.
func TestCacheIsUsed(t *testing.T) {
	dir := t.TempDir()
	e, log := engineOf(t, sandbox.Options{CacheDir: dir, Compiler: sandbox.Compiler()})
	works(t, e, log, fixture(t, "echo"))
	e2, log2 := engineOf(t, sandbox.Options{CacheDir: dir, Compiler: []string{"/nowhere/rtd"}})
	works(t, e2, log2, fixture(t, "echo"))
	if s := log.String() + log2.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}

// A cache that cannot be written is a warning, once, and plugins run all the same.
func TestCacheThatCannotBeWritten(t *testing.T) {
	for name, compiler := range compilers {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e, log := engineOf(t, sandbox.Options{CacheDir: dir, Compiler: compiler()})
			version, err := os.ReadDir(dir)
			must(t, err)
			place := filepath.Join(dir, version[0].Name())
			must(t, os.RemoveAll(place))
			must(t, os.WriteFile(place, nil, 0o600)) // a file in place of the folder: not even root can write into it
			works(t, e, log, fixture(t, "echo"))
			works(t, e, log, fixture(t, "echo"))
			if n := strings.Count(log.String(), "cannot be kept"); n != 1 {
				t.Errorf("%d warnings: %s", n, log)
			}
			must(t, os.Remove(place))
			must(t, os.Mkdir(place, 0o700))
			works(t, e, log, fixture(t, "echo"))
			entry(t, dir)
		})
	}
}

func TestCacheFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	dir := filepath.Join(file, "cache")
	if _, err := sandbox.NewEngine(sandbox.Options{CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "cache in [plugins]") {
		t.Errorf("error = %v", err)
	}
	for name, compiler := range compilers {
		t.Run(name, func(t *testing.T) {
			e, log := engineOf(t, sandbox.Options{CacheDir: dir, CacheOptional: true, Compiler: compiler()})
			works(t, e, log, fixture(t, "echo"))
			if n := strings.Count(log.String(), "no cache folder"); n != 1 {
				t.Errorf("%d warnings: %s", n, log)
			}
		})
	}
}

// Without any folder, small modules are compiled in the process, and large ones, whose time nobody could bound, are refused.
func TestNoFolderAtAll(t *testing.T) {
	e, log := engineOf(t, sandbox.Options{Compiler: sandbox.Compiler()})
	e.NoTemporary()
	works(t, e, log, fixture(t, "echo"))
	_, err := e.Load(t.Context(), sandboxtest.Module(sandboxtest.Branches(40_000)), sandbox.LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "at most 32 KiB are compiled") || !strings.Contains(err.Error(), "cache in [plugins]") {
		t.Errorf("error = %v", err)
	}
}
