package host

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// quiet is how long the garbage collector must not have run to call the server quiet.
const quiet = 3 * time.Second

// giveBack returns memory to the system whenever the server has become quiet. Go collects
// when the heap has doubled, and otherwise every two minutes: after a rush of clients,
// what they left would be kept as long as nothing happens.
func (s *Server) giveBack(ctx context.Context) {
	const heap, live, cycles = 0, 1, 2
	samples := make([]metrics.Sample, 3)
	samples[heap].Name = "/memory/classes/heap/objects:bytes"
	samples[live].Name = "/gc/heap/live:bytes"
	samples[cycles].Name = "/gc/cycles/total:gc-cycles"
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	var last, given uint64 // collections by then
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		n := samples[cycles].Value.Uint64()
		grown := samples[heap].Value.Uint64() > samples[live].Value.Uint64()*5/4
		if n == last && (n != given || grown || s.slotsFreed.Swap(false)) {
			debug.FreeOSMemory()
			metrics.Read(samples)
			n = samples[cycles].Value.Uint64()
			given = n
		}
		last = n
	}
}
