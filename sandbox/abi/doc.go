// Package abi is the contract between rtd and its guests, as plain data: which
// functions a module exports and imports, which numbers stand for which events
// and effects, and how one of them is written as bytes.
//
// It is all that an author of a guest in another language has to know. It
// imports nothing outside the standard library, and no WebAssembly engine.
// example/room.c is a complete guest without an SDK, with the line that builds it.
//
//	host                                             guest
//	────                                             ─────
//	inbox(n)            ───────────────────────────► a pointer to n bytes of its
//	                                                 memory; 0 refuses the event
//	write the event there
//	handle(n)           ───────────────────────────► reads the event …
//	                    ◄── op(ptr, len, out, cap)── … asks for effects
//	                    ◄── 0 ──────────────────────  done
//	apply the effects
//
// # What a module exports
//
//	memory              its linear memory
//	inbox(i32) i32      where an event of that many bytes may be written. The
//	                    place is the host's until inbox is called again. 0 says
//	                    "too large": the sender is told, nothing traps
//	handle(i32) i32     one event of that many bytes lies in the inbox. 0 is
//	                    success; anything else counts as a crash
//	_initialize()       optional: called once after instantiation, as by WASI
//	                    reactors
//
// # What a module imports
//
// One function, op(ptr, len, out, cap i32) i32 of module [Module], and what it
// needs of wasi_snapshot_preview1 (clock, random numbers, standard output and
// error, which go to the log; the rest answers "not supported").
//
// The record of len bytes at ptr says what is wanted. Effects (kinds from 0x100)
// are collected and applied in order when handle returns 0; after a trap
// none is. Operations (kinds from 0x200) happen at once. An answer, if there is one, is
// copied to out, at most cap bytes of it. op returns the full length of the
// answer, or a negative [Code].
//
// # A record
//
// Events, effects and operations have one shape, little endian, unaligned:
//
//	┌────────┬────────┬──────────┬───────┬──────────┬───────┬─
//	│  kind  │ flags  │  length  │ bytes │  length  │ bytes │ …
//	│  u16   │  u16   │   u32    │       │   u32    │       │
//	└────────┴────────┴──────────┴───────┴──────────┴───────┴─
//	└───── header ────┘└──── field 0 ────┘└──── field 1 ────┘
//
// Field 0 is always a name (UTF-8), field 1 always the payload; later fields
// belong to their kind. A missing field reads as empty and an unknown further
// field is skipped, so that either side can learn new fields before the other.
//
// Fields 2 and 3, detail and extra, stand at the end and may be left out.
//
//	kind    event           field 0         field 1         detail          flags
//	0x001   start           plugin          config (JSON)   version
//	0x002   join            topic           join payload    member (6)      Binary, Replay
//	0x003   message         event           payload         member (7)      Binary, WantsReply
//	0x004   idle
//	0x005   init            module          arguments       own pid (1)     Binary, Request, Replay (15)
//	0x006   call            token           question                        Binary
//	0x007   cast                            message                         Binary
//	0x008   info                            message         late (18)       Binary
//	0x009   reply           request         answer, reason                  Binary, Failed
//	0x00A   down            monitor         reason          pid
//	0x00B   exit            pid             reason
//	0x00C   terminate       kind of reason  reason
//	0x00D   leave           topic           reason          member
//	0x00E   members         topic           members (2)                     (11)
//	0x00F   stop            plugin          config (JSON)   version
//	0x010   connect         socket mount    JSON (8)
//	0x011   out             event           payload         member          Binary
//	0x012   broadcast       event           payload         topic           Binary
//	0x013   export          topic or module
//	0x014   import          topic or module state           schema (12)     (13)
//	0x015   away            topic           reason
//	0x016   back            topic           join payload    (21)            Binary
//
//	kind    effect          field 0         field 1         detail          flags
//	0x101   reply           status          response        token (9)       Binary
//	0x102   push            event           payload         member          Binary
//	0x103   broadcast       event           payload                         Binary
//	0x104   broadcast_from  event           payload         member          Binary
//	0x105   handles         topic pattern                   scope
//	0x106   scratch                         from, to (two u32)
//	0x107   answer          token           answer                          Binary
//	0x108   stop            kind of reason  reason
//	0x109   hibernate
//	0x10A   child           id              arguments       JSON (3)        Binary
//	0x10B   depends         plugin
//	0x10C   wants           event (5)
//	0x10D   intercept       event
//	0x10E   publish         event           payload         topic           Binary
//	0x10F   subscribe       topic
//	0x110   unsubscribe     topic
//	0x111   disconnect      socket id
//	0x112   present         topic (10)                      member
//	0x113   state           schema          state                           Binary, Replay (15)
//	0x114   durable         pattern (16)
//	0x115   history         topic pattern                   JSON (19)
//
//	kind    operation       field 0         field 1         detail          flags       answer
//	0x201   log             level           text
//	0x202   abort                           cause
//	0x203   take                                                                        the last one
//	0x204   self                                                                        pid
//	0x205   spawn           module          arguments       supervisor (4)  Link, …     pid, request (2)
//	0x206   call            process         question        milliseconds    Binary      answer
//	0x207   request         process         question                        Notify, …   request
//	0x208   await           request                         milliseconds                answer
//	0x209   cast            process         message                         Binary
//	0x20A   send            process         message                         Binary
//	0x20B   send_after                      message         milliseconds    Binary      timer
//	0x20C   cancel          timer                                                       milliseconds left
//	0x20D   sleep                                           milliseconds
//	0x20E   monitor         process                                                     monitor
//	0x20F   demonitor       monitor
//	0x210   link            process
//	0x211   unlink          process
//	0x212   trap_exit       on, off
//	0x213   register        name            pid, or self
//	0x214   unregister      name
//	0x215   whereis         name                                                        pid
//	0x216   exit            process         reason
//	0x217   process_info    process, self                                               JSON
//	0x218   children        supervisor                                                  pids (2)
//	0x219   stop_child      pid
//	0x21A   track           key             meta (JSON)     topic (10)                  phx_ref (14)
//	0x21B   update          key             meta (JSON)     topic (10)                  phx_ref (14)
//	0x21C   untrack         key                             topic (10)                  (14)
//	0x21D   presences       topic (10)                                                  JSON
//	0x21E   presence_count  topic (10)                                                  keys, metas (2)
//	0x21F   event_id                                                                    id (17)
//	0x220   history         topic (10)                      after                       (20)
//
// (1) With the flag Request, extra is the token of the first question, which is the
// arguments. (2) A list of fields: length, bytes, length, bytes …; of members they
// are member, join payload, and so on, in the order of joins. (3) See Children. (4)
// Extra is a name to register. (5) terminate, in a process; stop and connect, in
// start, as export; away and back, in a handler of one join. (6) Extra is the assigns that connect gave. (7) With WantsReply, extra is
// a token with which the message may be answered later. (8) See Connecting. (9)
// Empty in the event that is answered, else the token of an earlier message; in a
// reply to connect the socket id. (10) Empty for the handler's own. (11) Extra is a
// list of fields: the assigns of each member. (12) What the state effect had as its
// name. (13) Extra is a list of fields: of each member its id, join payload and
// assigns; of a process its pid and arguments. (14) Extra is the member who is present; empty
// for the process itself. (15) See The next version. (16) See What is remembered. (17) Of 64
// bytes at most. (18) Of a timer that was due while its durable process was not there: how many
// milliseconds ago. (19) See What was said lately. (20) Extra is the limit. A list of fields (2), see there.
// (21) Extra is the assigns that connect gave to the new connection. See Who comes back.
//
// start is the first event of a guest; there it says with handles which topics it
// serves, and with child which processes it consists of. Every instance begins
// with the memory and globals that it has afterwards: start is not
// repeated. A join is answered by a reply: status "ok" accepts, any other refuses; no
// reply accepts with an empty response. A message is answered by at most one
// reply. Payloads are the client's own bytes, never re-encoded: JSON text, or
// anything at all where Binary is set. An empty payload of a reply, push or
// broadcast stands for the JSON object {}. Messages of processes to each other
// are never looked at.
//
// # Processes
//
// An instance is the body of one process: of a channel handler, which begins with
// join, or of a process that the plugin itself declared or spawned, which
// begins with init and the name of its module, by which the guest knows what to be. Both
// can do all that follows.
//
// A process is named in three ways: by its pid, such as "#1c.k3v9q2m"; by a name that it was
// registered under, such as "registry"; by plugin and name, "accounts/registry",
// if the plugin depends on that other one. The host's own services are named like those of
// a plugin rtd, such as "rtd/clock". Only those that are granted in config.toml can be asked;
// they are called, cast to and monitored like any process, but not linked with or ended.
//
// Pids, tokens of calls, requests, timers, monitors and members are opaque texts of 32 bytes at
// most, and each means one thing for ever. A guest may keep one for as long as it likes, also for
// longer than the process, the server or the node that it is of: then it fails with
// [CodeNoProcess], or is answered to nobody, but never hits another. So does a message's
// token, which is as much longer as the client's ref.
//
// call waits for the answer, which the process gives with the effect answer
// and the token of the call, during that event or a later one. request does
// not wait: await does, later, or with Notify the answer comes as the event reply.
// Either way a request ends once: with an answer, or with the reason why there
// is none. While it waits, a process takes no events.
//
// cast, send and the like happen at once and are not taken back if the event
// crashes later; effects are dropped then. Messages of one process to another
// arrive in order.
//
// A call that says no time waits 5,000 ms. An await that timed out may be repeated. To
// ask, link to or monitor a process that is not there fails with [CodeNoProcess].
//
// All that a process has the host keep is bounded for its plugin, by count and in bytes: the
// payload of a timer until it has come, a name, what was spawned with, a message until it
// is taken, an answer until it is fetched. Without room for it the operation fails with
// [CodeFull] if it sends something, else with [CodeLimit], and so does the effect subscribe or
// intercept, at once. A request whose answer finds no room fails with [CodeLimit].
//
// spawn under a supervisor waits for the new process's init, and fails with
// [CodeEnded] and the reason if that does. Without one it does not wait, and the
// process is not restarted; it ends with its plugin at the latest.
//
// Reasons are "normal", "shutdown" or "shutdown: " and why, "killed", or anything
// else, which is a crash; "kill" is an exit that cannot be trapped. Where a reason
// has two fields, the kind is normal, shutdown or crash, the other is the text.
// stop ends the process after its event, whose effects are applied. terminate
// comes last, to a process that has asked for it with wants and "terminate", unless it
// crashed or was killed.
//
// # Connecting
//
// A plugin that wants connect is asked about every client of its socket mount,
// before anything else, if the server's config allows it, and names it where it
// shares the mount with others. Its payload is a JSON object:
//
//	params          the query, and what its path has, as Phoenix decodes it: nested
//	peer            {"address": "203.0.113.7", "port": 50123}
//	uri             {"scheme", "host", "port", "path", "query"}
//	user_agent      text or null
//	x_headers       {"x-…": "…"}, and likewise sec_websocket_headers and trace_context_headers
//	auth_token      what came as a token by subprotocol, or null
//	claims          what the token says, if the host has verified it, or null
//
// It runs in a process of its own, which can call others. A reply "ok" accepts: its
// response is the socket's assigns, which every join gets, its token the socket's id. Any
// other status refuses: with HTTP status 403, or the number that the status is, from
// 400 to 599. No reply accepts, without assigns.
//
// # Presence
//
// A process tracks itself in a topic under a key, such as a user's id, with meta
// data: a JSON object. The members of the topic get the differences as broadcasts
// presence_diff, and need to know from what: with the effect present, a handler lets
// the host push presence_state to a member, usually in join. The list does not enter
// the guest and is as of when the effect is applied, so that it fits the differences
// that follow. presences is for guests that want to look. The host untracks a
// process when it ends, for whatever reason, and a channel handler that is
// restarted in place stays present if it tracks itself again when its join is
// replayed.
//
// A process that serves all who join a topic tracks each member for itself, named
// in extra. Members with the same key give it several metas, as if each had a process of
// its own. The host untracks a member who leaves, or whose join is not accepted. Until
// then the member stays present, with its phx_ref, also when the process crashes or
// goes on in another version: it need not be tracked again, and if it is, with the same
// meta, it keeps its phx_ref. For somebody who is no member, track and update fail with
// [CodeNoProcess], and untrack does nothing.
//
// # Broadcasts
//
// broadcast goes to the handler's own topic. publish goes to any topic that a join would bring to
// the plugin now, or that its config grants; so does subscribe, after which the
// process gets that topic's broadcasts, until it ends. While another plugin serves the topic
// it gets none, and its presence there is not seen. A handler that in join, or members,
// intercepts an event gets its own topic's broadcasts of it as out: its client does
// not, unless the handler pushes it. In out, detail is the member that a
// broadcast_from leaves out, if the handler serves several.
//
// # Children
//
// With the effect child, a plugin declares its tree in start: children in order,
// each a process of a module, a supervisor, or a dynamic supervisor, under which
// processes are spawned later. Detail is a JSON object; every key may be left out:
//
//	type          "worker" (default), "supervisor", "dynamic"
//	under         id of a supervisor declared before; default: the plugin itself
//	module        of a worker; default: the id
//	name          to register a worker; default: the id; "" for none
//	restart       "permanent" (default), "transient", "temporary"
//	shutdown      milliseconds that it may take to end (default 5000); 0 kills at once
//	strategy      of a supervisor: "one_for_one" (default), "one_for_all", "rest_for_one"
//	max_restarts  of a supervisor (default 3): more than so many ...
//	max_seconds   … in so many seconds (default 5), and it gives up
//
// A dynamic supervisor's restart types and intensity are those of each process
// under it: restart is the one of its children.
//
// # One handler for a topic
//
// If the scope of a topic pattern is "topic", one process serves all who
// join. join, message and leave then carry in detail which member they are about; it is
// what push sends to, the member at hand if empty. After a crash, members
// comes in place of the joins.
//
// # The next version
//
// A plugin that wants export, in start, can hand its state on. When another version of
// it is deployed, each process gets export between two messages and answers with the
// effect state: any bytes, and in its name how they are to be read, such as "2". The
// process goes on in an instance of the new version, whose first event is import, in
// place of join, members or init. A reply other than "ok", or a crash,
// says that it cannot read the state. All that is outside of the memory stays as it is:
// pid, names, timers, monitors, subscriptions, intercepts and wants, presence. Without
// export in both versions, the join is replayed; so it is without an effect state and after
// a failed import, unless the server's config wants the process to stay as it is. Nothing
// but state can be asked for in export, so that it may be asked again.
//
// A process without a state of its own says so with an empty state and the flag Replay. It is
// no import then, and nothing is lost: the instance of the new version gets init, with
// the arguments of the process and the flag Replay. Timers, monitors, links and subscriptions end
// with the old instance, as its init asks for them again; pid, names and who is linked with the
// process stay. So it is under every config, and for processes that would else stay in their
// version. A guest without that module best stops, with the reason shutdown. A channel's join
// is replayed, under every config, too.
//
// # What is remembered
//
// With durable, in start, a guest says whose state is to outlive the server: "doc:*" or "doc:1" are topics, with one
// handler each, "process:counter" or "process:*" processes by their names. So a topic that begins with "process:" has no
// pattern but "*". A guest declares 100 patterns at most. A topic with a handler for each join cannot be durable: its plugin is not deployed.
//
// Of a durable process the state is stored after each event, before any effect of it leaves. It goes on from there
// after a crash, after standing still for long and after a restart of the server: a handler with
// members, which says who is there now, a process without init.
//
// event_id is the same text when an event is tried again, and no other event ever has it: with it a guest can tell a
// service, or another process, that a question is an old one. Each event has one, also that of a process that is not durable.
// Where there is no process, as in start, it fails.
//
// # What was said lately
//
// With history, in start, a guest says that the broadcasts of topics are kept for a while, so that a client which comes back is
// told what it missed: "room:*" or "room:1". Detail is a JSON object; every key may be left out, or 0, which is what the plugin's
// table of config.toml says:
//
//	messages      of a topic that are kept at most, 1 to 1,000,000
//	bytes         that they take at most, 1,024 to 1 TiB
//	age           milliseconds for which one is kept, 1,000 to 10 years
//	durable       true: it is stored as well, and outlives the server; default false. Servers before that take no notice of it
//
// Of several patterns that match a topic the first counts, and those of the table come first. A guest declares 100 patterns at most.
// A pattern that meets no topic that it serves, or a number that is out of bounds, is an error of the deploy.
//
// The operation history reads from any topic that the guest may subscribe to, at once: what this event broadcasts is not in it yet. The first
// one of a topic whose history is durable may wait until that is read.
// After is the offset behind which it begins, limit how many messages it answers at most: 1,000, or none, which asks only for the
// position. Both are decimal, and 0 if empty. The answer is a list of fields: the topic's position "EPOCH:OFFSET", the offset of the
// oldest message that is kept, or of the next one if none is, and then of each message, the oldest first, five:
//
//	offset, milliseconds since 1970, event, payload, "binary" or ""
//
// It ends sooner where it would have more than 1 MiB, with one message at least: ask again behind the last offset until that is the
// one of the position. Where after is less than the oldest offset minus one, some messages are gone. A topic of which nothing is kept
// fails with [CodeNoHistory]. To read is to begin: a topic that nobody has used gets its epoch.
//
// # Who comes back
//
// If the plugin's table of config.toml says linger, a handler of one join outlasts a connection that breaks, for a while: not
// if the client leaves, joins again without the handler's key, is disconnected by its socket id or breaks the protocol, nor if the server
// ends. The handler gets away, with "closed" or, if the client came by another connection while this one still seemed open,
// "taken_over". It goes on as it is: with its memory, names, timers and presences, and gets messages, and broadcasts that it
// intercepts. What it pushes is kept, up to 100 pushes and 64 KiB, and sent when the client is back; one more, or a broadcast
// that finds no room in its mailbox, ends it. An earlier message cannot be answered any more.
//
// When the client joins again with the key, which it was told by the host's event resume, the handler gets back: the payload and assigns are
// those of the new join and connection. It is answered as join is: no reply accepts. A refusal is that of one attempt; the
// handler goes on to wait. What it has shown with present the host shows again. After linger the handler ends, as it would have
// without linger; so it does if it crashes meanwhile, or a new version does not take over its state.
//
// Both are sent to a guest that asks for them with wants, and "away" or "back". Any other waits as well, and accepts whoever
// has the key. One that does not want to wait stops in away.
//
// # Standing still
//
// Between events an instance may be taken from its memory and put back later,
// perhaps into another one: only what differs from its state after start is kept. A
// guest does not notice, but can make it cheaper. The inbox is cleared after
// every event, so nothing of it costs anything, and nothing may point into it.
// With scratch, in start, a guest names a range of memory whose content means
// nothing between events, such as its stack: the host forgets it when it likes.
// idle says that the instance has grown and will stand still: a guest with a
// garbage collector runs it. Other guests ignore idle, as every guest
// ignores a kind that it does not know, and returns 0.
//
// # A new effect
//
// First see whether a call to a service of the host does (host/ask/doc.go): that needs nothing of what follows. Each step
// names its files.
//
//	 1  sandbox/abi/abi.go                 the next free number, and its name
//	 2  sandbox/abi/doc.go                 its row in the table; what it means, in the section where it belongs
//	 3  sandbox/abi/testdata/vectors.json  it as fields and as bytes: the tests of this package and all SDKs read that
//	 4  sandbox/effects.go                 in allowed, during which events; in check, what else must hold
//	 5  host/process/pubsub.go             if it can be denied: in Permit, by what grant; then check asks Permit
//	 6  channels/effects.go                what it does, if it is about the clients of a topic; the bounds of names
//	    host/process/body.go               or in Apply, if it is about anything else
//	 7  sdk/go/abi.go, sdk/rust/src/abi.rs, sdk/as/assembly/abi.ts, sdk/c/src/abi.h   the number
//	 8  sdk/go, sdk/rust/src, sdk/as/assembly, sdk/c/src   the function, in the file of its subject, which has one name
//	                                       in all four (presence.go, .rs, .ts, .c; those in C are declared in sdk/c/rtd.h)
//	 9  sdk/suite/README.md                the message that makes the plugin suite use it
//	10  sdk/suite/testdata/go, sdk/rust/suite, sdk/as/suite, sdk/c/suite   the plugin suite, which does
//	11  sdk/suite/suite_test.go            a scenario, in the list of the latest generation without guests that are kept
//	12  sdk/suite/testdata/build           builds the guests, which are committed
//
// # A new operation
//
// As an effect, but in place of steps 4 to 6:
//
//	4  host/process/operate.go            its function, in the table operations. What it has the host keep is counted by
//	                                      Keep or hold of host/process/budget.go, and fails with a code if there is no room
//	5  sandbox/copy.go                    in Alone.Operate, what it answers where a guest is tried without others
//
// # Questions
//
// Why one import and not one for each operation? A module that imports a function
// which the host lacks cannot be instantiated at all. With one entry, a guest built
// for a newer rtd runs on an older one and gets [CodeUnknown] where the host cannot
// follow.
//
// Why does the guest name the place of the inbox? Only the guest knows which of its
// memory is free. A C guest returns a static buffer, a Go guest a slice it keeps.
//
// Why not the component model? It has no engine in Go, and would ask more of a
// hand-written guest than the three functions above.
//
// Why are numbers append-only? Plugins outlive servers. A number, once
// released, keeps its meaning; a changed meaning gets a new number, and a
// changed calling convention a new [Module].
//
// How do SDKs stay true to this package? testdata/vectors.json holds records
// as fields and as bytes. The tests of this package and of every SDK check
// both directions against it.
package abi
