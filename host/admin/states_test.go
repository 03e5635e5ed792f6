package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rtd/host/admin"
)

// What was set aside is listed, tried again and thrown away, by one who is noted.
func TestAsides(t *testing.T) {
	p := &plant{}
	s, _, url := serve(t, p, admin.NewLog())
	defer shutdown(t, s)
	c := connect(t, admin.Target{URL: url, Key: key, By: "ada"})
	if list, err := c.Asides(t.Context()); err != nil || len(list) != 1 || string(list[0].Payload) != "ring" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.RetryAside(t.Context(), "7"); err == nil || err.Error() != "it has crashed again" || p.last() != "retry 7 by ada@127.0.0.1" {
		t.Errorf("%q, %v", p.last(), err)
	}
	if a, err := c.DropAside(t.Context(), "7-1"); err != nil || a.ID != "7-1" || p.last() != "drop 7-1 by ada@127.0.0.1" {
		t.Errorf("%q, %+v, %v", p.last(), a, err)
	}
}

// A state is listed, taken out, put in and given up, by one who is noted; what makes no sense is refused in words.
func TestStates(t *testing.T) {
	p := &plant{}
	s, _, url := serve(t, p, admin.NewLog())
	defer shutdown(t, s)
	c := connect(t, admin.Target{URL: url, Key: key, By: "ada"})
	list, err := c.States(t.Context(), admin.StateQuery{Plugin: "chat", Kind: "topic", Prefix: "doc:", After: "doc:0", Limit: 7})
	if err != nil || len(list) != 1 || list[0].Revision != 7 {
		t.Errorf("%+v, %v", list, err)
	}
	if want := "states {Plugin:chat Kind:topic Prefix:doc: After:doc:0 Limit:7}"; p.last() != want {
		t.Errorf("asked %q, want %q", p.last(), want)
	}
	for _, q := range []admin.StateQuery{{Kind: "topic", Limit: -1}, {Kind: "topic", Limit: admin.MaxStates + 1}, {Kind: "supervisor"}} {
		if _, err := c.States(t.Context(), q); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%+v: %v", q, err)
		}
	}

	whole, err := c.State(t.Context(), "chat/topic:doc:1")
	if err != nil || whole.Revision != 7 || len(whole.Guest) != 2 {
		t.Fatalf("%+v, %v", whole, err)
	}
	if _, err := c.State(t.Context(), "chat/topic:doc:2"); err == nil || err.Error() != "no such actor" {
		t.Errorf("of nobody: %v", err)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ImportState(t.Context(), "chat/topic:doc:2", text); err != nil || p.last() != "import chat/topic:doc:2: [1 2] [3] by ada@127.0.0.1" {
		t.Errorf("%q, %v", p.last(), err)
	}
	for _, text := range []string{"", "null", "[]", "{}", `{"guest":7}`} {
		if err := c.ImportState(t.Context(), "chat/topic:doc:2", []byte(text)); err == nil || !strings.Contains(err.Error(), "it is no state") {
			t.Errorf("import of %s: %v", text, err)
		}
	}
	var saved strings.Builder
	if err := c.Backup(t.Context(), &saved); err != nil || saved.String() != "all of it" {
		t.Errorf("backup %q: %v", saved.String(), err)
	}
	if err := c.ResetState(t.Context(), "chat/topic:doc:1"); err != nil || p.last() != "reset chat/topic:doc:1 by ada@127.0.0.1" {
		t.Errorf("%q, %v", p.last(), err)
	}
	if err := c.RepairStates(t.Context(), "chat/topic:doc:1"); err != nil || p.last() != "repair chat/topic:doc:1 by ada@127.0.0.1" {
		t.Errorf("%q, %v", p.last(), err)
	}
}
