// Package image keeps the memories of many actors in few places. A [Snapshot] is
// the memory that they all began with, a [Memory] is where one of them is at work,
// and a [Store] has what the others differ by.
//
//	              Append ──────────────► bytes for a file
//	              ReadSnapshot ◄──────── of an earlier process
//	Snapshot  ┌──────────────────────┐  a sealed file in memory, written once
//	          └──────────┬───────────┘
//	      NewMemory      │ mapped privately: a page is copied when it is written
//	          ┌──────────┴───────────┬ ─ ─ ─ ─ ─ ─ ─ ┐
//	Memory    │ ··█·····█··········█ │ ···█·  zeros     the guest's linear memory
//	          └────┬─────┬───────────┴ ─ ─ ─ ─ ─ ─ ─ ┘
//	               │Save │ ▲ Load    what is written (█) becomes a delta, and the
//	               │     ▼ │         memory is the snapshot again
//	Store          │ [delta][delta][delta]…  off the Go heap
//	               │
//	               └ Diff ─► delta   the same, and the memory is left as it is
//
// # Story
//
// A guest is initialised once, and [NewSnapshot] copies its memory. Each slot has a Memory of it, which
// [Memory.Grow] makes larger as the guest asks. When the actor in a slot has to leave, [Memory.Save] finds what was
// written, appends it as a delta, and puts the snapshot's bytes back. [Memory.Load] is the way back, perhaps into another
// slot, of the same size. After a crash [Memory.Reset] puts back without saving.
//
// An actor whose state is to be written down, and which stays where it is, has [Memory.Diff]: the delta of Save
// without putting back, and, asked for again and again, for what was written since. A Snapshot becomes bytes by [Snapshot.Append], and a Snapshot again by
// [ReadSnapshot], so that deltas of one process can be loaded in another.
//
// How Save and Diff find what was written depends on the system:
//
//	Linux since 6.7         ask the kernel which pages are no longer the file's (PAGEMAP_SCAN)
//	Linux before            read /proc/self/pagemap, 8 bytes a page
//	Linux without /proc     compare all of it
//	other systems           ordinary memory, no file; compare all of it
//
// Memory that was written once stays in the list, so that the kernel need not be asked each time. [Memory.Begin] and
// [Memory.End] enclose the guest's work; if its thread had no page fault in between, no page was written for the first time.
//
// Pages that were written are only candidates. They are compared with the snapshot,
// and only runs of bytes that differ get into the delta. Memory that a guest declares as
// scratch is put back but not saved.
//
// # Rationale
//
// Why are written pages put back by copying? Unmapping them, or MADV_DONTNEED,
// takes a lock of the whole process and interrupts the other processors. Two cores
// then do little more than one. A copied page stays the memory's own and is
// compared each time; a memory that has collected more than 4 MiB of such pages gives
// them all back, in pieces, since others that need a page wait meanwhile.
//
// Why count page faults? PAGEMAP_SCAN walks all pages of a memory: 1.5 µs for one
// of 128 KiB, 5.5 µs for a Go guest's. To read a thread's count twice takes 0.8 µs.
// The count is the thread's, so the goroutine is bound to it meanwhile, but not
// while the guest stands still. A fault of something else costs a needless scan and
// no more. An emulation of Linux that does not count is found out at the start.
//
// Why is a memory as many addresses as it may ever need? A guest's memory then
// grows without moving or copying. Addresses cost nothing until they are written.
//
// Why no soft-dirty bits or userfaultfd? Both write-protect pages again after each
// turn, with the same costs as unmapping; the first needs a kernel option that
// arm64 lacks, the second a privilege in many containers.
//
// Why bytes and not pages in a delta? An actor writes to a few words on several
// pages: its stack, a counter, an allocator's lists. In pages it would cost 20 KiB,
// in runs 200 bytes.
//
// Why filled runs? Guests with a collector leave cleared or clobbered memory
// behind. A pattern of 4 bytes that repeats says that in a few bytes, before any
// compression.
//
// Is a delta trusted? No: it may come from a disk. Load checks every number, and writes nothing outside of
// the memory. But a delta is runs of bytes at places: of another snapshot, or with a bit turned over, it is
// still a delta, and makes another actor's memory, or nobody's. So whoever has one from elsewhere checks three
// things before: that it is of this snapshot, by a hash; that it is as it was written, by a checksum; and that its size
// ([DeltaSize]) is one that the guest may have. Package sandbox does that for states.
//
// What does Diff cost, when it is asked for after each event? The first time what Save does: BenchmarkDiff compares them
// (0.93 to 1.01 of Save, for deltas of 37 bytes to 1 MiB). It is against the snapshot, and not against the last
// one: so the last one is all that has to be kept of an actor.
//
// And if the memory has many pages of its own? A collector notes something on each span of objects: after one, 250 pages of a
// Go guest are not the snapshot's, and an event writes 15. To compare all of them took 100 to 200 µs for
// each event. So a memory that was looked at for some Diffs, and had much to look at, is settled: what it
// differs by is remembered, as parts of a delta, and as a file in memory whose pages are mapped privately like the snapshot's. The
// kernel then tells which of them were written since, and Diff compares these and copies the rest:
//
//	snapshot   ┌──────────────────────────────┐
//	settled    │ ░░░   ░░░░░  ░        ░░░░   │   remembered, until the actor leaves
//	written    │  █      █                █ █ │   compared
//
// Its pages are that file's, and not the memory's own besides, until they are written again. A memory that leaves
// has the snapshot mapped again.
//
// What does it cost to settle? 1 to 4 ms for 250 pages on a virtual machine, where a new page is dear, once for some
// hundred events; and a mapping for each span, so that they are counted: all memories have 16,384 of the 65,530 that
// a process may have. Where the system does not tell of pages nothing is settled.
//
// May a memory shrink? Only between two actors, when it is the snapshot and zeros:
// then nothing is lost. A guest never sees its own get smaller.
//
// Why a store of its own? A million small slices cost the collector a mark each and
// the heap its headroom of one half. The store takes memory from the system, in
// arenas of 1 MiB which it cuts into chunks of equal cells, four sizes for each
// doubling. A chunk whose cells are all free may serve another size: actors grow
// together, and so do their deltas.
//
// What does the store not do? It does not move cells, so that one live cell keeps
// its chunk of 16 or 128 KiB. Arenas stay mapped until Close, though empty chunks
// beyond a few give their memory back. Each string of more than 32 KiB is a mapping
// of its own; a system allows some 65,000 of them unless they lie side by side.
//
// What if the system has no memory left? Put and NewMemory return errors, and the
// actor concerned is lost. A page that a guest writes for the first time cannot
// fail in an orderly way: there the kernel kills the process, as it does with any
// other. The limits on memory, of one guest and of
// all of a plugin, are what prevents that: [Memory.Own] and [Memory.Kept] count.
package image
