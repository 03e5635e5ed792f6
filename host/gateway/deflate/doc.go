// Package deflate is the extension permessage-deflate of WebSocket (RFC 7692) without context
// takeover: what both sides agree to in the handshake, and a message as it goes over the wire.
//
//	Sec-WebSocket-Extensions ──► Negotiate ──► Agreement, the header of the answer
//	a message  ──► Append ──► the payload of its frame
//	a message  ◄── Inflate ◄── the payload of its frame, within a limit
//
// Everything here is safe for concurrent use. Between two messages nothing is kept for a
// connection: compressors and decompressors are in pools, of which there are about as many as
// goroutines that write or read at once.
//
// # Questions
//
// Why no context takeover? A compressor, with its window and its tables, takes about a megabyte. Each
// connection would need its own, and takes a few hundred bytes without. And a
// broadcast could not be compressed once for all of its members, as each has a
// window of its own. A message that repeats the last one costs more bytes on the wire.
//
// Why is an offer with a small window accepted, when compressors always use the largest? Each
// message begins with an empty window, and refers to itself alone. One that is no longer than
// the window fits it; longer ones go as they are ([Agreement.Window]).
//
// Why klauspost/compress and not the standard library? It is there already, for states at rest, and
// takes less than half the time for the same size: 25 µs instead of 56 for a message of 2 KB, which
// becomes 28 % of that, with level 3 in both. The standard library clears its tables before each message.
//
// Why are bombs no danger? [Inflate] stops at the limit, before it has memory for more than
// twice as much. What the limit allows is bounded by time besides: package wire inflates a few
// frames on its loop, and has a goroutine for the others.
package deflate
