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

// The owner of a topic is settled before it is served, and after.
func TestRouterOwners(t *testing.T) {
	r := channels.NewRouter()
	all, rooms := &plugin{name: "all"}, &plugin{name: "rooms"}
	want := func(served, owner channels.Plugin) {
		t.Helper()
		if got := r.Match("room:a"); got != served {
			t.Errorf("served by %v, want %v", got, served)
		}
		if got := r.Owner("room:a"); got != owner {
			t.Errorf("owned by %v, want %v", got, owner)
		}
	}
	changes := 0
	r.Around = func(next *channels.Owners, use func()) {
		changes++
		before, after := r.Owner("room:a"), next.Of("room:a")
		use()
		if r.Owner("room:a") != after {
			t.Errorf("the owner before is %v, then %v, not %v", before, r.Owner("room:a"), after)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.Set(all, []string{"*"}))
	want(all, all)
	must(r.Claim(rooms, []string{"room:*"}))
	want(all, rooms)
	if err := r.Claim(all, []string{"*", "room:*"}); err == nil {
		t.Error("what is claimed can be claimed")
	}
	must(r.Set(rooms, []string{"room:*"}))
	must(r.Set(rooms, []string{"room:*", "room:*"}))
	want(rooms, rooms)
	r.Close(rooms)
	want(all, rooms)
	r.Remove(rooms)
	r.Remove(rooms)
	want(all, all)
	if changes != 3 {
		t.Errorf("%d changes of owners, want 3", changes)
	}
}

// Every publish and every join asks.
func TestRouterAllocatesNothing(t *testing.T) {
	r := channels.NewRouter()
	rooms := &plugin{name: "rooms"}
	if err := r.Set(rooms, []string{"*", "room:*", "room:vip:*", "a"}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Match("room:lobby"), r.Owner("room:lobby") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A plugin that has claimed topics is known, though it does not serve them yet; one that ends is not.
func TestComing(t *testing.T) {
	r := channels.NewRouter()
	p := &plugin{name: "p"}
	comes := func(when string, want channels.Plugin) {
		t.Helper()
		if got := r.Coming("a:1"); got != want {
			t.Errorf("%s %v is coming, want %v", when, got, want)
		}
	}
	comes("at first", nil)
	if err := r.Claim(p, []string{"a:*"}); err != nil {
		t.Fatal(err)
	}
	comes("when it is claimed", p)
	if err := r.Set(p, []string{"a:*"}); err != nil {
		t.Fatal(err)
	}
	comes("when it is served", nil)
	r.Close(p)
	comes("when the plugin ends", nil)
	if err := r.Claim(p, []string{"a:*"}); err != nil {
		t.Fatal(err)
	}
	r.Remove(p)
	comes("when it is given up", nil)
}
