// Package longpoll is the Phoenix protocol's transport for clients that cannot use
// WebSockets: one URL, GET to receive, POST to send. It carries frames and does not know
// their contents; behind it is the same socket as behind a WebSocket.
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
// The HTTP status is 200, except for a body that is too large or does not come, and for
// an unknown method; the protocol's status is in the JSON body. A session that nobody
// polls ends when [Server.Sweep] comes by, after one and a half windows. Its token is
// random, and names it on this node only. There are Options.Sessions at the most; further
// clients are asked to come again later.
//
// # Questions
//
// Why does the first answer say 410? To the client it means "your session is gone, here
// is another". A new client opens by it; a client that had a session knows that it must
// rejoin.
//
// When is a message sent? When its response has been written. A client that is gone
// by then misses it, as it would with a WebSocket that breaks; one that has
// cancelled its poll before gets it with the next.
//
// Why does a POST wait for the joins in it? Phoenix decides a join before it takes
// the next frame. So a client finds the replies to all joins of a POST in its next
// poll. One that is not decided within the window is answered 408; it goes on.
//
// What about a POST whose body does not come? Package gate sets its deadline; it is
// answered with the HTTP status 408. A poll has none but its window.
//
// What about binary frames? A client can send them, as base64 lines of a batch. The other
// way the protocol has no room for them: messages are strings in JSON. They are dropped
// and counted, where Phoenix's session would crash.
//
// Why does a second poll end the first? A client has one poll open. If there are two, it
// has given up the first, and messages sent there would be lost.
package longpoll
