// Package admin is how people and tools administer a running server: what runs, in
// which version and by whom, the trees of processes, the log, deploys and rollbacks.
// It is JSON over HTTP, on a Unix socket that only the server's user and root can
// open; on a TCP address too, with keys, if the config has one.
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
//	GET  /admin/health                                   → {"ready": true}
//	GET  /admin/plugins                                  → [Plugin]
//	GET  /admin/versions?plugin=NAME                     → [Version]
//	GET  /admin/processes?plugin=NAME                    → [Process], trees; without plugin those of all
//	POST /admin/deploy?plugin=NAME   body: the module    → Deployed
//	POST /admin/rollback?plugin=NAME&to=HASH             → Deployed; without to the last good version
//	GET  /admin/logs?plugin=NAME&level=LEVEL&lines=N&follow=1
//	                                                     → one JSON object on each line
//
// Any of them with by=NAME says who asks, where the kernel does not. What fails is
// answered with a status of 400 or more and {"error": "…"}, in words for a person.
//
// With curl:
//
//	curl --unix-socket plugins/.rtd/admin.sock http://rtd/admin/plugins
//
// # Where the socket is
//
// With socket = "auto" it is in the plugin folder, which the server and its commands
// both find in the config. Where that cannot be, in a folder that is read-only or has
// a long path, it is in rtd-UID in the folder for temporary files, which must belong to
// that user alone. A server that finds another one alive at its path says so: with a
// path of its own it does not start, with "auto" it runs without a socket.
//
// # Questions
//
// Why not $XDG_RUNTIME_DIR or /run? What starts a server as a service sets other
// variables than the shell in which a command is typed. The config is what both have.
//
// Who may connect? The mode of the socket says so, and it has it before it is in
// place. On Linux the kernel tells the server who connects, too, which is also the
// name that a deploy is noted with. Over TCP the name is the one given, and the address.
//
// Why is the socket of a dead server replaced, and how is that safe? A server that was
// killed cannot remove it. Whoever starts locks the folder, and tries to connect; only if
// nobody listens does it move its own socket to the place.
//
// What of a reader that cannot keep up with the log? Lines are kept in one ring for all;
// a reader has a position in it and nothing else. Who falls behind by more than
// the ring is told how many lines it has missed. The server never waits for it.
//
// Why may a reader ask for debug lines that the server's own log has not? They are
// wanted while something goes wrong, and a restart would end that. They are made only
// while somebody reads them.
//
// Why one deploy at a time? A module is in memory as a whole, and a compiler takes all
// processors anyway.
//
// Why does a request that is cut off not stop its deploy? Between two states is
// no place to stop. Who asks again is told that the version runs already.
package admin
