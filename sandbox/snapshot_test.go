package sandbox_test

import (
	"bytes"
	"encoding/binary"
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

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// patient are limits for a machine that is busy.
var patient = sandbox.Limits{Deadline: 20 * time.Second}

// keeping loads a module whose snapshot is kept on a shelf.
func keeping(t testing.TB, wasm []byte, shelf sandbox.Snapshots, o sandbox.LoadOptions) *sandbox.Module {
	t.Helper()
	o.Snapshots = shelf
	if o.Name == "" {
		o.Name, o.Version = "actor", "v1"
	}
	return load(t, wasm, o)
}

// kept is the one snapshot on a shelf.
func kept(t *testing.T, shelf sandboxtest.Shelf) string {
	t.Helper()
	files, err := filepath.Glob(shelf.File("*"))
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".bad") })
	if err != nil || len(files) != 1 {
		t.Fatalf("the shelf has %q: %v", files, err)
	}
	return files[0]
}

func nameOf(t *testing.T, p *sandbox.Module) string {
	t.Helper()
	name, kept := p.Snapshot()
	if !kept {
		t.Fatal("the snapshot is not kept")
	}
	return name
}

func stateOf(t testing.TB, i *sandbox.Instance) []byte {
	t.Helper()
	state, err := i.State(nil)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// An actor goes on in another process of the operating system as if nothing had been, in every language: twice, there
// and in a third process.
func TestStateInAnotherProcess(t *testing.T) {
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			wasm, shelf := actorGuest(t, language), sandboxtest.Shelf(t.TempDir())
			p := keeping(t, wasm, shelf, sandbox.LoadOptions{Limits: patient})
			i, other := actor(t, p), actor(t, p)
			tell := func(i *sandbox.Instance, e *abi.Event) []string {
				effects, err := i.Handle(e)
				must(t, err)
				defer i.Release()
				return say(effects)
			}
			tell(i, message("say", `{"body":"before"}`))
			tell(other, message("say", `{"body":"the other"}`))
			v := visit{WASM: wasm, Shelf: shelf, States: [][]byte{stateOf(t, i), stateOf(t, other)},
				Events: []abi.Event{*message("say", `{"body":"after"}`), *message("last", "")}}
			var names []string
			for range 2 {
				seen := v.visit(t)
				names = append(names, seen.Snapshot)
				for n, i := range []*sandbox.Instance{i, other} {
					var want []string
					for _, e := range v.Events {
						want = append(want, tell(i, &e)...)
					}
					if got := texts(seen.Replies[n]); !slices.Equal(got, want) || seen.Errors[n] != "<nil>" {
						t.Errorf("elsewhere %q, %s; here %q", seen.Replies[n], seen.Errors[n], want)
					}
				}
				if seen.Log != "" || !seen.Kept {
					t.Errorf("kept %v, log: %s", seen.Kept, seen.Log)
				}
				v.States = seen.States
			}
			if name := nameOf(t, p); names[0] != name || names[1] != name {
				t.Errorf("snapshots %q, here %s", names, name)
			}

			// And back again.
			effects, err := resume(t, p, v.States[0]).Handle(message("last", ""))
			must(t, err)
			if got, want := say(effects), tell(i, message("last", "")); !slices.Equal(got, want) {
				t.Errorf("back again %q, want %q", got, want)
			}
		})
	}
}

func texts(all [][]byte) (texts []string) {
	for _, b := range all {
		texts = append(texts, string(b))
	}
	return texts
}

