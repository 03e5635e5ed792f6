package folder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/folder"
)

// module is what can pass for a WebAssembly module by its frame: a header and one section.
func module(content string) string {
	return "\x00asm\x01\x00\x00\x00" + "\x00" + string(rune(len(content))) + content
}

// A writer that pauses, as one at the other end of a slow line does, is given time to go on.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := module("the first version"), module("the next version")
	write(t, dir, "p.wasm", one)
	w := open(t, folder.Options{Dir: dir})
	w.initial()

	for _, half := range []int{3, 8, 9, 10, len(two) - 1} {
		write(t, dir, "p.wasm", two[:half])
		time.Sleep(4 * quiet)
	}
	write(t, dir, "p.wasm", two)
	w.expect("p = " + two)

	t.Log("written by half and left so: the receiver is to say what is wrong with it")
	write(t, dir, "p.wasm", one[:12])
	w.expect("p = " + one[:12])
	w.nothingElse()
}

func TestQuickChanges(t *testing.T) {
	t.Parallel()
	dir, away := t.TempDir(), t.TempDir()
	write(t, dir, "p.wasm", "one")
	write(t, away, "linked", "v1")
	symlink(t, filepath.Join(away, "linked"), filepath.Join(dir, "linked.wasm"))
	w := open(t, folder.Options{Dir: dir, Poll: 50 * time.Millisecond})
	w.initial()

	t.Log("two within Quiet: the last one counts")
	for _, text := range []string{"two", "three"} {
		write(t, dir, ".tmp", text)
		rename(t, filepath.Join(dir, ".tmp"), filepath.Join(dir, "p.wasm"))
		time.Sleep(quiet / 5)
	}
	w.expect("p = three")
	w.nothingElse()

	t.Log("there and back")
	write(t, dir, "p.wasm", "four!")
	time.Sleep(quiet / 5)
	write(t, dir, "p.wasm", "three")
	w.nothingElse()

	t.Log("one after the other has been taken, which a coarse clock cannot tell from it; no notification says so")
	write(t, away, "linked", "v2")
	when := stat(t, filepath.Join(away, "linked")).ModTime()
	w.expect("linked = v2")
	write(t, away, "linked", "v3")
	if err := os.Chtimes(filepath.Join(away, "linked"), time.Time{}, when); err != nil {
		t.Fatal(err)
	}
	w.expect("linked = v3")
}

