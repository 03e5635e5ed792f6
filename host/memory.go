package host

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"rtd/channels"
	"rtd/sandbox"
)

// slotsStay is how long a WebAssembly instance stays without an actor's turn in it.
const slotsStay = 2 * time.Second

// historyTidied is how often histories let go of what is too old.
const historyTidied = 10 * time.Second

// giveBack frees instances that nobody uses, once a second, and messages that are too old to be told, and returns memory to the system when the server
// has become calm. Go collects when the heap has doubled, and otherwise every two minutes: after a rush of clients,
// what they left would be kept as long as nothing happens.
func giveBack(ctx context.Context, engine *sandbox.Engine, hub *channels.Hub) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}
	read := func() heap {
		metrics.Read(samples)
		return heap{
			allocated: samples[0].Value.Uint64(), live: samples[1].Value.Uint64(), objects: samples[2].Value.Uint64(),
			collecting: time.Duration(samples[3].Value.Float64() * float64(time.Second)),
		}
	}
	tidied := time.Now()
	c := calm{last: read(), next: calmFirst}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := time.Now(); now.Sub(tidied) >= historyTidied {
			hub.TidyHistory(now)
			tidied = now
		}
		if engine.Trim(slotsStay) > 0 {
			c.freed()
		}
		if c.due(read()) {
			debug.FreeOSMemory()
			dropCode()
			c.returned(read())
		}
	}
}

// heap is the heap at a moment.
type heap struct {
	allocated  uint64        // bytes since the start
	live       uint64        // bytes that the last collection found in use
	objects    uint64        // bytes of what is there, garbage included
	collecting time.Duration // of processors, for collections since the start
}

// calm decides, second by second, when memory is returned. That takes a collection, which is not
// free: for a gigabyte in use, about a second of a processor, in the background. So it happens
//
//	after 2 calm seconds           clients have come, or gone
//	after 8, and after 32          timers have kept some of it, finalizers some more
//	when the heap has grown by a   a little load does that in minutes
//	quarter since the last one
//
// and only when a hundred times as long has passed as the last one took of a processor. In a calm
// second little is allocated beside what is in use.
type calm struct {
	last    heap
	seconds int // in a row that were calm
	next    int // so many, and memory is returned
	wait    int // seconds until the next collection may begin
}

const (
	calmFirst = 2
	calmLast  = 32
	calmNever = math.MaxInt
	// calmShare is the part of a processor that collections may take, 1/calmShare.
	calmShare = 100
)

// due is called once a second. It says whether memory is to be returned now.
func (c *calm) due(now heap) bool {
	little := max(now.live/16, 1<<20)
	calm := now.allocated-c.last.allocated <= little
	c.last = now
	c.wait = max(0, c.wait-1)
	if !calm {
		c.seconds, c.next = 0, calmFirst
		return false
	}
	c.seconds++
	grown := now.objects > now.live+now.live/4+little
	return c.wait == 0 && (c.seconds >= c.next || grown && c.seconds >= calmFirst)
}

// returned is called after that, with the heap as it is now.
func (c *calm) returned(now heap) {
	cost := now.collecting - c.last.collecting
	c.last, c.wait = now, int(calmShare*cost/time.Second)
	for c.next <= c.seconds && c.next < calmNever {
		if c.next *= 4; c.next > calmLast {
			c.next = calmNever
		}
	}
}

// freed says that something large is no longer needed.
func (c *calm) freed() { c.next = min(c.next, c.seconds+1) }