func resume(t testing.TB, p *sandbox.Module, state []byte) *sandbox.Instance {
	t.Helper()
	i, err := p.Resume("actor:1", nil, state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// One snapshot for all processes, but not one future.
func TestKeptSnapshotHasNoFuture(t *testing.T) {
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			wasm, shelf := actorGuest(t, language), sandboxtest.Shelf(t.TempDir())
			p := keeping(t, wasm, shelf, sandbox.LoadOptions{Limits: patient})
			fresh := stateOf(t, start(t, p)) // has handled nothing
			v := visit{WASM: wasm, Shelf: shelf, States: [][]byte{fresh, fresh, fresh},
				Events: []abi.Event{{Kind: abi.EventJoin, Name: "actor:1", Payload: []byte(`{}`)}, *message("random", "")}}
			seen := map[string]bool{}
			for range 2 {
				for _, replies := range v.visit(t).Replies {
					seen[string(replies[1])] = true
				}
			}
			for range 3 {
				effects, err := actor(t, p).Handle(message("random", ""))
				must(t, err)
				seen[say(effects)[0]] = true
			}
			if len(seen) != 9 {
				t.Errorf("%d sequences of 9 actors", len(seen))
			}
		})
	}
}

// A guest's monotonic clock does not go back when its memory comes into a later process.
func TestClockGoesOn(t *testing.T) {
	wasm, shelf := fixture(t, "wasi"), sandboxtest.Shelf(t.TempDir())
	prober := newProber(t)
	here := int64(binary.LittleEndian.Uint64(prober.want(0, "clock_time_get", 1, 1, scratch)))
	p := keeping(t, wasm, shelf, sandbox.LoadOptions{Limits: patient})
	payload := []byte{prober.number["clock_time_get"]}
	for _, arg := range []uint64{1, 1, scratch} {
		payload = binary.LittleEndian.AppendUint64(payload, arg)
	}
	v := visit{WASM: wasm, Shelf: shelf, States: [][]byte{stateOf(t, start(t, p))},
		Events: []abi.Event{{Kind: abi.EventMessage, Name: "call", Payload: payload}}}
	seen := v.visit(t)
	if seen.Errors[0] != "<nil>" {
		t.Fatal(seen.Errors)
	}
	_, reply, _ := bytes.Cut(seen.Replies[0][0], []byte(" ok "))
	if len(reply) != 68 {
		t.Fatalf("reply %q", reply)
	}
	there := int64(binary.LittleEndian.Uint64(reply[4:]))
	if there <= here {
		t.Errorf("%v before", time.Duration(here-there))
	}
}

// Everything that the guest sees when it starts makes another snapshot, and nothing else does. States of one are
// refused by the other.
func TestSnapshotIsOfItsSettings(t *testing.T) {
	wasm, shelf := actorGuest(t, "c"), sandboxtest.Shelf(t.TempDir())
	first := keeping(t, wasm, shelf, sandbox.LoadOptions{})
	state := stateOf(t, actor(t, first))
	for _, c := range []struct {
		name string
		wasm []byte
		o    sandbox.LoadOptions
		same bool
	}{
		{"nothing", wasm, sandbox.LoadOptions{}, true},
		{"config", wasm, sandbox.LoadOptions{Config: []byte(`{"a":1}`)}, false},
		{"memory", wasm, sandbox.LoadOptions{Limits: sandbox.Limits{Memory: 32 << 20}}, false},
		{"name", wasm, sandbox.LoadOptions{Name: "other", Version: "v1"}, false},
		{"version", wasm, sandbox.LoadOptions{Name: "actor", Version: "v2"}, false},
		{"module", actorGuest(t, "rust"), sandbox.LoadOptions{}, false},
		{"the default in words", wasm, sandbox.LoadOptions{Config: []byte("{}"), Limits: sandbox.Limits{Memory: 64<<20 + 1}}, true},
		{"other limits", wasm, sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 3, Effects: 77, LogLines: 5, TotalMemory: 1 << 30}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := keeping(t, c.wasm, shelf, c.o)
			if same := nameOf(t, p) == nameOf(t, first); same != c.same {
				t.Errorf("the same snapshot: %v", same)
			}
			i, err := p.Resume("actor:1", nil, state)
			if err == nil {
				i.Close()
			}
			if c.same && err != nil || !c.same && !errors.Is(err, sandbox.ErrSnapshot) {
				t.Errorf("resumed: %v", err)
			}
			again := keeping(t, c.wasm, shelf, c.o)
			if nameOf(t, again) != nameOf(t, p) {
				t.Error("another snapshot each time")
			}
		})
	}
}

