package versions_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/versions"
	"rtd/sandbox"
)

// Package sandbox is who asks for it.
var _ sandbox.Snapshots = (*versions.Snapshots)(nil)

func hashOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func key(n int) string { return fmt.Sprintf("%032x", n) }

// snapshots lists the files, as the content of the version and the number of the key.
func snapshots(t *testing.T, dir string, contents ...string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "chat", "snapshots", "*"))
	must(t, err)
	var all []string
	for _, file := range files {
		name := filepath.Base(file)
		for _, content := range contents {
			name = strings.Replace(name, hashOf(content), content, 1)
		}
		for n := range 10 {
			name = strings.Replace(name, "."+key(n), fmt.Sprint(n), 1)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestSnapshots(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{})
	put(t, s, "one", "ada")
	of := s.Snapshots("chat", hashOf("one"))
	if _, err := of.Get(key(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that was never put: %v", err)
	}
	must(t, of.Put(key(1), []byte("a snapshot")))
	if err := of.Put(key(1), []byte("another")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("replaced: %v", err)
	}
	again := versions.Open(dir, versions.Options{}).Snapshots("chat", hashOf("one"))
	if got, err := again.Get(key(1)); string(got) != "a snapshot" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	file := filepath.Join(dir, "chat", "snapshots", hashOf("one")+"."+key(1))
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v: %v", info.Mode(), err)
	}
	to, err := of.SetAside(key(1))
	must(t, err)
	if got, err := os.ReadFile(to); string(got) != "a snapshot" || err != nil {
		t.Errorf("set aside: %q, %v", got, err)
	}
	if _, err := of.Get(key(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that was set aside: %v", err)
	}
	must(t, of.Put(key(1), []byte("another")))
	for _, of := range []*versions.Snapshots{s.Snapshots("../chat", hashOf("one")), s.Snapshots("chat", "../"+hashOf("one")[3:])} {
		if _, err := of.Get(key(1)); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if of.Put(key(1), nil) == nil {
			t.Error("put somewhere else")
		}
	}
	if of.Put("../../x", nil) == nil || of.Put(key(2), make([]byte, 64<<20+1)) == nil {
		t.Error("put under another name, or too much")
	}
}

// What stands where a snapshot should be is nothing, is moved away like anything else that is damaged, and blocks nobody.
func TestSnapshotThatIsNone(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, file string){
		"folder":  func(t *testing.T, file string) { must(t, os.MkdirAll(filepath.Join(file, "in"), 0o700)) },
		"endless": func(t *testing.T, file string) { must(t, os.Symlink("/dev/zero", file)) },
		"large": func(t *testing.T, file string) {
			must(t, os.WriteFile(file, nil, 0o600))
			must(t, os.Truncate(file, 1<<40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := versions.Open(dir, versions.Options{})
			put(t, s, "one", "ada")
			of := s.Snapshots("chat", hashOf("one"))
			must(t, os.Mkdir(filepath.Join(dir, "chat", "snapshots"), 0o700))
			do(t, filepath.Join(dir, "chat", "snapshots", hashOf("one")+"."+key(1)))
			if got, err := of.Get(key(1)); len(got) > 0 || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := of.Put(key(1), []byte("a snapshot")); !errors.Is(err, fs.ErrExist) {
				t.Errorf("replaced: %v", err)
			}
			_, err := of.SetAside(key(1))
			must(t, err)
			must(t, of.Put(key(1), []byte("a snapshot")))
			if got, err := of.Get(key(1)); string(got) != "a snapshot" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			put(t, s, "two", "ada") // which looks over the folder
		})
	}
}

// Snapshots go with their version, and a version has those that were used lately.
func TestSnapshotsArePruned(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{Keep: 2})
	keep := func(content string, n int) {
		t.Helper()
		must(t, s.Snapshots("chat", hashOf(content)).Put(key(n), []byte(content)))
		old := time.Now().Add(-time.Hour / 2) // so that each is older than what comes next
		files, err := filepath.Glob(filepath.Join(dir, "chat", "snapshots", "*"))
		must(t, err)
		for _, file := range files {
			info, err := os.Stat(file)
			must(t, err)
			if when := info.ModTime(); when.After(old) {
				must(t, os.Chtimes(file, when.Add(-time.Minute), when.Add(-time.Minute)))
			}
		}
	}
	want := func(want string) {
		t.Helper()
		if got := snapshots(t, dir, "one", "two", "three", "four"); got != want {
			t.Errorf("snapshots %q, want %q", got, want)
		}
	}
	keep("one", 1) // it is loaded before it is deployed
	put(t, s, "one", "ada")
	want("one1")
	keep("one", 2)
	keep("one", 3)
	_, err := s.Snapshots("chat", hashOf("one")).Get(key(1)) // used just now
	must(t, err)
	keep("one", 4)
	want("one1 one3 one4")
	_, err = s.Snapshots("chat", hashOf("one")).SetAside(key(3))
	must(t, err)
	keep("two", 1)
	put(t, s, "two", "ada")
	want("one1 one3.bad one4 two1")
	keep("three", 1)
	put(t, s, "three", "ada")
	want("three1 two1") // the first is not kept any more

	// Of versions that nobody deploys there are never more than a few.
	for n := range 5 {
		keep("four", n)
	}
	want("four3 four4 three1 two1")
	old := time.Now().Add(-2 * time.Hour)
	for n := 3; n <= 4; n++ {
		must(t, os.Chtimes(filepath.Join(dir, "chat", "snapshots", hashOf("four")+"."+key(n)), old, old))
	}
	put(t, s, "two", "ada")
	want("three1 two1")
}

// Of several that put one at the same time, as two processes would, all find the same afterwards.
func TestSnapshotIsPutOnce(t *testing.T) {
	dir := t.TempDir()
	const writers = 8
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			of := versions.Open(dir, versions.Options{}).Snapshots("chat", hashOf("one"))
			mine := bytes.Repeat([]byte{byte(n)}, 100_000)
			err := of.Put(key(1), mine)
			if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			got, readErr := of.Get(key(1))
			if readErr != nil || len(got) != len(mine) || (got[0] == byte(n)) != (err == nil) {
				t.Errorf("%d bytes of %d, put: %v, got: %v", len(got), got[0], err, readErr)
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, "chat", "snapshots", ".*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
