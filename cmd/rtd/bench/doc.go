// Package bench loads a server that speaks Phoenix Channels, and measures it: rtd
// itself, Phoenix, or what is compatible with them. It is what rtd bench does.
//
//	scenario  load                                          measured
//	────────  ────                                          ────────
//	idle      connections that do nothing                   memory of each, and of each topic; connects and joins
//	fanout    one client sends, all others get it           CPU time and latency of a delivery
//	echo      each client pushes and waits for the reply    CPU time and latency of a push
//	rooms     clients in small topics send at a fixed rate  latency without coordinated omission
//	crash     some channels crash, again and again          how soon they are back; that others notice nothing
//	recover   all connections are cut, messages are said    how soon all are back with what they missed; what is lost
//	storm     connections are cut at random meanwhile       what is lost without a word
//
// All clients of a run belong to one goroutine. It sends what is due, and then
// waits for any of them to have something to read:
//
//	 idle, fanout, echo, rooms, crash, herd    what to send, what to expect
//	      │ push, join      ▲ heard
//	      ▼                 │
//	 generator, protocol                   clients; phoenix, centrifuge
//	      │ write           ▲ received
//	      ▼                 │
//	 sockets                               epoll, or a goroutine each
//	      │                 │
//	══════╪═════════════════╪══════════    20,000 times TCP
//	      ▼                 │
//	 the server            /proc           its CPU clock and memory, by pid
//
// A scenario is read from top to bottom: connect all, let them join, load, drain. Each
// step pumps events until it is through, so there is no lock, and no callback whose
// turn is hard to tell.
//
// # What counts
//
// Each message carries in its body who sent it, its number and when it was due: 32 bytes of text
// that are recognised wherever the application puts them in the payload. So a message
// that is lost, comes twice or out of order is seen by whoever should have got it. A
// sender's own copies do not count.
//
// With a rate (an open loop), latency counts from when a message was due, not from
// when it was sent. A server that stalls makes the generator late, and all that was due
// meanwhile counts as slow; a generator that forgives that reports the best of what the
// server did, which is called coordinated omission. Without a rate (a closed loop) the next message is sent
// when one is through. That shows the most that the server can do, and costs per
// message, but its latencies are those of a server under full load.
//
// Percentiles are off by at most 1 %; see [Histogram].
//
// Recover and storm cut connections as a broken network does: by a reset, without what was under way. Every message is looked for at
// every client, also what a gap leaves out, which a client is told of: only what is missing without a word is lost. With storm --forget no
// client asks for what it missed, so that a run has to lose messages.
//
// The server's CPU time is that of the load alone, not of connecting before, and its
// memory what is resident. A server with a garbage collector holds garbage, too: run it fresh, hold many
// connections, and compare like with like. Stage.GeneratorLoad says
// whether the generator was the one that could not do more. On one machine, give each a
// core of its own, as in: taskset -c 0 rtd, taskset -c 1 rtd bench.
//
// # Which handlers it fits
//
// The defaults fit the handlers of .ci/bench/guest in C and .ci/bench/guest-go in Go: topics bench:*,
// "echo" is answered with its payload, "say" broadcasts it, "crash" crashes. Any other
// handler will do that broadcasts what it is sent (fanout, rooms) or answers (echo):
// Options name its topic, event and join payload. Crash asks for "echo", too.
//
// # Rationale
//
// Why an own client side of WebSocket? coder/websocket, which rtd serves with, has buffers and a
// goroutine for each connection, more than 10 KB. With 20,000 of them the generator would
// need more than the server that it measures. A client without extensions is two
// hundred lines.
//
// Why one thread? Most of a delivery's cost in the generator is the read in the
// kernel; a thread takes some 300,000 a second, more than one core of a server sends. If that is not
// enough, run several processes, each with its own topics.
//
// Why does it not wait in Go's network poller? It would have a goroutine per connection,
// or a descriptor for the epoll that wakes one goroutine by way of two others. One
// thread that sleeps in the kernel is simpler, wakes sooner, and keeps time to the
// microsecond.
//
// Why not the client of package channels/client, which rtd test and the tests use? It keeps every
// message until somebody takes it, and decodes all of it. Here messages are read where the kernel
// put them, and nothing of them is kept: a connection has no memory but its numbers.
//
// Why no JSON decoder? The time that the generator takes delays what it measures.
// Scanning a message for its five fields and a mark takes less than the call that
// read it.
//
// Why is there a second protocol? To see what one would gain: run it against what you run
// today. A protocol is five small methods.
//
// Why are other machines refused by default? A load test of the wrong address is an
// attack.
package bench
