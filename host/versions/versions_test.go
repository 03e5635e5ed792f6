package versions_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/versions"
)

var day = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func put(t *testing.T, s *versions.Store, content, by string) versions.Version {
	t.Helper()
	day = day.Add(time.Hour)
	v, err := s.Put("chat", []byte(content), by, day)
	must(t, err)
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list shows the versions as their contents and who deployed them.
func list(t *testing.T, s *versions.Store) string {
	t.Helper()
	all, err := s.List("chat")
	must(t, err)
	var b strings.Builder
	for _, v := range all {
		wasm, err := s.Get("chat", v.Hash)
		must(t, err)
		if v.Size != int64(len(wasm)) || v.When.IsZero() || v.ID() != v.Hash[:12] {
			t.Errorf("version %+v of %q", v, wasm)
		}
		fmt.Fprintf(&b, "%s by %s", wasm, v.By)
		if v.Withdrawn != "" {
			fmt.Fprintf(&b, ", %s", v.Withdrawn)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func wantList(t *testing.T, s *versions.Store, want string) {
	t.Helper()
	if got := list(t, s); got != want {
		t.Errorf("versions: %s\nwant: %s", got, want)
	}
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{})
	wantList(t, s, "")
	one := put(t, s, "one", "folder")
	two := put(t, s, "two", "ada\nlovelace")
	three := put(t, s, "three", "folder")
	wantList(t, s, "three by folder; two by ada lovelace; one by folder; ")

	// Each rollback goes further back; who deploys again what was bad means it.
	for _, step := range []struct{ from, want versions.Version }{{three, two}, {two, one}} {
		must(t, s.Withdraw("chat", step.from.Hash, "crashes"))
		got, _, err := s.Previous("chat", step.from.Hash)
		must(t, err)
		if got.Hash != step.want.Hash {
			t.Errorf("before %s is %s, want %s", step.from.ID(), got.ID(), step.want.ID())
		}
	}
	if _, _, err := s.Previous("chat", one.Hash); !errors.Is(err, versions.ErrNoPrevious) {
		t.Errorf("before the first: %v", err)
	}
	put(t, s, "one", "rollback")
	put(t, s, "three", "grace")
	wantList(t, versions.Open(dir, versions.Options{}), "three by grace; one by rollback; two by ada lovelace, crashes; ")
}

func TestFind(t *testing.T) {
	s := versions.Open(t.TempDir(), versions.Options{})
	v := put(t, s, "one", "folder")
	got, err := s.Find("chat", strings.ToUpper(v.ID()))
	must(t, err)
	if got != v {
		t.Errorf("found %+v, want %+v", got, v)
	}
	for _, prefix := range []string{"", "12345", "000000000000", "../../"} {
		if _, err := s.Find("chat", prefix); err == nil {
			t.Errorf("found %q", prefix)
		}
	}
	if _, err := s.Find("chat", "000000"); !errors.Is(err, versions.ErrUnknown) || !strings.Contains(err.Error(), v.ID()) {
		t.Errorf("unknown: %v", err)
	}
}

// What is too old goes, with its file.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{Keep: 3})
	first := put(t, s, "0", "folder")
	for n := range 5 {
		put(t, s, fmt.Sprint(n+1), "folder")
	}
	wantList(t, s, "5 by folder; 4 by folder; 3 by folder; ")
	if _, err := s.Get("chat", first.Hash); !errors.Is(err, versions.ErrUnknown) {
		t.Errorf("the first: %v", err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "chat"))
	must(t, err)
	if len(files) != 4 {
		t.Errorf("%d files, want 4: %v", len(files), files)
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{MaxSize: 100})
	v := put(t, s, "one", "folder")
	file := filepath.Join(dir, "chat", v.Hash+".wasm")
	for _, bad := range []string{"two", "", strings.Repeat("x", 1000)} {
		must(t, os.WriteFile(file, []byte(bad), 0o644))
		if wasm, err := s.Get("chat", v.Hash); err == nil {
			t.Errorf("got %q", wasm)
		}
	}
	put(t, s, "one", "ada") // heals it
	wantList(t, s, "one by ada; ")

	if _, err := s.Put("chat", make([]byte, 101), "ada", day); err == nil {
		t.Error("a module that is too large is kept")
	}
	index := filepath.Join(dir, "chat", "versions.json")
	must(t, os.WriteFile(index, []byte(`[{"hash":"../../../etc/passwd"},{"hash":"`+v.Hash+`"},{"hash":"`+v.Hash+`"}]`), 0o644))
	all, err := s.List("chat")
	must(t, err)
	if len(all) != 1 || all[0].Hash != v.Hash {
		t.Errorf("of entries that lead elsewhere: %v", all)
	}
}

// A list that is damaged, or is no list, is set aside with a warning: what can be read of
// it goes on, with the modules that are there. Everything works afterwards.
func TestDamagedList(t *testing.T) {
	for name, damage := range map[string]struct {
		do   func(t *testing.T, index string)
		want string
	}{
		"empty":    {func(t *testing.T, index string) { must(t, os.Truncate(index, 0)) }, "two by found; one by found; "},
		"cut":      {cutAfter("two by ada"), "two by ada, crashes; one by found; "},
		"altered":  {func(t *testing.T, index string) { must(t, os.WriteFile(index, []byte(`{"hash":1}`), 0o644)) }, "two by found; one by found; "},
		"large":    {func(t *testing.T, index string) { must(t, os.Truncate(index, 2<<20)) }, "two by ada, crashes; one by folder; "},
		"a folder": {inPlace(func(path string) error { return os.Mkdir(path, 0o755) }), "two by found; one by found; "},
		"a link to nothing": {inPlace(func(path string) error { return os.Symlink("/dev/null", path) }),
			"two by found; one by found; "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var log bytes.Buffer
			s := versions.Open(dir, versions.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			one := put(t, s, "one", "folder")
			two := put(t, s, "two", "ada")
			must(t, os.Chtimes(filepath.Join(dir, "chat", one.Hash+".wasm"), day, day))
			must(t, s.Withdraw("chat", two.Hash, "crashes"))
			index := filepath.Join(dir, "chat", "versions.json")
			damage.do(t, index)

			reader := versions.Open(dir, versions.Options{ReadOnly: true})
			wantList(t, reader, damage.want)
			if _, err := os.Lstat(index + ".bad"); err == nil {
				t.Error("a reader has set it aside")
			}
			wantList(t, s, damage.want)
			if _, err := os.Lstat(index + ".bad"); err != nil || strings.Count(log.String(), "level=WARN") != 1 {
				t.Errorf("set aside: %v; the log says %s", err, &log)
			}
			must(t, s.Withdraw("chat", two.Hash, "crashes"))
			if v, wasm, err := s.Previous("chat", two.Hash); err != nil || string(wasm) != "one" {
				t.Errorf("back to %+v, %v", v, err)
			}
		})
	}
}

func cutAfter(what string) func(*testing.T, string) {
	return func(t *testing.T, index string) {
		text, err := os.ReadFile(index)
		must(t, err)
		end := strings.Index(string(text), "},")
		if end < 0 {
			t.Fatalf("no entry ends in\n%s", text)
		}
		must(t, os.Truncate(index, int64(end+20)))
	}
}

func inPlace(make func(path string) error) func(*testing.T, string) {
	return func(t *testing.T, index string) { must(t, os.Remove(index)); must(t, make(index)) }
}

// A file in the place of the folder, or of a module, does not prevent that versions are kept.
func TestSomethingElseInPlace(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{})
	must(t, os.WriteFile(filepath.Join(dir, "chat"), []byte("x"), 0o644))
	wantList(t, s, "")
	v := put(t, s, "one", "folder")
	module := filepath.Join(dir, "chat", v.Hash+".wasm")
	must(t, os.Remove(module))
	must(t, os.Mkdir(module, 0o755))
	if _, err := s.Get("chat", v.Hash); err == nil {
		t.Error("a folder is a module")
	}
	put(t, s, "one", "ada")
	wantList(t, s, "one by ada; ")
}

// What is not kept can be marked, and a mark can be taken back.
func TestMarks(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{})
	one, two := put(t, s, "one", "folder"), put(t, s, "two", "folder")
	other := strings.Repeat("ab", 32)
	must(t, s.Withdraw("chat", other, "crashes"))
	must(t, s.Withdraw("chat", two.Hash, "crashes"))
	all, err := s.List("chat")
	must(t, err)
	if len(all) != 3 || all[0].Hash != other || all[0].Withdrawn != "crashes" {
		t.Errorf("versions %+v", all)
	}
	if v, _, err := s.Previous("chat", other); err != nil || v.Hash != one.Hash {
		t.Errorf("back to %+v, %v", v, err)
	}
	must(t, s.Restore("chat", two.Hash))
	if v, _, err := s.Previous("chat", other); err != nil || v.Hash != two.Hash {
		t.Errorf("back to %+v, %v", v, err)
	}
	must(t, os.Remove(filepath.Join(dir, "chat", two.Hash+".wasm")))
	if v, wasm, err := s.Previous("chat", other); err != nil || string(wasm) != "one" {
		t.Errorf("past a module that is gone to %+v, %v", v, err)
	}
	if err := s.Withdraw("chat", "../x", "crashes"); err == nil {
		t.Error("a mark for no hash")
	}
}

