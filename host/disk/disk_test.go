//go:build unix

package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtd/host/disk"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplace(t *testing.T)      { testReplace(t, disk.Replace) }
func TestReplaceLater(t *testing.T) { testReplace(t, disk.ReplaceLater) }

type replace = func(path string, mode fs.FileMode, write func(io.Writer) error) (size int64, err error)

func testReplace(t *testing.T, replace replace) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	for _, text := range []string{"one", "two and more", ""} {
		size, err := replace(file, 0o600, disk.Bytes([]byte(text)))
		must(t, err)
		got, err := disk.Read(file, 100)
		must(t, err)
		info, err := os.Stat(file)
		must(t, err)
		if string(got) != text || size != int64(len(text)) || info.Mode() != 0o600 {
			t.Errorf("read %q of %d bytes, mode %v", got, size, info.Mode())
		}
	}
}

func TestPlaceNew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	for n, text := range []string{"first", "second"} {
		prepared, _, err := disk.Prepare(dir, 0o600, disk.Bytes([]byte(text)))
		must(t, err)
		if err := disk.PlaceNew(prepared, file); n == 0 && err != nil || n == 1 && !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if got, err := os.ReadFile(file); string(got) != "first" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left %v: %v", entries, err)
	}
}

// A write that fails, as on a full disk, leaves the old file and nothing else.
func TestReplaceFails(t *testing.T)      { testReplaceFails(t, disk.Replace) }
func TestReplaceLaterFails(t *testing.T) { testReplaceFails(t, disk.ReplaceLater) }

func testReplaceFails(t *testing.T, replace replace) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	must(t, os.WriteFile(file, []byte("old"), 0o600))
	full := func(w io.Writer) error {
		_, err := io.WriteString(w, "half of it")
		return errors.Join(err, syscall.ENOSPC)
	}
	if _, err := replace(file, 0o600, full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "b"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "b", "c"), nil, 0o600))
	if _, err := replace(filepath.Join(dir, "b"), 0o600, disk.Bytes([]byte("new"))); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if got, err := os.ReadFile(file); err != nil || string(got) != "old" || len(entries) != 2 {
		t.Errorf("%q, %v, among %v", got, err, entries)
	}
}

// No file is waited for, and none is read that is too large.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	large, pipe := filepath.Join(dir, "large"), filepath.Join(dir, "pipe")
	must(t, os.WriteFile(large, make([]byte, 101), 0o600))
	must(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{large, pipe, dir, "/dev/zero"} {
		if _, err := disk.Read(path, 100); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %s: %v", path, err)
		}
	}
	if _, err := disk.Read(filepath.Join(dir, "none"), 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of nothing: %v", err)
	}
}

func TestSetAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	for range 2 { // whatever is there from a former time
		for _, make := range []func() error{
			func() error { return os.WriteFile(file, []byte("x"), 0o000) },
			func() error { return os.MkdirAll(filepath.Join(file, "full"), 0o700) },
			func() error { return os.Symlink("nowhere", file) },
		} {
			must(t, make())
			to, err := disk.SetAside(file)
			must(t, err)
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
			if _, err := os.Lstat(to); err != nil || !strings.HasSuffix(to, "a.bad") {
				t.Errorf("it is at %s: %v", to, err)
			}
		}
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old, err := os.CreateTemp(dir, ".new-*")
	must(t, err)
	young, err := os.CreateTemp(dir, ".new-*")
	must(t, err)
	must(t, errors.Join(old.Close(), young.Close()))
	then := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(old.Name(), then, then))
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	must(t, os.Chtimes(filepath.Join(dir, "a"), then, then))
	disk.Sweep(dir, time.Hour)
	disk.Sweep(filepath.Join(dir, "none"), time.Hour)
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left: %v", entries)
	}
}
