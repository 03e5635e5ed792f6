// Package plugin runs plugins as applications: each is a tree of supervised
// processes that stays while its versions come and go.
//
//	Set ── Deploy(name, wasm, settings) ──► load ──► try ──► current ──► live channels move over
//	 │                                       │ any error: all stays as it was
//	 └─ Plugin ── root supervisor
//	     │         └─ channels      a supervisor.Dynamic, one group for each topic
//	     │             ├─ channel ── guest of version 2f1c…
//	     │             └─ channel ── guest of version 90ab…  (until its next message ends)
//	     └─ release: the current version with its settings
//
// A version is named by the first 12 digits of the SHA-256 of its module. Every
// log line and metric about a guest carries plugin and version.
//
// # Questions
//
// How is a version replaced without closing a socket? It is compiled and one
// instance of it is tried, while the old version works on. Then it becomes what
// new lives begin with, and every channel is asked to renew itself, which it does between two
// messages of its mailbox, by a join replayed in the new version. The old
// version is freed when the last channel has left it.
//
// What if a channel starts at that very moment? The current version is set
// first, and the request to renew goes through the supervisor behind all starts
// that came before. A channel either begins with the new version or is asked to renew.
//
// Why are settings part of a deploy? A new memory limit or config table needs new
// guests, just as new code does. One path for both is one path to get right.
//
// Why does one supervisor per plugin, and not one for all, hold the channels? A
// plugin that crashes a hundred thousand times keeps its own supervisor busy.
//
// Who logs a crash? The [Set] does, one line with what is known: plugin,
// version, topic, event, kind of trap, cause, the guest's stack and last output,
// and what follows. Of one plugin and cause ten a second are
// written, and then how many more there were.
package plugin
