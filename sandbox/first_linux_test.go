package sandbox_test

import (
	"testing"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// A first event of a guest in Go writes few pages: its runtime and its allocator have been made ready before the snapshot.
func TestFirstEventWritesFewPages(t *testing.T) {
	const limit = 28 // 43 if it is not
	if n := actor(t, load(t, actorGuest(t, "go"), sandbox.LoadOptions{})).Pages(); n > limit {
		t.Errorf("a join writes %d pages, want at most %d", n, limit)
	}
}

// The types that a guest in Go decodes JSON into are known before its first event, and none of its own code has run.
func TestTypesAreKnownBeforeTheFirstEvent(t *testing.T) {
	p := load(t, sandboxtest.BuildGo(t, "./testdata/learner"), sandbox.LoadOptions{})
	for _, event := range []string{"named", "unnamed"} {
		i := start(t, p)
		if _, err := i.Handle(&abi.Event{Kind: abi.EventJoin, Name: "learner:1"}); err != nil {
			t.Fatal(err)
		}
		var spent [2]uint64
		for n := range spent {
			before, _ := i.Usage()
			if _, err := i.Handle(message(event, "{}")); err != nil {
				t.Fatal(err)
			}
			after, _ := i.Usage()
			spent[n] = after - before
		}
		if spent[0] > spent[1]*11/10 {
			t.Errorf("the first event %s takes %d reductions, the second %d", event, spent[0], spent[1])
		}
		wantReply(t, i, "joined", "", "1")
		wantReply(t, i, "decoded", "", "0")
	}
}
