package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rtd/sandbox"
)

// tinyDisk mounts a file system of its own, of 64 KiB. That takes root, or else the test is of what does not.
func tinyDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("no file system of its own, the test is of a full one of nobody: %v", err)
		return "/dev/full" // which is full, if not much of a folder
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// A full disk is a warning. When there is room again, the cache is used again.
func TestFullDisk(t *testing.T) {
	for name, compiler := range compilers {
		t.Run(name, func(t *testing.T) {
			dir := tinyDisk(t)
			e, log := engineOf(t, sandbox.Options{CacheDir: dir, CacheOptional: true, Compiler: compiler()})
			filler := filepath.Join(dir, "filler")
			_ = os.WriteFile(filler, make([]byte, 1<<20), 0o600) // as much as there is room for
			works(t, e, log, fixture(t, "echo"))
			works(t, e, log, fixture(t, "echo"))
			if n := strings.Count(log.String(), "compiled at every start"); n != 1 {
				t.Errorf("%d warnings: %s", n, log)
			}
			if dir == "/dev/full" {
				return
			}
			must(t, os.Remove(filler))
			works(t, e, log, fixture(t, "echo"))
			entry(t, dir)
		})
	}
}

// The same of a disk that nobody may write to, with the machine code on it: it is used. Damaged, it is not.
func TestReadOnlyDisk(t *testing.T) {
	for name, compiler := range compilers {
		t.Run(name, func(t *testing.T) {
			dir := tinyDisk(t)
			if dir == "/dev/full" {
				return // TestCacheThatCannotBeWritten is the rest of it
			}
			e, log := engineOf(t, sandbox.Options{CacheDir: dir})
			works(t, e, log, fixture(t, "echo"))
			code, _ := entry(t, dir)
			remount := func(flags uintptr) { must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "")) }
			remount(unix.MS_RDONLY)
			again, log := engineOf(t, sandbox.Options{CacheDir: dir, Compiler: compiler()})
			works(t, again, log, fixture(t, "echo"))
			if log.String() != "" {
				t.Errorf("log: %s", log)
			}
			remount(0)
			must(t, os.Truncate(code, 10))
			remount(unix.MS_RDONLY)
			works(t, again, log, fixture(t, "echo"))
			works(t, again, log, fixture(t, "echo"))
			for _, want := range []string{"no use", "cannot be kept"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("%q is not in the log: %s", want, log)
				}
			}
		})
	}
}