// What is known of the guest is known without starting it, and all but the time of the start is as before.
func TestKeptSnapshotSaysAll(t *testing.T) {
	for _, module := range []string{"rtd/plugins/chat", "rtd/plugins/rooms"} {
		t.Run(module, func(t *testing.T) {
			wasm, shelf := sandboxtest.BuildGo(t, module), sandboxtest.Shelf(t.TempDir())
			one := keeping(t, wasm, shelf, sandbox.LoadOptions{})
			two := keeping(t, wasm, shelf, sandbox.LoadOptions{})
			if nameOf(t, one) != nameOf(t, two) {
				t.Error("another snapshot")
			}
			if one.Stats().Events != 1 || two.Stats().Events != 0 {
				t.Errorf("%d and %d start events", one.Stats().Events, two.Stats().Events)
			}
			if len(one.Declared()) == 0 || fmt.Sprintf("%+v", one.Declared()) != fmt.Sprintf("%+v", two.Declared()) {
				t.Errorf("declared %+v and %+v", one.Declared(), two.Declared())
			}
			if len(one.Topics()) == 0 || !slices.Equal(one.Topics(), two.Topics()) {
				t.Errorf("topics %q and %q", one.Topics(), two.Topics())
			}
			a, aGlobals, err := start(t, one).Memory()
			must(t, err)
			b, bGlobals, err := start(t, two).Memory()
			must(t, err)
			if !bytes.Equal(a, b) || !slices.Equal(aGlobals, bGlobals) {
				t.Error("memory or globals differ")
			}
		})
	}
}

// Whatever has become of the file, it is noticed: the plugin runs with a new snapshot, which is kept. States of the
// old one are refused, unless both are the same, byte for byte, as those of this guest in C are and those of Go never.
func TestDamagedSnapshotIsReplaced(t *testing.T) {
	for language, same := range map[string]bool{"c": true, "go": false} {
		t.Run(language, func(t *testing.T) { damageSnapshots(t, actorGuest(t, language), same) })
	}
}

