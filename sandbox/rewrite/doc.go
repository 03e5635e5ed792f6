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
//	                                      counter -= 17; while counter < 0 { yield() }
//	    loop                              loop
//	                                          run += 1; if run >= 128 { run = charge(run); continue }
//	        …                                 …
//	        memory.fill p, v, n               if n < 256 { memory.fill p, v, n } else { fill(p, v, n) }
//	        continue if …                     if … { continue }
//	                                      counter -= 2; while counter < 0 { yield() }      if f calls others
//	                                  func charge(n)      counter -= n; if counter < 0 { yield() }; return 0
//	                                  func fill(p, v, n)  memory.fill in pieces of 64 KiB, with a check before each
//
// The host sets the counter (Module.Reductions) before a call and again in yield. There it may let other goroutines
// run, look at the clock and return, or panic: the panic comes out of the call as an error, and the instance can be used
// again. yield must set the counter to zero or more, or it is called again at once.
//
// A module is data from outside. Every count, length and depth is checked before anything is allocated for it, nothing
// recurses, and time and output are linear in the input. [Limits] bound the rest, also for the readers after it. Rewrite refuses threads, exceptions, typed function references, garbage collection, several memories,
// 64-bit memories, components, and anything newer. Package sections reads the bytes: the module's own sections are
// all that Rewrite knows of it, so that is the only arrow to another package.
//
// Files, in the order in which a module meets them: rewrite.go (options and result), limits.go, read.go (all
// sections in front of the code), body.go, carried.go and opcodes.go (a function is read, and where it changes), inject.go and
// helpers.go (a function is written, and those that are added), assemble.go (the new module), names.go, buffer.go.
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
//	the tightest (count down), by hand       1.1–1.2                  27
//	four iterations in a long one, by hand   1.05                     30
//	memory.copy of 24 bytes, by hand         1.0–1.1                   6
//	recursion (fib), by hand                 1.0–1.1                   1.3
//	C: sort, sieve, matrix, json, hash       0.9–1.1                   4–17
//	Rust: sort, sieve, map, text, hash       0.8–1.1                   4–14
//	AssemblyScript: the like                 1.0–1.2                   3–7
//	Go: sort, sieve, matrix, json, map       1.1–1.2                   2–11
//
// Such loops are a few instructions, whose place in the machine's cache lines, which nobody chooses, makes some of them a fifth
// slower or faster. Calls of a handler's length, without the host's part, take 1.0 to 1.2 (BenchmarkFigures of package sandbox, resident).
//
// A Go guest of 3.6 MB grows by 8 %. Rewriting it takes 40 to 80 ms (BenchmarkRewrite).
//
// Why do loops count in a local? A global in memory would be loaded and stored in every iteration, and the next one waits
// for the store: 0 to 5 cycles, depending on the processor. A local is a register. It starts at zero at each call, so at
// most 127 iterations of a call are not charged, for which a function with loops pays 16 in advance. To charge the rest
// when it ends would be exact, but makes Go's guests slower by 15 %, as most of their functions have a loop. A smaller
// number than 128 charges too often (64: 1.2 on the tightest loop), a larger one gains little (256: 1.05) and forgives
// twice as much. The local has a reduction in 16 parts, for touches.
//
// Why does the rare path turn locals into numbers of the other kind, and back? A value that is in use behind a call is
// stored to the stack. If it is one that a loop carries, the compiler stores it where it is set, which is in every
// iteration: a store for each such local (1.5 instead of 1.0 on a loop of two, 1.7 instead of 1.05 on nested ones). A
// reinterpreted number is another value, which is set in the rare path and stored there. So the locals that an innermost loop carries go
// around the call on the operand stack (carried.go). A wrong guess costs a store or a move.
//
// Why is a branch to a loop on a condition made a branch in an if? The compiler makes two jumps of the first in each
// iteration, to the place where it jumps back, and one of the second. The gain pays for the check: 0.95 instead of 1.3 on a
// sieve. Loops that take values from the stack keep theirs.
//
// Why is the check at a function's entry a loop? For the same reason as the next: a call on the way would make every call of the
// function jump over it.
//
// Why does the loop check continue instead of going on? The compiler lays out blocks so that each comes after those that
// lead to it. Were the rare call to charge on the way from the header to the body, then every iteration would jump over
// it, and values in registers would have two ways into the body: 2.1 instead of 1.1 on the tightest loop. A branch
// back to the header leaves the body only one way in, and the call goes out of line. Which of then and else holds the
// rare path matters for the same reason.
//
// What is a reduction? One iteration of a loop, or one call of a function; one more per KiB of code in the loop, and per
// 256 bytes of code in the function, as one pass through it may be long; one per 256 bytes that an instruction copies,
// fills or grows. A function of up to 128 bytes without calls, loops and a look at the memory costs nothing, and its
// callers pay in the size of their loops: each call counts as 128 bytes of code.
//
// Why a check where a function is left? The code behind a call is paid for when its function is entered. A recursion pays
// for all of its frames on the way down, and gives way there; on the way up it would come to no check at all: ten thousand
// frames of 100 KB each, or of 127 iterations that are never charged, are seconds (TestBehindDeepCalls). So a function
// that calls others has a check in front of each exit, and pays once more for its code, and up to 16 for its loops. One
// without loops and of at most 128 bytes does without. Handlers take some percent longer for it.
//
// What is a touch? The first access to a page costs the kernel 0.5 µs on bare metal and 3 to 5 on a virtual machine, a
// thousand times as much as the instruction. A store counts as four touches and a load as one, of which a reduction has
// 16. Where a function or a loop begins they are part of its charge in any case. Elsewhere a run, which is code with one
// way in, pays for its touches if it has eight stores or more; smaller runs pay by their bytes, as an
// addition in each would make Go's guests, which jump a lot, slower by a fifth. A function with more than 512 stores in
// such runs has a check in each, so that no straight line is without one for long.
//
// How long is a reduction? About 1 ns in loops as above, 2 ns in recursion, and 1 to 20 µs where every store is the first
// one to its page. So the same budget may mean microseconds or many milliseconds. A budget that grows with the guest's
// thrift is a trap: it is earned in a cheap loop and spent in an expensive one. The host can only make it small for those
// whose memory is large, and for those that have taken long before.
//
// Why are instructions on ranges done in pieces? Nothing interrupts one, and filling all memory is one. The pieces behave
// as the whole does: bounds are looked at before the first, by the instruction itself with a length of 0 at the end of the
// range where a segment may have been dropped, and a copy to behind its source begins at the end. Tables have at most
// Limits.TableEntries entries, 8 MB, which takes one or two milliseconds in one go.
//
// Why is the counter 64 bits wide? It costs the same, cannot wrap, and a host that does not want yields sets it once.
//
// Why does the import come first? Imported functions come before the module's own, so that an import shifts indices in any
// case. As the first it shifts all of them by one, which is easier to get right than a shift from some index on. The
// added functions and the counter come last and shift nothing. The guest cannot name them: every function,
// global, local and type index is checked against the original's counts.
//
// Why is a short range an instruction still? A call costs 2 to 5 ns, which short copies feel; a comparison costs less. The
// operands go through three locals for it. A length that is a constant is compared here. memory.init of small segments, and instructions on tables, are charged by a
// function that takes the length and returns it, which fits between the operand and the instruction.
//
// Why is the start function exported? A start section runs while the module is instantiated, before the host can set a
// counter or a deadline. Exported, it is a call like others.
//
// What is a snapshot from outside? Memory and mutable globals, all of which are exported under names that begin with
// "rtd:" if they have none. Tables and the dropped state of segments cannot be read through the engine's interface, so a
// module that changes them is reported in Module.Pinned. Exporting the start function has a known side effect: a
// reference to it counts as declared, so that one kind of invalid module becomes valid.
//
// Why limits here? The engine's decoder allocates for a count before it has seen as many elements, at up to a hundred
// times a byte's size: twenty bytes that announce four billion functions end a Go process with "out of memory", which no
// recover catches. Rewrite reads the whole module first in any case, and the decoder gets what Rewrite has written.
// [Limits] has the numbers, with the reason for each.
//
// Why are tables bounded? Their memory is the host's and not part of the limit on linear memory: table.grow alone could
// take 32 GB. A table without a maximum, or with one that is too large, gets Limits.TableGrowth.
//
// Why check so few types? The engine validates them afterwards, on the rewritten code. Rewrite checks the facts that it relies on,
// and the places where a reader could differ from wazero's about where an instruction ends, since a loop that hides in an
// operand would not be charged: padded opcodes, memory indices, reference types.
//
// Why are offsets in custom sections dropped, not adjusted? Nothing reads them here. Names are kept and shifted, as
// they make a stack trace readable; names of labels are dropped, since added blocks shift their numbers. Names that can be read
// but not used, as they are in no order or no text, are dropped too; a count of names that is a lie is an error, as any other.
//
// What does it not protect from? Code of very many branches with some stores each, all to new pages, reaches up to 100
// pages for a reduction, and a short loop that is called again and again some 30; the size of the memory bounds that. And
// the engine's compiler: wazero takes time that grows with the square of the blocks of a function, and panics on some
// invalid modules. So compile in another process, and under recover.
package rewrite
