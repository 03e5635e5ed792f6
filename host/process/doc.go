// Package process makes processes of guests: it turns the messages in a mailbox into
// events, and carries out the operations of guests: call, spawn, link, monitor, register,
// and so on. Code in Go and guests see no difference in each other: both are a
// [supervisor.Process] with a mailbox.
//
//	                     mailbox
//	                        │ Message (body.go)
//	                        ▼
//	[Worker], a channel ──► event ──► guest (sandbox.Instance)
//	  (worker.go,                       │
//	   package channels)                ├─ operation ──► Operate (operate.go) ──► answer
//	                                    └─ effects ────► Apply   (body.go), when the event is over
//
// The guest and its state in the host are a body. Workers and channel handlers (whose
// process package channels has) both have one, so that they can do the same. The parts of
// a body, by file:
//
//	home.go      what the processes share: of all plugins, of one
//	operate.go   the table of all operations: calls.go, timers.go, ties.go (monitors, links, exits)
//	address.go   pids and names: whom a guest can reach
//	peer.go      who is found: a process of this node, one day of another
//	waits.go     who waits for whom, so that none wait in a circle
//	pubsub.go    publish, subscribe, intercept; rights.go: in which topics
//	presence.go  who is present
//	budget.go    the account of what is kept for it
//	connect.go   the process that decides about one client
//	worker.go    the life of a process that is no channel; dynamic.go: under a supervisor
//	renew.go     its move to another release; rehearse.go: how that would go
//	fault.go, opening.go   crash reports
//
// # Who knows whom
//
//	[Node]  the processes of all plugins: runtime, endpoint, services
//	  └─ [Home]  those of one plugin: names, budget, list of workers
//	       │ └─ [App]  the application, in package app: which release is current, where to spawn
//	       └─ body  one guest
//
// # Waiting
//
// A guest that waits for an answer hands its scheduler over and lends its slot
// (sandbox.Instance.Wait), so that a chain of calls is bounded by
// [sandbox.Limits].Waiting and by nothing else. An operation that would make processes
// wait for each other fails at once. A request ends with the process that was asked, as
// the asker watches it.
//
// # Questions
//
// What happens after a trap? sandbox returns a Trap from Handle; the body is dead; the worker
// returns the error from its Handle (for a channel: package channels); the supervisor calls
// Terminate, which closes the body: timers, monitors, subscriptions and calls to answer end with
// it (body.Close). Then it restarts the process or gives up, and app writes the line in the log.
//
// Why is a process asked to stop cut short while it waits for an answer, unless it wants
// the event terminate? In OTP, too, a process that does not trap exits ends at once. A
// process that wants to say goodbye must be able to.
//
// Why is a process that begins anew not restarted by its supervisor? Nothing has crashed:
// it would count against the intensity, and pull its siblings down with it. Everything
// that it had open is closed as by an end, and processes that it had spawned and linked
// itself with end, for init or join will spawn them again. But it keeps its pid and name,
// and processes that monitor it are not told.
//
// Why may guests not name any pid? From its own, a guest can guess those of others. A plugin
// reaches its own processes, those of plugins that it depends on, and those that
// depend on it, for they may have asked it something.
//
// Why does a message to a full mailbox fail, where Erlang's would wait? All plugins share
// the memory. Only the sender can do something about it.
//
// # Rationale
//
// This package joins guests and processes. So it imports sandbox, channels (a body is a
// [channels.Guest]) and supervisor; host/ask for requests and messages, host/release for
// the versions of guests; host/durable for what a state needs of them. Of the application above it knows only the interface [App].
package process
