package sandbox_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// A kept snapshot says what it is of, and a module begins with it whatever its plugin's config has become.
func TestKeptSnapshotIsGiven(t *testing.T) {
	wasm, shelf := actorGuest(t, "c"), sandboxtest.Shelf(t.TempDir())
	before := keeping(t, wasm, shelf, sandbox.LoadOptions{Config: []byte(`{"a":1}`), Limits: sandbox.Limits{Memory: 32<<20 + 1}})
	i := actor(t, before)
	must(t, tell(i, message("say", `{"body":"before"}`)))
	state, sealed := stateOf(t, i), read(t, kept(t, shelf))

	info, err := sandbox.ReadSnapshotInfo(sealed)
	must(t, err)
	sum := sha256.Sum256(wasm)
	if info.Snapshot != nameOf(t, before) || info.Module != hex.EncodeToString(sum[:]) || info.Name != "actor" || info.Version != "v1" ||
		string(info.Config) != `{"a":1}` || info.Memory != 32<<20 {
		t.Errorf("%+v", info)
	}
	if name, ok := sandbox.SnapshotName(sealed[:sandbox.SnapshotHead]); name != info.Snapshot || !ok {
		t.Errorf("its beginning names %q, %v", name, ok)
	}
	if name, ok := sandbox.SnapshotName(sealed[:sandbox.SnapshotHead-1]); ok {
		t.Errorf("a piece of its beginning names %q", name)
	}

	o := sandbox.LoadOptions{Name: "actor", Version: "v1", Config: []byte(`{"a":2}`), Kept: sealed}
	after := load(t, wasm, o)
	if nameOf(t, after) != nameOf(t, before) || after.Stats().Events != 0 {
		t.Errorf("snapshot %s, want %s; %d events", nameOf(t, after), nameOf(t, before), after.Stats().Events)
	}
	wantReply(t, resume(t, after, state), "last", "", `["before"]`)

	e := sandboxtest.Engine(t)
	for name, c := range map[string]struct {
		wasm []byte
		edit func(*sandbox.LoadOptions)
		want error
	}{
		"another module":  {actorGuest(t, "rust"), func(*sandbox.LoadOptions) {}, sandbox.ErrSnapshot},
		"another version": {wasm, func(o *sandbox.LoadOptions) { o.Version = "v2" }, sandbox.ErrSnapshot},
		"another plugin":  {wasm, func(o *sandbox.LoadOptions) { o.Name = "other" }, sandbox.ErrSnapshot},
		"other globals": {wasm, func(o *sandbox.LoadOptions) {
			o.Kept = sandbox.Sealed(bytes.Replace(sealed, []byte(`"Types":"f`), []byte(`"Types":"e`), 1))
		}, sandbox.ErrSnapshot},
		"cut":     {wasm, func(o *sandbox.LoadOptions) { o.Kept = sealed[:len(sealed)-1] }, sandbox.ErrDamaged},
		"nothing": {wasm, func(o *sandbox.LoadOptions) { o.Kept = []byte{} }, sandbox.ErrDamaged},
		"no memory": {wasm, func(o *sandbox.LoadOptions) {
			o.Kept = sandbox.Sealed(bytes.Clone(sealed[:bytes.LastIndexByte(sealed, '}')+1]))
		}, sandbox.ErrDamaged},
		"pinned": {fixture(t, "pinned"), func(*sandbox.LoadOptions) {}, sandbox.ErrPinned},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			c.edit(&o)
			if p, err := e.Load(t.Context(), c.wasm, o); !errors.Is(err, c.want) {
				if err == nil {
					p.Close()
				}
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// A module whose snapshot is not kept says why.
func TestUnkeptSaysWhy(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, c := range map[string]struct {
		wasm  []byte
		shelf sandbox.Snapshots
		want  string
	}{
		"kept":     {actorGuest(t, "c"), sandboxtest.Shelf(t.TempDir()), "<nil>"},
		"no place": {actorGuest(t, "c"), nil, "there is no place to keep it"},
		"broken":   {actorGuest(t, "c"), badShelf{sandboxtest.Shelf(t.TempDir()), nil, broken, nil}, "the disk is broken"},
		"pinned":   {fixture(t, "pinned"), sandboxtest.Shelf(t.TempDir()), "guests of this plugin cannot be copied: "},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, c.wasm, sandbox.LoadOptions{Name: "actor", Version: "v1", Snapshots: c.shelf})
			got := "<nil>"
			if err := p.Unkept(); err != nil {
				got = err.Error()
			}
			if _, kept := p.Snapshot(); !strings.HasPrefix(got, c.want) || kept != (c.want == "<nil>") {
				t.Errorf("kept %v, %s", kept, got)
			}
		})
	}
}

// Any bytes are read without harm, and what is read of them is what a Load goes by.
func FuzzSnapshotInfo(f *testing.F) {
	wasm, shelf := actorGuest(f, "c"), sandboxtest.Shelf(f.TempDir())
	p, err := sandboxtest.Engine(f).Load(f.Context(), wasm, sandbox.LoadOptions{Name: "actor", Version: "v1", Snapshots: shelf})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.Close)
	f.Add([]byte{})
	f.Add([]byte("\x02{}"))
	f.Add([]byte("\x16{\"Of\":{\"Memory\":1e99}}"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	name, _ := p.Snapshot()
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed := append([]byte("rtd snapshot 1\n"), make([]byte, 32)...)
		sealed = sandbox.Sealed(append(sealed, body...))
		info, err := sandbox.ReadSnapshotInfo(sealed)
		if beginning, ok := sandbox.SnapshotName(sealed); !ok || err == nil && beginning != info.Snapshot || info.Snapshot == name {
			t.Fatalf("its beginning names %q, its head %+v", beginning, info)
		}
		if _, err := sandbox.ReadSnapshotInfo(body); err == nil {
			t.Fatal("read without a seal")
		}
	})
}
