// Package longpoll is the Phoenix protocol's transport for clients that cannot use
// WebSockets: one URL, GET to receive, POST to send. It carries frames and knows
// nothing of what they say; behind it is the same socket as behind a WebSocket.
//
//	client                    Server                      channels.Socket
//	──────                    ──────                      ───────────────
//	GET  ────────────────►    open a session ───────────► connect, NewSocket
//	◄─── 410, token
//	POST token, frames ──►    in order ─────────────────► Receive
//	◄─── 200
//	GET  token ──────────►    wait, at most Window
//	◄─── 200, frames          ◄── buffer ◄─────────────── Send
//	     or 204
//
// The HTTP status is 200 whatever happens; the protocol's is in the JSON body. A
// session that nobody polls ends, after 1.5 to 3 windows. Its token is random,
// and names it on this node only.
//
// # Questions
//
// Why does the first answer say 410? To the client it means "your session is gone,
// here is another". For a new client that is how it opens; one that had a session
// knows that it must rejoin.
//
// When is a message sent? When its response has been written. A client that is gone
// by then misses it, as it would with a WebSocket that breaks; one that has
// cancelled its poll before gets it with the next.
//
// Why does a POST wait for the joins in it? Phoenix decides a join before it takes
// the next frame. So a client finds the replies to all joins of a POST in its next
// poll. One that is not decided within the window is answered 408; it goes on.
//
// What of binary frames? A client can send them, as base64 lines of a batch. The
// other way the protocol has no room for them: messages are strings in JSON. They
// are dropped and counted, where Phoenix's session would crash.
//
// Why does a second poll end the first? A client has one poll open. If there are
// two, it has given up the first, and what was sent there would be lost.
package longpoll
