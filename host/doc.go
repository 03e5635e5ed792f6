// Package host is everything of rtd that touches the world: HTTP and
// WebSockets, the plugin folder and the config file, signals to drain, metrics.
//
//	            ┌──────────────────────────── Server ────────────────────────────┐
//	clients ──► │ mount ──► upgrade ──► conn ──► channels.Socket ──► plugins     │ ◄── folder: new .wasm files
//	            │ by path      │         ▲  frames                    │  ▲       │ ◄── config.toml: plugin tables
//	            │              │         └───── outbox ◄──────────────┘  │       │
//	            │              └──────────── connect: may it? ───────────┘       │
//	probes  ──► │ /healthz /readyz              /metrics ◄── Stats()             │
//	rtd ps  ──► │ admin: .rtd/admin.sock ──► deploy, rollback, plugins, ps, logs │
//	            └────────────────────────────────────────────────────────────────┘
//
// A [Server] is made by New, takes its address in Listen, and runs in Serve until
// its context ends. What it starts, it ends: Serve returns when nothing of it
// runs any more. The packages below know neither HTTP nor files; they are
// handed bytes and report by plain Stats values.
//
// # Connecting
//
// A mount is a path of the config, [socket.NAME], where clients connect by
// WebSocket: path + "/websocket". What they ask for is judged in this order, and
// the first that is wrong is the answer: an HTTP status with an empty body.
// rtd_connections_refused_total counts by cause.
//
//	status   cause            when
//	404                       no mount has that path
//	400      request          not a GET
//	503      loading          plugins are being loaded
//	503      draining         rtd is about to stop
//	503      max_connections  server.max_connections are there
//	429      max_per_address  server.max_per_address of them are from the client's address
//	400      request          a query that is no UTF-8, or beyond the bounds of package handshake
//	403      origin           the page may not connect: see origins
//	403      subprotocol      a malformed auth token, or none of those offered is "phoenix"
//	403      vsn              neither ~> 1.0.0 nor ~> 2.0.0; a missing one is 1.0.0
//	400      request          no WebSocket handshake
//	403      token            the mount wants a token, and this one is not good
//	503      token            the keys to verify it with are not there
//	503      connecting       the plugin that is asked is not there, several want to be and the
//	                          table does not say which, max_connecting clients wait for it, or connect_timeout is over
//	400–599  connect          the plugin refuses, with 403 if it says nothing else
//	500      crash            the plugin crashed when it was asked
//
// # Limits
//
// All are in config.toml, with the ranges; what they count is in the metrics.
//
//	key                          default    beyond it                   metric
//	server.max_frame             64 KiB     1009                        rtd_connections_closed_total{code="1009"}
//	server.max_rate              100,000/s  1008                        rtd_connections_closed_total{code="1008"}
//	server.max_outbox_messages   4096       4001                        rtd_connections_closed_total{code="4001"}
//	server.max_outbox_bytes      1 MiB (1)  4001                        rtd_connections_closed_total{code="4001"}
//	server.idle_timeout          60 s       1002                        rtd_connections_closed_total{code="1002"}
//	server.max_joins             100        "too many channels joined"  rtd_joins_total{result="unmatched"}
//	server.max_connections       1,000,000  status 503                  rtd_connections_refused_total{cause="max_connections"}
//	server.max_per_address       100,000    status 429                  rtd_connections_refused_total{cause="max_per_address"}
//	socket.NAME.max_connecting   1000       status 503                  rtd_connections_refused_total{cause="connecting"}
//	socket.NAME.connect_timeout  10 s       status 503                  rtd_connections_refused_total{cause="connecting"}
//	plugin.NAME.max_rate         1,000,000  "overloaded"                rtd_overloaded_total
//	plugin.NAME.mailbox          1000       "overloaded"                rtd_overloaded_total
//	bytes of a socket that wait  8 MiB (1)  "overloaded"                rtd_overloaded_total
//
// (1) Or two frames of server.max_frame, if that is more. Before anything waits here, the
// kernel takes server.send_buffer bytes (128 KiB) for each connection.
//
// # Close codes
//
// What a connection can be closed with, and what a client should make of it.
// rtd never closes with 1000: Phoenix clients from 1.6 to 1.8.12 stay away then.
//
//	code  when                                                     reconnect
//	1001  a plugin has disconnected all sockets of this id         yes, and be asked anew
//	1002  not the WebSocket protocol (such as an unmasked frame);  yes
//	      nothing came for server.idle_timeout
//	1007  a text frame that is no UTF-8                            yes, but not with that
//	1008  more messages in a second than server.max_rate           yes, but slower
//	1009  a frame larger than server.max_frame                     yes, but not with that
//	1011  a frame that is not of the Phoenix protocol              yes, but not with that
//	1012  rtd drains before it stops                               yes, at once
//	4001  slow consumer: more waited for the client than           yes
//	      server.max_outbox_messages or max_outbox_bytes
//	4003  the token has expired, and its grace is over             yes, with a new token
//
// # Long polling
//
// path + "/longpoll" is the same socket behind package longpoll: the checks above
// come when a session begins, and a refusal is a status in the body. Sessions are
// bounded by themselves, and not counted as connections.
//
// # Tokens
//
// With auth = "required" or "optional", a mount verifies what the client shows as its auth
// token or as param token (package auth). The claims go to the plugin's connect,
// and are the socket's assigns unless that gives others. A client is told by
// token_expiring on topic phoenix, and sends a new token there as event token.
//
// # Versions
//
// What is deployed, by the folder or by [Server.Deploy], is kept in package versions
// (plugins.versions), with when and by whom. [Server.Rollback] goes back; so does a
// version that crashes too often, by itself (package plugin). Neither touches the
// plugin folder: a file whose version was rolled back is not deployed again before it
// changes, and a server that starts and finds it there deploys the one before.
//
//	folder ─┐                               ┌──► versions: hash, when, by
//	Deploy ─┴─► plugin.Set.Deploy ──ok──────┤
//	                                        └──► "plugin deployed", rtd_deploys_total
//	Rollback ───────────────┬─► one before ─┬──► versions: withdrawn, why
//	crashes, bad canary ────┘               └──► "plugin rolled back", rtd_rollbacks_total
//
// # What may go wrong, and what then
//
//	malformed frame               1011; that connection and its channels end
//	topic that no plugin serves   error reply "unmatched topic"
//	flood of messages             a full mailbox answers "overloaded" (package channels); 1008
//	slow or crashing connect      its mount answers 503 or 500; other mounts do not notice
//	client that does not read     4001; nobody waits for it
//	half-open connection          ended by the header timeout of 10 s, or server.idle_timeout
//	plugin file that is no good   the old version runs on; one log line says why
//	plugin that crashes a lot     the version before runs again, if this one is new
//	versions cannot be kept       a warning; there is no way back to those after a restart
//	config file that is no good   the old one stays; the log names file and line
//	admin socket not to be had    runs without one, unless the config gives its path; a warning says so
//	SIGTERM                       drain, see below; a second one exits at once
//
// # Questions
//
// In which order does a drain go? Nobody is let in any more. Sockets close in
// batches of server.drain_batch, with server.drain_interval in between, so that
// their clients do not all come back at once; the batches are larger if the last
// one would otherwise be later than half of server.grace. Until its turn a socket
// is served as before. Then frames that arrive are no longer taken; what was taken
// is handled and answered, for at most a second; then every socket of the batch
// gets what is queued for it and a close frame, and its channels end. After the
// last batch the plugins are unloaded. So a message whose sender got a reply has
// been sent to all members that were there before the sender's batch is
// disconnected.
//
// Why is a client counted before it is connected? Deciding costs more than being
// connected: it runs a guest. A limit that counts only the open ones would be no
// limit for those who wait.
//
// Why does a crash in connect answer 500, and a late answer 503? The first is
// Phoenix's. The client tries again after both, but who reads the log of a proxy in
// between should be able to tell a bug from a plugin that is slow.
//
// Why may one address have so many connections? Behind it may be a proxy that
// nobody has entered in server.trusted_proxies, or a mobile network. The default
// stops a single machine from taking all; who knows their clients sets less.
//
// Why is the server reachable before its plugins are loaded? Probes must be able
// to tell "loading" from "dead". A socket that is too early gets 503, and Phoenix
// clients try again within milliseconds.
//
// Why are only plugin tables reloaded? A plugin can be replaced as a whole, and
// on an error the old one stays. A listener or a limit in force for some
// connections and not for others cannot.
//
// Why is administering apart from the API for backends? Who may broadcast should not
// be able to replace code. It has addresses and keys of its own (package admin), and the
// log goes there too, beside wherever it is written.
//
// Why does a connection have no goroutine? One that neither sends nor is sent anything
// is the common case, and a goroutine with its stack takes more than all else of it.
// What arrives is read by package wire. Whoever puts the first frame into an empty
// outbox hands the connection to one of a few writers, which goes from one connection
// to the next and gives the kernel, in one system call, all that has queued up: a
// loopback write takes seven microseconds, whether of one frame or of fifty. What the
// kernel does not take is kept below; the writer goes on with others.
//
// Why does a broadcast not write by itself? It holds the lock of its topic, and its
// guest. It appends to outboxes, which takes some 50 ns each.
//
// Why does a crash report come from here? The sandbox has what is left of the guest,
// package plugin knows what the process was, and package crashes writes files: it is
// handed both (crashreports.go), and knows neither processes nor channels.
//
// Why the four dependencies? coder/websocket is a small, well-tested WebSocket
// implementation with a context-free close and message limits; fsnotify and toml
// are imported by the packages folder and config below; client_golang writes
// the exposition format, of which there is more than one would like to own.
package host
