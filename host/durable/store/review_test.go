package store_test

import (
	"sync/atomic"
	"testing"

	"rtd/host/durable/store"
)

// What is said while a topic has no durable history is stored nowhere: so it has another epoch afterwards, also over a restart, and whether or not
// somebody looked meanwhile. Nobody is told that nothing is missing.
func TestHistoryThatWasNotKept(t *testing.T) {
	t.Parallel()
	var kept, known atomic.Bool
	kept.Store(true)
	known.Store(true)
	p := open(t, store.Options{Kept: func(topic string) (bool, bool) { return kept.Load() || topic != "a", known.Load() }})
	epochs := map[string]bool{}
	check := func(topic, what string, another bool) {
		t.Helper()
		epoch := p.tells(topic, "2 of 2: 1 2").Epoch
		if epochs[epoch] == another {
			t.Errorf("%s: the epoch of %s is %s, and there were %v", what, topic, epoch, epochs)
		}
		epochs[epoch] = true
	}
	for _, topic := range []string{"a", "b"} {
		p.opens(topic)
		p.says(topic, "1", "2")
		p.CloseHistory(topic)
		check(topic, "at first", true)
	}
	p.ReviewHistories()
	check("a", "still kept", false)

	kept.Store(false)
	p.ReviewHistories()
	kept.Store(true)
	p.ReviewHistories()
	check("a", "not kept for a moment", true)
	check("b", "kept", false)
	p.again()
	check("a", "after a restart", false)

	known.Store(false)
	kept.Store(false)
	p.ReviewHistories() // its plugin has yet to start
	p.again()
	check("a", "nobody knows", false)
	known.Store(true)
	p.again()
	check("a", "not kept by a server", true) // which need not be opened for that, but would not say when it is done
	kept.Store(true)
	p.again()
	check("a", "kept by the next one", false)
	check("b", "kept by all servers", false)
}
