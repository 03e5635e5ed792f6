//go:build !race

package gateway

import "testing"

// What has queued up goes out at once, and nothing on the way allocates.
func TestOutboxAllocatesNothing(t *testing.T) {
	client := &taker{}
	c, write := outboxOf(client)
	rounds := 0
	allocations := testing.AllocsPerRun(100, func() {
		rounds++
		for range 8 {
			c.Send(somethingSaid)
		}
		write()
	})
	if allocations > 0 {
		t.Errorf("eight frames allocate %v times", allocations)
	}
	if client.batches != rounds || client.bytes != rounds*8*(2+len(somethingSaid.Data)) {
		t.Errorf("%d batches of %d bytes in all for %d times 8 frames", client.batches, client.bytes, rounds)
	}
}

// What a frame allocates on its way in and out is counted, so that more is noticed.
func TestReadPathAllocations(t *testing.T) {
	c, write := readerOf(t)
	const most = 5
	if n := testing.AllocsPerRun(100, func() { c.Message([]byte(heartbeat), false); write() }); n > most {
		t.Errorf("a heartbeat allocates %v times, more than %d", n, most)
	}
}
