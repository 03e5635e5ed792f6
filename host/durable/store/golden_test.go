package store

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/host/durable"
)

var update = flag.Bool("update", false, "write the goldens anew")

func commits() []*durable.Commit {
	a := durable.Actor{Plugin: "chat", Kind: durable.Topic, Name: "room:1"}
	b := durable.Actor{Plugin: "other", Kind: durable.Process, Name: "counter"}
	version, snapshot := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	at := time.UnixMicro(1_700_000_000_123_456).UTC()
	posts := []durable.Post{
		{ID: durable.PostID{Born: 1 << 63, Revision: 8, Index: 0}, To: b, From: "chat:1", Kind: 0x114, Binary: true, Payload: []byte("payload")},
		{ID: durable.PostID{Born: 1 << 63, Revision: 8, Index: 1}, To: a, From: "", Kind: 0xFFFF},
	}
	return []*durable.Commit{
		{Actor: a, Last: 7, State: &durable.State{Revision: 8, Born: 1 << 63, At: at, Version: version, Snapshot: snapshot, Guest: []byte("guest"), Held: []byte("held"), Due: at.Add(time.Hour)}, Posts: posts},
		{Actor: b, Last: 0, State: &durable.State{Revision: 1, Born: 2, At: at, Version: version, Snapshot: snapshot}, Took: []durable.PostID{posts[0].ID}},
		{Actor: a, Last: 8},
	}
}

// setAside is a commit that sets a message and a timer aside.
func setAside() []*durable.Commit {
	c := commits()[1]
	c.Posts = []durable.Post{
		{ID: c.Took[0], To: c.Actor, From: "chat:1", Kind: 0x114, Payload: []byte("payload"), Aside: &durable.Aside{Event: "7-8-0", At: c.State.At, Cause: "trap"}},
		{ID: durable.PostID{Born: 2, Revision: 1}, To: c.Actor, Kind: 8, Binary: true, Aside: &durable.Aside{Event: "#1", Timer: true}},
	}
	return []*durable.Commit{c}
}

// withSaid is commits with broadcasts, of an actor and of nobody.
func withSaid() []*durable.Commit {
	c := commits()[0]
	c.Said = []*durable.Said{
		{Topic: "room:1", Event: "said", Payload: []byte(`{"n":1}`), At: c.State.At, Epoch: "0123456789", Offset: 17},
		{Topic: "room:2", Event: "bytes", Payload: []byte{0, 255}, Binary: true, At: c.State.At, Epoch: "abcdefghij", Offset: 1 << 40},
	}
	return []*durable.Commit{c, commits()[1], {Said: []*durable.Said{
		{Kind: durable.HistoryBegun, Topic: "room:3", Epoch: "0123456789"},
		{Topic: "room:3", Epoch: "0123456789", Offset: 1},
		{Kind: durable.HistoryPurged, Topic: "room:1", Epoch: "0123456789", Offset: 12},
	}}}
}

func testChunk() []byte {
	c := withSaid()[0]
	second := *c.Said[1]
	second.Topic, second.Epoch, second.Offset = "room:1", "0123456789", 18
	return encodeChunk(header{topic: "room:1", epoch: "0123456789", first: 17, oldest: 3, until: c.State.At, keep: time.Hour}, []*durable.Said{c.Said[0], &second})
}

func testHash(name string) uint64 { return (&Keeper{seed: []byte("seed")}).hash(name) }

func testLeaf() *leaf {
	c := commits()
	l := &leaf{plugin: "chat", kind: durable.Topic}
	l.put(entry{name: "room:1", hash: testHash("room:1"), state: c[0].State, posts: c[0].Posts[1:]})
	l.put(entry{name: "waits", hash: testHash("waits"), posts: c[0].Posts[1:]})
	return l
}

