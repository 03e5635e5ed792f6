// Package sandbox runs guests: WebAssembly modules that keep the contract of
// package abi, each instance isolated and under limits. It is the only package
// that knows wazero.
//
//	Engine ── Load(wasm) ──► Module ── Start ──► Instance ── Handle(event) ──► effects
//	one per process          one per version     one per actor                 or a Trap
//	│                        │                   │
//	├ cache of machine code  ├ machine code      ├ hot: in a slot
//	├ children that compile  │                   │
//	└ store of idle states   ├ snapshot          ├ idle: a delta in the store
//	                         │                   └ State ──► bytes ──► Resume, in any process
//	                         ├ topics, limits,               that has the same snapshot
//	                         │ counters
//	                         └ slots             live WebAssembly instances, a few dozen,
//	                                             in which the actors take turns
//
// # Story
//
// [Engine.Load] has package rewrite check the bytes of a module and put checks into
// its code, has it compiled, compares imports and exports with the contract, and
// starts the guest once: start section, _initialize, start event. Its memory and
// globals after that are the snapshot. A module that passes is a [Module]. Any
// other is refused with a one-line error for its author. With a place for snapshots
// ([LoadOptions].Snapshots) that start happens once for all processes.
//
//	rewrite ──► cache? ──► a child decodes, validates, compiles: ──► its machine code, ──► Module
//	              │        60 s of processor, 1 GiB, niced           sealed, in the cache    ▲
//	              └─ there, and its seal is right ──► decoded, validated, read ─────────────┘
//
// [Module.Start] makes an [Instance], which is a record of some hundred bytes: its
// state is the snapshot. [Instance.Handle] brings the state into a slot, asks the
// guest's inbox for a place, writes the event there, and calls handle. Through the
// import rtd_v1.op the guest asks for effects, which are copied and checked one by
// one and returned together when handle returns 0. Of a guest that dies they are
// dropped: a [Trap] says how and where it died, its slot is made the snapshot
// again, and nothing else in the process has changed.
//
// After the event the state stays in the slot until another actor needs it. Then
// the difference from the snapshot goes into the store, off the Go heap, and the
// slot is the snapshot again (package image). There is no goroutine, timer or
// WebAssembly instance for an idle actor.
//
// [Instance.State] writes the same difference down while the actor stays where it is, and [Module.Resume] makes an
// actor that goes on with it, today or after the next start of the process:
//
//	Load ──► kept? ──► read, sealed and fitting ──────────────────────────┐
//	         │   └ damaged: set aside, one warning ─┐                     ▼
//	         └ no ─────────────────────────────────►│ start the guest ──► snapshot, by its name ──► State, Resume
//	                                                └────────────────► kept, sealed
//
// The snapshot is of the module, its name and version, its config, and its limit of memory: of all that the guest can
// see when it starts. If one of them changes there is another snapshot, and actors move to it as to a new version. A state
// that is still of the old one is resumed by a module that was loaded with that snapshot ([LoadOptions].Kept), whose head
// says what it is of ([ReadSnapshotInfo]).
//
// Files, in the order in which a module meets them: engine.go, limits.go and module.go (load
// and count), compile.go and cache.go (machine code), contract.go (imports and exports),
// snapshot.go and sealed.go (the start of every actor, kept for the next process), instance.go, copy.go
// and state.go (an actor, another like it, and its state as bytes), process.go (the process whose body it
// is), pool.go and slot.go (where it runs), clock.go (for how long), idle.go (where it rests),
// memory.go and stack.go (bytes, counted), host.go, wasi.go and poll.go (functions for
// guests), effects.go and output.go (effects and log lines), trap.go and postmortem.go (how a
// guest ends, and its remains).
//
// # What a guest can do
//
// Compute, in its own memory. Ask for effects. Write to the log, so many lines
// an event. Read clocks and random numbers. Sleep, until the timeout. The rest
// of WASI is there, so that modules of every toolchain link, and answers that it
// is not supported. There are no files, sockets or arguments, and one variable
// in the environment, for Go's collector.
//
// # What it costs
//
// The actor of testdata/actor, which parses JSON and keeps a name, a counter and ten
// messages, in bytes of idle state: on average after 5 messages, and at most in the last
// tenth of 10,000.
//
//	C   110, 220     Rust   290, 460     AssemblyScript   510, 1,000     Go   680, 3,500
//
// These are of RTD_FIGURES_SCALE=0.01 and -bench 'Figures//idle|Figures//after10000'. All
// figures, with their conditions, come from
//
//	go test ./sandbox -run '^$' -bench Figures -benchtime 1x -timeout 30m
//	go test ./sandbox -run '^$' -bench Hold -benchtime 1x
//	go test ./sandbox/rewrite -run '^$' -bench Loops -benchtime 1x
//
// # Questions
//
// What ends a loop? The rewritten code counts calls and rounds of loops and calls
// yield when some thousand are spent. There the host looks at the clock, lets others run ([Process].Yield),
// and ends a guest whose time is up or whose process was killed by a panic, which
// comes out of wazero as an error with a stack; the slot can be used again. Without
// that, native code never lets the garbage collector in, and one guest in a loop
// stops the whole process.
//
// Are deadlines wall time? No: an event that needs 20 ms must not die because five
// hundred others need the processor too. Two limits bound an event:
//
//	                          Limits.Deadline    Limits.Timeout
//	at work                   counts             counts
//	the host works for it     counts             counts
//	others have the thread    not on Linux       counts
//	asleep (poll_oneoff)      –                  counts
//	in the queue for a turn   –                  –
//	in Instance.Wait          –                  –
//	in the queue for a slot   –                  –
//	the trap is of            KindDeadline       KindTimeout
//
// On Linux the thread's processor time is the measure, and asking for it takes up to a
// microsecond. So the clock comes first: a stretch between two yields that is as
// short as it should be is charged by the clock. From the first stretch in an event
// that is longer, because its code is slow or because another goroutine was let run, the
// system is asked about each that follows; that first one is charged as two turns. After one of
// more than 2 ms, which may have been the guest's doing or the machine's, the plugin's threads are looked
// at for 5 s, every 100 µs at most, so that it is known what the next such stretch has used. On
// other systems the clock decides, and a machine that is busy with other programs can
// end a guest too early.
//
// A guest that sleeps uses no processor, but keeps its slot, so the timeout bounds that.
// [Process].Block lets the scheduler go meanwhile.
//
// When does an actor leave its slot? When another actor needs one. Those that come back soon, before as many others
// have come as there may be slots, get slots of their own, and leave them when they have been idle longest. With as
// many slots as such actors nothing is ever moved. All other actors pass, one after the other, in the slot that
// their processor used last, and each event costs a move, some microseconds for a small guest.
//
// Why not always the slot that was idle longest? Its pages are in no cache, or in another processor's. With 256 slots and
// 4,000 actors a wake then took 12.6 µs instead of 7.2 (C), and 99 instead of 51 (Go), and two
// processors had to wait for what the other had written (BenchmarkWake).
//
// When is there one more slot? While there are fewer than four, or all are at work, at once. Otherwise when 32 actors
// have come back and found another in their slot: to make a slot of a Go guest takes more than a millisecond, and
// 150 KiB of pages. So a million clients that join, and are quiet then, take turns in four slots.
//
// Which plugins have no slots? Those whose state is not all in memory and globals:
// their modules change tables, drop passive segments, or have mutable
// references. Each instance keeps a WebAssembly instance of its own, and
// Load logs why.
//
// Can a memory that has grown shrink again? Not for the guest, which can see its
// size. But between two actors a slot's memory is made as large as the next one
// needs it: the answer of wazero's allocator to a memory.grow is the memory from then on, and
// it may be smaller than before.
//
// What happens to garbage? A guest with a collector leaves more of it with every
// event, until the collector runs, and all that would be kept. When a state has
// grown by 16 KiB the guest gets an idle event, in which SDKs collect, but for one that comes back so soon that it will
// have a slot of its own. An actor whose State is asked for after each event gets it in its slot, when it has
// grown so much in 256 States, or by 64 KiB before: to collect takes a Go guest milliseconds. Go does not
// clear what it frees; told by GODEBUG=clobberfree=1 it overwrites it with one
// pattern, which takes a few bytes in a delta. A plugin for which that was no use eight
// times in a row, as less than a quarter was gone of what had come since the last time, is not asked again. Load has the guest collect before the snapshot is taken, so that no delta
// has the tables that a collector sets up once.
//
// Why does a first event of a Go guest write 25 pages, where one in C writes five? A collection leaves the allocator
// without cells at hand. The first object of each size fetched some, from lists on four pages, and lay on one page
// while its kind was noted on another: 52 pages in all, and all that is written is compared when an actor rests. So
// the Go SDK rehearses: after the collections before the snapshot it takes cells of each small size, until the
// next one lies beside the notes. Before the last one, encoding/json gets to know the structs of package main and
// those without a name, if the plugin uses it: half of a first join was that. It calls no code of the plugin, asks for nothing, and is dropped if
// the guest dies of it. Ten of the 25 pages are the runtime's own.
//
// Why is klauspost/compress here? Idle states above 2 KiB are packed with its
// S2, which takes about a microsecond a KiB and halves those of guests with a
// garbage collector. The standard library's flate is ten times slower.
//
// Do copies of one snapshot draw the same random numbers? Not those that ask the
// host (random_get, and generators that it seeds later). A generator that was seeded
// before the snapshot would: the Go SDK reseeds the runtime's at the first event. A generator in a state goes on
// as it would have: two actors resumed from one state see the same numbers, except those of the host.
//
// What secrets does a kept snapshot have? Numbers that a guest draws before its first event: the seed of Go's and Rust's
// hash tables, and keys that its author makes in init. All its actors have them in common, in this process and, once
// the snapshot is kept, in all later ones; a reader of the file has them, too. So the file is for its owner alone
// (mode 0600), it has nothing of any actor, and a key that must be another at each start is to be drawn in the first
// event. The config is in it as the guest got it.
//
// Does a guest start if its snapshot is kept? No. Lines that it logs at its start appear once, and not
// at each start of the process. Its declarations are in the file.
//
// What time is it in a state of yesterday? Today: clocks are asked of the host. A guest's monotonic clock began with
// the time of day when the process started, so it has gone on by as long as the state was away. If somebody has set the
// machine's clock back meanwhile, it goes back once.
//
// What is a state from a disk compared with? The snapshot's name; a checksum; each number, and the size of the memory
// with the module's and the plugin's limits. Bytes that pass may still be wrong. They are in one guest's memory then, to
// which the guest itself could have written them.
//
// What becomes of states if the snapshot is lost? If it is missing, cut or altered, another one is made, and kept. It
// has its content's name, so a guest whose start is the same each time, as in C, gets the one it had, and its
// states go on. Those of any other guest fail with [ErrSnapshot]. A snapshot that cannot be read at the moment is left
// alone, and one that cannot be written is none: [Module.Snapshot] says that it is not kept, and a host that
// promises to remember has to look there first.
//
// Why is the snapshot not made the same each time, with a clock and random numbers of our own? Every actor of every
// server would have the same seeds; and a compiler, SDK or rtd of another day would still make another one.
//
// Why is it not of the machine code or of package rewrite? They change with rtd, and memory and globals do not: states
// outlive an update. Only the types of the globals are compared.
//
// What bounds recursion? wazero's stack for an exported function doubles up to 84 MB,
// beyond Limits.Memory and on the Go heap, 126 MB while it is copied the last time. So
// its size is looked at after each slice: a guest whose stack has more than 16 MiB has
// gone too deep, and those of more than 1 MiB may have 64 MiB together in a plugin and
// 256 MiB in an engine. A guest that comes too late gets a [KindStack] that says so: to wait with
// half a recursion done would keep a slot and help nobody. Such a stack is dropped after
// the event. To count depth in the guest's code would cost each of its calls.
//
// How long can a guest keep a processor? For one slice beyond its turn. Most code has
// spent one in 10 µs. Only the first access to a page takes long, since the kernel has to
// make it: so accesses cost reductions (package rewrite), and the slices of guests with
// more than 8 MiB are shorter, for 5,000 pages or 20 ms. After a turn of more than 2 ms all
// guests of the plugin get slices of some 250 pages for 5 s: they lose a part of their speed,
// and others notice nothing. Host functions on large ranges give way in between, too.
//
// Why not make pages present before a guest runs? It would have to be done at each wake,
// for all pages that it might touch: most guests touch few.
//
// What does Limits.TotalMemory count? Three things. Bytes by which memories are larger than the
// snapshot, since a guest uses the memory that it asks for, as a rule. Pages of the snapshot that
// were written, for which the system is asked after each 2 ms of a guest's work. And states at rest. At the
// bound, idle slots are emptied before a guest is refused. A state at rest that takes no
// more than its slot did, or at most 4 KiB, is always kept.
//
// What bounds the time to compile? A child process (package helper). wazero's compiler cannot be
// interrupted, and its time grows with the square of a function's blocks and branches: 270 KB
// of nested blocks take minutes. The child has so much time of the processor and so
// much memory, and is killed if it takes more, or if its Load is cancelled. Then
// the process decodes and validates the module again, and reads the machine code. The child
// has done that too, with an eye on the clock: a module for which it takes more than a tenth of the
// limit is refused, and so is one with more than 512 MiB of machine code. There are as many children at a time as processors, and one more, so that a hostile
// module alone stops nobody else's. An [Engine] without [Options].Compiler compiles in the process, where nothing
// ends it; give it no modules of strangers.
//
// What if there is no folder for machine code? The child leaves it in the cache; else in the folder for
// temporary files, or, on Linux, in memory that looks like one. Without any, modules up to
// 32 KiB are compiled in the process, which takes some seconds at worst, and larger ones refused.
//
// May a file of the cache be damaged? Yes: cut, altered, of another module, or no file at all. Each has a
// seal, the hash of all of it and of the module that it is for, which is compared before wazero
// may read it: wazero's own checksum covers the code alone, and it allocates what a header says.
// A damaged file is made again. A cache that cannot be written is a warning, once.
//
// Why does the kind of a trap not look at "panic:" in the output? Because guests
// write the output. The error that ended the guest decides its kind; a line that looks like the
// last words of a Go, Rust, C or AssemblyScript program is quoted in the cause,
// and nothing more. A Go panic is an "unreachable", so it is a [KindTrap].
//
// Who remembers the last events of a guest that died? The slot: 8 events and 16
// lines, since its actor came, in buffers that are reused ([PostMortem]). If actors
// remembered, a million idle ones would have to. The remains of a guest are copied
// only if [Options].Examine wants them, since a guest that crashes again and again should cost no
// more than its restarts. A goroutine copies them in pieces, while the actor may begin anew in another
// slot: 16 MiB at once would be milliseconds for all who wait for the processor. The dead guest's slot
// is free when that is done. Four of a plugin are copied so at a time, and any more in their own turns.
//
// Why no source lines in stacks? Names come from the name section, which
// toolchains write by default. Lines would need DWARF, parsed in the host from the
// guest's file.
//
// Why a wazero runtime and a wazero cache for each plugin? A runtime never forgets a function type.
// With one per plugin an unloaded version leaves nothing behind. A shared wazero cache hands
// out a module before its file is read completely, if two ask for it at a time.
// Two live versions with the same module have its machine code twice; that is rare, and short.
//
// Why golang.org/x/sys? wazero names a file of machine code by the features of the processor that it uses. They
// have to be known to find the file, and its seal, before wazero does.
package sandbox
