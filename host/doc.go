// Package host is everything of rtd that touches the world: HTTP and
// WebSockets, the plugin folder and the config file, signals to drain, metrics.
//
//	            ┌───────────────────── Server ─────────────────────┐
//	clients ──► │ upgrade ──► conn ──► channels.Socket ──► plugins │ ◄── folder: new .wasm files
//	            │               ▲  frames                   │      │ ◄── config.toml: plugin tables
//	            │               └──── outbox ◄──────────────┘      │
//	probes  ──► │ /healthz /readyz        /metrics ◄── Stats()     │
//	            └──────────────────────────────────────────────────┘
//
// A [Server] is made by New, takes its address in Listen, and runs in Serve until
// its context ends. What it starts, it ends: Serve returns when nothing of it
// runs any more. The packages below know neither HTTP nor files; they are
// handed bytes and report by plain Stats values.
//
// # Close codes
//
// What a connection can be closed with, and what a client should make of it.
// rtd never closes with 1000: Phoenix clients from 1.6 to 1.8.12 stay away then.
//
//	code  when                                                     reconnect
//	1002  not the WebSocket protocol (such as an unmasked frame);  yes
//	      nothing came for server.idle_timeout
//	1007  a text frame that is no UTF-8                            yes, but not with that
//	1009  a frame larger than server.max_frame                     yes, but not with that
//	1011  a frame that is not of the Phoenix protocol              yes, but not with that
//	1012  rtd drains before it stops                               yes, at once
//	4001  slow consumer: more waited for the client than           yes
//	      server.max_outbox_messages or max_outbox_bytes
//
// Before the upgrade it is an HTTP status with an empty body: 400 for a request
// that is no WebSocket handshake, 403 for an origin that may not connect or a vsn
// that is not 2.0.x, 503 while plugins are being loaded or rtd drains.
//
// # What may go wrong, and what then
//
//	malformed frame               1011; that connection and its channels end
//	topic that no plugin serves   error reply "unmatched topic"
//	flood of messages             a full mailbox answers "overloaded" (package channels)
//	client that does not read     4001; nobody waits for it
//	half-open connection          ended by the header timeout of 10 s, or server.idle_timeout
//	plugin file that is no good   the old version runs on; one log line says why
//	config file that is no good   the old one stays; the log names file and line
//	SIGTERM                       drain, see below; a second one exits at once
//
// # Questions
//
// In which order does a drain go? Frames that arrive are no longer taken; what was
// taken is handled and answered, for at most a second; then every socket gets
// what is queued for it and a close frame, and after that the plugins are
// unloaded. So a message whose sender got a reply has been sent to all members
// before the first of them is disconnected.
//
// Why is the server reachable before its plugins are loaded? Probes must be able
// to tell "loading" from "dead". A socket that is too early gets 503, and Phoenix
// clients try again within milliseconds.
//
// Why are only plugin tables reloaded? A plugin can be replaced as a whole, and
// on an error the old one stays. A listener or a limit in force for some
// connections and not for others cannot.
//
// Why is there no goroutine for writing? A connection that has nothing to write
// is the common case. Whoever puts the first frame into an empty outbox starts
// the goroutine, which ends when the outbox is empty.
//
// Why the four dependencies? coder/websocket is a small, well-tested WebSocket
// implementation with a context-free close and message limits; fsnotify and toml
// are imported by the packages folder and config below; client_golang writes
// the exposition format, of which there is more than one would like to own.
package host
