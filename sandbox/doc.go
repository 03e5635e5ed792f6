// Package sandbox runs guests: WebAssembly modules that keep the contract of
// package abi, each instance isolated and under limits. It is the only package
// that knows wazero.
//
//	Engine ── Load(wasm) ──► Plugin ── Start ──► Instance ── Handle(event) ──► effects
//	one per process          one per version     one per actor                 or a Trap
//	│                        │                   │
//	└ cache of machine code  ├ machine code      ├ linear memory, at most Limits.Memory
//	  in memory and on disk  ├ topics, config    ├ watch: ends the call at Limits.Deadline
//	                         └ limits, counters  ├ effects of the event at hand
//	                                             └ output: lines for the log, last words
//
// # Story
//
// [Engine.Load] screens the bytes of a module, compiles it, compares imports and
// exports with the contract, and starts one instance for a trial. What gets so
// far is a [Plugin]; whatever does not is an error of one line for the author.
//
// [Plugin.Start] makes an [Instance]: instantiate, _initialize, start event.
// [Instance.Handle] asks the guest's inbox for a place, writes the event there,
// and calls handle. Through the import rtd_v1.op the guest asks for effects, which
// are copied and checked one by one and returned together when handle
// returns 0. Of a guest that dies they are dropped: a [Trap] says how and where it
// died, its memory goes at once, and nothing else in the process has changed.
//
// Files, in the order in which a module meets them: engine.go and plugin.go
// (load and count), screen.go and reader.go (bytes), contract.go (imports and exports),
// instance.go (calls), watch.go and memory.go (limits), host.go, wasi.go and
// poll.go (what a guest may call), effects.go and output.go (what it says), trap.go
// (how it ends).
//
// # What a guest can do
//
// Compute, in its own memory. Ask for effects. Write to the log, so many lines
// an event. Read clocks and random numbers. Sleep, until the deadline. The rest
// of WASI is there, so that modules of every toolchain link, and answers that it
// is not supported. There are no files, sockets, arguments or environment.
//
// # What it costs
//
// On a 2-core x86-64 machine, with wazero v1.12.0 and Go 1.26 (bench_test.go):
//
//	                          Handle    Start     heap per instance
//	echo.wat (128 KiB memory) 2.1 µs    62 µs     158 KB
//	Go guest (2.7 MB module)  3.0 µs    7.8 ms    4.2 MB
//
// A Go guest compiles in 1 to 3 s and comes from the cache on disk in 0.1 s. Of
// the seven allocations of a Handle, six are wazero's and one is the name of the
// reply. Of the 7.8 ms of a start, most is wazero evaluating the offsets of some
// thousand data segments.
//
// This is the first version: an instance for each actor, as wazero makes them. The
// exported names are meant to stay when modules are rewritten to count reductions,
// instances start from a snapshot, and actors take turns in slots.
//
// # Questions
//
// What ends a loop? wazero compiles a look at the call's context into every loop
// and function (WithCloseOnContextDone), and the watch is that context. This makes
// tight loops several times slower and costs each call a goroutine. Reductions
// will replace it. Deadlines are wall time, so a machine that has too little CPU
// kills guests that did nothing wrong: that is why a plugin starts only as many
// instances at once as there are cores.
//
// Why one context for many calls? context.WithTimeout costs 1.6 µs and five
// allocations each time on that machine, resetting a timer 0.14 µs and none.
//
// Why is a late event a trap even if the guest has finished it? The watch rings
// once; to tell "a moment too late" from "too late" would be a race. Its effects
// are dropped like those of any trap.
//
// How do deadlines get a stack? wazero unwinds them with an error that has none.
// It tells a CloseNotifier first, on the guest's goroutine, and a panic there
// unwinds with a stack. It asks that notifiers do not panic, because resources
// may leak: ours are Go memory. If a later version behaves otherwise, the stack
// is lost and the kind stays right; tests of both hold it.
//
// What is the memory of an instance? A Go slice, grown by a quarter more than was
// asked and never beyond the limit. That is noscan memory of the Go heap. While
// it grows, old and new exist, and with them up to twice the limit.
//
// What bounds recursion? wazero: its stack for an exported function doubles up to
// 84 MB, beyond Limits.Memory and on the Go heap, 126 MB while it is copied the
// last time. It goes with the dead instance. A guest that recurses deep and
// returns keeps its stack until it is closed. No option of wazero changes that;
// a depth counter in rewritten code can.
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
// Why no source lines in stacks? Names come from the name section, which
// toolchains write by default. Lines would need DWARF, parsed in the host from the
// guest's file.
//
// Why a wazero runtime for each plugin? A runtime never forgets a function type.
// With one per plugin an unloaded version leaves nothing behind; machine code is
// in the engine's cache in any case.
package sandbox
