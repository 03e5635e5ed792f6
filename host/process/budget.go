package process

import (
	"sync/atomic"

	"rtd/channels"
	"rtd/sandbox/abi"
)

// budget counts the things and bytes that the host keeps for the guests of one plugin.
// Room is taken before a thing is kept. It is given back by the process whose guest asked
// for the thing, from its holdings (body.go), or by the receiver of a message.
//
// The bounds are those of the current release. If they become smaller, everything that is
// kept stays.
type budget struct {
	bytes  atomic.Int64 // against [release.Settings].Pending
	things atomic.Int64 // against [release.Settings].References
}

// thingSize is counted for each thing besides its bytes, so that a million empty things
// are not free. It is not exact: a timer takes three times as much.
const thingSize = 128

// Keep counts bytes that are to be kept, if there is room.
func (h *Home) Keep(bytes int) bool {
	return bytes == 0 || addUpTo(&h.kept.bytes, int64(bytes), int64(h.App.Release().Settings.Pending))
}

// addUpTo adds n unless the sum would be more than most. The sum never is, not even for a
// moment.
func addUpTo(sum *atomic.Int64, n, most int64) bool {
	for {
		old := sum.Load()
		if old+n > most {
			return false
		}
		if sum.CompareAndSwap(old, old+n) {
			return true
		}
	}
}

// keepAnyway counts bytes for which there has to be room.
func (h *Home) keepAnyway(bytes int) { h.kept.bytes.Add(int64(bytes)) }

// Give is for bytes that are kept no longer.
func (h *Home) Give(bytes int) {
	if bytes != 0 {
		h.kept.bytes.Add(-int64(bytes))
	}
}

// Payer names the payer for the presences of a worker to package channels.
func (w *Worker) Payer() channels.Payer { return w.home.App }

// Payer is the same for a process that decides about a client.
func (c *connector) Payer() channels.Payer { return c.home.App }

// hold makes room for one thing more that the process has open, with so many bytes. The
// caller puts it into the holdings, or calls settle.
func (b *body) hold(bytes int) error {
	h := b.home
	if !addUpTo(&h.kept.things, 1, int64(h.App.Release().Settings.References)) {
		return abi.CodeLimit
	}
	if !h.Keep(thingSize + bytes) {
		h.kept.things.Add(-1)
		return abi.CodeLimit
	}
	b.own()
	b.held++
	b.bytes += bytes
	return nil
}

// settle gives back the things that are not in the holdings any more, and the bytes of
// one of them.
func (b *body) settle(bytes int) {
	h := b.holdings
	gone := h.held - h.things()
	h.held -= gone
	h.bytes -= bytes
	b.home.kept.things.Add(-int64(gone))
	b.home.Give(gone*thingSize + bytes)
}

// settleAll gives back all things and bytes of the holdings.
func (h *holdings) settleAll(of *Home) {
	of.kept.things.Add(-int64(h.held))
	of.Give(h.held*thingSize + h.bytes)
	h.held, h.bytes = 0, 0
}

// Kept has the counts of a plugin's budget at one moment.
type Kept struct {
	Bytes  int64 // of those that [release.Settings].Pending bounds
	Things int64 // of those that [release.Settings].References bounds
	Names  int64 // the same bound holds for them, apart
}

// Kept returns the counts of this moment.
func (h *Home) Kept() Kept {
	return Kept{h.kept.bytes.Load(), h.kept.things.Load(), int64(h.Names.Len())}
}
