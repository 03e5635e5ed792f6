// Package stage runs plugins as a server does, without one: the same sandbox, supervisors,
// deploys and protocol, but clients that are Go values and no sockets.
//
//	Client ── frames ──► channels.Socket ──► channel handlers ──► guests of the plugins
//	       ◄── outbox ──                     (host/plugin.Set, supervisor, sandbox)
//
// A [Stage] is for one play: it is opened, plugins are deployed, clients come and go, it is
// closed. Several may share an [Engine], so that a module is compiled once.
//
// # Questions
//
// Why not start a server on a free port? It would work. But it would leave log lines about
// addresses, wait for a watched folder, and leave each client with a kernel buffer that
// hides how much it has been sent.
//
// Why does a client encode its messages, if the server decodes them at once? Then what is
// tested is what a Phoenix client could send, and nothing else.
//
// What is of package host in it? How it reads the config: a plugin has the settings and
// limits here that it has there.
package stage
