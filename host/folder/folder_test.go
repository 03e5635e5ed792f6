package folder_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/folder"
)

// quiet is long enough for a busy machine to write twice within it.
const quiet = 150 * time.Millisecond

// TestMain lets more tests run side by side than there are processors: they sleep most of the time.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestInitialThenLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "b.wasm", "bb")
	write(t, dir, "a-1_x.wasm", "aa")
	write(t, dir, "empty.wasm", "")
	write(t, dir, ".hidden.wasm", "x")
	write(t, dir, "readme.txt", "x")
	write(t, dir, "Bad Name.wasm", "x")
	mkdir(t, dir, "folder.wasm")
	write(t, dir, "huge.wasm", "")
	if err := os.Truncate(filepath.Join(dir, "huge.wasm"), folder.MaxFileSize+1); err != nil {
		t.Fatal(err)
	}
	w := open(t, folder.Options{Dir: dir})
	want := strings.Join([]string{
		`Bad Name: the name is "Bad Name"; expected 1 to 64 of a-z, 0-9, _ and -; rename it`,
		"a-1_x = aa",
		"b = bb",
		"folder: is not a regular file; a plugin is one .wasm file, or a symlink to one",
		"huge: has 67108865 bytes; a plugin may have 67108864",
		"",
	}, "\n")
	if got := showAll(w.initial()); got != want {
		t.Errorf("initial:\n%s\nwant\n%s", got, want)
	}

	write(t, dir, "b.wasm", "BB")
	w.expect("b = BB")
	write(t, dir, "new.wasm", "n")
	w.expect("new = n")
	write(t, dir, "empty.wasm", "no longer")
	w.expect("empty = no longer")
	write(t, dir, "huge.wasm", "small")
	w.expect("huge = small")
	w.nothingElse()
}

func TestSettling(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "p.wasm", "one")
	w := open(t, folder.Options{Dir: dir})
	w.initial()
	path := filepath.Join(dir, "p.wasm")

	t.Log("a write in steps, each pause much shorter than Quiet")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"", "t", "w", "o", "!"} {
		if _, err := file.WriteString(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(quiet / 6)
	}
	file.Close()
	w.expect("p = two!")

	t.Log("the same content again")
	write(t, dir, "p.wasm", "two!")
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.nothingElse()

	t.Log("the same length and time, other content")
	info := stat(t, path)
	write(t, dir, "p.wasm", "2222")
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	w.expect("p = 2222")

	t.Log("an atomic rename, of an older file")
	write(t, dir, ".tmp", "three")
	if err := os.Chtimes(filepath.Join(dir, ".tmp"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(dir, ".tmp"), path)
	w.expect("p = three")

	t.Log("deleted and written anew after a short absence")
	remove(t, path)
	time.Sleep(quiet)
	write(t, dir, "p.wasm", "three")
	w.nothingElse()
	remove(t, path)
	time.Sleep(quiet)
	write(t, dir, "p.wasm", "four")
	w.expect("p = four")

	t.Log("truncated and left so")
	write(t, dir, "p.wasm", "")
	w.nothingElse()

	t.Log("deleted for good")
	remove(t, path)
	w.expect("p removed")
	w.nothingElse()
	write(t, dir, "p.wasm", "four")
	w.expect("p = four")
}

// TestSymlink follows links the way mounted configuration volumes have them: the file in the folder is a link
// through another link, which is swapped out of the folder's sight.
func TestSymlink(t *testing.T) {
	t.Parallel()
	dir, versions := t.TempDir(), t.TempDir()
	// The same size and time: only the identity differs.
	when := time.Now().Add(-time.Hour)
	for _, version := range []string{"v1", "v2"} {
		mkdir(t, versions, version)
		write(t, versions, version+"/p", version)
		if err := os.Chtimes(filepath.Join(versions, version, "p"), when, when); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, at+".next"); err != nil {
			t.Fatal(err)
		}
		rename(t, at+".next", at)
	}
	current, file := filepath.Join(versions, "current"), filepath.Join(dir, "p.wasm")
	link("v1", current)
	link(filepath.Join(current, "p"), file)

	w := open(t, folder.Options{Dir: dir, Poll: 100 * time.Millisecond})
	if got := showAll(w.initial()); got != "p = v1\n" {
		t.Fatalf("initial:\n%s", got)
	}
	link("v2", current)
	w.expect("p = v2")

	t.Log("the link in the folder is swapped")
	link(filepath.Join(versions, "v1", "p"), file)
	w.expect("p = v1")

	t.Log("the target is written")
	write(t, versions, "v1/p", "v1b")
	w.expect("p = v1b")

	t.Log("the target disappears")
	remove(t, filepath.Join(versions, "v1", "p"))
	w.expect("p removed")
}

