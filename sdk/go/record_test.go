package rtd

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

func TestVectors(t *testing.T) {
	data, err := os.ReadFile("../../sandbox/abi/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Hex   string
		Kind, Flags uint16
		Fields      []string
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		want, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		f := append(v.Fields, "", "")
		r := record{kind(v.Kind), v.Flags, f[0], []byte(f[1]), f[2], f[3]}
		if got, ok := parseRecord(want); !ok || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: parsed as %+v, %v", v.Name, got, ok)
		}
		if got := appendRecord(nil, r); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", v.Name, got, want)
		}
		if k := kind(v.Kind); k >= effectReply && k != 0x106 && k.name() == "" {
			t.Errorf("kind %#x, %s, has no name", v.Kind, v.Name)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 1, 0, 0, 0, 'a', 2, 0, 0, 0, '{', '}'})
	f.Add(appendRecord(nil, record{eventInit, flagRequest, "m", []byte("a"), "#1", "1.1"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRecord(b)
		if !ok {
			return
		}
		if len(r.name)+len(r.payload)+len(r.detail)+len(r.extra) > len(b) {
			t.Fatalf("more came out than went in: %+v", r)
		}
		again, ok := parseRecord(appendRecord(nil, r))
		if !ok || again.name != r.name || !bytes.Equal(again.payload, r.payload) || again.detail != r.detail || again.extra != r.extra {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

func TestInbox(t *testing.T) {
	if reserve(maxEvent+1) != nil {
		t.Error("an inbox without bound")
	}
	if receive(uint32(len(inbox)+1)) == 0 {
		t.Error("an event beyond the inbox was handled")
	}
}

// What an event leaves in the SDK's buffers would be part of every idle process.
func TestBuffersAreWiped(t *testing.T) {
	h := NewHost(t)
	h.Answer("call", "the answer of the registry")
	Serve("wipe", func() Server { return caller{} })
	h.Init("wipe", "")
	for _, b := range []*buffer{&outgoing, &answers} {
		if b.bytes != [len(b.bytes)]byte{} {
			t.Errorf("left %q", bytes.Trim(b.bytes[:], "\x00"))
		}
	}
}

type caller struct{}

func (caller) Init([]byte) error {
	_, err := Call("registry", []byte("a question"), 0)
	return err
}
