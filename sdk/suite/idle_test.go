package suite_test

import (
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// TestIdle holds what an idle RoomChannel costs: what an SDK leaves behind in memory is
// paid for once per client.
func TestIdle(t *testing.T) {
	limits := map[string]int64{"c": 100, "rust": 500, "as": 2 << 10, "go": 16 << 10}
	for _, language := range languages(t) {
		p, err := sandboxtest.Engine(t).Load(t.Context(), roomGuest(t, language), sandbox.LoadOptions{Name: "room"})
		must(t, err)
		t.Cleanup(p.Close)
		i, err := p.Start("room:1", nil)
		must(t, err)
		t.Cleanup(i.Close)
		for _, e := range []abi.Event{
			{Kind: abi.EventJoin, Name: "room:1", Payload: []byte(`{"user":"Ada"}`)},
			message("new_message", ""),
			message("whoami", ""),
			message("dance", ""),
		} {
			_, err := i.Handle(&e)
			must(t, err)
			i.Release()
		}
		i.Hibernate()
		_, idle := i.Usage()
		t.Logf("%-5s %6d bytes", language, idle)
		if idle == 0 || idle > limits[language] {
			t.Errorf("%s: an idle process costs %d bytes, want at most %d", language, idle, limits[language])
		}
	}
}
