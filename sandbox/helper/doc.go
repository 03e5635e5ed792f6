// Package helper does one piece of work in a child process of the same program. A child can be limited and
// killed, so this is for work that Go cannot interrupt, such as compiling a hostile module.
//
//	parent                                         child: the same binary, with one argument
//
//	Run(ctx, command, limits, request)             Main(work), first of all in main
//	  │  starts it, in a group of its own            │
//	  ├─ stdin:  limits, length, request ──────────► │ takes on the limits, reads the request
//	  │          …stays open                         │ ends when it ends: the parent is gone
//	  ◄─ stdout: the answer ───────────────────────  │ work(request)
//	  ◄─ stderr: last words                          │
//	  waits for its end, and kills it when ctx ends, or when it has grown too large
//
// A program consents by calling [Main]. In any other [Command] returns nil, so that no test
// binary starts itself over and over.
//
// # Questions
//
// Which limits? There are three. Processor time is that of all threads, as the system counts it (RLIMIT_CPU): no
// child fails because the machine is busy. Memory is the resident memory, read 20 times a second, on Linux from
// outside and elsewhere from within: a limit of address space does not suit Go, which reserves far more than it
// uses. Wall time is ten times the processor time, for a child that is stopped. Windows has no limit of processor
// time for a process; there wall time is limited, to twice the processor time.
//
// What can the child reach? Its three pipes, and a folder that the request names; no other descriptor, and no
// variable of the parent's environment. It runs with a low priority, so that guests and clients do not feel it.
//
// Can a child outlive its parent? No: its standard input ends then, however the parent died, and on
// Linux the kernel kills it besides.
package helper
