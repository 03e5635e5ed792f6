// Package wire carries the bytes of connections. Most are silent for most of their lives:
// a silent connection has no goroutine, no timer and no buffer worth the name.
//
//	                     ┌── epoll ──┐  readable
//	kernel ──────────────│   loop    │───────────► plain frames, in the loop's buffer ──► Reader.Message
//	     ▲               └───────────┘                 │ anything else
//	     │                 │ writable                  └──► a goroutine that may wait ──► Reader.ReadFrames
//	     │                 ▼                                                                    │ Park
//	     └── Batch ◄── what is stuck ◄── Batch, Write ◄── writers, the library ◄────────────────┘
//
// A [Poller] adopts connections from HTTP, and gives back each as a [Conn]: the net.Conn
// that the WebSocket library above reads and writes. The user of the library is the
// [Reader], which is told when there is something to read. There are two kinds of
// connections; [Poller.Kind] says which one is usual:
//
//	epoll         on Linux, without TLS: a loop for each processor waits for
//	              all connections
//	goroutines    elsewhere: one for each connection, with a small buffer
//
// Both behave alike, and have the same tests.
//
// # Questions
//
// How can a library that reads from a blocking net.Conn be driven by events? By not calling
// it for what needs no library. Most clients send, most of the time, a whole message in a
// frame of its own. Such frames are unmasked where they have arrived.
// All other bytes, such as half a frame, a ping, a close or nonsense, get a goroutine on
// which the library may wait as ever. Between two messages both go away again. So the
// meaning of all that is unusual stays in one place, the library; a fuzz test holds what this
// package takes by itself against what the library reads.
//
// What does an attacker gain with half a frame? A goroutine, as every connection has
// one elsewhere; they are bounded with the connections.
//
// Why does the loop not block in epoll_wait? A thread that does takes a processor of
// Go's along until the runtime notices. The epoll descriptor is waited for
// by the runtime's own poller, and then asked without waiting.
//
// Why do system calls go past Go's runtime? One that may wait is announced to the runtime, which
// wakes its monitor thread if that sleeps: a futex call, and then a thread that sleeps 20 µs
// again and again until nothing runs. For a message that comes alone, that was two of three
// context switches, and a quarter of all CPU time. The calls here never wait: a write of
// 64 KiB to a socket takes some ten microseconds. A loop that stays busy, and a guest that
// stays in one message, wake the monitor: it has the network looked at, every 10 ms, if
// nobody else comes to it.
//
// Why are compressed messages inflated here? They are as common as others where they are
// agreed to, and the library would need a goroutine for each. A loop inflates 128 KiB at the most of what one
// connection has sent; the rest is for the library.
//
// Why are connections taken out of Go's poller? It would be told of each byte, too, and
// keeps half a kilobyte for each connection. A duplicate of the descriptor knows
// nothing of it.
//
// Why are events edges? They take two system calls fewer for each turn. A flag notes the
// two facts that an edge can hide: more than a bufferful, or an end behind the last
// bytes.
//
// Why is there no deadline? Each would be a timer. The connections' owner looks at
// all of them once in a while, and closes those that are due.
package wire
