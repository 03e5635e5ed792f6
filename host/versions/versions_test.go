package versions_test

import (
	"errors"
	"fmt"
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
		got, err := s.Previous("chat", step.from.Hash)
		must(t, err)
		if got.Hash != step.want.Hash {
			t.Errorf("before %s is %s, want %s", step.from.ID(), got.ID(), step.want.ID())
		}
	}
	if _, err := s.Previous("chat", one.Hash); !errors.Is(err, versions.ErrNoPrevious) {
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
	for _, bad := range []string{"{", `{"hash":1}`, strings.Repeat(" ", 1<<20)} {
		must(t, os.WriteFile(index, []byte(bad), 0o644))
		if _, err := s.List("chat"); err == nil || !strings.Contains(err.Error(), "remove") {
			t.Errorf("of %.20q: %v", bad, err)
		}
	}
	must(t, os.WriteFile(index, []byte(`[{"hash":"../../../etc/passwd"},{"hash":"`+v.Hash+`"},{"hash":"`+v.Hash+`"}]`), 0o644))
	all, err := s.List("chat")
	must(t, err)
	if len(all) != 1 || all[0].Hash != v.Hash {
		t.Errorf("of entries that lead elsewhere: %v", all)
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

// Who reads while somebody writes sees the old list or the new one.
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
