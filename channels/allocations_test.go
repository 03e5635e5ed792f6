//go:build !race

package channels_test

import (
	"testing"

	"rtd/channels"
)

// A delivery allocates nothing: what a broadcast allocates does not grow with its members.
func TestDeliveriesAllocateNothing(t *testing.T) {
	h := channels.NewHub()
	subscribed(h, "one", 1)
	subscribed(h, "many", 1000)
	allocations := func(topic string) float64 {
		return testing.AllocsPerRun(20, func() { h.Broadcast(news(topic), nil) })
	}
	if one, many := allocations("one"), allocations("many"); many > one {
		t.Errorf("a broadcast to one allocates %v times, to a thousand %v times", one, many)
	}
}
