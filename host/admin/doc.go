// Package admin lets people and tools administer a running server: its plugins and their
// versions, the trees of processes, the log, deploys and rollbacks. It is JSON over HTTP,
// on a Unix socket that only the server's user and root can open; on a TCP address too,
// with keys, if the config has one.
//
//	rtd deploy, plugins, ps, logs …               the server
//	┌────────┐   .rtd/admin.sock, mode 0600   ┌────────┐     ┌─────────┐
//	│ Client ├───────────────────────────────►│ Server ├────►│ Backend │ package host
//	└────────┘   who: told by the kernel      └───┬────┘     └─────────┘
//	curl ──── Authorization: Bearer KEY ─────────►│
//	                                          ┌───┴────┐
//	                                          │  Log   │◄──── slog: the last 1,000 lines
//	                                          └────────┘
//
//	GET  /admin/health                                   → {"ready": true}, as /readyz
//	GET  /admin/bus                                      → Bus
//	GET  /admin/plugins                                  → [Plugin]
//	GET  /admin/versions?plugin=NAME                     → [Version]
//	GET  /admin/processes?plugin=NAME                    → [Process], trees; without plugin those of all
//	GET  /admin/states?plugin=NAME&kind=topic            → [State]; or kind=process
//	     … &prefix=TEXT&after=NAME&limit=N
//	GET  /admin/state?actor=ACTOR                        → WholeState, of a durable actor
//	PUT  /admin/state?actor=ACTOR    body: a WholeState  in place of what is stored
//	DELETE /admin/state?actor=ACTOR                      it begins anew
//	GET  /admin/history?topic=TOPIC&after=OFFSET&limit=N → History
//	DELETE /admin/history?topic=TOPIC&before=OFFSET      → Purged; without before all of it
//	GET  /admin/asides                                   → [Aside]: messages and timers that were set aside
//	POST /admin/aside?id=ID                              → Aside, which was tried again, and is done
//	DELETE /admin/aside?id=ID                            → Aside, which was thrown away
//	POST /admin/deploy?plugin=NAME   body: the module    → Deployed
//	     … &dry=1                    nothing changes     → Deployed, with what would become of processes
//	     … &wait=1                   the first at once   → Deployed, then Verdict
//	POST /admin/rollback?plugin=NAME&to=HASH             → Deployed; without to the last good version
//	GET  /admin/logs?plugin=NAME&level=LEVEL&lines=N&follow=1
//	                                                     → one JSON object on each line
//
// Each may have by=NAME, the name of the asker, for systems whose kernel does not tell
// it. Failures are answered with a status of 400 or more and {"error": "…"}, in words for
// a person.
//
// With curl:
//
//	curl --unix-socket plugins/.rtd/admin.sock http://rtd/admin/plugins
//
// # Where the socket is
//
// With socket = "auto" it is in the plugin folder, which the server and its commands both
// find in the config. If that folder is read-only or has a long path, the socket is in
// rtd-UID in the folder for temporary files, which must belong to that user alone. A
// server that finds another one alive at its path says so: with a path of its own it does
// not start, with "auto" it runs without a socket.
//
// # Questions
//
// Why not $XDG_RUNTIME_DIR or /run? A service manager sets other variables than the shell
// in which a command is typed. Both have the config.
//
// Who may connect? The mode of the socket says so, and it has it before it is in place.
// On Linux the kernel also tells the server which user connects, and a deploy is noted
// with that name. Over TCP it is noted with the given name and the address.
//
// Why is the socket of a dead server replaced, and how is that safe? A server that was
// killed cannot remove it. A server that starts locks the folder, and tries to connect;
// only if nobody listens does it move its own socket to the place.
//
// What about a reader that cannot keep up with the log? Lines are kept in one ring for
// all; a reader has a position in it and nothing else. A reader that falls behind by more
// than the ring is told how many lines it has missed. The server never waits for it. A
// stalled reader costs a few lines, one of 32 places, and half a second of the server's
// end.
//
// Why may a reader ask for debug lines, which the server's own log leaves out? They are
// wanted while something goes wrong, and a restart would end that. They are made only
// while somebody reads them.
//
// Why four deploys at a time? A module is in memory as a whole, so that there is a bound.
// With one alone, a module that takes its compiler long would keep the fix of another
// plugin waiting.
//
// Why does a deploy that waits hold its request open? Only so the answer concerns the
// version that was deployed, however soon it is taken back. A client that cannot wait, or
// is one of more than 32, asks for the versions later: a version that was taken back is
// marked.
//
// Why does this package know package gate? Clients without a key can hold connections
// here as anywhere. They are counted from accept on, at most 128, 64 from one address,
// and requests have deadlines. So does a module: 5 minutes, or less if it comes slower
// than 16 KiB a second.
//
// Why does it know package httpapi? Keys are checked, and requests answered, as in the
// API for back ends.
//
// Why does a request that is cut off not stop its deploy? Between two states is no place
// to stop. A client that asks again is told that the version runs already.
package admin
