// Package app runs one plugin as an application: a tree of supervised processes that stays
// while its releases come and go.
//
//	App
//	 ├─ master                  hears of the tree's end; parent of what has no supervisor
//	 │   ├─ root                a supervisor.Supervisor, strategy from config.toml
//	 │   │   ├─ registry        a worker: a guest as a process      ┐ the children that the
//	 │   │   ├─ pool            a supervisor.Dynamic                │ guest declared in its
//	 │   │   │   └─ worker …    spawned under it                    ┘ start event, in order
//	 │   │   └─ channels        a supervisor.Dynamic, one group for each topic
//	 │   │       ├─ channel ── guest of version 2f1c…
//	 │   │       └─ channel ── guest of version 90ab…  (until its next message ends)
//	 │   └─ task …              spawned without a supervisor
//	 ├─ current                 the release that new lives begin with
//	 ├─ canary                  a release that some of the new joins begin with
//	 └─ mover                   asks processes to move to another release
//
// Its [Owner] (package rollout) decides which releases there are, and when they come and
// go. One plugin's tree is started (Start, Run, Restart), given another release (Replace)
// and stopped (Stop) by one goroutine at a time.
//
// # Start and end
//
// The tree starts in order, each child after the init of the one before. The topics are served
// when all have started. A tree that gives up has failed: its channels end with phx_error, and
// joins are answered "unavailable" until it is started again.
//
// Several releases may have lived in a tree, and its supervisors count all their crashes
// together. If crashes of another version than the current one are among those for which
// the tree gave up, the current version has not failed: [App.OthersToBlame] (blame.go). A
// new tree has lives of one version, so that this happens once for each take-over.
//
// # Moving
//
// When another release becomes current, every process is asked to move, between two of
// its messages (mover.go). If both releases want export, its state is exported from the one guest
// and imported into the other, and all else stays: pid, names, timers, monitors, links,
// calls that are to be answered, mailbox, presence. Else a channel's join is replayed.
//
//	                            both export, same tree          else
//	channel                     goes on with its state (1)      its join is replayed
//	declared child,             goes on with its state (2)      the tree is started anew
//	child of a dynamic one
//	spawned without supervisor  goes on with its state (3)      stays in its version
//
// (1) If that fails, its join is replayed, or it stays, as [release.Rollout] says.
// [channels.Handover] has the table of all outcomes. (2) If that fails, init comes anew,
// in the same process, or it stays. (3) If that fails it stays, as does a temporary
// child: a task that is done once must not be done twice.
//
// A process that says that it has no state (the flag Replay of its export) begins anew wherever
// it is: with init, in the same process. So do handlers of event managers.
//
// A state that is there and not taken over is a warning, with process and cause, and
// [Moving] counts it, for the output of a deploy. [App.Rehearse] says the same without a
// deploy: it copies each guest between two messages, has the copy export and a guest of
// the module import, both with a process that reaches nobody ([sandbox.Alone]).
//
// # States of another time
//
// A durable actor's state names the version and the snapshot that wrote it (old.go). [App.ReleaseOf] finds the release in
// which it resumes, and from there the process moves to the current one as above, by export and import:
//
//	current, canary, or one before that is still loaded? ──yes──► that
//	     │ no
//	     ▼
//	being loaded, or loaded for another state? ──yes──► that, when it is there
//	     │ no
//	     ▼
//	module and snapshot of the versions folder ──► loaded once for all ──► stays while guests live in it, and a minute
//	     │ missing, damaged, or not for this rtd
//	     ▼
//	an error that says what to do; the state stays as it is
//
// # Questions
//
// Why do so few processes move at a time? They share a run queue with all that the plugin
// does. Ten thousand moves at once would be ahead of every message. As half of the
// processors move processes, a message waits for one move at most, and ten thousand
// guests in C still move in less than half a second. A process that does not move within
// 50 ms, because it waits for something, does not hold up the others.
//
// And if the tree cannot move? Its state is in the old version's memory. The
// tree is stopped, channels first, and started with the new version; the
// channels' mailboxes and subscriptions stay, and their joins are replayed. If the
// new tree does not start, the old one is started again.
//
// What if a channel starts at that very moment? The current release is set
// first, and the request to renew goes through the supervisor behind all starts
// that came before. A channel either begins with the new release or is asked to renew.
//
// Why is a spawned process not restarted after a crash? As in OTP: a guest that wants
// that spawns under a dynamic supervisor.
//
// Who logs a crash? [CrashLog], one line with all facts: plugin, version, topic or
// process, event, kind of trap, cause, the guest's stack and last output, and what
// follows. Of one plugin and cause ten a second are written, and then how many more there
// were. A goroutine makes these lines, and hands the crashes on to their reports: the handlers and the supervisor that
// all channels of a plugin share go on meanwhile. Lines that others write about plugins and processes, guests
// included, come behind those of earlier crashes, so that nobody reads of a life before the end of the last one.
//
// # Rationale
//
// host/durable names what a state needs; supervisor has trees; host/process the processes in them; host/release what they run; channels
// asks for handlers ([channels.Plugin]); host/ask lists the services for rtd ps; sandbox has the
// figures and traps.
package app
