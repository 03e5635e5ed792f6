// Package rewrite makes WebAssembly guests preemptible. It takes a core module and returns one that computes the same,
// counts its reductions, calls the host when they are spent, and can be snapshotted from outside.
//
// The engine compiles a guest to native code, which Go's scheduler cannot interrupt: a guest in a loop holds its thread,
// and at the next garbage collection the whole process. So the guest has to come to the host by itself. [Rewrite] puts
// checks into the code, at function entries and loop headers, before the engine compiles it:
//
//	original                          rewritten
//
//	                                  (import "rtd" "yield" (func))     called when the counter is negative
//	                                  (global i64)                      the counter, exported
//	func f                            func f
//	                                      counter -= 1; if counter < 0 { yield() }
//	    loop                              loop
//	                                          run += 1; if run >= 128 { run = charge(run); continue }
//	        …                                 …
//	        memory.fill p, v, n               memory.fill p, v, bytes(n)
//	        if … continue                     if … continue
//	                                  func charge(n)  counter -= n;     if counter < 0 { yield() }; return 0
//	                                  func bytes(n)   counter -= n/256; if counter < 0 { yield() }; return n
//
// The host sets the counter (Module.Reductions) before a call and again in yield. There it may let other goroutines
// run, look at the clock and return, or panic: the panic comes out of the call as an error, and the instance can be used
// again. yield must set the counter to zero or more, else it is called at the very next check.
//
// A module is data from outside. Every count, length and depth is checked before anything is allocated for it, nothing
// recurses, and time and output are linear in the input. What Rewrite does not know it refuses: threads, exceptions,
// typed function references, garbage collection, several memories, 64-bit memories, components.
//
// # Rationale
//
// Why not the engine's own check, WithCloseOnContextDone? It costs 3 to 30 times on loops, as it calls out of the native
// code in every iteration, and it closes the module when it fires.
//
// What do the checks cost? On wazero v1.12 and an x86-64 machine with two busy cores, medians of 41 rounds run in turn,
// against the same code without checks (BenchmarkLoops):
//
//	loop                                rewritten   WithCloseOnContextDone
//	the tightest (count down), by hand       1.06                     27
//	four iterations in a long one, by hand   1.4–1.6                  30
//	memory.copy of 24 bytes, by hand         1.7                       6
//	recursion (fib), by hand                 1.0–1.1                   1.3
//	C: sort, sieve, matrix, json, hash       1.0–1.3                   4–17
//	Rust: sort, sieve, map, text, hash       0.9–1.2                   4–14
//	AssemblyScript: the like                 1.0–1.2                   3–7
//	Go: sort, sieve, matrix, json, map       0.9–1.3                   2–11
//
// A Go guest of 3.5 MB grows by 2 %. Rewriting it takes some 40 ms (BenchmarkRewrite).
//
// Why do loops count in a local? A global in memory would be loaded and stored in every iteration, and the next one waits
// for the store: 0 to 5 cycles, depending on the processor. A local is a register. It starts at zero at each call, so at
// most 127 iterations of a call are never charged, besides the call itself. A smaller number charges too often (64: 1.2
// on the tightest loop), a larger one gains little (256: 1.05) and forgives twice as much.
//
// Why does the loop check continue instead of going on? The compiler lays out blocks so that each comes after those that
// lead to it. Were the rare call to charge on the way from the header to the body, then every iteration would jump over
// it, and what lives in registers would have two ways into the body: 2.1 instead of 1.1 on the tightest loop. A branch
// back to the header leaves the body only one way in, and the call goes out of line. Which of then and else holds the
// rare path matters for the same reason.
//
// What is a reduction? One iteration of a loop, or one call of a function; one more per KiB of code in the loop, and per
// 256 bytes of code in the function, as one pass through it may be long; one per 256 bytes that an instruction copies,
// fills or grows. Functions of up to 128 bytes without calls and loops cost nothing, and their callers pay in the size of
// the loop: each call counts as 128 bytes of code. A branch-free line of code is not checked, so a function's size is
// bounded (Options.MaxBody).
//
// How long is a reduction? About 1 ns in loops as above, 2 ns in recursion. A guest that wants it long reaches about 5 µs:
// with loops of 127 iterations of 256 bytes of divisions, or with a body of 1 MiB that does not fit into the caches
// (BenchmarkAdversary). So a budget of 4,000 between yields means some microseconds for honest guests and about 20 ms for
// the worst. A budget that adapts to the guest is a trap: it grows in a cheap loop and is spent in an expensive one. One
// instruction cannot be interrupted, whatever it is charged: filling all memory is one. The limit on memory bounds that.
//
// Why is the counter 64 bits wide? It costs the same, cannot wrap, and a host that does not want yields sets it once.
//
// Why does the import come first? Imported functions come before the module's own, so that an import shifts indices in any
// case. As the first it shifts all of them by one, which is easier to get right than a shift from some index on. The
// functions and the global that are added come last and shift nothing. The guest cannot name them: every function,
// global, local and type index is checked against the original's counts.
//
// Why are lengths passed through a function? bytes(n) returns n, so that a call fits between the operand and the
// instruction without another local or a branch. It costs 2 to 5 ns, which short copies feel.
//
// Why is the start function exported? A start section runs while the module is instantiated, before the host can set a
// counter or a deadline. Exported, it is a call like others.
//
// What is a snapshot from outside? Memory and mutable globals, all of which are exported under names that begin with
// "rtd:" if they have none. Tables and the dropped state of segments cannot be read through the engine's interface, so a
// module that changes them is reported in Module.Pinned. Exporting the start function has a side effect that is known: a
// reference to it counts as declared, so that one kind of invalid module becomes valid.
//
// Why are tables bounded? Their memory is the host's and not part of the limit on linear memory: a guest could grow one
// to 1 GiB.
//
// Why check so little? The engine validates types afterwards, on the rewritten code. We check what the rewriting relies on
// and where a reader could differ from wazero's about where an instruction ends, since a loop that hides in an operand
// would not be charged: padded opcodes, memory indices, reference types.
//
// Why are offsets in custom sections dropped, not adjusted? Nothing reads them here. Names are kept and shifted, as they
// are what makes a stack trace readable; names of labels are dropped, since added blocks shift their numbers.
//
// What does it not protect from? The engine's compiler: wazero takes time that grows with the square of the nesting of
// blocks and loops (bounded by Options), and panics on some invalid modules, so compile under recover.
package rewrite
