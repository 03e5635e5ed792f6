package versions_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/host/versions"
)

// sealed is a snapshot by its name's number, as far as this package looks into one.
func sealed(n int) (name string, snapshot []byte) {
	name = fmt.Sprintf("%064x", n)
	head := "rtd snapshot 1\n"
	for i := range 32 {
		var b byte
		fmt.Sscanf(name[2*i:2*i+2], "%02x", &b)
		head += string([]byte{b})
	}
	return name, []byte(head + "the rest")
}

// A snapshot is found by its name, whatever it is of.
func TestSnapshotIsFound(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{})
	put(t, s, "one", "ada")
	of := s.Snapshots("chat", hashOf("one"))
	for n := range 3 {
		_, snapshot := sealed(n)
		must(t, of.Put(key(9-n), append(snapshot, byte('0'+n))))
	}
	must(t, s.Snapshots("chat", hashOf("two")).Put(key(1), append([]byte("no snapshot"), make([]byte, 100)...)))
	for n := range 3 {
		name, snapshot := sealed(n)
		if got, err := of.Find(name); err != nil || string(got) != string(snapshot)+string(byte('0'+n)) {
			t.Errorf("%d: %q, %v", n, got, err)
		}
		if got, err := s.Snapshots("chat", hashOf("two")).Find(name); !errors.Is(err, versions.ErrNoSnapshot) {
			t.Errorf("of another version: %q, %v", got, err)
		}
	}
	to, err := of.SetAside(key(9))
	must(t, err)
	name, _ := sealed(0)
	if _, err := of.Find(name); !errors.Is(err, versions.ErrNoSnapshot) || !strings.Contains(err.Error(), to) {
		t.Errorf("set aside: %v", err)
	}
	for _, name := range []string{"", "..", name[1:], strings.ToUpper(name[:63]) + "F"} {
		if got, err := of.Find(name); err == nil {
			t.Errorf("found %q by the name %q", got, name)
		}
	}
	must(t, os.RemoveAll(filepath.Join(dir, "chat", "snapshots")))
	if _, err := of.Find(name); !errors.Is(err, versions.ErrNoSnapshot) {
		t.Errorf("without a folder: %v", err)
	}
}

// What states need stays: whatever is deployed, under however many configs, in the list or not, on a full disk.
func TestNeededIsKept(t *testing.T) {
	dir := t.TempDir()
	s := versions.Open(dir, versions.Options{Keep: 2})
	var needs []versions.Need
	known := true
	s.Needed(func(plugin string) ([]versions.Need, bool) {
		if plugin != "chat" {
			t.Errorf("asked for what %s needs", plugin)
		}
		return needs, known
	})
	need := func(content string, n int) {
		name, _ := sealed(n)
		needs = append(needs, versions.Need{Version: hashOf(content), Snapshot: name})
	}
	keep := func(content string, numbers ...int) {
		for _, n := range numbers {
			_, snapshot := sealed(n)
			must(t, s.Snapshots("chat", hashOf(content)).Put(key(n), snapshot))
			time.Sleep(2 * time.Millisecond) // so that each is older than the next
		}
	}
	want := func(versions, snaps string) {
		t.Helper()
		var list []string
		all, err := s.List("chat")
		must(t, err)
		for _, v := range all {
			for _, content := range []string{"one", "two", "three", "four", "five"} {
				if v.Hash == hashOf(content) {
					list = append(list, content)
				}
			}
		}
		if got := strings.Join(list, " "); got != versions {
			t.Errorf("versions %q, want %q", got, versions)
		}
		if got := snapshots(t, dir, "one", "two", "three", "four", "five"); got != snaps {
			t.Errorf("snapshots %q, want %q", got, snaps)
		}
	}

	keep("one", 1)
	put(t, s, "one", "ada")
	need("one", 1)
	keep("one", 2, 3, 4, 5)
	want("one", "one1 one3 one4 one5") // three, and the one that is needed
	for _, content := range []string{"two", "three", "four"} {
		put(t, s, content, "ada")
	}
	want("four three one", "one1 one3 one4 one5")
	if _, err := s.Get("chat", hashOf("one")); err != nil {
		t.Error(err)
	}
	must(t, s.Withdraw("chat", hashOf("one"), "crashes"))
	put(t, s, "five", "ada")
	want("five four one", "one1 one3 one4 one5")

	// A list that is lost is no reason.
	must(t, os.Remove(filepath.Join(dir, "chat", "versions.json")))
	put(t, s, "five", "ada")
	if _, err := s.Get("chat", hashOf("one")); err != nil {
		t.Error(err)
	}
	want("five", "one1 one4 one5") // with the others of versions that nobody has deployed, as far as they stay

	// When nothing is known, nothing goes, if there may be states; and when it is not needed any more, it does.
	put(t, s, "one", "ada")
	needs, known = nil, false
	must(t, s.Hold("chat", []byte("one")))
	for _, content := range []string{"two", "three", "four"} {
		put(t, s, content, "ada")
	}
	want("four three two one five", "one1 one4 one5")
	known = true
	put(t, s, "four", "ada")
	want("four three", "")
	if _, err := s.Get("chat", hashOf("one")); !errors.Is(err, versions.ErrUnknown) {
		t.Errorf("nobody needs it: %v", err)
	}

	known = false
	dir = t.TempDir()
	s = versions.Open(dir, versions.Options{Keep: 2})
	s.Needed(func(string) ([]versions.Need, bool) { return nil, false })
	for _, content := range []string{"one", "two", "three"} {
		put(t, s, content, "ada")
	}
	want("three two", "") // it has never had states
}

// A module that is held is there before it is deployed, and goes again if it is not.
func TestModuleIsHeld(t *testing.T) {
	s := versions.Open(t.TempDir(), versions.Options{})
	must(t, s.Hold("chat", []byte("one")))
	if got, err := s.Get("chat", hashOf("one")); string(got) != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if all, err := s.List("chat"); len(all) != 0 || err != nil {
		t.Errorf("deployed: %v, %v", all, err)
	}
	if _, _, err := s.Previous("chat", hashOf("two")); !errors.Is(err, versions.ErrNoPrevious) {
		t.Errorf("a way back to what never ran: %v", err)
	}
	put(t, s, "two", "ada")
	if _, err := s.Get("chat", hashOf("one")); !errors.Is(err, versions.ErrUnknown) {
		t.Errorf("it stays: %v", err)
	}
	must(t, s.Hold("chat", []byte("one")))
	put(t, s, "one", "ada")
	put(t, s, "two", "ada")
	if all, err := s.List("chat"); err != nil || !slices.ContainsFunc(all, func(v versions.Version) bool { return v.Hash == hashOf("one") }) {
		t.Errorf("deployed: %v, %v", all, err)
	}
	if s.Hold("../chat", nil) == nil || s.Hold("chat", make([]byte, 64<<20+1)) == nil {
		t.Error("held somewhere else, or too much")
	}
}