func damageSnapshots(t *testing.T, wasm []byte, same bool) {
	edit := func(do func(data []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) { must(t, os.WriteFile(file, do(read(t, file)), 0o600)) }
	}
	for _, damage := range []struct {
		name  string
		do    func(t *testing.T, file string)
		quiet bool
	}{
		{"missing", func(t *testing.T, file string) { must(t, os.Remove(file)) }, true},
		{"empty", edit(func([]byte) []byte { return nil }), false},
		{"half", edit(func(b []byte) []byte { return b[:len(b)/2] }), false},
		{"cut by a byte", edit(func(b []byte) []byte { return b[:len(b)-1] }), false},
		{"longer", edit(func(b []byte) []byte { return append(b, 0) }), false},
		{"a bit", edit(func(b []byte) []byte { b[len(b)-9] ^= 4; return b }), false},
		{"a bit of the seal", edit(func(b []byte) []byte { b[20] ^= 4; return b }), false},
		{"something else", edit(func(b []byte) []byte { return bytes.Repeat([]byte{0xcc}, len(b)) }), false},
		{"a later format", edit(func(b []byte) []byte { return bytes.Replace(b, []byte("snapshot 1"), []byte("snapshot 2"), 1) }), false},
		{"another config's", func(t *testing.T, file string) {
			other := sandboxtest.Shelf(t.TempDir())
			keeping(t, wasm, other, sandbox.LoadOptions{Config: []byte(`{"a":1}`)})
			must(t, os.WriteFile(file, read(t, kept(t, other)), 0o600))
		}, false},
		{"another module's", func(t *testing.T, file string) {
			other := sandboxtest.Shelf(t.TempDir())
			keeping(t, actorGuest(t, "rust"), other, sandbox.LoadOptions{})
			must(t, os.WriteFile(file, read(t, kept(t, other)), 0o600))
		}, false},
		{"four billion bytes", edit(func(b []byte) []byte {
			// Sealed, as by somebody who knows how.
			at := bytes.LastIndexByte(b, '}') + 1
			return sandbox.Sealed(append(slices.Clone(b[:at]), 0x80, 0x80, 0x80, 0x80, 0x10))
		}), false},
		{"no multiple of pages", edit(func(b []byte) []byte {
			at := bytes.LastIndexByte(b, '}') + 1
			return sandbox.Sealed(append(slices.Clone(b[:at]), 9, 1, 2, 3))
		}), false},
		{"other globals", edit(func(b []byte) []byte {
			return sandbox.Sealed(bytes.Replace(b, []byte(`"Globals":[`), []byte(`"Globals":[1,`), 1))
		}), false},
	} {
		if !same && !damage.quiet && damage.name != "a bit" {
			continue // damage is found by the seal, which knows no language
		}
		t.Run(damage.name, func(t *testing.T) {
			shelf := sandboxtest.Shelf(t.TempDir())
			before := keeping(t, wasm, shelf, sandbox.LoadOptions{})
			state := stateOf(t, actor(t, before))
			file := kept(t, shelf)
			damage.do(t, file)

			log, text := logged()
			after := keeping(t, wasm, shelf, sandbox.LoadOptions{Log: log})
			if (nameOf(t, after) == nameOf(t, before)) != same {
				t.Error("snapshots", nameOf(t, before), nameOf(t, after))
			}
			if n := strings.Count(text(), "\n"); n > 1 || strings.Contains(text(), "the kept snapshot is damaged") == damage.quiet {
				t.Errorf("log: %s", text())
			}
			if same {
				wantReply(t, resume(t, after, state), "last", "", "[]")
			} else if _, err := after.Resume("actor:1", nil, state); !errors.Is(err, sandbox.ErrSnapshot) {
				t.Errorf("resumed with another snapshot: %v", err)
			}
			actor(t, after)
			if !damage.quiet {
				if _, err := os.Stat(file + ".bad"); err != nil {
					t.Error("nothing is left to look at:", err)
				}
			}
			log, text = logged()
			if again := keeping(t, wasm, shelf, sandbox.LoadOptions{Log: log}); nameOf(t, again) != nameOf(t, after) || text() != "" {
				t.Errorf("not replaced; log: %s", text())
			}
		})
	}
}

// badShelf fails in some way.
type badShelf struct {
	sandboxtest.Shelf
	get, put, aside error
}

func (s badShelf) Get(key string) ([]byte, error) {
	if s.get != nil {
		return nil, s.get
	}
	return s.Shelf.Get(key)
}

func (s badShelf) Put(key string, b []byte) error {
	if s.put != nil {
		return s.put
	}
	return s.Shelf.Put(key, b)
}

func (s badShelf) SetAside(key string) (string, error) {
	if s.aside != nil {
		return "", s.aside
	}
	return s.Shelf.SetAside(key)
}

