// Package wire carries the bytes of connections, many of which are silent for most
// of their lives: such a one has no goroutine, no timer and no buffer worth the name.
//
//	                     ┌── epoll ──┐  readable
//	kernel ──────────────│   loop    │───────────► plain frames, in the loop's buffer ──► Reader.ReadFrame
//	     ▲               └───────────┘                 │ anything else
//	     │                 │ writable                  └──► a goroutine that may wait ──► Reader.ReadFrames
//	     │                 ▼                                                                    │ Park
//	     └── Batch ◄── what is stuck ◄── Batch, Write ◄── writers, the library ◄────────────────┘
//
// A [Poller] adopts connections from HTTP, and gives back each as a [Conn]: the
// net.Conn that the WebSocket library above reads and writes. Whoever uses the library
// is the [Reader], which is told when there is something to read. There are two
// kinds, chosen by what the connection is; [Poller.Kind] says which one is usual:
//
//	epoll         on Linux, without TLS: a loop for each processor waits for
//	              all connections
//	goroutines    elsewhere: one for each connection, with a small buffer
//
// Both behave alike, and have the same tests.
//
// # Questions
//
// How can a library that reads from a blocking net.Conn be driven by events? By
// calling it when it will not block. What most clients send most of the time is a
// whole message in a frame of its own. When such frames have arrived, they are the
// library's to read, from memory. Everything else, such as half a frame, a ping, a
// close or nonsense, gets a goroutine on which the library may wait as ever. Between
// two messages it goes away again. So what a frame means stays in one place, the
// library, and this package only looks for where it ends.
//
// What does an attacker gain with half a frame? A goroutine, as every connection has
// one elsewhere; they are bounded with the connections.
//
// Why does the loop not block in epoll_wait? A thread that does takes a processor of
// Go's along until the runtime notices. The epoll descriptor is waited for
// by the runtime's own poller, and then asked without waiting.
//
// Why are connections taken out of Go's poller? It would be told of each byte, too, and
// keeps half a kilobyte for each connection. A duplicate of the descriptor knows
// nothing of it.
//
// Why are events edges? Two system calls fewer for each turn. What an edge can
// hide, more than a bufferful or an end behind the last bytes, is kept in a flag.
//
// Why is there no deadline? Each would be a timer. The connections' owner looks at
// all of them once in a while, and closes those that are due.
package wire
