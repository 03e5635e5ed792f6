package channels_test

import (
	"errors"
	"testing"

	"rtd/channels"
)

func TestRouter(t *testing.T) {
	r := channels.NewRouter()
	all, rooms, vip, lobby := &plugin{name: "all"}, &plugin{name: "rooms"}, &plugin{name: "vip"}, &plugin{name: "lobby"}
	for p, patterns := range map[*plugin][]string{
		all:   {"*"},
		rooms: {"room:*", "chat:*", "room:*"}, // twice does no harm
		vip:   {"room:vip:*"},
		lobby: {"room:lobby", ""},
	} {
		if err := r.Set(p, patterns); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[string]*plugin) {
		t.Helper()
		for topic, p := range want {
			if got := r.Match(topic); got != channels.Plugin(p) && (got != nil || p != nil) {
				t.Errorf("match %q: got %v, want %v", topic, got, p)
			}
		}
	}
	check(map[string]*plugin{
		"room:":         rooms,
		"room:a":        rooms,
		"room:a:b":      rooms,
		"room:*":        rooms,
		"room:vip:":     vip,
		"room:vip:a":    vip,
		"room:vip":      rooms,
		"room:lobby":    lobby,
		"room:lobby:a":  rooms,
		"chat:é":        rooms,
		"room":          all,
		"Room:a":        all,
		"":              lobby,
		"room\x00:lob":  all,
		"room:lobby\n*": rooms,
	})

	err := r.Set(vip, []string{"vip:*", "room:*"})
	var conflict *channels.ConflictError
	if !errors.As(err, &conflict) || *conflict != (channels.ConflictError{Pattern: "room:*", Owner: "rooms", Claimant: "vip"}) {
		t.Errorf("got %v", err)
	}
	check(map[string]*plugin{"vip:a": all, "room:vip:a": vip}) // nothing changed

	if err := r.Set(rooms, []string{"chat:*"}); err != nil {
		t.Fatal(err)
	}
	check(map[string]*plugin{"room:a": all, "chat:a": rooms, "room:vip:a": vip})
	r.Remove(all)
	r.Remove(all)
	check(map[string]*plugin{"room:a": nil, "chat:a": rooms})
	if err := r.Set(vip, []string{"room:*"}); err != nil { // is free now
		t.Fatal(err)
	}
	check(map[string]*plugin{"room:a": vip})
}
