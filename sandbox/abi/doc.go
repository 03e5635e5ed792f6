// Package abi is the contract between rtd and its guests, as plain data: which
// functions a module exports and imports, which numbers stand for which events
// and effects, and how one of them is written as bytes.
//
// It is all that an author of a guest in another language has to know. It
// imports nothing outside the standard library, and no WebAssembly engine.
//
//	host                                             guest
//	────                                             ─────
//	inbox(n)            ───────────────────────────► a pointer to n bytes of its
//	                                                 memory; 0 refuses the event
//	write the event there
//	handle(n)           ───────────────────────────► reads the event …
//	                    ◄── op(ptr, len, out, cap)── … asks for effects
//	                    ◄── 0 ──────────────────────  done
//	apply the effects
//
// # What a module exports
//
//	memory              its linear memory
//	inbox(i32) i32      where an event of that many bytes may be written. The
//	                    place is the host's until inbox is called again. 0 says
//	                    "too large": the sender is told, nothing traps
//	handle(i32) i32     one event of that many bytes lies in the inbox. 0 is
//	                    success; anything else counts as a crash
//	_initialize()       optional: called once after instantiation, as by WASI
//	                    reactors
//
// # What a module imports
//
// One function, op(ptr, len, out, cap i32) i32 of module [Module], and what it
// needs of wasi_snapshot_preview1 (clock, random numbers, standard output and
// error, which go to the log; the rest answers "not supported").
//
// The record of len bytes at ptr says what is wanted. Effects (kinds from 0x100)
// are collected and applied in order when handle returns 0; after a trap
// none is. Operations (kinds from 0x200) happen at once. An answer, if there is one, is
// copied to out, at most cap bytes of it. op returns the full length of the
// answer, or a negative [Code].
//
// # A record
//
// Events, effects and operations have one shape, little endian, unaligned:
//
//	┌────────┬────────┬──────────┬───────┬──────────┬───────┬─
//	│  kind  │ flags  │  length  │ bytes │  length  │ bytes │ …
//	│  u16   │  u16   │   u32    │       │   u32    │       │
//	└────────┴────────┴──────────┴───────┴──────────┴───────┴─
//	└───── header ────┘└──── field 0 ────┘└──── field 1 ────┘
//
// Field 0 is always a name (UTF-8), field 1 always the payload; later fields
// belong to their kind. A missing field reads as empty and an unknown further
// field is skipped, so that either side can learn new fields before the other.
//
//	kind    name            field 0         field 1         field 2     flags
//	0x001   start           plugin          config (JSON)   version
//	0x002   join            topic           join payload                Binary, Replay
//	0x003   message         event           payload                     Binary, WantsReply
//	0x004   idle
//	0x101   reply           status          response                    Binary
//	0x102   push            event           payload                     Binary
//	0x103   broadcast       event           payload                     Binary
//	0x104   broadcast_from  event           payload                     Binary
//	0x105   handles         topic pattern
//	0x106   scratch                         from, to (two u32)
//	0x201   log             level           text
//	0x202   abort                           cause
//
// start is the first event of a guest; there it says with handles which topics it
// serves. What its memory and globals are afterwards is what every instance
// begins with: start is not repeated. A join is answered by a reply: status "ok" accepts,
// any other refuses; no reply accepts with an empty response. A message is
// answered by at most one reply. Payloads are the client's own bytes, never
// re-encoded: JSON text, or anything at all where Binary is set. An empty
// payload of a reply, push or broadcast stands for the JSON object {}.
//
// # Standing still
//
// Between events an instance may be taken from its memory and put back later,
// perhaps into another one: only what differs from its state after start is kept. A
// guest does not notice, but can make it cheaper. The inbox is cleared after
// every event, so nothing of it costs anything, and nothing may point into it.
// With scratch, in start, a guest names a range of memory whose content means
// nothing between events, such as its stack: the host forgets it when it likes.
// idle says that the instance has grown and will stand still: a guest with a
// garbage collector runs it. Other guests ignore idle, as every guest
// ignores a kind that it does not know, and returns 0.
//
// # Questions
//
// Why one import and not one for each operation? A module that imports a function which the
// host lacks cannot be instantiated at all. With one entry, a
// guest built for a newer rtd runs on an older one and gets [CodeUnknown] where
// the host cannot follow.
//
// Why does the guest name the place of the inbox? Only the guest knows which of its
// memory is free. A C guest returns a static buffer, a Go guest a slice it keeps.
//
// Why not the component model? It has no engine in Go, and would ask more of a
// hand-written guest than the three functions above.
//
// Why are numbers append-only? Plugins outlive servers. A number, once
// released, keeps its meaning; a changed meaning gets a new number, and a
// changed calling convention a new [Module].
//
// How do SDKs stay true to this package? testdata/vectors.json holds records
// as fields and as bytes. The tests of this package and of every SDK check
// both directions against it.
package abi
