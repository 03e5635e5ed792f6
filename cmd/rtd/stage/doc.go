// Package stage runs plugins as a server does, without one: the same sandbox, supervisors,
// deploys and protocol, but clients that are Go values and no sockets.
//
//	Client ── frames ──► channels.Socket ──► channel handlers ──► guests of the plugins
//	       ◄── outbox ──                     (host/rollout.Set, supervisor, sandbox)
//
// A [Stage] is for one play: it is opened, plugins are deployed, clients come and go, it is
// closed. Several may share an [Engine]; its cache lets a module be compiled once.
//
// # Questions
//
// Why does it know package durable? So that durable actors can be remembered for as long as the stage is there ([Memory]), and what would be stored of
// their events be weighed.
//
// Why not start a server on a free port? It would work. But it would leave log lines about
// addresses, wait for a watched folder, and leave each client with a kernel buffer that
// hides how much it has been sent.
//
// Why does a client encode its messages, if the server decodes them at once? Then a
// test has the frames that a Phoenix client could send, and nothing else.
//
// Which services of the host are there? Those of a server, and as there only for plugins that they are granted. The time of
// rtd/clock can be set, so that a test is about a moment.
//
// Does a plugin have the limits here that it has on a server? Yes: both read them from the config by
// package settings.
package stage
