package store

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
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

func testHash(name string) uint64 { return (&Keeper{seed: []byte("seed")}).hash(name) }

func testLeaf() *leaf {
	c := commits()
	l := &leaf{plugin: "chat", kind: durable.Topic}
	l.put(entry{name: "room:1", hash: testHash("room:1"), state: c[0].State, posts: c[0].Posts[1:]})
	l.put(entry{name: "waits", hash: testHash("waits"), posts: c[0].Posts[1:]})
	return l
}

// The bytes of format 1 stay as they are: who changes them writes another format, and reads this one still.
func TestFormat(t *testing.T) {
	for name, data := range map[string][]byte{
		"record": encodeRecord(nil, commits()),
		"aside":  encodeRecord(nil, setAside()),
		"fence":  encodeFence("text"),
		"leaf":   testLeaf().encode(),
	} {
		path := filepath.Join("testdata", "format1", name+".hex")
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
	if got, err := decodeRecord(encodeRecord(nil, commits())); err != nil || !reflect.DeepEqual(got, commits()) {
		t.Errorf("a record comes back as %+v: %v", got, err)
	}
	if got, err := decodeRecord(encodeRecord(nil, setAside())); err != nil || !reflect.DeepEqual(got, setAside()) {
		t.Errorf("what is set aside comes back as %+v: %v", got, err)
	}
	if got, err := decodeLeaf(testLeaf().encode(), 0, testHash); err != nil || !reflect.DeepEqual(got, testLeaf()) {
		t.Errorf("a leaf comes back as %+v: %v", got, err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord(nil, commits()))
	f.Add(encodeRecord(nil, setAside()))
	f.Add(encodeFence("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// What is in the frame is what is hostile; its checksum is not in the way.
		data = appendFrame([]byte{formatNumber}, func(b []byte) []byte { return append(b, data...) })
		group, err := decodeRecord(data)
		if err != nil || len(group) == 0 {
			return
		}
		again, err := decodeRecord(encodeRecord(nil, group))
		if err != nil || !reflect.DeepEqual(group, again) {
			t.Fatalf("%+v comes back as %+v: %v", group, again, err)
		}
	})
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
