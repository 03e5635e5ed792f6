// Package rollout decides which versions of which plugins run: it deploys them, watches them,
// and takes them back.
//
//	Set ── Deploy(name, wasm, settings) ──► load ──► try ──► current ──► processes move over
//	 │                                       │ any error: all stays as it was
//	 ├─ plugin …  an app.App each, and what may become of its versions
//	 ├─ mounts    whose connect decides about clients
//	 └─ services  of the host (package ask)
//
//	deploy.go    a module becomes the next version          trial.go    watched, canary, withdrawn
//	set.go       start, stop, settings, who is there        turn.go     the order of it all
//	rights.go    topics change hands                        mounts.go   who decides about clients
//	rehearse.go  how processes would move                   old.go      a version is loaded for its states
//
// How does a saved source become the running version? Package folder sees the file and builds
// it; package deploy calls [Set.Change]; load has package sandbox compile it and try a guest,
// and makes a [release.Release] of it; start or replace makes that current (package app), and
// the processes move.
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
// The states of a version, and its fate ([release.Verdict]). The state that a server
// finds after a restart, in package versions, is written at the arrows with a star, in
// the plugin's order (turn.go): by the functions of a [Change], and by [Set].Withdrawing
// before the swap.
//
//	          Deploy   ┌──────┐ * period over   ┌─────────┐   watch over
//	(none) ──► tried ─►│canary│────────────────►│ current,│────────────────► current, trusted
//	             │     └──────┘                 │ watched │                      │
//	             │        │                     └─────────┘                      │
//	             └────────┼── * no canary ─────────▲  │                          │
//	                      │ * bad                     │ * crashes                │
//	                      ▼                           ▼                          ▼
//	                  withdrawn ◄─────────────── withdrawn        * Deploy, rollback: replaced
//	                                             (the one before is current, and not watched)
//
// While a version is watched the one before stays loaded, so that taking it back needs no
// compiler, unless the settings have changed since. A version is not watched at all if
// watch is 0, if there is none before it, or if the one before crashed as often. If that
// one was on trial itself, the way back leads to the version to which it would have gone
// back.
//
// # Topics
//
// There are three kinds of topics in which the processes of a plugin publish, subscribe,
// and are present or list who is (process/rights.go). A handler has its own topic, to its
// end. The plugin has the topics that the router would give to it now: those of its
// patterns, except for topics that match a more exact pattern of another plugin. And it
// has the topics that its config grants. All others are denied. The right is checked in
// each operation, and once more when an effect is applied.
//
//	          a plugin with room:* is deployed        it goes
//	*  ──► subscriptions and presence in room:1 ──► suspended ──► back
//	       └ one line in the log                          └ one line
//
// A process keeps its suspended subscriptions and presences, and may give them up. It is
// not told: topics in which nothing happens are the common case.
//
// # Dependencies
//
// A plugin that depends on others is not deployed before they run ([WaitingError]); at
// the end it stops before they do. It may call them, and they may call it by pid.
// Services of the host end last.
//
// A plugin that has failed is started again by the next deploy, a change of its settings, or
// SIGHUP; at once, if other versions than the current one are to blame.
//
// # Limits
//
// Everything that a guest can make the host keep is counted, for its plugin, before it is
// kept: in bytes against [release.Settings].Pending, and, if each one of a kind has a
// cost whatever its size, in things against References. The guest is told when there is
// no room, and nobody else notices. The defaults stand in config.toml. The counts follow
// from the things that are there (process/budget.go): all are given back when the
// processes that keep them have ended. To the bytes are added 128 for each thing and each
// entry of presence, 64 for a message, and 256 for a broadcast.
//
//	what                            bytes of                 counts as a thing  until
//	──────────────────────────────  ───────────────────────  ─────────────────  ──────────────────────────
//	message, question (1)           payload                  – (mailbox)        it is taken out
//	the same, to a service          payload                  – (mailbox)        Handle returns; the request ends
//	answer                          answer                   –                  it is fetched
//	open request                    –                        yes                it is awaited, or has come
//	call to be answered             –                        – (2)              the asker waits no longer
//	timer                           payload                  yes                it has come, or is cancelled
//	monitor                         –                        yes                down, demonitor
//	link that it has asked for      –                        yes                unlink, or either ends
//	subscription                    topic                    yes                unsubscribe
//	broadcast for a subscriber (3)  topic, event, payload    – (mailbox)        it is taken out
//	event that it intercepts        event                    yes                its guest ends
//	broadcast to intercept (3)      topic, event, payload    – (mailbox)        it is taken out
//	name                            name                     yes (4)            unregister, or the process ends
//	spawned process                 module, arguments, name  – (processes)      it has ended for good
//	presence, set aside or in grace topic, key, meta         – (per owner)      it has left
//	what connect says of a client   assigns, id              –                  its socket has closed
//	children that start declares    once: no more arguments than Pending, no more than Processes;
//	                                the rest by Effects and EffectBytes of sandbox.Limits
//	effects of one event            the same, until they are applied
//	log lines                       LogLines of sandbox.Limits; of crashes, see app.CrashLog
//
// (1) For the plugin of the sender. (2) There is one for each that waits. (3) Once for all of
// the plugin's processes that it waits for; without room they miss it, as with a full mailbox.
// (4) Apart from the other things, against the same bound.
//
// # Questions
//
// How is a version replaced without closing a socket? It is compiled and one instance of
// it is tried, while the old version works on. Then new lives begin with it, and every
// process is asked to renew itself, as above. The old version is freed when the last
// process has left it.
//
// When is a version taken back? When its guests crash more than max_restarts times in
// max_seconds, counted over all of the plugin, while it is watched; or when its tree
// gives up. Not if the version before was as bad in the time before: then the cause is
// elsewhere, and going back would only disturb the clients. The version to which it went
// back is not watched, so that two bad versions do not take turns.
//
// And if the tree has given up, and not ended yet? A child may take minutes to end.
// Making the version before current in such a tree would be in vain. So its end is waited
// for, and the next tree has that version. The channels wait with their state.
//
// How is a canary judged? At the end of its period it must not have crashed more often
// than the old version in the same time, although fewer clients try it: it is meant to be
// no worse, and a crash that many clients bring about is found in both. Only channels try
// it. The tree is one, and remains the old version's until then.
//
// # Rationale
//
// host/durable names what a state needs; host/app runs the releases that are chosen here; host/release describes them;
// host/process has the processes whose rights change; host/ask the services, which a set
// starts before all plugins and ends after them. They run in channels and supervisor;
// sandbox compiles.
package rollout