// The bytes of a format stay as they are: who changes them writes another format, and reads those before still.
func TestFormat(t *testing.T) {
	for name, data := range map[string][]byte{
		"format2/record": encodeRecord(nil, commits()),
		"format2/aside":  encodeRecord(nil, setAside()),
		"format2/fence":  encodeFence("text"),
		"format3/said":   encodeRecord(nil, withSaid()),
		"format3/chunk":  testChunk(),
		"format1/leaf":   testLeaf().encode(),
	} {
		path := filepath.Join("testdata", name+".hex")
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(data); got != strings.TrimSpace(string(text)) {
			t.Errorf("%s is\n%s, and was\n%s", name, got, text)
		}
	}
	for _, name := range []string{"format1/record", "format2/record", "format1/aside", "format2/aside", "format1/fence", "format2/fence", "format3/said"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		want := commits()
		switch filepath.Base(name) {
		case "aside":
			want = setAside()
		case "fence":
			want = nil
		case "said":
			want = withSaid()
		}
		if got, lost, err := decodeRecord(data); err != nil || len(lost) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s comes back as %+v: %v, %v", name, got, lost, err)
		}
	}
	if got, err := decodeLeaf(testLeaf().encode(), 0, testHash); err != nil || !reflect.DeepEqual(got, testLeaf()) {
		t.Errorf("a leaf comes back as %+v: %v", got, err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord(nil, commits()))
	f.Add(encodeRecord(nil, setAside()))
	f.Add(encodeFence("x"))
	f.Add(encodeRecord(nil, withSaid()))
	f.Fuzz(func(t *testing.T, data []byte) {
		// What is in the frame is what is hostile; its checksum is not in the way.
		check := func(data []byte) {
			group, _, err := decodeRecord(data)
			if err != nil || len(group) == 0 {
				return
			}
			again, lost, err := decodeRecord(encodeRecord(nil, group))
			if err != nil || len(lost) > 0 || !reflect.DeepEqual(group, again) {
				t.Fatalf("%+v comes back as %+v: %v, %v", group, again, lost, err)
			}
		}
		check(data)
		check(appendFrame([]byte{1}, func(b []byte) []byte { return append(b, data...) }))
		shared := appendFrame(appendFrame([]byte{recordFormat}, func(b []byte) []byte { return append(b, 2, 4, 'c', 'h', 'a', 't', 1, 'v') }), func(b []byte) []byte {
			return append(b, 1, 1, 2, 3, 4, 5, 6, 7, 8)
		})
		check(appendFrame(shared, func(b []byte) []byte { return append(b, data...) }))
		shared = appendFrame(appendFrame([]byte{saidFormat}, func(b []byte) []byte { return append(b, 2, 4, 'c', 'h', 'a', 't', 1, 'v') }), func(b []byte) []byte {
			return append(b, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8)
		})
		check(appendFrame(shared, func(b []byte) []byte { return append(b, data...) }))
	})
}

func FuzzChunk(f *testing.F) {
	f.Add(testChunk(), []byte("x"))
	f.Fuzz(func(t *testing.T, data, one []byte) {
		check := func(data []byte) {
			h, messages, damaged, err := decodeChunk(data)
			if err != nil || damaged {
				return
			}
			h2, again, damaged, err := decodeChunk(encodeChunk(h, messages))
			if err != nil || damaged || h2 != h || !reflect.DeepEqual(messages, again) {
				t.Fatalf("%+v comes back as %+v, %+v: %v", messages, h2, again, err)
			}
		}
		check(data)
		head := appendFrame([]byte{chunkFormat}, func(b []byte) []byte { return append(b, data...) })
		check(appendFrame(head, func(b []byte) []byte { return append(b, one...) }))
		whole := appendFrame([]byte{chunkFormat}, (&header{topic: "a", epoch: "e", first: 1, count: 1}).append)
		check(appendFrame(whole, func(b []byte) []byte { return append(b, data...) }))
	})
}

// Whichever byte of a record is altered: nothing of it is forgotten without a word, and of others nothing is lost.
func TestAlteredRecord(t *testing.T) {
	t.Run("actors", func(t *testing.T) { alterRecord(t, commits()) })
	t.Run("broadcasts", func(t *testing.T) { alterRecord(t, withSaid()) })
}

func alterRecord(t *testing.T, commits []*durable.Commit) {
	data := encodeRecord(nil, commits)
	known := 0
	for i := range data {
		bad := append([]byte{}, data...)
		bad[i] ^= 0x21
		group, lost, err := decodeRecord(bad)
		if err != nil {
			continue
		}
		known++
		for _, c := range commits {
			stored := false
			for _, got := range group {
				stored = stored || reflect.DeepEqual(got, c)
			}
			for a := range concerned(c) {
				if !stored && !slices.ContainsFunc(lost, func(l loss) bool { return l.mark == who(a) }) {
					t.Fatalf("byte %d: %v is neither there nor lost", i, a)
				}
			}
			for _, topic := range topicsOf(c) {
				if !stored && !slices.ContainsFunc(lost, func(l loss) bool { return l.past && l.mark == whose(topic) }) {
					t.Fatalf("byte %d: what was said in %s is neither there nor lost", i, topic)
				}
			}
		}
		if len(group)+len(lost) == 0 {
			t.Fatalf("byte %d: nothing is there", i)
		}
	}
	if known < len(data)*2/3 {
		t.Errorf("of %d bytes %d can be altered so that it is known whom that concerns", len(data), known)
	}
}

func FuzzLeaf(f *testing.F) {
	f.Add(testLeaf().encode(), []byte("x"), uint64(0))
	f.Fuzz(func(t *testing.T, data, one []byte, number uint64) {
		check := func(data []byte) {
			l, err := decodeLeaf(data, number, testHash)
			if err != nil {
				return
			}
			again, err := decodeLeaf(l.encode(), number, testHash)
			if err != nil || !reflect.DeepEqual(l.entries, again.entries) || len(l.lost) != len(again.lost) {
				t.Fatalf("%+v comes back as %+v: %v", l, again, err)
			}
			l.split()
		}
		check(data)
		head := appendFrame([]byte{formatNumber}, func(b []byte) []byte { return append(b, one...) })
		check(appendFrame(head, func(b []byte) []byte { return append(b, data...) }))
		whole := appendFrame([]byte{formatNumber}, func(b []byte) []byte {
			return append(b, 0, byte(durable.Topic), 4, 'c', 'h', 'a', 't', 1, 1, 'v')
		})
		check(appendFrame(whole, func(b []byte) []byte { return append(b, data...) }))
	})
}
