// Package handshake reads the HTTP request that opens a socket, before there is a
// connection: its origin and address, its query, its token.
//
//	GET /tenant/7/socket/websocket?vsn=2.0.0&user[name]=Ada
//	─┬─────────────────────────────┬───────────────────────
//	 │ path                        │ query
//	 │                             └──► Params  nested, as Plug decodes it ──┐
//	 ├ Origin ───────────► Origins.Allow    may that page connect?           │
//	 ├ Sec-WebSocket-Protocol ► ParseOffer  token and subprotocols ──────────┼──► Info.JSON, for
//	 └ X-Forwarded-For, … ───► Proxies      who the client really is ────────┘    a plugin's connect
//
// Everything here is a function of the request and of the config: no state, no input or
// output, and all of it safe for concurrent use. Package gateway decides by them between a
// status and a connection.
//
// # Questions
//
// Why a decoder of our own for the query? net/url has no nesting. Clients of Phoenix send
// user[name]=Ada and expect it to arrive as {"user":{"name":"Ada"}}, and as in Plug, the
// last entry counts where two contradict each other.
//
// Why are there bounds that Plug does not have? [MaxDepth] and [MaxPairs] keep the
// decoded value proportional to the query. A client that needs more can send it through a
// channel.
//
// Why does only part of the headers reach a plugin? As in Phoenix. A browser adds cookies
// and credentials to any request, also to one that a foreign page has caused. A guest
// that trusted them would let that page act for its visitor. A foreign page cannot set
// the headers that are passed on, or they mean nothing.
//
// Why is a malformed token refused, and not ignored? The client believes that it is logged in. Phoenix
// refuses it too, although by a crash: with status 500, here 403.
//
// Why is an IPv6 address counted by its first 64 bits ([Group])? One customer gets all
// addresses with these bits. A limit for each of the 2⁶⁴ would be none.
package handshake