// A disk that does not work is a warning, and the plugin says that its states are for this process only. What cannot be
// read now may be read later: it is left alone.
func TestShelfThatDoesNotWork(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, bad := range map[string]badShelf{
		"get": {get: broken}, "put": {put: broken}, "aside": {aside: broken},
	} {
		t.Run(name, func(t *testing.T) {
			wasm := actorGuest(t, "c")
			bad.Shelf = sandboxtest.Shelf(t.TempDir())
			if name != "put" {
				keeping(t, wasm, bad.Shelf, sandbox.LoadOptions{})
			}
			if name == "aside" {
				must(t, os.Truncate(kept(t, bad.Shelf), 100))
			}
			log, text := logged()
			p := keeping(t, wasm, bad, sandbox.LoadOptions{Log: log})
			if _, kept := p.Snapshot(); kept {
				t.Error("said to be kept")
			}
			if strings.Count(text(), "\n") != 1 || !strings.Contains(text(), "broken") || !strings.Contains(text(), "not kept") {
				t.Errorf("log: %s", text())
			}
			i := actor(t, p)
			effects, err := resume(t, p, stateOf(t, i)).Handle(message("last", ""))
			if err != nil || say(effects)[0] != "reply ok []" {
				t.Errorf("%q, %v", say(effects), err)
			}
			if name == "get" {
				kept(t, bad.Shelf)
			}
		})
	}
}

// slowShelf lets nobody put anything before all have looked.
type slowShelf struct {
	sandboxtest.Shelf
	looked *sync.WaitGroup
	once   sync.Once
}

func (s *slowShelf) Get(key string) ([]byte, error) {
	b, err := s.Shelf.Get(key)
	if errors.Is(err, fs.ErrNotExist) {
		s.once.Do(func() { s.looked.Done(); s.looked.Wait() })
	}
	return b, err
}

// A Load of a new module, at the same time as others, has their snapshot.
func TestOneSnapshotForAll(t *testing.T) {
	const loads = 4
	wasm, shelf := actorGuest(t, "rust"), sandboxtest.Shelf(t.TempDir())
	e := sandboxtest.Engine(t)
	var looked, all sync.WaitGroup
	looked.Add(loads)
	names := make([]string, loads)
	for n := range loads {
		all.Go(func() {
			p, err := e.Load(t.Context(), wasm, sandbox.LoadOptions{Name: "actor", Version: "v1", Limits: patient,
				Snapshots: &slowShelf{Shelf: shelf, looked: &looked}})
			if err != nil {
				t.Error(err)
				looked.Done()
				return
			}
			defer p.Close()
			name, kept := p.Snapshot()
			if !kept {
				t.Error("not kept")
			}
			names[n] = name
		})
	}
	all.Wait()
	if slices.Sort(names); names[0] != names[loads-1] || names[0] == "" {
		t.Errorf("snapshots %q", names)
	}
}

// Whose state a slot cannot hold, has no snapshot to keep.
func TestPinnedHasNoSnapshot(t *testing.T) {
	shelf := sandboxtest.Shelf(t.TempDir())
	p := keeping(t, fixture(t, "pinned"), shelf, sandbox.LoadOptions{})
	if _, kept := p.Snapshot(); kept {
		t.Error("said to be kept")
	}
	if _, err := start(t, p).State(nil); !errors.Is(err, sandbox.ErrPinned) {
		t.Errorf("state: %v", err)
	}
	if _, err := p.Resume("", nil, make([]byte, 100)); !errors.Is(err, sandbox.ErrPinned) {
		t.Errorf("resumed: %v", err)
	}
	if files, _ := filepath.Glob(shelf.File("*")); len(files) > 0 {
		t.Errorf("kept %q", files)
	}
}

// Without a place nothing is kept, and each load has a snapshot of its own.
func TestNothingIsKeptWithoutAPlace(t *testing.T) {
	wasm := actorGuest(t, "c")
	one, two := load(t, wasm, sandbox.LoadOptions{}), load(t, wasm, sandbox.LoadOptions{})
	name, kept := one.Snapshot()
	if other, _ := two.Snapshot(); kept || name == other {
		t.Errorf("kept %v, %s and %s", kept, name, other)
	}
	state := stateOf(t, actor(t, one))
	resume(t, one, state)
	if _, err := two.Resume("actor:1", nil, state); !errors.Is(err, sandbox.ErrSnapshot) {
		t.Errorf("resumed: %v", err)
	}
}
