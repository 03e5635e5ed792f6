package rtd

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
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
	for _, v := range vectors {
		record, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		fields := append(v.Fields, "", "")
		switch {
		case v.Kind < 0x100:
			e, ok := parseEvent(record)
			if !ok || e.kind != v.Kind || e.flags != v.Flags || e.name != fields[0] || string(e.payload) != fields[1] {
				t.Errorf("%s: parsed as %+v, %v", v.Name, e, ok)
			}
		case v.Flags == 0: // this SDK sends no binary payloads yet
			if got := appendEffect(nil, v.Kind, fields[0], []byte(fields[1])); !bytes.Equal(got, record) {
				t.Errorf("%s:\n got %x\nwant %x", v.Name, got, record)
			}
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 1, 0, 0, 0, 'a', 2, 0, 0, 0, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := parseEvent(b); ok && len(e.name)+len(e.payload) > len(b) {
			t.Fatalf("more came out than went in: %+v", e)
		}
	})
}

type room struct{ joins, messages int }

func (r *room) Join(s *Socket, payload []byte) error {
	if string(payload) == `"no"` {
		return Refuse(`{"reason":"no"}`)
	}
	r.joins++
	s.Push("welcome", nil)
	return nil
}

func (r *room) HandleIn(s *Socket, event string, payload []byte) error {
	r.messages++
	if event == "fail" {
		return errors.New("cause of death")
	}
	s.Broadcast(event, payload)
	s.Reply("ok", nil)
	return nil
}

// host records what the SDK asks for, as kind and fields.
func host(t *testing.T, code int32) *[]event {
	t.Helper()
	var got []event
	saved := op
	op = func(record []byte) int32 {
		e, ok := parseEvent(bytes.Clone(record))
		if !ok {
			t.Fatalf("malformed record % x", record)
		}
		got = append(got, e)
		return code
	}
	routes, onStart, current = nil, nil, nil
	t.Cleanup(func() { op = saved })
	return &got
}

func send(t *testing.T, kind uint16, name, payload string) int32 {
	t.Helper()
	record := appendEffect(nil, kind, name, []byte(payload))
	copy(reserve(uint32(len(record))), record)
	return receive(uint32(len(record)))
}

func TestLife(t *testing.T) {
	got := host(t, 0)
	var config string
	OnStart(func(c []byte) error { config = string(c); return nil })
	Handle("lobby", func() Channel { t.Error("the wrong route"); return new(room) })
	Handle("room:*", func() Channel { return new(room) })

	send(t, kindStart, "chat", `{"a":1}`)
	send(t, kindJoin, "room:1", `"no"`)
	send(t, kindJoin, "room:1", `{}`)
	send(t, kindMessage, "hi", `[1]`)
	if config != `{"a":1}` {
		t.Errorf("config = %q", config)
	}
	want := []string{
		"105 lobby ", "105 room:* ",
		`101 error {"reason":"no"}`,
		"102 welcome ",
		"103 hi [1]", "101 ok ",
	}
	if len(*got) != len(want) {
		t.Fatalf("got %d effects, want %d: %+v", len(*got), len(want), *got)
	}
	for i, e := range *got {
		if s := hex.EncodeToString([]byte{byte(e.kind >> 8), byte(e.kind)})[1:] + " " + e.name + " " + string(e.payload); s != want[i] {
			t.Errorf("effect %d = %q, want %q", i, s, want[i])
		}
	}
}

func TestErrorAborts(t *testing.T) {
	got := host(t, 0)
	Handle("*", func() Channel { return new(room) })
	send(t, kindJoin, "room:1", "{}")
	defer func() {
		recover() // the fake host returns from abort
		last := (*got)[len(*got)-1]
		if last.kind != kindAbort || string(last.payload) != "cause of death" {
			t.Errorf("last = %+v", last)
		}
	}()
	send(t, kindMessage, "fail", "{}")
	t.Error("went on after abort")
}

func TestRefusedEffectAborts(t *testing.T) {
	got := host(t, -3)
	Handle("*", func() Channel { return new(room) })
	defer func() {
		recover()
		last := (*got)[len(*got)-1]
		if last.kind != kindAbort || !strings.Contains(string(last.payload), "too many effects") {
			t.Errorf("last = %+v", last)
		}
	}()
	send(t, kindJoin, "room:1", "{}")
	t.Error("went on after abort")
}

func TestInbox(t *testing.T) {
	if reserve(maxEvent+1) != nil {
		t.Error("an inbox without bound")
	}
	if receive(uint32(len(inbox)+1)) == 0 {
		t.Error("an event beyond the inbox was handled")
	}
}