// Kubernetes mounts a configMap as links through a link, ..data, to a folder beside it. An update swaps ..data and
// removes the old folder. Notifications alone have to tell.
func TestKubernetesVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	when := time.Now().Add(-time.Hour) // of all files: only their identity differs
	publish := func(version string, files map[string]string) {
		t.Helper()
		old, _ := os.Readlink(filepath.Join(dir, "..data"))
		mkdir(t, dir, version)
		for name, text := range files {
			write(t, dir, version+"/"+name, text)
			if err := os.Chtimes(filepath.Join(dir, version, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
		symlink(t, version, filepath.Join(dir, "..data"))
		for name := range files {
			if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
				symlink(t, "..data/"+name, filepath.Join(dir, name))
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if _, there := files[entry.Name()]; !there && !strings.HasPrefix(entry.Name(), "..") {
				remove(t, filepath.Join(dir, entry.Name()))
			}
		}
		if old != "" {
			if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish("..v1", map[string]string{"p.wasm": "p1", "q.wasm": "q1"})
	w := open(t, folder.Options{Dir: dir, Poll: time.Hour})
	if got := showAll(w.initial()); got != "p = p1\nq = q1\n" {
		t.Fatalf("initial:\n%s", got)
	}
	publish("..v2", map[string]string{"p.wasm": "p2", "q.wasm": "q1"})
	w.expect("p = p2")
	publish("..v3", map[string]string{"p.wasm": "p2", "r.wasm": "r1"})
	got := []folder.Change{w.next(), w.next()}
	if got := showAll(got); got != "q removed\nr = r1\n" {
		t.Fatalf("got\n%s", got)
	}
}

// A network file system tells nothing about what others do there. Here the folder is behind a link that is swapped,
// and its list changes as it does there: without a notification.
func TestNoNotifications(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	mkdir(t, parent, "v1")
	mkdir(t, parent, "v2")
	write(t, parent, "v1/p.wasm", "p1")
	write(t, parent, "v1/q.wasm", "q1")
	write(t, parent, "v2/p.wasm", "p2")
	write(t, parent, "v2/r.wasm", "r1")
	dir := filepath.Join(parent, "current")
	symlink(t, "v1", dir)
	w := open(t, folder.Options{Dir: dir, Poll: 100 * time.Millisecond})
	w.initial()

	symlink(t, "v2", dir)
	got := []folder.Change{w.next(), w.next(), w.next()}
	if got := showAll(got); got != "p = p2\nq removed\nr = r1\n" {
		t.Fatalf("got\n%s", got)
	}
	write(t, parent, "v1/r.wasm", "in the folder that it was")
	w.nothingElse()
	write(t, parent, "v2/r.wasm", "r2")
	w.expect("r = r2")
}

// A folder in which rtd cannot write, an image or a mounted volume, serves plugins; only builds need to write.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	dir := program(t)
	write(t, dir, "p.wasm", "one")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	if os.Mkdir(filepath.Join(dir, ".rtd"), 0o755) == nil { // by root
		remove(t, filepath.Join(dir, ".rtd"))
		write(t, dir, ".rtd", "in the way")
	}
	w := open(t, folder.Options{Dir: dir, Build: true})
	initial := showAll(w.initial())
	if !strings.Contains(initial, "p = one\n") || !strings.Contains(initial, "hello: build plugin: ") ||
		!strings.Contains(initial, "the plugin folder must be writable, or set build = false in [plugins]") {
		t.Errorf("initial:\n%s", initial)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // by who may
		t.Fatal(err)
	}
	write(t, dir, "p.wasm", "two")
	w.expect("p = two")
	w.Close()

	w = open(t, folder.Options{Dir: dir})
	if got := showAll(w.initial()); got != "p = two\n" {
		t.Errorf("without builds:\n%s", got)
	}
}

// symlink makes a link, or has one point elsewhere, in one step.
func symlink(t *testing.T, to, at string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(at), "..next")
	if err := os.Symlink(to, next); err != nil {
		t.Fatal(err)
	}
	rename(t, next, at)
}

// Of what the receiver writes itself it hears nothing, however quickly one follows the other; of all else it does.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "p.wasm", "one")
	w := open(t, folder.Options{Dir: dir})
	w.initial()
	put := func(name, text string) {
		t.Helper()
		if err := w.Write(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("p", "two")
	put("new", "n")
	w.nothingElse()
	put("p", "three")
	put("p", "four")
	w.nothingElse()
	put("p", "four")
	w.nothingElse()
	if got, err := os.ReadFile(filepath.Join(dir, "p.wasm")); string(got) != "four" || err != nil {
		t.Errorf("p has %q, %v", got, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("the folder has %v, want p, new and sentinel", entries)
	}

	t.Log("what others write, though it was once written by the receiver")
	write(t, dir, "p.wasm", "three")
	w.expect("p = three")
	put("p", "five")
	write(t, dir, "p.wasm", "six")
	w.expect("p = six")
	write(t, dir, "p.wasm", "five")
	w.expect("p = five")

	t.Log("what is removed, at once or later")
	remove(t, filepath.Join(dir, "new.wasm"))
	w.expect("new removed")
	put("brief", "b")
	remove(t, filepath.Join(dir, "brief.wasm"))
	w.expect("brief removed")
	write(t, dir, "brief.wasm", "b")
	w.expect("brief = b")

	if err := w.Write("../p", nil); err == nil || !strings.Contains(err.Error(), `the name is "../p"`) {
		t.Errorf("a bad name: %v", err)
	}
}
