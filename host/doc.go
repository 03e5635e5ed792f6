// Package host is a whole rtd: it makes the parts, connects them, starts them in order, and ends them in order. It
// has the HTTP of operators and back ends by itself; all else is in the packages below.
//
//	clients ───► gateway ────► channels.Endpoint ────► rollout.Set ◄── deploy ◄── folder: new .wasm files
//	                │ connect: may it come?              ▲   ▲           ▲
//	                └────────────────────────────────────┘   │           │
//	config.toml ─► reload.go ───► settings of plugins ───────┘           │
//	rtd ps … ────► admin.go, adminbackend.go      .rtd/admin.sock ───────┘
//	back ends ───► apibackend.go                  /api: broadcast, topics, presence, disconnect
//	probes ──────► ready.go                       /healthz, /readyz
//	operators ───► metrics.go                     /metrics ◄── Stats of all packages
//	who needs it ► busneeds.go ───► bus.Bus       begins with the first, ends after the plugins
//	other nodes ◄► nodes.go ◄► cluster.Node ◄► channels.Hub, presence: only with [cluster]
//
//	server.go    the parts, and their start         drain.go         their end
//	services.go  what guests may ask                memory.go        what nobody uses is given back
//	reload.go    config.toml while it runs          certificate.go   TLS; stamp.go: has a file changed?
//	secrets.go   keys of the APIs                   brief.go         what strangers have in the log is cut
//	cluster.go   what the config says of nodes      nodes.go         the server as one of them
//
// A [Server] is made by New, takes its address in Listen, and runs in Serve until
// its context ends. What it starts, it ends: Serve returns when nothing of it
// runs any more, or server.grace is over. The packages below report by plain Stats values, and log.
//
// # Connecting
//
// A mount is a path of the config, [socket.NAME], where clients connect by
// WebSocket: path + "/websocket". Their request is checked in this order, and
// the first check that fails decides about the answer: an HTTP status with an empty body.
// rtd_connections_refused_total counts by cause.
//
//	status   cause            when
//	404                       no mount has that path
//	400      request          not a GET, or one with a body
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
//	503      connecting       the plugin that is asked is not there, max_connecting clients wait for
//	                          it, connect_timeout is over, or its pending has no room for what it says
//	400–599  connect          the plugin refuses, with 403 if it says nothing else
//	500      crash            the plugin crashed when it was asked
//
// Which plugin is asked about the clients of a mount, says connect in its table. Without it, one that wants
// to be is asked if it is alone there: no other plugin's topics can be joined. A plugin whose deploy would
// change that is refused, be it the one that wants to be asked or the other, and the error has the line
// that decides. connect is taken over when the file is saved, and then the plugin is tried again.
//
//	connect   plugins that can be there        who is asked
//	"NAME"    any                              NAME; 503 while it is not there
//	""        one, that wants to be            that one
//	""        several, none of which wants to  nobody
//	""        several, one of which wants to   not possible: the last one to come is refused
//
// # Limits
//
// Those with a key are in config.toml, with their ranges; what they count is in the metrics. What
// guests can make the host keep, by plugin.NAME.references and pending, has a table in package rollout.
//
//	key                          default    beyond it                   metric
//	server.max_frame             64 KiB     1009                        rtd_connections_closed_total{code="1009"}
//	server.max_rate              100,000/s  1008                        rtd_connections_closed_total{code="1008"}
//	server.max_outbox_messages   4096       4001                        rtd_connections_closed_total{code="4001"}
//	server.max_outbox_bytes      1 MiB (1)  4001                        rtd_connections_closed_total{code="4001"}
//	server.idle_timeout          60 s       1002                        rtd_connections_closed_total{code="1002"}
//	server.max_joins             100        "too many channels joined"  rtd_joins_total{result="unmatched"}
//	server.max_connections       1,000,000  status 503 (2)              rtd_connections_refused_total{cause="max_connections"}
//	server.max_per_address       100,000    status 429 (2)              rtd_connections_refused_total{cause="max_per_address"}
//	bodies of requests           10 s (3)   status 408, or the end
//	sessions of long polling     100,000    "come again later"          rtd_longpoll_sessions
//	socket.NAME.max_connecting   1000       status 503                  rtd_connections_refused_total{cause="connecting"}
//	socket.NAME.connect_timeout  10 s       status 503                  rtd_connections_refused_total{cause="connecting"}
//	plugins.compile_time         60 s       not deployed                rtd_deploy_errors_total
//	plugins.compile_memory       1 GiB      not deployed                rtd_deploy_errors_total
//	plugin.NAME.memory           64 MiB     memory.grow fails, trap     rtd_traps_total{kind="memory"}
//	plugin.NAME.total_memory     4 GiB      memory.grow fails, trap     rtd_guest_memory_bytes
//	plugin.NAME.slots            256        its guests take turns       rtd_slots
//	plugin.NAME.waiting          256        its guest gets CodeBusy
//	plugin.NAME.processes        100,000    its guest gets CodeLimit    rtd_processes
//	plugin.NAME.references       1,000,000  its guest gets CodeLimit    rtd_guest_references, _names
//	plugin.NAME.pending          64 MiB     its guest gets CodeLimit    rtd_guest_pending_bytes
//	plugin.NAME.deadline         1 s (4)    trap "deadline"             rtd_traps_total{kind="deadline"}
//	time of an event             10 s (4)   trap "timeout"              rtd_traps_total{kind="timeout"}
//	plugin.NAME.max_rate         1,000,000  "overloaded"                rtd_overloaded_total
//	plugin.NAME.mailbox          1000       "overloaded"                rtd_overloaded_total
//	bytes of a socket that wait  8 MiB (1)  "overloaded"                rtd_overloaded_total
//	a question to rtd/clock      4 KiB      the error "malformed" (5)
//	bytes of the log that wait   1 MiB      lines dropped, and told of  rtd_log_lines_lost_total
//
// (1) Or two frames of server.max_frame, if that is more. The same two bound a long poll's session, which
// ends (rtd_longpoll_sessions_slow_total). Before anything waits here, the
// kernel takes server.send_buffer bytes (128 KiB) for each connection.
//
// max_frame holds for compressed messages (socket.NAME.deflate_from) before and after they are inflated,
// and the outbox counts frames before they are compressed.
//
// (2) From accept on, through a TLS handshake, a header, a body, a poll, or silence. A client
// that is no connection yet is one of rtd_visitors. If there is no room for a
// newcomer, the visitor that keeps rtd waiting for the longest is closed (cause="slow"); if
// none does, the newcomer is refused before it says a word, and with TLS without one. When the
// limits are reached by connections, 64 visitors have room all the same, 8 of one
// address, to be told so and for probes. Peers in server.trusted_proxies are counted in all
// only; their clients are when their requests are read. If the process may open fewer files, the limits
// are lower: see rationale.
//
// (3) And then at 16 KiB a second, for 5 minutes at the most. A header has 10 s, a TLS handshake too,
// and a connection that asks nothing 2 minutes. An answer that a client does not take ends after 30 s.
//
// (4) The first is processor time. The second is by the clock, ten times the first if that is
// more; what a guest waits for its turn among others or for an answer counts for neither.
//
// (5) 1,000 wait for the service at the most, then its guest gets CodeFull. Package clock keeps 128 time zones in memory.
//
// # Close codes
//
// The codes that a connection can be closed with, and the client's best answer to each.
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
//	1012  rtd drains before it stops                               yes, when the event reconnect said; else at once
//	4001  slow consumer: more waited for the client than           yes
//	      server.max_outbox_messages or max_outbox_bytes
//	4003  the token has expired, and its grace is over             yes, with a new token
//
// # What may go wrong, and what then
//
//	malformed frame               1011; that connection and its channels end
//	topic that no plugin serves   error reply "unmatched topic"; "unavailable" while its plugin waits to start
//	flood of messages             a full mailbox answers "overloaded" (package channels); 1008
//	slow or crashing connect      its mount answers 503 or 500; other mounts do not notice
//	client that does not read     4001; nobody waits for it
//	half-open connection          ended by the header timeout of 10 s, or server.idle_timeout
//	body that does not come       ended after 10 s, or when others need the place
//	no file descriptors           a line in the log, now and then; the slowest visitor is closed
//	plugin file that is no good   the old version runs on, and is what the next start deploys; one
//	                              log line says why
//	plugin that crashes a lot     the version before runs again, if this one is new
//	versions cannot be kept       a warning; there is no way back to those after a restart
//	damaged versions, reports     a warning; they are set aside as NAME.bad, and begun anew
//	damaged or lost snapshot      a warning if it is damaged; the guest starts again, and the new one is kept
//	snapshots cannot be kept      a warning; each start of the server makes its own
//	certificate that is no good   the old one stays; one log line says why
//	config file that is no good   the old one stays; the log names file and line
//	bus that does not work        not ready, a warning; who needs it gets errors, until it is back by itself
//	other nodes out of reach      not ready, a warning; each side goes on with those that it reaches (package cluster)
//	state that cannot be stored   "unavailable" or "too_large" for whoever caused it; the state of before stays
//	state that cannot be woken    its topic is "unavailable", its process does not start; the state stays
//	admin socket not to be had    runs without one, unless the config gives its path; a warning says so
//	SIGTERM                       drain, see package gateway; a second one exits at once
//
// # Ways through the code
//
// A frame becomes an event: gateway/conn.go reads it, channels/socket.go decodes it (v2.go) and puts it into the
// mailbox of channels/channel.go or shared.go, whose process hands it, as an event of sandbox/abi/record.go, to
// process/body.go and sandbox/instance.go.
//
// An effect becomes bytes: sandbox/effects.go copies and checks what the guest asks for; when the event is over,
// channels/effects.go carries it out, or process/body.go what is not of channels. channels/hub.go encodes a
// broadcast once for each codec; gateway/conn.go queues the frame, gateway/writers.go writes it.
//
// A guest traps: sandbox/trap.go says how, sandbox/postmortem.go keeps what is left, and the slot is the snapshot again
// (slot.go). The body of the process (process/body.go) has no guest any more; the process, of channels/handler.go or
// process/worker.go, ends with the trap. supervisor/supervisor.go or dynamic.go restarts it or gives up (restart.go).
// channels/crash.go, process/worker.go or app/tree.go reports it, app/crashes.go writes the line, crashreports.go has
// package crashes write the file, and rollout/trial.go counts it against the version.
//
// A saved source becomes the running version: folder/folder.go sees it and folder/build.go builds it; deploy/folder.go
// queues it; rollout/deploy.go has it loaded by sandbox/engine.go (rewrite, compile.go, a first start) and checked by
// release/release.go. app/app.go makes it current, app/mover.go asks the processes to move, and process/renew.go or
// channels/renew.go does, by channels/handover.go. deploy/record.go writes it down.
//
// A pid is the number of a process and the incarnation of the runtime, such as #1c.k3v9q2m: supervisor/identity.go
// writes and reads it, process/address.go finds the process for a guest. A process that a supervisor restarts has
// another number. After a restart of rtd all have another incarnation: supervisor/identity.go refuses a pid of the one
// before with ErrNoProcess, which the guest is told as CodeNoProcess.
//
// A snapshot, which is what a guest is when it has started, is kept for the next start of rtd: sandbox/snapshot.go
// makes and seals it, versions/snapshots.go writes it to NAME/snapshots in the folder of versions (plugins.versions,
// by default plugins/.rtd/versions). One that is damaged is set aside there as HASH.KEY.bad, with a warning; the guest
// is started again, and the new snapshot kept.
//
// What a durable actor has done is stored: channels/effects.go and process/worker.go have a body Commit (process/durable.go) when the
// effects are checked and before they are carried out; durable/store/commit.go puts it into the next record of the log, which
// package bus appends and syncs. It wakes by channels/durable.go, or Worker.Init, and process/wake.go; app/old.go finds the release that
// wrote the state. durables.go has the store begin with the first plugin that needs it.
//
// A new service, say of keys and values: a package next to host/clock that imports ask; services.go provides
// it, and hands it what it needs of the config, such as a folder. ask/doc.go has the checklist.
//
// # Questions
//
// What holds up a drain? Handlers and requests that are at work, until the grace period is over; the log says
// which of them. A request that is not whole has a second.
//
// What of the log do strangers choose? Topics, events, names: they are cut at 200 bytes, any other text at 8
// KiB, with a mark that says how long it was. Events that every client causes are logged at
// level debug; refusals with 403 for an origin or a token, and accepts that fail, are told at their first time and
// then once a minute, with how often.
//
// Why is nobody let in before all plugins of the folder are decided about, also if one
// takes a minute to compile? Whether a client may come can be for a plugin to say that is
// not there yet, and a topic without a plugin would be "unmatched". At the next start the
// code is in the cache.
//
// Why is the server reachable before its plugins are loaded? Probes must be able
// to tell "loading" from "dead". A socket that is too early gets 503, and Phoenix
// clients try again within milliseconds.
//
// When is the server ready? When every plugin of the folder has been decided about, and each runs, be it
// in the version before. The body of /readyz names those that do not, and the state of each; causes are in
// the log. Clients are let in as soon as all is decided: one plugin that cannot run is no reason
// to serve none. A plugin whose own processes have crashed too often does not run either.
//
// How is a changed file noticed? By its content and its time, once a second: a volume that is swapped, as
// those of Kubernetes are, may hold a file of the same size and time. So it is for the config,
// the certificate and its key. The latter are read when both have been the same for two looks;
// a pair that is no good, or has expired, is not taken over, with one line in the log.
//
// Why are only plugin tables, and connect of sockets, reloaded? A plugin can be replaced as a whole, and
// on an error the old one stays. A listener or a limit in force for some
// connections and not for others cannot.
//
// Why is administering apart from the API for backends? A back end that may broadcast should
// not be able to replace code. It has addresses and keys of its own (package admin), and the
// log goes there too, besides wherever it is written.
//
// Who waits for a log to be written? Nobody: not the sender of a message, not a guest that
// prints, not a drain. It goes through the queue of package logs to where it is written,
// and into a ring for those who read it by package admin. A reader may stall or go
// away. [Options].Log is to be such a log.
//
// Why does a plugin not decide for all, once its table allows connect? The default mount is that of all
// plugins. One that is added, and asks its own users for a password, would shut out those of all others, and
// see their tokens. So the mount has to name it.
//
// Why is the other plugin refused, when it is the one without a connect that comes second? The first
// one's clients are decided about, and its author may rely on that. To stop asking would let everybody
// in; to go on would decide about clients who have nothing to do with it.
//
// In which order does a server end? From the outside in. Files and the config are no longer looked at; the gateway
// closes connections (its doc says how) while plugins still serve them; then come plugins, writers, the sandbox.
//
// Why does the bus begin late? What is embedded there costs memory, files and a lock, and most servers need none of it. Whoever
// needs it says so to busneeds.go, and then it counts for readiness, too: its state is in rtd bus status.
//
// How is it noticed that a bus is gone? By a file in the versions folder, written with the first durable state: durable.json. A bus that is new there
// would forget without a word. As with all that is stored here, the file is replaced as a whole (package disk).
//
// Why is package httpapi imported, which is the APIs' own? What was said in a topic is the same for both, and made for both here
// (historybackend.go).
//
// Why does a crash report come from here? The sandbox has what is left of the guest,
// package rollout knows what the process was, and package crashes writes files: it is
// handed both (crashreports.go), and knows neither processes nor channels.
//
// Why the dependency? client_golang writes the exposition format, of which there is more than one would
// like to own. Those of the packages below are explained there.
package host
