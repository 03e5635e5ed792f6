package abi_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"rtd/sandbox/abi"
)

// vector is one record of testdata/vectors.json, which the SDKs' tests read too.
type vector struct {
	Name   string    `json:"name"`
	Kind   abi.Kind  `json:"kind"`
	Flags  abi.Flags `json:"flags"`
	Fields []string  `json:"fields"`
	Hex    string    `json:"hex"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(data, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) == 0 {
		t.Fatal("no vectors")
	}
	return vs
}

func (v vector) field(i int) string {
	if i < len(v.Fields) {
		return v.Fields[i]
	}
	return ""
}

func TestVectors(t *testing.T) {
	seen := map[abi.Kind]bool{}
	for _, v := range vectors(t) {
		seen[v.Kind] = true
		t.Run(v.Name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(v.Hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if v.Kind.IsEvent() {
				e := abi.Event{Kind: v.Kind, Flags: v.Flags, Name: v.field(0), Payload: []byte(v.field(1)), Detail: v.field(2), Extra: v.field(3)}
				if got := abi.AppendEvent(nil, &e); !bytes.Equal(got, want) {
					t.Errorf("AppendEvent\n got %x\nwant %x", got, want)
				}
				if e.Size() != len(want) {
					t.Errorf("Size = %d, want %d", e.Size(), len(want))
				}
				got, err := abi.ParseEvent(want)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, e) {
					t.Errorf("ParseEvent = %+v, want %+v", got, e)
				}
				return
			}
			e := abi.Effect{Kind: v.Kind, Flags: v.Flags, Name: v.field(0), Payload: []byte(v.field(1)), Detail: v.field(2), Extra: v.field(3)}
			if got := abi.AppendEffect(nil, &e); !bytes.Equal(got, want) {
				t.Errorf("AppendEffect\n got %x\nwant %x", got, want)
			}
			got, err := abi.ParseEffect(want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, e) {
				t.Errorf("ParseEffect = %+v, want %+v", got, e)
			}
		})
	}
	for k := abi.Kind(1); k < 0x300; k++ {
		named := !strings.HasPrefix(k.String(), "kind ")
		if named && !seen[k] {
			t.Errorf("no vector for %v", k)
		}
	}
}

func TestEitherSideMayBeNewer(t *testing.T) {
	full := abi.AppendEvent(nil, &abi.Event{Kind: abi.EventStart, Name: "chat", Payload: []byte("{}"), Detail: "v1"})
	older := full[:len(full)-4-len("v1")]
	got, err := abi.ParseEvent(older)
	if err != nil || got.Detail != "" || got.Name != "chat" {
		t.Errorf("missing field: %+v, %v", got, err)
	}
	newer := append(bytes.Clone(full), 3, 0, 0, 0, 'n', 'e', 'w')
	got, err = abi.ParseEvent(newer)
	if err != nil || got.Detail != "v1" {
		t.Errorf("further field: %+v, %v", got, err)
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":             {},
		"short header":      {1, 1, 0},
		"no effect":         {1, 0, 0, 0},
		"stray byte":        {1, 1, 0, 0, 9},
		"length beyond end": {1, 1, 0, 0, 5, 0, 0, 0, 'a'},
		"huge length":       {1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, err := abi.ParseEffect(b); !errors.Is(err, abi.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(abi.AppendEffect(nil, &abi.Effect{Kind: abi.EffectReply, Name: "ok", Payload: []byte("{}")}))
	f.Add(abi.AppendEvent(nil, &abi.Event{Kind: abi.EventStart, Name: "chat", Detail: "v1"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := abi.ParseEffect(b); err == nil {
			again, err := abi.ParseEffect(abi.AppendEffect(nil, &e))
			if err != nil || again.Name != e.Name || !bytes.Equal(again.Payload, e.Payload) {
				t.Fatalf("%+v became %+v, %v", e, again, err)
			}
		}
		if e, err := abi.ParseEvent(b); err == nil {
			again, err := abi.ParseEvent(abi.AppendEvent(nil, &e))
			if err != nil || again.Name != e.Name || !bytes.Equal(again.Payload, e.Payload) {
				t.Fatalf("%+v became %+v, %v", e, again, err)
			}
		}
	})
}

func BenchmarkParseEffect(b *testing.B) {
	rec := abi.AppendEffect(nil, &abi.Effect{Kind: abi.EffectBroadcast, Name: "new_message", Payload: make([]byte, 64)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := abi.ParseEffect(rec); err != nil {
			b.Fatal(err)
		}
	}
}
