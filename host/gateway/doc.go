// Package gateway is between the network and the sockets of package channels: everybody who connects to
// a server's address comes through here, and is a visitor, a connection, a session of long polling, or refused.
//
//	network ──accept──► gate ──HTTP──► a mount? ──no──► Options.Others: metrics, API, pages
//	                 (visitors)           │ yes
//	                    ┌─────────────────┴──────────────┐
//	               …/websocket                      …/longpoll
//	       upgrade: token, connect,           poll: the same questions,
//	       handshake.Accept                   package longpoll
//	                    │                                │
//	  wire ──readable──►│ conn.Message                   │ POST
//	                    ▼                                ▼
//	           channels.Socket.Receive: here a frame becomes an event
//	                    │ conn.Send                      │ Send
//	                    ▼                                ▼
//	  wire ◄── writers ◄── outbox                 a session's buffer ◄── GET
//
//	gateway.go   the parts, Serve, Run                    conn.go     one connection: read, queue, close
//	mount.go     paths, and which of them a URL is        library.go  the WebSocket library, when it is needed
//	upgrade.go   from a request to a connection           writers.go  the few goroutines that write
//	connect.go   asking a plugin about a client           conns.go    all connections, and how many there may be
//	refusals.go  who is not let in: status, count, log    poll.go     long polling
//	tokens.go    tokens at the door, and while connected  packs.go    compressed frames
//	visitors.go  who is at the door                       drain.go    the end, in batches
//	sparse.go    log lines that could be many             stats.go    the figures
//	descriptors_unix.go, descriptors_other.go             how many files the process may have open
//
// The package doc of host has the tables: what a refused client is answered, the limits, the close codes.
//
// # Long polling
//
// path + "/longpoll" is the same socket behind package longpoll: the checks of a WebSocket
// come when a session begins, but for those of the handshake and of the number of connections; the
// origin is looked at with each request. A refusal is a status in the body: 403, or 500 for what passes. Sessions are
// bounded by themselves, and not counted as connections; their requests are visitors.
//
// # Tokens
//
// With auth = "required" or "optional", a mount verifies what the client shows as its auth
// token or as param token (package auth). The claims go to the plugin's connect,
// and are the socket's assigns unless that gives others. A client is told by
// token_expiring on topic phoenix, and sends a new token there as event token. A session lasts as long
// as its token would still let a client in, auth.leeway after its expiry, also if auth.grace is less.
//
// # Questions
//
// Where does a frame become an event? [wire.Poller] sees that a whole message is there and calls
// conn.Message, which hands it to conn.take. That calls
// [channels.Socket.Receive], which decodes it and puts the event into a channel's mailbox. All of it runs on the
// goroutine that reads, of the poller or of the connection: nothing on the way waits for a guest.
//
// And the way back? [channels.Socket] calls conn.Send with an encoded frame, which joins the outbox. The first frame in
// an empty outbox hands the connection to a writer, which calls conn.write.
//
// Who is counted where? Package gate has everybody from accept on, until HTTP has handed over the
// connection; connSet has it from its handshake on, by the address that a trusted proxy tells. The gate asks how many
// are there, so that both keep to the same limits.
//
// Why is a client counted before it is connected? Deciding costs more than being
// connected: it runs a guest. A limit that counts only the open ones would be no
// limit for those who wait.
//
// Why does a crash in connect answer 500, and a late answer 503? The first is
// Phoenix's. The client tries again after both, but a reader of a proxy's log in
// between should be able to tell a bug from a plugin that is slow.
//
// Why does a connection have no goroutine? A connection that neither sends nor is sent anything
// is the common case, and a goroutine with its stack takes more than all else of it.
// Bytes that arrive are read by package wire. The sender of the first frame in an empty
// outbox hands the connection to one of a few writers, which goes from one connection
// to the next and gives the kernel, in one system call, all that has queued up: a
// loopback write takes 7 to 13 microseconds, whether of one frame or of fifty. Package
// wire keeps what the kernel does not take; the writer goes on with others.
//
// Why do writers look at the network? A writer is busy for ten milliseconds with a broadcast for a
// thousand, and beside it, on one processor, Go's runtime looks every 10 ms. So senders were read when all
// was written. Now their next broadcasts come into outboxes that the writer has yet to come to, and go out
// with the one before: 0.30 writes for each delivery instead of 0.43, with four broadcasts under way.
// Nothing waits for that, and a broadcast that comes alone is as quick as before.
//
// Why does a broadcast not write by itself? It holds the lock of its topic, and its
// guest. It appends to outboxes, which takes some 50 ns each.
//
// In which order does a drain go? Nobody is let in any more. Connections close in
// batches of server.drain_batch, with server.drain_interval in between, so that
// their clients do not all come back at once; the batches are larger if the last
// one would otherwise be later than half of server.grace. Until its turn a connection
// is served as before. Then frames that arrive are no longer taken; what was taken
// is handled and answered, for at most a second; then every connection of the batch
// gets what is queued for it and a close frame, and its channels end. After the
// last batch the sessions of long polling end, and then the requests. So a message whose sender got a reply has
// been sent to all members that were there before the sender's batch is
// disconnected.
//
// And with server.drain_spread? Then connections and sessions end one by one, evenly over that time, and each client is told a second
// before when to come back, by the event reconnect on topic phoenix, {"after": milliseconds}: evenly over as long again, behind
// the end of the drain. So neither what is closed at a time nor who comes back at a time depends on how many there are. Why on topic
// phoenix? It is of no channel, no handler can say it, and Phoenix's client gives it to socket.onMessage, in every version.
//
// How many connections do file descriptors allow? All but a 64th (64 to 1024 of them), which
// is for files, builds and the admin socket, and but the 64 for visitors. One address leaves
// 64 of these to others, whatever server.max_per_address says.
//
// Why may one address have so many connections? Behind it may be a proxy that
// nobody has entered in server.trusted_proxies, or a mobile network. The default
// stops a single machine from taking all; who knows their clients sets less.
//
// # Rationale
//
// Why coder/websocket? It is a small, well-tested WebSocket implementation with a context-free close and
// message limits. No other package imports it: frames are bytes for all others.
//
// Why does a connection not always have it? It keeps 1.7 KB, buffers included, three times what the rest of a silent
// connection takes. Nearly everything that comes is a whole message in one frame, which package wire unmasks by
// itself. Anything else (pings, fragments, closes, nonsense) is the library's to judge: conn.borrow makes it, and
// conn.giveBack lets it go between two messages, when it has no state that a new one would lack.
//
// Each step of the way has its package: in this folder handshake (what the request says), deflate (compressed
// messages), wire (bytes of many silent connections) and longpoll (the other transport), which no other package needs; besides them gate (who is at the door), which
// package admin has too, and auth (tokens). None of them knows another. Here they meet, and the plugins that decide about clients: rollout knows which plugin is asked, process how it refuses, supervisor how it
// crashes. The config is that of the start; a reload tells rollout when another plugin decides about a mount.
package gateway
