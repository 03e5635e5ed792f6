// Package presence knows who is here: which keys are present in which topics, with
// which metas, for as long as their owners live. Its model is Phoenix.Presence with
// Phoenix.Tracker; the Presence class of the official clients understands it.
//
// There are two halves. [State] is the set itself, a plain value that can be merged
// with those of other nodes. A [Tracker] serves one node: it adds locks, limits and
// time, and broadcasts the changes. It is alone, or one of several that tell each other
// what they have; clients see one list.
//
//	 Track, Update, Untrack       Leave, Hold, Keep, Settle
//	           │                          │
//	┌ Tracker ─▼──────────────────────────▼──────────────────┐
//	│ owners: the entries of each, in all topics             │
//	│    │                                                   │
//	│ ┌ shard of a topic, one of 32 ───────────────────────┐ │
//	│ │  ▼                                                 │ │
//	│ │ State ──► changes ── TakeChanges, Snapshot ────────┼─┼──► Merge of the other nodes
//	│ │  │  ▲                                              │ │
//	│ │  │  └──── Delta ────────────────────────────────────┼─┼─── Merge, Up, Down, Gone
//	│ │  ▼ entries                                         │ │
//	│ │ roster ──► queue ──► announcer ────────────────────┼─┼──► Broadcast(topic, Diff)
//	│ └──┬─────────────────────────────────────────────────┘ │    presence_diff
//	└────▼───────────────────────────────────────────────────┘
//	 Show, List, Get, Count        presence_state
//
// # Entries
//
// An entry is one meta of a key in a topic: {"metas": [{…, "phx_ref": R}]}. An owner
// has at most one for each topic and key; several owners give a key several metas.
// Clients get the ref in the meta, and remove the meta by it when it leaves. An entry
// never changes: an update is a new entry with a new ref, whose "phx_ref_prev" names
// the one that it replaces.
//
// An owner may be anything comparable: a process here, a pointer in a test, something
// without either behind an HTTP request. The tracker only tells owners apart.
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
// A change is in the list before its diff is broadcast, and [Tracker.Show] lets no diff
// out while it shows the list. So every diff before the list is contained in it, and
// every change that is not comes in a diff behind it. An entry of the list may come once
// more in a diff. That does no harm, as clients know an entry by its ref.
//
// The other way round, a change between the two steps would be missed. It would also be
// missed with [Tracker.List] and a later push, by a client that is shown a list again and
// takes it for the truth, as the official one does.
//
// # Diffs
//
// The diffs of a topic come one at a time, in the order of its changes. A client that
// applies all of them, joins before leaves in each, has the same entries as the list.
// They are sent from a goroutine that exists while there are changes to send. The first
// change goes out at once. The changes that come while it is broadcast, or within the
// interval after it, go out together: 20 ms, or 100 µs for each member of the topic if
// that is more. With 5,000 members that makes two diffs a second, and 10,000 deliveries.
//
// Every entry's join and leave are sent, in different diffs, except in a crowded topic:
// one whose members make the interval longer, or that changes so fast that 16 diffs wait.
// There, an entry that comes and goes between two diffs is not sent, as nobody has seen
// it. If the list was read in between, somebody may have; then the leave is sent, and
// clients that did not see the entry ignore that, since they do not have the ref. An
// entry that stays is never left out, and an entry that was broadcast always leaves by a
// diff.
//
// # The end of an owner
//
//	Leave    the owner has ended: all of its entries leave, or linger for a grace
//	Hold     the owner has crashed and will be restarted: its entries are held
//	Keep     a process that tracks for the owner will be restarted: its entries are kept
//	Track    of a key that is held: an update; of one that is kept: nothing, if the meta
//	         is the same, else an update
//	Settle   the restart is over: the entries that are still held leave
//
// A member of a topic that has one handler for all is an owner of its own: the handler
// tracks for it, and when the handler is restarted, or moves to another version, the
// member is still there. The handler itself is another owner.
//
// An owner may also lose the right to a topic: Suspend sets its entries there aside, as if
// they had left, and Resume tracks them again. They end with their owner, like all others.
//
// Nothing here finds out that an owner has ended. The host starts and ends owners, and
// calls Leave when one ends for whatever reason; guests could not be trusted to.
//
// # The set
//
// Each entry has a [Tag]: the replica that added it, and the number of that change among
// the replica's changes. A state has the entries that it holds, and the set of tags that
// it has seen. The tags make merging possible. If one state holds an entry and another
// does not, then either the other has not seen its tag, and the entry is new; or it has
// seen it, and the entry was removed:
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
// The entries of a replica that is down are kept but not reported: if it comes back they
// join with their old refs, as if they had never left.
//
// # Several nodes
//
// A tracker that is to have peers is given its name first, by [Tracker.Connect]. Then it collects its own changes, which [Tracker.TakeChanges] gives away
// as bytes, for all other nodes, and [Tracker.Snapshot] has all entries for one that has come or has missed something. [Tracker.Merge] takes both over there. Every
// node answers for its own entries, and for nobody else's: whoever brings the bytes has a way from each node to each.
//
//	a node comes, or its link is reset    Snapshot of the others to it, and its own to them
//	its snapshot has been merged          Up: its entries join
//	nothing is heard of it                Down: they leave, and are kept
//	it is back                            its snapshot, then Up: what has not changed joins with its old refs
//	nothing was heard for long            Gone: they are forgotten
//	it has started again                  the first piece of its new life ends the old one
//
// A reset link alone changes nothing that clients see. Whoever calls Up before the snapshot is merged shows what the node had before, and takes back what it has not
// any more.
//
// Entries of other nodes have no owner here. They are in lists, counts and diffs as all others are, and a key has the metas of all nodes. Hold, Keep and
// the grace are matters of the node whose owner it is; an entry that lingers leaves as soon as its key comes to another node, so that who reconnects there is
// present once. The bounds of a topic count all entries, but refuse only those that are tracked here: two nodes may let one in at the same
// time, and what one of them has let in is shown by both. What another node may put into memory here is bounded by [Options].PeerEntries. What it may not,
// or what clients could not read, is left out, counted in [Stats].Declined, and said by the error of Merge.
//
// The picture of a piece is in wire.go. It is at most 256 KiB, and its first byte is a version.
//
// # Cost
//
// Measured with the benchmarks of this package on two busy cores, with 50,000
// entries in one topic: a change takes 2 to 15 µs with its part of a diff,
// whatever the number of entries and whether they have many keys or one. A list of
// all is 5.5 MB. It takes 7 to 13 ms after one change, most of it for the copy, and 11 to 26
// ms after a thousand. One reader makes it for all who wait: of 200 clients that join and
// read at the same time each takes 0.1 ms. A count takes 40 ns. A diff is encoded in 0.2 µs
// and 0.1 µs for each entry. A thousand changes with ten lists take 80 to 140 ms. An entry
// takes 590 bytes with its owner and the 90 bytes of its meta. A list is kept until the
// topic has changed and is quiet again. With the text of its pages it takes twice the size
// of the metas.
//
// With 50,000 entries over three nodes, told 50 times a second (BenchmarkReplicas): 1,000 changes in a second are 53 to 58 KB on each link, and take
// all three nodes together 9 ms in one topic, 55 ms in 1,000 topics, with all diffs encoded on each. An entry of another node takes 430 bytes in a crowded topic, 505 in one
// of five, with its key and meta (BenchmarkReplicaMemory). A snapshot of 50,000 is 5 MB in 20 pieces, takes 60 to 140 ms to make and 140 to 160 ms to merge.
//
// # Questions
//
// Why a CRDT on one node? Clients see three parts of it: the refs, the rule that only the
// owner removes, and entries that never change. These have to be right on the first day
// anyway. A tracker alone pays a tag and a map entry for them. One with peers feeds its
// rosters with the diffs of Merge besides its own changes.
//
// Why a CRDT, if links are ordered and lose nothing? They are reset. A snapshot is made and sent in pieces, while changes go on. Those that come before it,
// between its pieces or twice do no harm, nothing has to stand still, and no piece has to be kept.
//
// Why does a snapshot say what has gone? A piece is a run of clocks, and those entries of it that are there: what is missing in the run has gone. So a node
// that has kept what another had before learns what has left meanwhile, without a list of it.
//
// Why are changes not sent as they are made? They are noted as entries, not as events: one that comes and goes before anybody takes them costs nothing, and what
// nobody takes does not pile up. Whoever takes them decides how often.
//
// What is the cloud? A state has seen a replica's clocks 1 to n, which is one number, and
// perhaps some further ones, because a delta in between is late. These are the cloud. When
// the gap closes they are compacted into the number, so that removed entries take no
// memory. For that reason clocks leave no number out.
//
// Why does a removal have a tag of its own, if the tag of the entry names it? So that no
// change can be missed unnoticed: a piece says behind which clock it goes on, even if
// somebody only left, and [Stats].Early is not zero while something before it is missing.
//
// Why is an incarnation part of the name of a replica? A node that starts again
// begins with clock 1. Without it, its new entries would be taken for those that
// were seen and removed long ago. And when the new life is heard of, the entries
// of the old one can go at once.
//
// Why is the state not shared by all topics? Each shard has a state with clocks and deltas
// of its own, so that topics do not wait for each other. The hash of topics is the same on
// all nodes for that reason. It is known, so that topics can be chosen to fall into one
// shard. An attacker gains nothing but to wait for locks that are held for microseconds.
//
// Why are diffs sent by a goroutine, and not by the process that makes the change? That
// process has its turn in a scheduler, and a broadcast to a crowd takes milliseconds. The
// first one would go on broadcasting the changes of others. Phoenix's diffs are
// asynchronous as well.
//
// Why one goroutine for each topic? A queue for each shard would need only 32, but a
// crowded topic would make all others in its shard wait, and no goroutine could sleep
// through an interval. Most topics are quiet most of the time.
//
// Why does the interval grow with the members? A diff costs a delivery to each, and the
// number of changes grows with the members as well: with a fixed interval, twice the
// members are four times the work. Nobody notices half a second in a crowd of thousands.
// Phoenix's trackers tell each other every 1.5 s, the limit here.
//
// Why are lists made of pages? In a topic where many come, each comer is a change and
// gets a list that has it, so that no list serves two. With the texts of 64 people
// each kept, the next list is some copies, and not a walk over all entries.
//
// Why are entries held, rather than dropped and tracked again? The client of a handler that
// crashes and is restarted does not notice. The other clients should not, either: no leave,
// no "left the room" in the chat.
//
// What is the grace for? A client that reloads its page or changes networks has a
// new connection, and a new owner, some seconds later. With a grace its entry waits
// for that long, listed like any other. If an owner comes with the same key it
// takes the entry over, which the others see as an update. A key that has another
// entry does not flicker anyway: there the end is a leave at once. Untrack and Settle are
// on purpose and know no grace. The price is that clients who are really gone stay a little
// longer. For that reason the grace is off by default.
//
// Why are keys listed in the order in which they came? Any fixed order would do. This one
// needs no sorting, and clients that apply the diffs get the same.
//
// Why is a meta kept as text? It is sent far more often than it is tracked, and decoding
// would change large numbers, order and duplicates. Only members with the names of refs are
// taken out, since a meta may come from a list.
//
// Why do nodes not pass on what others said? With a link between each two, every node hears it from the one that knows. So no node can speak for another.
//
// Why is an entry that may not be shown taken for one that has gone? Its clock has to be seen, or all later ones would wait for it.
package presence
