package suite_test

import (
	"slices"
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// TestCollections holds that Go guests, which begin as copies of one snapshot and get the same messages, do
// not collect their garbage all at once: whoever has a message then would wait for all of them.
func TestCollections(t *testing.T) {
	p, err := sandboxtest.Engine(t).Load(t.Context(), sandboxtest.BuildGo(t, "./testdata/collect"), sandbox.LoadOptions{Name: "collect"})
	must(t, err)
	t.Cleanup(p.Close)
	const (
		instances = 32
		messages  = 200 // of 32 KiB each: garbage for one collection or more
		window    = 16
	)
	var first []int // message at which each collects for the first time
	for range instances {
		i, err := p.Start("room:1", nil)
		must(t, err)
		t.Cleanup(i.Close)
		_, err = i.Handle(&abi.Event{Kind: abi.EventJoin, Name: "room:1", Payload: []byte("{}")})
		must(t, err)
		i.Release()
		cycles := ""
		for n := range messages {
			e := message("more", "")
			effects, err := i.Handle(&e)
			must(t, err)
			was := cycles
			cycles = string(effects[0].Payload)
			i.Release()
			if n > 0 && cycles != was {
				first = append(first, n)
				break
			}
		}
	}
	if len(first) < instances {
		t.Fatalf("%d of %d instances have collected nothing after %d messages", instances-len(first), instances, messages)
	}
	slices.Sort(first)
	t.Logf("messages until the first collection: %d", first)
	for n := range instances / 2 {
		if together := first[n+instances/2] - first[n]; together < window {
			t.Errorf("more than half of all instances collect for the first time within %d messages: %d", together+1, first)
			break
		}
	}
}
