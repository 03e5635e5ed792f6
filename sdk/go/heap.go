package rtd

// Two things of the heap happen after so much garbage, and instances that are copies of one snapshot and get as many
// events come to them in the same moment: a hundred of them would keep whoever sends something waiting for all.

// growHeap gives the heap, in the start event, the room that an instance needs for long. The first time that it
// grows, the runtime clears up to 512 KiB to come to an aligned place: 96 page faults, in each instance, and
// in all that get as many events in the same moment.
func growHeap() {
	room = make([]byte, 640<<10)
	room = nil
}

// room makes sure that what is allocated is on the heap.
var room []byte

// pacedAt is the event at which an instance gets a pace of its own. Most never come so far, and begin alike.
const pacedAt = 16

// pace has this instance collect its garbage after between 2 and 4.5 MB, by chance, where all would collect after 4 MiB. A
// collection takes some 2 ms. As their paces differ, instances that happen to collect at once drift apart again. A plugin
// that has set the percentage itself keeps it.
func pace() {
	const unset = 100
	if this.events++; this.events < pacedAt {
		return
	}
	if own := setGCPercent(unset/2 + int32(runtimeRand()%64)); own != unset {
		setGCPercent(own)
	}
}