func TestNamesStayInside(t *testing.T) {
	s := versions.Open(t.TempDir(), versions.Options{})
	for _, name := range []string{"", "..", ".hidden", "a/b", `a\b`, "a b", strings.Repeat("x", 101)} {
		if _, err := s.Put(name, []byte("x"), "ada", day); err == nil {
			t.Errorf("put %q", name)
		}
		if _, err := s.List(name); err == nil {
			t.Errorf("list %q", name)
		}
		if _, err := s.Get(name, strings.Repeat("0", 64)); err == nil || errors.Is(err, versions.ErrUnknown) {
			t.Errorf("get of %q: %v", name, err)
		}
	}
	if _, err := s.Get("chat", "../../../../etc/passwd"); !errors.Is(err, versions.ErrUnknown) {
		t.Errorf("get by another name: %v", err)
	}
}

// A reader, while somebody writes, sees the old list or the new one.
func TestReadersAndWriters(t *testing.T) {
	dir := t.TempDir()
	s, other := versions.Open(dir, versions.Options{Keep: 2}), versions.Open(dir, versions.Options{Keep: 2})
	done := make(chan error, 1)
	go func() {
		for n := range 50 {
			if _, err := s.Put("chat", []byte(fmt.Sprint(n)), "folder", day); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		all, err := other.List("chat")
		must(t, err)
		if len(all) > 2 {
			t.Fatalf("%d versions", len(all))
		}
		select {
		case err := <-done:
			must(t, err)
			return
		default:
		}
	}
}
