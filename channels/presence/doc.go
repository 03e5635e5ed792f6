// Package presence knows who is here: which keys are present in which topics,
// with which metas, for as long as their owners live. It is what Phoenix.Presence
// and Phoenix.Tracker are to an Elixir application, and what the Presence class
// of the official clients expects.
//
// There are two halves. [State] is the set itself, a plain value that can be
// merged with those of other nodes. [Tracker] is what a node uses: it has states,
// locks, limits and time, and says what has changed.
//
//	 Track, Update, Untrack       Leave, Hold, Settle
//	           │                          │
//	┌ Tracker ─▼──────────────────────────▼──────────────────┐
//	│ owners: what each one tracks, in all topics            │
//	│    │                                                   │
//	│ ┌ shard of a topic, one of 32 ───────────────────────┐ │
//	│ │  ▼                                                 │ │
//	│ │ State ···· Delta ····► (the other nodes, later)    │ │
//	│ │  │ entries                                         │ │
//	│ │  ▼                                                 │ │
//	│ │ roster ──► queue ──► announcer ────────────────────┼─┼──► Broadcast(topic, Diff)
//	│ └──┬─────────────────────────────────────────────────┘ │    presence_diff
//	└────▼───────────────────────────────────────────────────┘
//	 Show, List, Get, Count        presence_state
//
// # Entries
//
// An entry is one meta of a key in a topic: {"metas": [{…, "phx_ref": R}]}. An
// owner has one at most for each topic and key, several owners give a key several
// metas. The ref is in the meta that is sent to clients, and they remove by it
// what has left. An entry never changes: an update is a new one with a new ref,
// and "phx_ref_prev" tells which one it replaces.
//
// # State, then diffs
//
// A client that wants the whole picture is first subscribed to the broadcasts of
// its topic and then shown the list:
//
//	hub.Subscribe(…)                        all later diffs reach it
//	tracker.Track(channel, topic, key, …)   if it is present itself, also before
//	tracker.Show(topic, push)               presence_state
//
// A change is in the list before its diff is broadcast, and [Tracker.Show] keeps
// the diffs apart from the list. So a diff that comes before the list is in it, and
// what the list does not have comes in a diff behind it. What it has may come once
// more, which does no harm: clients know an entry by its ref.
//
// The other way round, what changes between the two steps would be missed. So it
// would with [Tracker.List] and a push later, by a client that is shown a list
// again and takes it for the truth, as the official one does.
//
// # Diffs
//
// The diffs of a topic come in the order of its changes, one at a time, and with
// all of them applied, joins before leaves in each, a client has what the list
// says. They are sent from a goroutine that exists while there is something to
// say. The first change goes out at once. Those that come while it is broadcast, or
// within the interval after it, go out together: 20 ms, or 100 µs for each member
// of the topic if that is more. With 5,000 members that makes two diffs a second,
// and 10,000 deliveries.
//
// Every entry's join and leave are sent, in different diffs, but in a crowded topic:
// one whose members make the interval longer, or that changes so fast that 16 diffs
// wait. There, what comes and goes between two diffs is not told, as nobody has seen
// it. If the list was read in between, somebody may have; then its leave is told, and
// clients that did not see it ignore that, since they do not have the ref. An entry
// that stays is never left out, and an entry that was broadcast always leaves by a
// diff.
//
// # The end of an owner
//
//	Leave    the owner has ended: all of its entries leave, or linger for a grace
//	Hold     it has crashed and will be restarted: nothing happens to them yet
//	Track    of a key that is held: an update
//	Settle   the restart is over: what is still held leaves
//
// Nothing here finds out that an owner has ended. The host does, which starts and
// ends owners, and calls Leave when one ends for whatever reason; the guest could
// not be trusted to.
//
// # The set
//
// Each entry has a [Tag]: who added it, and which of that replica's changes that
// was, by number. A state is the entries that it holds, and the set of tags that it has
// seen. The second is what makes merging possible. If one state holds an entry
// and another does not, then either the other has not seen its tag, and it is
// new; or it has, and it was removed:
//
//	entry is held by        the other has    the merged state
//	─────────────────────   ──────────────   ────────────────
//	both                    –                holds it
//	one                     not seen it      holds it
//	one                     seen it          does not
//
// A [Delta] is the same pair for a few tags. Merge is commutative, associative
// and idempotent, for deltas with each other too, so that they may be lost, come
// twice and in any order, as long as a full state comes now and then.
//
// The entries of a replica that is down are kept but not reported: if it comes
// back they join with the refs they had, as if they had never left.
//
// # Cost
//
// Measured with the benchmarks of this package on two busy cores, with 50,000
// entries in one topic: a change takes 2 to 15 µs with its part of a diff,
// whatever the number of entries and whether they have many keys or one. A list of
// all is 5.5 MB. It takes 7 ms after one change, which is what the copy takes, and
// 11 ms after a thousand; it is made by one for all who wait for it: of 200 clients
// that join and read at the same time each takes 0.1 ms. A count takes 40 ns. A diff
// is encoded in 0.2 µs and 0.1 µs for each entry. A thousand changes with ten lists
// take 80 to 140 ms. An entry takes 540 bytes with its owner and the 90 bytes of its
// meta. A list is kept until the topic has changed and is quiet again; with the
// text of its pages that is as large as the metas twice more.
//
// # Questions
//
// Why a CRDT on one node? The refs, the rule that only the owner removes, and
// entries that never change are what clients see of it, and would have to be
// right on the first day anyway. What it costs meanwhile is a tag and a map entry.
// A Tracker with peers differs from this one by what feeds its rosters: the diffs
// of Merge beside its own changes.
//
// What is the cloud? A state has seen a replica's clocks 1 to n, which is one
// number, and perhaps some further ones, because a delta in between is late. These
// are the cloud. When the gap closes they are compacted into the number, so that
// what was removed takes no memory. It is also why clocks leave none out.
//
// Why does a removal have a tag of its own, if that of the entry says all? So that
// no change can be missed unnoticed. Nodes tell each other their [State.Clocks]:
// one that sees itself behind asks for what it misses, if only that somebody left.
//
// Why is an incarnation part of the name of a replica? A node that starts again
// begins with clock 1. Without it, its new entries would be taken for those that
// were seen and removed long ago. And when the new life is heard of, the entries
// of the old one can go at once.
//
// Why is the state not shared by all topics? Each shard has one, of which clocks
// and deltas are its own, so that topics do not wait for each other. The hash of
// topics is the same on all nodes for that reason. It is known, so topics can be
// chosen to fall into one shard; what that gains is to wait for locks that are
// held for microseconds.
//
// Why are diffs sent by a goroutine, and not by who makes the change? It is the
// turn of a handler, in a scheduler, and a broadcast to a crowd takes
// milliseconds. Whoever came first would go on broadcasting what others change
// meanwhile. Phoenix's diffs are asynchronous as well.
//
// Why one for each topic? A queue for each shard would need only 32 goroutines,
// but a crowded topic would make all others in its shard wait, and the interval
// could not be slept through. Most topics are quiet most of the time.
//
// Why does the interval grow with the members? A diff costs a delivery to each, and
// who comes and goes grows with them as well: at an interval that does not, twice the
// members are four times the work. Nobody sees half a second in a crowd of
// thousands. Phoenix's trackers tell each other every 1.5 s, the limit here.
//
// Why are lists made of pages? In a topic where many come, each comer is a change and
// gets a list that has it, so that no list serves two. With the texts of 64 people
// each kept, the next list is some copies, and not a walk over all entries.
//
// Why hold entries, rather than drop them and track them again? A handler that
// crashes and is restarted in place is not seen by its client. To all others, too,
// nothing should have happened: no leave, no "left the room" in the chat.
//
// What is the grace for? A client that reloads its page or changes networks has a
// new connection, and a new owner, some seconds later. With a grace its entry waits
// for that long, listed like any other. If an owner comes with the same key it
// takes the entry over, which the others see as an update. A key that has another
// entry does not flicker anyway: there the end is a leave at once. Untrack and
// Settle are on purpose and know no grace. The price is that those who are really
// gone stay a little longer, which is why it is off by default.
//
// Why are keys listed in the order in which they came? Any fixed order would do;
// this one needs no sorting, and it is the order that clients make of the diffs.
//
// Why is a meta kept as text? It is sent far more often than it is tracked, and
// decoding would change large numbers, order and duplicates. Only what is named
// like a ref is taken out, since a meta may come from a list.
//
// Why may an owner be anything? It is a process here, a pointer in a test, and
// something without either behind an HTTP request. The tracker only has to tell
// them apart.
//
// Why is there no wire form of a delta yet? Its bounds depend on what carries
// it. Delta and Entry hold nothing but plain values, so it needs no change here.
package presence
