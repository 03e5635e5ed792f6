// Package sandbox runs guests: WebAssembly modules that keep the contract of
// package abi, each instance isolated and under limits. It is the only package
// that knows wazero.
//
//	Engine ── Load(wasm) ──► Plugin ── Start ──► Instance ── Handle(event) ──► effects
//	one per process          one per version     one per actor                 or a Trap
//	│                        │                   │
//	├ cache of machine code  ├ machine code      ├ hot: in a slot
//	└ store of idle states   ├ snapshot          └ idle: a delta in the store
//	                         ├ topics, limits, counters
//	                         └ slots             live WebAssembly instances, a few dozen,
//	                                             in which the actors take turns
//
// # Story
//
// [Engine.Load] screens the bytes of a module, has package rewrite put checks into
// its code, compiles it, compares imports and exports with the contract, and
// starts the guest once: start section, _initialize, start event. Its memory and
// globals after that are the snapshot. What gets so far is a [Plugin]; whatever
// does not is an error of one line for the author.
//
// [Plugin.Start] makes an [Instance], which is a record of some hundred bytes: its
// state is the snapshot. [Instance.Handle] brings the state into a slot, asks the
// guest's inbox for a place, writes the event there, and calls handle. Through the
// import rtd_v1.op the guest asks for effects, which are copied and checked one by
// one and returned together when handle returns 0. Of a guest that dies they are
// dropped: a [Trap] says how and where it died, its slot is made the snapshot
// again, and nothing else in the process has changed.
//
// After the event the state stays in the slot until another actor needs it. Then
// what differs from the snapshot goes into the store, off the Go heap, and the
// slot is the snapshot again (package image). There is no goroutine, timer or
// WebAssembly instance for an idle actor.
//
// Files, in the order in which a module meets them: engine.go and plugin.go (load
// and count), screen.go and reader.go (bytes), contract.go (imports and exports),
// instance.go (an actor), pool.go and slot.go (where it runs), idle.go (where it
// rests), memory.go (limits), host.go, wasi.go and poll.go (what a guest may
// call), effects.go and output.go (what it says), trap.go and postmortem.go (how it
// ends, and what is left of it).
//
// # What a guest can do
//
// Compute, in its own memory. Ask for effects. Write to the log, so many lines
// an event. Read clocks and random numbers. Sleep, until the deadline. The rest
// of WASI is there, so that modules of every toolchain link, and answers that it
// is not supported. There are no files, sockets or arguments, and one variable
// in the environment, for Go's collector.
//
// # What it costs
//
// On a busy 2-core x86-64 machine, the actor of testdata/actor, which parses JSON
// and keeps a name, a counter and ten messages, in bytes of idle state:
//
//	C      150     Rust   350     AssemblyScript   750 to 1,100     Go   1,900 to 6,500
//
// Figures with their conditions come from
//
//	go test ./sandbox -run '^$' -bench Figures -benchtime 1x -timeout 30m
//	go test ./sandbox/rewrite -run '^$' -bench Loops -benchtime 1x
//
// # Questions
//
// What ends a loop? The rewritten code counts calls and rounds of loops and calls
// yield when some thousand are spent. There the host looks at the clock, lets
// other goroutines run, and ends a guest whose time is up by a panic, which comes
// out of wazero as an error with a stack; the slot can be used again. Without
// that, native code never lets the garbage collector in, and one guest in a loop
// stops the whole process.
//
// Are deadlines wall time? Yes, from the moment that the event is delivered, with
// all that the host does for the guest meanwhile. What an actor waits for a slot
// does not count.
//
// When does an actor leave its slot? When somebody else needs one and it has been
// idle longest. With as many slots as active actors nothing is ever moved; with
// more actors each event costs a move, some microseconds for a small guest.
//
// Whose state may a slot not hold? One that is not all in memory and globals:
// of modules that change tables, drop passive segments, or have mutable
// references. Each instance of those keeps a WebAssembly instance of its own, and
// Load logs why.
//
// What of a memory that has grown? It cannot shrink again, and a guest can see its
// size. But between two actors a slot's memory is made as large as the next one
// needs it: wazero takes for the memory what its allocator answers to a memory.grow,
// which may be less than before.
//
// What happens to garbage? A guest with a collector leaves more of it with every
// event, until the collector runs, and all that would be kept. When a state has
// grown by 16 KiB the guest gets an idle event, in which SDKs collect. Go does not
// clear what it frees; told by GODEBUG=clobberfree=1 it overwrites it with one
// pattern, which takes a few bytes in a delta. A plugin for which this is no use
// is not asked again. Load has it collect before the snapshot is taken, so that what
// a collector sets up once is in no delta.
//
// Why is klauspost/compress here? Idle states above 2 KiB are packed with its
// S2, which takes about a microsecond a KiB and halves those of guests with a
// garbage collector. The standard library's flate is ten times slower.
//
// Do copies of one snapshot draw the same random numbers? Not those that ask the
// host (random_get, and what is built on it lazily). A generator that was seeded
// before the snapshot would: the Go SDK reseeds the runtime's at the first event.
//
// What bounds recursion? wazero: its stack for an exported function doubles up to
// 84 MB, beyond Limits.Memory and on the Go heap, 126 MB while it is copied the
// last time. A slot whose guest overflowed it is replaced.
//
// Why is a module screened before wazero decodes it? The decoder allocates for
// counts that it has not verified. Twenty bytes that announce four billion
// functions end a Go process with "out of memory", which no recover catches. So
// screen.go walks over the whole file first and checks every count against the
// bytes that are there, every sum of locals, and every table. It also writes a
// maximum into tables that have none (Go's linker sets none): wazero has no
// limit for table.grow, which could take 32 GB.
//
// What is not bounded? The time to compile. wazero needs 25 s for 30,000 nested
// loops, in one goroutine, and cannot be interrupted. Modules come from the
// operator's own folder; do not offer Load to strangers.
//
// Why does the kind of a trap not look at "panic:" in the output? Because guests
// write the output. A kind is decided by what happened; a line that looks like the
// last words of a Go, Rust, C or AssemblyScript program is quoted in the cause,
// and nothing more. A Go panic is an "unreachable", so it is a [KindTrap].
//
// Who remembers what a guest did before it died? The slot: its last 8 events and 16
// lines, since its actor came, in buffers that are reused ([PostMortem]). For the actor
// to remember, a million idle ones would have to. What is left of a guest is copied
// only if somebody wants it, since a guest that crashes again and again should cost no
// more than its restarts.
//
// Why no source lines in stacks? Names come from the name section, which
// toolchains write by default. Lines would need DWARF, parsed in the host from the
// guest's file.
//
// Why a wazero runtime for each plugin? A runtime never forgets a function type.
// With one per plugin an unloaded version leaves nothing behind; machine code is
// in the engine's cache in any case.
package sandbox
