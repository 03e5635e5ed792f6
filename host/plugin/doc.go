// Package plugin runs plugins as applications: each is a tree of supervised
// processes that stays while its versions come and go.
//
//	Set ── Deploy(name, wasm, settings) ──► load ──► try ──► current ──► processes move over
//	 │                                       │ any error: all stays as it was
//	 └─ Plugin
//	     ├─ master                  hears of the tree's end; parent of what has no supervisor
//	     │   ├─ root                a supervisor.Supervisor, strategy from config.toml
//	     │   │   ├─ registry        a worker: a guest as a process      ┐ the children that the
//	     │   │   ├─ pool            a supervisor.Dynamic                │ guest declared in its
//	     │   │   │   └─ worker …    spawned under it                    ┘ start event, in order
//	     │   │   └─ channels        a supervisor.Dynamic, one group for each topic
//	     │   │       ├─ channel ── guest of version 2f1c…
//	     │   │       └─ channel ── guest of version 90ab…  (until its next message ends)
//	     │   └─ task …              spawned without a supervisor
//	     ├─ names                   of its processes
//	     ├─ release                 the current version with its settings
//	     ├─ canary                  a release that some of the new joins begin with
//	     └─ mover                   asks processes to move to another release
//
// A version is named by the first 12 digits of the SHA-256 of its module. Every
// log line, metric and crash about a guest carries plugin and version: the guest's
// own, which need not be the current one.
//
// # From version to version
//
//	Deploy ──► load, try ──► canary? ──no──────────────────────────────► current ──► watched ──► trusted
//	                            │ yes                                       ▲  crashes more than
//	                            ▼                                           │  the intensity
//	                         a share of new joins ──no worse than the old──►┘      │
//	                            │ worse, or more than the intensity                ▼
//	                            └──────────────────► withdrawn ◄──────── the one before is current again
//
// When another release becomes current, every process is asked to move, between two of
// its messages. If both releases want export, its state is exported from the one guest
// and imported into the other, and all else stays: pid, names, timers, monitors, links,
// calls that are to be answered, mailbox, presence. Else a channel's join is replayed.
//
//	                            both export, same tree          else
//	channel                     goes on with its state (1)      its join is replayed
//	declared child,             goes on with its state (2)      the tree is started anew
//	child of a dynamic one
//	spawned without supervisor  goes on with its state (3)      stays in its version
//
// (1) If that fails, its join is replayed, or it stays, as [Rollout] says. (2) If that fails,
// init comes anew, in the same process, or it stays. (3) If that fails it stays, as does a
// temporary child: what is done once must not be done twice.
//
// A version stays loaded for as long as processes live in it.
//
// # Processes
//
// Code in Go and guests are the same to each other: both are a
// [supervisor.Process] with a mailbox. A guest is one by its body (body.go), which
// turns what is in the mailbox into events, and does what the guest asks of its
// process (operate.go): call, spawn, link, monitor, register, and so on. Channel
// handlers, whose process is package channels', have the same body as workers,
// so that they can do the same.
//
//	mailbox ──► worker, Channel ──► body.Message ──► event ──► guest
//	                                body.Operate ◄── operation ┤
//	                                body.Apply   ◄── effects ──┘
//
// A [Request] is a question that ends once: with an answer, with its failure, or with the end of
// the process that was asked. Whoever waits hands its scheduler over and lends its
// slot (sandbox.Instance.Wait), so that a chain of calls is bounded by
// [sandbox.Limits].Waiting and by nothing else; processes that would wait for each
// other are told so at once.
//
// The host's own services can be reached by guests too, see [Set.Provide], and Go
// code that is no process calls guests with [Set.Call].
//
// # Plugins as applications
//
// A deploy starts the tree, children in order, each after the init of the one
// before. The topics are served when all have started. A tree that gives up has failed:
// its channels end with phx_error, joins are answered "unavailable", and the
// next deploy, change of its settings or SIGHUP starts it again.
//
// A plugin that depends on others is not deployed before they run ([WaitingError]);
// at the end it stops before they do. It may call them, and they it by pid.
//
// # Limits
//
// All that processes of a plugin can pile up is counted: live processes when one
// is spawned, references (timers, monitors, links, subscriptions, open requests;
// names), bytes of messages that wait, and messages in each mailbox. The guest is
// told, and nobody else notices. The defaults stand in config.toml.
//
// # Questions
//
// How is a version replaced without closing a socket? It is compiled and one
// instance of it is tried, while the old version works on. Then it becomes what
// new lives begin with, and every process is asked to renew itself, as above. The
// old version is freed when the last process has left it.
//
// And if the tree cannot move? Its state is in the old version's memory. The
// tree is stopped, channels first, and started with the new version; the
// channels' mailboxes and subscriptions stay, and their joins are replayed. If the
// new tree does not start, the old one is started again.
//
// Why do so few processes move at a time? They share a run queue with all that the plugin
// does. Ten thousand that are asked at once would be ahead of every message. As
// half of the processors do it, a message waits for one move at most, and ten thousand
// of a guest in C still take less than half a second. One that does not move within
// 50 ms, because it waits for something, does not hold up the others.
//
// Why is a process that begins anew not restarted by its supervisor? Nothing has
// crashed: it would count against the intensity, and pull its siblings down with it.
// What it had open is closed as by an end, and what it had spawned and linked
// itself with ends, for init or join will do that again; but it keeps pid and name, and
// those who monitor it are not told.
//
// Why must two trees be the same for that? A supervisor's children are what it was
// declared with. To compare two trees and change one into the other, while it runs, is
// what OTP has appups for, and what few get right.
//
// When is a version taken back? When its guests crash more than max_restarts times in
// max_seconds, counted over all of the plugin, while it is watched; or when its tree
// gives up. Not if the version before was as bad in the time before: then the cause
// is elsewhere, and going back would only drop what clients do. What it went back to is not
// watched, so that two bad versions do not take turns.
//
// How is a canary judged? At the end of its period it must not have crashed more often
// than the old version in the same time, although fewer clients try it: it is
// meant to be no worse, and a crash that many clients bring about is found in either.
// Only channels try it. The tree is one, and remains the old version's until then.
//
// What if a channel starts at that very moment? The current version is set
// first, and the request to renew goes through the supervisor behind all starts
// that came before. A channel either begins with the new version or is asked to renew.
//
// Why are settings part of a deploy? A new memory limit or config table needs new
// guests, just as new code does. One path for both is one path to get right.
//
// Why is a process asked to stop cut short while it waits for an answer, unless it
// wants the event terminate? In OTP, too, a process that does not trap exits ends
// at once. One that wants to say goodbye must be able to.
//
// Why may guests not name any pid? Pids are numbers that one can guess. A plugin
// reaches its own processes, those of plugins that it depends on, and those that
// depend on it, for they may have asked it something.
//
// Why does a message to a full mailbox fail, where Erlang's would wait? Memory is
// everybody's. The sender is the one who can do something about it.
//
// Why is a crash of what was spawned not restarted? As in OTP: who wants that spawns
// under a dynamic supervisor.
//
// Who logs a crash? The [Set] does, one line with what is known: plugin,
// version, topic or process, event, kind of trap, cause, the guest's stack and
// last output, and what follows. Of one plugin and cause ten a second are
// written, and then how many more there were.
package plugin
