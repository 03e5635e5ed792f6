package presence_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rtd/channels/presence"
)

func connected(t testing.TB, name string, life uint64, o presence.Options) *presence.Tracker {
	t.Helper()
	tr := presence.New(o)
	if err := tr.Connect(presence.Replica{Name: name, Incarnation: life}, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// shardOf is the byte that names a topic's shard, which is the same on all nodes.
func shardOf(topic string) []byte {
	h := fnv.New32a()
	h.Write([]byte(topic))
	sum := h.Sum32()
	return []byte{byte((sum ^ sum>>16) % 32)}
}

// entry is an entry as it is on a wire.
func entry(clock int, topic, key, meta string) string {
	return fmt.Sprint(string(rune(clock)), topic, string(rune(len(key))), key, string(rune(len(meta))), meta)
}

// The bytes of a piece, which nodes of other versions read.
func TestPiece(t *testing.T) {
	tr := connected(t, "a", 300, presence.Options{})
	if piece := tr.TakeChanges(); piece != nil {
		t.Errorf("nothing has changed, and there is %q", piece)
	}
	const head = "\x01\x01a\xac\x02"
	if got := slices.Collect(tr.Snapshot()); len(got) != 1 || string(got[0]) != head {
		t.Errorf("a snapshot of nothing: %q", got)
	}
	meta := func(owner any, key string) string {
		ref := track(t, tr, owner, "room", key, `{}`)
		return `{"phx_ref":"` + ref + `"}`
	}
	ann, bob := meta(1, "ann"), meta(2, "bob")
	tr.Leave(2)
	eve := meta(3, "é")
	_ = bob
	number := string(shardOf("room"))
	first := head + number + "\x00" + "\x00" + entry(1, "\x05room", "ann", ann) + "\x03\x00" + "\x02é" + string(rune(len(eve))) + eve + "\x00\x04"
	if got := tr.TakeChanges(); string(got) != first {
		t.Errorf("changes\n%q, want\n%q", got, first)
	}
	if got := slices.Collect(tr.Snapshot()); len(got) != 1 || string(got[0]) != first {
		t.Errorf("a snapshot\n%q, want\n%q", got, first)
	}
	tr.Leave(1)
	if got, want := string(tr.TakeChanges()), head+number+"\x04"+"\x01\x00"+"\x00\x01"; got != want {
		t.Errorf("a leave\n%q, want\n%q", got, want)
	}
	if got := tr.TakeChanges(); got != nil {
		t.Errorf("all is taken, and there is %q", got)
	}
}

// However much has changed, or is there, it comes in pieces, and nothing is missing in between.
func TestPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, limit = 20_000, 256 << 10
		a := newReplica(t, "a", 1, presence.Options{Interval: -1})
		b := newReplica(t, "b", 1, presence.Options{Interval: -1})
		defer a.tracker.Close()
		defer b.tracker.Close()
		b.tracker.Up("a")
		merge := func(what string, least int, pieces ...[]byte) {
			t.Helper()
			for _, piece := range pieces {
				if err := b.tracker.Merge("a", piece); err != nil || len(piece) > limit {
					t.Fatalf("%s: a piece of %d bytes: %v", what, len(piece), err)
				}
			}
			if got, want := refsIn(b.tracker.List("room")), refsIn(a.tracker.List("room")); !slices.Equal(got, want) {
				t.Errorf("%s: b has %d, a has %d", what, len(got), len(want))
			}
			if s := b.tracker.Stats(); s.Early != 0 || len(pieces) < least {
				t.Errorf("%s: %d pieces; %+v", what, len(pieces), s)
			}
		}
		for i := range n {
			a.track(i, "room", fmt.Sprint("user", i))
		}
		merge("joins", 4, a.take()...)
		for i := range n {
			if i%10 > 0 {
				a.tracker.Leave(i)
			}
		}
		a.track("new", "room", "new")
		merge("leaves", 2, a.take()...)
		for i := range n {
			a.track(i+n, "room", fmt.Sprint("user", i))
		}
		var changes [][]byte
		i := 0
		for piece := range a.tracker.Snapshot() { // with changes between its pieces, which come before them or later
			a.tracker.Leave(n + n - 1 - i)
			a.tracker.Leave(n + i)
			if i == 2 {
				for _, piece := range a.take() {
					if err := b.tracker.Merge("a", piece); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := b.tracker.Merge("a", piece); err != nil {
				t.Fatal(err)
			}
			i++
		}
		changes = a.take()
		merge("changes in a snapshot", 1, changes...)
		merge("changes once more", 1, changes...)
		if i < 4 {
			t.Errorf("the snapshot had %d pieces", i)
		}
		for range 20_000 { // which nobody takes
			a.track("flips", "room", "flips")
			a.tracker.Leave("flips")
		}
		pieces := a.take()
		merge("what has come and gone", 1, pieces...)
		if len(pieces) != 1 || len(pieces[0]) > 100 {
			t.Errorf("it takes %d pieces, the first of %d bytes", len(pieces), len(pieces[0]))
		}
		large := strings.Repeat("x", 16<<10-10)
		for i := range 20 {
			if _, err := a.tracker.Track(i+3*n, "room", fmt.Sprint("large", i), []byte(`{"a":"`+large+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		merge("large ones", 2, a.take()...)
	})
}

// refsIn returns the refs in a list, sorted.
func refsIn(list []byte) (refs []string) {
	for _, part := range strings.Split(string(list), `"phx_ref":"`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	return refs
}

// A life that has begun ends the one before, in all shards, whether or not it is shown; and who is gone may come back with any life.
func TestLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := connected(t, "b", 1, presence.Options{})
		life := func(n uint64, topic string) (piece []byte) {
			a := connected(t, "a", n, presence.Options{})
			track(t, a, 1, topic, "ann", `{}`)
			return a.TakeChanges()
		}
		count := func(want string) {
			t.Helper()
			if got := fmt.Sprint(b.Topics()); got != want {
				t.Errorf("somebody is in %s, want %s", got, want)
			}
		}
		merge := func(piece []byte, want error) {
			t.Helper()
			if err := b.Merge("a", piece); !errors.Is(err, want) {
				t.Errorf("the error is %v, want %v", err, want)
			}
		}
		merge(life(3, "three"), nil)
		count("[]")
		b.Up("a")
		b.Up("a")
		count("[three]")
		merge(life(5, "five"), nil)
		count("[five]")
		merge(life(4, "four"), presence.ErrPeer)
		count("[five]")
		b.Down("a")
		count("[]")
		merge(life(6, "six"), nil)
		count("[]")
		b.Up("a")
		count("[six]")
		b.Gone("a")
		count("[]")
		if n := b.Stats(); n.Foreign+n.Entries+n.Peers != 0 {
			t.Errorf("left over: %+v", n)
		}
		b.Up("a")
		merge(life(2, "two"), nil)
		count("[two]")
		b.Gone("a")
		b.Down("a")
		b.Gone("b") // itself
		b.Down("b")
		b.Up("b")
		if n := b.Stats(); n.Peers != 0 {
			t.Errorf("it is a peer of itself: %+v", n)
		}
	})
}

func TestConnectFirst(t *testing.T) {
	tr := presence.New(presence.Options{})
	defer tr.Close()
	track(t, tr, 1, "room", "ann", `{}`)
	if tr.TakeChanges() != nil {
		t.Error("one that is not connected has changes")
	}
	tr.Leave(1)
	if err := tr.Connect(presence.Replica{Name: "a"}, nil); !errors.Is(err, presence.ErrConnected) {
		t.Errorf("the error is %v", err)
	}
	if err := connected(t, "a", 1, presence.Options{}).Connect(presence.Replica{Name: "b"}, nil); !errors.Is(err, presence.ErrConnected) {
		t.Errorf("the error is %v", err)
	}
}

// What a node may not say, and what is too much, is refused, and all else is merged.
func TestMergeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := presence.Options{PeerEntries: 5, TopicEntries: 3, Check: func(meta []byte) error {
			if bytes.Contains(meta, []byte("bad")) {
				return errors.New("bad")
			}
			return nil
		}}
		a := connected(t, "a", 1, presence.Options{MaxMeta: -1, MaxKey: -1})
		b := connected(t, "b", 1, o)
		b.Up("a")
		ref := track(t, a, 1, "room", "ann", `{}`)
		piece := a.TakeChanges()
		for from, err := range map[string]error{"b": presence.ErrPeer, "c": presence.ErrPeer, "": presence.ErrPeer} {
			if got := b.Merge(from, piece); !errors.Is(got, err) {
				t.Errorf("from %q: %v", from, got)
			}
		}
		if err := a.Merge("a", piece); !errors.Is(err, presence.ErrPeer) {
			t.Errorf("its own: %v", err)
		}
		another := bytes.Replace(piece, []byte("\x05room"), []byte("\x05moor"), 1) // which is not in this shard
		broken := bytes.Replace(piece, []byte(`{"phx_ref"`), []byte(`{'phx_ref"`), 1)
		wrong := bytes.Replace(piece, []byte("\x05room"), []byte("\x05ro\xffm"), 1)
		for _, bad := range [][]byte{another, broken, wrong} {
			c := connected(t, "c", 1, presence.Options{})
			c.Up("a")
			if err := c.Merge("a", bad); !errors.Is(err, presence.ErrDeclined) || len(c.Topics()) != 0 || c.Stats().Declined != 1 {
				t.Errorf("%q: %v, %q", bad, err, c.Topics())
			}
		}
		for i := range piece {
			if err := b.Merge("a", piece[:i]); err != nil && !errors.Is(err, presence.ErrPiece) {
				t.Errorf("%d bytes: %v", i, err)
			}
		}
		if err := b.Merge("a", make([]byte, 8<<20)); !errors.Is(err, presence.ErrPiece) {
			t.Errorf("8 MiB: %v", err)
		}
		if err := b.Merge("a", piece); err != nil {
			t.Error(err)
		}
		track(t, a, 2, "room", "bob", `{"bad":1}`)
		track(t, a, 3, "room", strings.Repeat("k", 2000), `{}`)
		track(t, a, 4, "room", "long", `{"a":"`+strings.Repeat("x", 20<<10)+`"}`)
		track(t, a, 5, "room", "eve", `{}`)
		if err := b.Merge("a", a.TakeChanges()); !errors.Is(err, presence.ErrDeclined) {
			t.Errorf("of what is too large: %v", err)
		}
		if k, _ := b.Count("room"); k != 2 {
			t.Errorf("%d are there: %s", k, b.List("room"))
		}
		a.Leave(2) // what is not there leaves without harm
		for i := range 6 {
			track(t, a, 10+i, "room", fmt.Sprint("more", i), `{}`)
		}
		if err := b.Merge("a", a.TakeChanges()); !errors.Is(err, presence.ErrDeclined) {
			t.Errorf("beyond the limit: %v", err)
		}
		if s := b.Stats(); s.Foreign != 5 || s.Entries != 5 || s.Declined != 3+3 || s.Early != 0 {
			t.Errorf("stats: %+v", s)
		}
		for piece := range a.Snapshot() { // again: those that are there do not count twice
			if err := b.Merge("a", piece); !errors.Is(err, presence.ErrDeclined) && err != nil {
				t.Error(err)
			}
		}
		if s := b.Stats(); s.Foreign != 5 {
			t.Errorf("stats: %+v", s)
		}
		if _, err := b.Track(1, "room", "local", []byte(`{}`)); !errors.Is(err, presence.ErrTopicFull) {
			t.Errorf("a topic that others have filled: %v", err)
		}
		a.Leave(1)
		if err := b.Merge("a", a.TakeChanges()); err != nil {
			t.Error(err)
		}
		if list := string(b.List("room")); strings.Contains(list, ref) {
			t.Errorf("ann has left, and is in %s", list)
		}
		// Too much is missing.
		far := append([]byte("\x01\x01a\x01"+string(shardOf("room"))), binary.AppendUvarint(nil, 1000)...)
		far = append(append(far, 0, 0), binary.AppendUvarint(nil, 1<<40)...)
		if err := b.Merge("a", far); !errors.Is(err, presence.ErrBehind) {
			t.Errorf("far ahead: %v", err)
		}
		b.Close()
		if err := b.Merge("a", piece); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// FuzzMerge: whatever another node sends, lists stay well-formed, and nothing is left of it when it has gone.
func FuzzMerge(f *testing.F) {
	a := connected(f, "a", 1, presence.Options{})
	for i := range 5 {
		_, _ = a.Track(i, "room", fmt.Sprint("user", i%3), []byte(`{"n":1}`))
		f.Add(a.TakeChanges(), []byte{})
	}
	a.Leave(1)
	f.Add(slices.Concat(slices.Collect(a.Snapshot())...), a.TakeChanges())
	f.Add([]byte("\x01\x01a\x01\x07\x90\x4e\x00\x00\x01"), []byte("\x01\x01a\x02"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		b := presence.New(presence.Options{Interval: -1})
		defer b.Close()
		if err := b.Connect(presence.Replica{Name: "b", Incarnation: 1}, func() {}); err != nil {
			t.Fatal(err)
		}
		track(t, b, 1, "room", "own", `{}`)
		b.Up("a")
		for _, piece := range [][]byte{first, second, first} {
			_ = b.Merge("a", piece)
			for _, topic := range b.Topics() {
				if list := b.List(topic); !json.Valid(list) {
					t.Fatalf("%q has the list %q", topic, list)
				}
			}
		}
		if s := b.Stats(); s.Entries != s.Foreign+1 {
			t.Fatalf("%+v", s)
		}
		b.Gone("a")
		if s := b.Stats(); s.Entries != 1 || s.Foreign != 0 || s.Early != 0 || s.Peers != 0 {
			t.Fatalf("left over: %+v", s)
		}
	})
}
