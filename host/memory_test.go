package host

import (
	"slices"
	"testing"
	"time"
)

// returns says in which of so many seconds memory is returned. second changes the heap.
func returns(seconds int, second func(n int, h *heap)) (at []int) {
	h := heap{live: 100 << 20, objects: 100 << 20}
	c := calm{last: h, next: calmFirst}
	for n := 1; n <= seconds; n++ {
		second(n, &h)
		if c.due(h) {
			at = append(at, n)
			h.live = h.objects
			h.collecting += 10 * time.Millisecond
			c.returned(h)
		}
	}
	return at
}

// After a rush, memory is returned within seconds, later what was kept for a while, and then no more: a
// server on which nothing happens collects nothing.
func TestMemoryIsReturnedAfterARush(t *testing.T) {
	at := returns(300, func(n int, h *heap) {
		if n <= 10 {
			h.allocated += 50 << 20
			h.objects = 100<<20 + uint64(n)<<20
		}
	})
	if !slices.Equal(at, []int{12, 18, 42}) {
		t.Errorf("after 10 seconds, in seconds %v", at)
	}
}

// A server that is busy collects when Go says so.
func TestNoMemoryIsReturnedWhileBusy(t *testing.T) {
	at := returns(300, func(_ int, h *heap) {
		h.allocated += 7 << 20
		h.objects = h.live * 3 / 2
	})
	if len(at) > 0 {
		t.Errorf("in seconds %v", at)
	}
}

// A little load does not make the heap twice as large as it has to be, and is collected rarely.
func TestMemoryIsReturnedUnderALittleLoad(t *testing.T) {
	at := returns(300, func(_ int, h *heap) {
		h.allocated += 1 << 20
		h.objects += 1 << 20
	})
	if len(at) < 5 || len(at) > 15 {
		t.Errorf("%d times in 300 seconds, in %v", len(at), at)
	}
}

// However large the heap is, collections take a hundredth of a processor.
func TestCollectionsAreWorthTheirTime(t *testing.T) {
	h := heap{live: 1 << 30, objects: 1 << 30}
	c := calm{last: h, next: calmFirst}
	var at []int
	for n := 1; n <= 500; n++ {
		if n%4 == 0 { // busy for a second, calm for three
			h.allocated += 1 << 30
		}
		if c.due(h) {
			at = append(at, n)
			h.collecting += time.Second
			c.returned(h)
		}
	}
	if len(at) == 0 || len(at) > 5 {
		t.Errorf("%d seconds of a processor in 500, in %v", len(at), at)
	}
}
