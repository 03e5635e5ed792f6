// Package durable has the words for actors that are remembered: handlers of topics, and processes, whose state is
// stored after each event, before anybody hears what came of it.
//
//	event ──► guest handles it ──► Commit ──► Keeper ──► log: synced
//	                                            │
//	effects leave  ◄────────────────────────────┘ stored
//
//	[Actor]   who: plugin, topic or name of a process
//	[State]   what is kept of it
//	[Commit]  an event of it: its new state, messages for others, messages that it has consumed; all or nothing
//	[Post]    a message from one durable actor to another, which waits in the keeper until it is consumed
//	[Aside]   of a post, or of a timer that has become one: its actor crashes at it, so it stays until somebody decides
//	[Keeper]  who keeps them; package store is one, on the bus
//	[Said]    a broadcast of a topic whose history is durable: part of a commit, or alone
//	[Histories]  what was said in such topics; the keeper has it, too
//
// # Promises
//
// When [Keeper].Commit returns nil, the state, the posts and what was consumed are stored, and stay so after kill -9
// and a power cut. If it fails with [ErrUnavailable] that may be so or not, and the keeper gives the actor to nobody
// before it knows; after any other error nothing of it is stored.
//
// Broadcasts get dense offsets when they are stored. Those of a commit are stored if and only if its state is.
//
// An actor has one owner at a time. It says which revision it goes on from, and fails with [ErrConflict] if there is a
// later one.
//
// # Questions
//
// Why is a timer that was set aside a post, and no longer in its actor's state? A state is written with each event; what is set aside rests. Posts
// are known without reading any state, so that all that was set aside can be listed.
//
// # Rationale
//
// It imports nothing, so that processes of guests know what a keeper is, and nothing of how it stores.
package durable
