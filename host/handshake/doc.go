// Package handshake reads what the HTTP request that opens a socket says, before there is a
// connection: where it comes from, what its query means, which token it carries.
//
//	GET /tenant/7/socket/websocket?vsn=2.0.0&user[name]=Ada
//	─┬─────────────────────────────┬───────────────────────
//	 │ path                        │ query
//	 │                             └──► Params  nested, as Plug decodes it ──┐
//	 ├ Origin ───────────► Origins.Allow    may that page connect?           │
//	 ├ Sec-WebSocket-Protocol ► ParseOffer  token and subprotocols ──────────┼──► Info.JSON, for
//	 └ X-Forwarded-For, … ───► Proxies      who the client really is ────────┘    a plugin's connect
//
// Everything here is a function of the request and of the config: no state, no input or output,
// and all of it safe for concurrent use. What the answers lead to, a status or a connection, is
// the business of package host.
//
// # Questions
//
// Why a decoder of our own for the query? net/url has no nesting. Clients of Phoenix send
// user[name]=Ada and expect it to arrive as {"user":{"name":"Ada"}}, and as in Plug, the last
// word counts where two contradict each other.
//
// Why are there bounds that Plug does not have? [MaxDepth] and [MaxPairs] keep what is made of a
// query proportional to it. A client that needs more than that has a channel to send it through.
//
// Why does only part of the headers reach a plugin? As in Phoenix: cookies and credentials are what a
// browser adds to any request, also to one that a foreign page has caused. A guest that
// trusted them would let that page act for its visitor. What is passed on cannot be set by a foreign page,
// or means nothing.
//
// Why is a malformed token refused, and not ignored? The client believes that it is logged in. Phoenix
// refuses it too, although by a crash: with status 500, here 403.
//
// Why is an IPv6 address counted by its first 64 bits ([Group])? That is what one customer gets. A limit
// for each of its 2⁶⁴ addresses would be none.
package handshake
