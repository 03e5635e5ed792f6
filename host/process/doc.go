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
//	durable.go   the gate of durable actors: stored before it leaves; held.go: what is stored besides memory
//	wake.go      from what was stored back to a process; posts.go: messages between durable actors
//	refusals.go  why durable processes do not go on
//	restate.go   what is stored of one that runs is changed, or has to be read again
//	tries.go     how often they were tried; aside.go: what is not tried any more, until somebody says so
//	said.go      broadcasts that are stored before they are sent; archive.go: histories of topics, by the keeper
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
// # Durable actors
//
// A topic's handler or a named process that its release declares as durable ([release.Release.Durable]) has a memory besides
// its body. Each event is stored between the guest's turn and its effects:
//
//	event ──► guest ──► effects are checked ──► Commit: guest's memory, held, posts ──stored──► messages, presence, effects
//	            │                                    │
//	            │ trap                               │ not stored
//	            ▼                                    ▼
//	          crash, a life ends                  the guest is closed, the life goes on (topics) or waits (processes)
//	            └──────────────────► wake ◄──────────┘
//	                                  ▲
//	        start of the server, end of sleep, somebody has changed what is stored
//
// So there is one way back, from whatever happened: [Home.WakeHandler] resumes the guest in the release that wrote its
// state, arms its timers, takes its names and subscriptions again, and tells it of the ends that it missed. Operations that can
// wait do so (send, cast, track, update, untrack). Others happen at once; what a guest holds by them (timers, monitors, links, names)
// is as it was stored when it wakes. Processes that the event spawned are ended.
//
// # Questions
//
// Why is a state that cannot be stored no crash? Nobody's code is wrong. A restart would count against the intensity, and
// other members would lose their topic because one client sent much.
//
// Why does a worker wait when nothing can be stored, and a topic not? Clients wait for an answer and would give up; whoever
// calls a process has a timeout of its own.
//
// Why are messages between durable actors stored in the receiver's queue, and not sent again until they are confirmed? Sender and receiver are in one
// log: the commit that takes the message out is the one that stores what came of it. No table of known ids is needed.
//
// Why are leaves not stored at once? When a server drains, all members of all topics go, and each leave would be a synced
// commit that nobody waits for: whoever wakes hears anyway who is there. So a leave waits for the next commit, for sleep, or for
// the end in good order, unless it has effects or changes what the host holds. After kill -9 the leaves of late may not have happened.
//
// Why does an actor whose pid is known not sleep? Its next process would have another pid. So one that has asked for its own, has
// spawned or monitors stays, as small as any that rests.
//
// Why is what a guest crashes at tried a second time, and no more? A crash may come of the moment: memory that was short, a
// deadline on a busy machine. Two of them come of the message. It is set aside, so that the others have their turn.
//
// Why do two tries count as one crash ([supervisor.Repeated])? In OTP a bad message crashes its process once, as it is lost with the mailbox. What
// max_restarts bounds is how often something new goes wrong. A series without an end cannot come of it: each item has two tries, and one for
// each time that somebody asks.
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
// the versions of guests; host/durable for what is stored of them, and by whom. Of the application above it knows only the interface [App].
package process