func TestFolderGoesAndComes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "plugins")
	mkdir(t, dir, "")
	write(t, dir, "p.wasm", "one")
	w := open(t, folder.Options{Dir: dir, Poll: 50 * time.Millisecond})
	w.initial()
	rename(t, dir, dir+".away")
	time.Sleep(6 * quiet)
	rename(t, dir+".away", dir)
	write(t, dir, "p.wasm", "two")
	w.expect("p = two")
	remove(t, filepath.Join(dir, "p.wasm"))
	w.expect("p removed")
}

func TestSlowReceiverGetsTheLatest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, folder.Options{Dir: dir})
	w.initial()
	write(t, dir, "p.wasm", "one")
	time.Sleep(4 * quiet)
	for _, text := range []string{"two", "three", "four"} {
		write(t, dir, "p.wasm", text)
		time.Sleep(2 * quiet)
	}
	w.expect("p = one")
	w.expect("p = four")
	w.nothingElse()
}

func TestNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "file", "x")
	_, err := folder.Open(t.Context(), folder.Options{Dir: filepath.Join(dir, "none")})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "create it") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := folder.Open(t.Context(), folder.Options{Dir: filepath.Join(dir, "file")}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.wasm", "a")
	write(t, dir, "b.wasm", "b")
	ctx, cancel := context.WithCancel(t.Context())
	f, err := folder.Open(ctx, folder.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	<-f.Changes() // and b waits for a receiver
	cancel()
	for range f.Changes() {
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error("closed again:", err)
	}
	select {
	case <-f.Ready():
		t.Error("ready, though b was not received")
	default:
	}
}

// watched is an open folder with its log.
type watched struct {
	*folder.Folder
	t   *testing.T
	dir string
	log *logBook
}

func open(t *testing.T, o folder.Options) *watched {
	t.Helper()
	book := &logBook{}
	o.Quiet, o.Log = quiet, slog.New(slog.NewTextHandler(book, nil))
	f, err := folder.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if t.Failed() {
			t.Logf("log:\n%s", book)
		}
	})
	return &watched{f, t, o.Dir, book}
}

// initial receives until the folder is ready.
func (w *watched) initial() (changes []folder.Change) {
	w.t.Helper()
	for {
		select {
		case c := <-w.Changes():
			if !c.Initial {
				w.t.Errorf("%s: not marked Initial", show(c))
			}
			changes = append(changes, c)
		case <-w.Ready():
			return changes
		case <-time.After(time.Minute):
			w.t.Fatalf("not ready after %d changes", len(changes))
		}
	}
}

func (w *watched) next() folder.Change {
	w.t.Helper()
	select {
	case c := <-w.Changes():
		if c.Initial {
			w.t.Errorf("%s: marked Initial", show(c))
		}
		return c
	case <-time.After(time.Minute):
		w.t.Fatal("no change")
	}
	panic("unreachable")
}

func (w *watched) expect(want string) {
	w.t.Helper()
	if got := show(w.next()); got != want {
		w.t.Fatalf("got %s, want %s", got, want)
	}
}

// nothingElse fails if a change comes before, or within the settling time of, that of a new plugin.
func (w *watched) nothingElse() {
	w.t.Helper()
	time.Sleep(4 * quiet)
	write(w.t, w.dir, "sentinel.wasm", time.Now().String())
	if c := w.next(); c.Name != "sentinel" {
		w.t.Fatalf("unexpected change: %s", show(c))
	}
}

// showAll shows each change on a line of its own, sorted.
func showAll(changes []folder.Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, show(c)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func show(c folder.Change) string {
	switch {
	case c.Removed && c.WASM == nil && c.Err == nil:
		return c.Name + " removed"
	case c.Err != nil && c.WASM == nil:
		return c.Name + ": " + c.Err.Error()
	case len(c.WASM) > 64:
		return c.Name + " = …"
	default:
		return c.Name + " = " + string(c.WASM)
	}
}

// logBook keeps what is logged.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBook) count(text string) int { return strings.Count(b.String(), text) }

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
