// Package client is the client's side of Phoenix Channels, version 2.0.0 of the protocol: what a
// browser's library does, as a Go value over any transport. rtd test plays its clients with it, and
// the tests of rtd connect with it.
//
//	Push, PushBinary ──► frame ──► send ──► transport ──► server
//	Take, Hear ◄── Message ◄── Decode ◄── Receive ◄──────┘
//
// A [Client] keeps every message until somebody takes it, and lets its user wait for the one that is
// due, in whatever order messages come. It has no goroutine: whoever owns the transport calls
// Receive, and End when there is no more.
//
// # Rationale
//
// Why does it import nothing of rtd? It checks what the server writes. A codec that both sides
// share would agree with itself on anything.
//
// Why is it no retrying client? A test says what happens to a connection. Rejoining and heartbeats
// are pushes like any other.
//
// Why does the load generator of rtd bench not use it? It has 20,000 clients and a budget of 1 KB
// and some microseconds for each; see package bench.
package client
