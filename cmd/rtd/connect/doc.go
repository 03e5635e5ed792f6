// Package connect is one Phoenix client for people and scripts: it joins a topic, prints what it is sent, and sends what it reads. It is what
// rtd connect does.
//
//	stdin, --send ──► pushes ──► session ──► WebSocket ──► server
//	stdout ◄── lines ◄── place ◄──┘            │
//	stderr ◄── notes         ▲                 └─ lost? again, from the place
//	                         └ where it stands in the history
//
//	connect.go   connections, one after the other    session.go   one of them
//	lines.go     what is printed, what is read       place.go     the position
//
// # Rationale
//
// Why coder/websocket? rtd serves with it, so it is there, and it speaks TLS and proxies as Go's HTTP client does. Package bench has
// a client side of its own for 20,000 connections; this one has one.
//
// Why the frames of package channels/client? It is the one client's side of the protocol that rtd has besides. A session needs no more of
// it than its refs, its encoder and its decoder: whoever prints keeps nothing.
package connect
