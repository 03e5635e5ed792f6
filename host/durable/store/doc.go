// Package store keeps durable actors on the bus: each commit in a log, and each state at rest in a leaf with others.
//
//	Commit ──► checked against ──► queue ──► committer ──► log of the node      one synced record for all
//	           what is known                     │         record.go            who wait, one at a time
//	           commit.go                         │ committer.go
//	                                             ▼
//	   Load ◄──────────────────────────── actors in memory: changed, with posts, or in use lately      actors.go
//	     ▲                                       │
//	     │                                       │ every 5 s, or by bytes: batches of leaves, all or nothing,
//	     │                                       ▼ then the log is purged                              checkpoint.go
//	     └─────────────────────────────── leaves in a store of the bus                                 leaf.go, tree.go
//
//	recover.go   a start: takes the log over, reads all leaves, then the log       damage.go   who is refused, and repairs
//	past.go      histories of topics: broadcasts in commits, alone or with a state      chunk.go, pastrest.go   in chunks, at rest
//	alarms.go    State.Due        sweep.go   topics that expire        people.go, backup.go   lists, imports, backups
//
//	k := store.Open(b, store.Options{Posted: wake, Due: wake})     // returns at once
//	err := k.Up(ctx)                                               // waits
//	err = k.Commit(ctx, &durable.Commit{Actor: a, Last: s.Revision, State: next})
//
// # What is stored
//
//	log    durable-NODE              records: groups of commits, and a fence of each start
//	store  durable
//	       format                    {"format":1,"seed":"…"}
//	       leaf.PLUGIN.KIND.NUMBER   some ten actors: states, and posts that wait for them
//	       through.NODE              the last record of the log that is in the leaves
//	       refused.MARK              an actor that damage concerns
//	       past.HASH.EPOCH.NAME      a chunk of a topic's history: some 8 KiB of broadcasts
//	       anew                      after a restore: histories get other epochs
//
// A log is read over what the leaves have, whatever part of it they have already: each commit says what is so afterwards, so the last
// one counts. Records that were to be removed, up to through, are left alone: a power cut may bring them back, and damage to the last of them
// would bring back what was before it. Bytes of each format are held by goldens in testdata.
//
// # What may go wrong, and what then
//
//	a revision is not the last one      ErrConflict, for that commit alone: it is in no group
//	the outcome of a group is unknown   the same append is asked for again until it is known. Err says so; commits in the
//	                                    queue and new ones fail at once with ErrUnavailable; the actors of the group wait
//	ctx ends                            ErrUnavailable; of a commit in the queue nothing is stored, of one in a group who knows
//	somebody else writes the log        the keeper fails for good: another one has taken over
//	the bus is down                     ErrUnavailable, and on by itself when it is back
//	no room (bus, plugin, queue)        ErrFull. The last 16th of the bus is for what does not grow, and half of it for removing, and for
//	                                    checkpoints, which need room to make some
//	checkpoints fail                    commits go on, in the log, until 64 MiB have changed; then they wait
//	bytes of an entry are damaged       ErrDamaged for it, whatever the log has of it since, and for new names in the same leaf; Remove makes
//	                                    an end of that, and Accept if there is something since
//	bytes of a leaf are damaged         the same for all in it
//	bytes of a record are damaged       ErrDamaged for the actors of the commits that are hit, and for those that they had posts for; Accept
//	                                    has one go on from before, Remove begins it anew. The others of the record are read
//	nobody knows whom damage concerns   ErrUnavailable for all until Repair: a log that was cut, lengths of a record, a store that is gone,
//	                                    a whole bus that is gone though Options.Begins knows of one
//	a chunk, or a broadcast in a record its topic has another epoch, and what can be read; nobody else notices
//	nobody knows whose broadcasts       all topics have other epochs
//	a later format                      nothing is done, and nothing touched
//
// # Questions
//
// Why does damage that nobody can place stop all? An event that was acknowledged must not be forgotten without a word, and anybody's may be among
// what is lost. Who operates the server can put a backup back, or decide to do without; then all goes on, without a restart. It is rare: a
// record has marks of whom it concerns, with a checksum of their own, and package bus keeps the damaged bytes of a record apart from whole ones.
//
// Why is an actor refused that has whole commits behind the damaged one? Its state is right, but messages may be missing, or come twice.
//
// Why one log? Every record is synced by itself, so what counts is how many commits share one: 100 committers are 50 to a record, 1,000
// are 500. Several logs are several syncs, and slower.
//
// Why are many actors in one leaf? A key of the bus costs 0.4 to 0.8 KB of memory, and a state at rest must not. A leaf of at most 4 KiB has some ten
// states of 250 bytes. It is read and written as a whole: one more write of 2 to 4 KB for each actor that has changed since the
// last checkpoint, however often. The log, and not the leaf, is in the way of a commit.
//
// Why do leaves split by bits of a hash? So that the place of an actor needs no index: only leaves are in memory, 5 bytes for each actor. Large
// states come to be alone in theirs. The lower half keeps the key, so a split is one batch, and leaves no marks behind. A random
// seed in the hash keeps who can choose names from filling one leaf. Leaves are never merged: an empty one is a small key, and is
// filled again.
//
// Why does a start read all leaves? It finds out where they are, who wants to be woken, which posts wait, what a plugin has, and
// which versions are in use. All that could be stored again beside the states, and be wrong. Reading 1,000,000 topics takes
// seconds, and 100,000 a fraction of one.
//
// Why is each commit checked in memory? So that who fails, fails alone. What was not in use lately is read from its leaf first, once.
//
// Why does a record without commits begin each start? The append of whoever had the log before fails from then on, so that it cannot acknowledge what
// this keeper has not read.
//
// Why are posts stored with who is to get them? Then a state and what it has consumed are one entry, and who is removed takes its posts along. They are all
// in memory, so a queue has at most 512 KiB.
//
// Why is a backup not of one moment of the store? It need not: entries are read one after the other, then the log from before the first of them. A
// start makes one moment of both, which is when the log was read.
//
// Why do broadcasts get their offsets from the committer? Only it knows what is stored, and in which order. One that was refused must leave no hole, and
// two that are stored at a time no choice. Whoever has the topic's members sends them in that order, see package channels.
//
// Why are histories not in leaves? A leaf is written as a whole for each change of one in it, and a history grows at its end all the time: only its last
// chunk is written anew. A topic costs a key, which a topic with messages in memory outweighs. Hence histories that nobody needs are forgotten.
//
// Why does a checkpoint read and clear histories one after the other? It is simpler, and nobody waits for it: commits go on in the log meanwhile, up to its
// bound. Of 10,000 topics that have all grown since the last one, it takes as long as 10,000 reads of the bus, one at a time; the writes are batches.
//
// Why does a purge write chunks anew under other names? So that the old ones can be erased on the disk, and one of the two is there at any time.
//
// Why does a restore change all epochs? Positions are promises: nobody may ever see two messages at one. What came after the backup was seen.
//
// Why does it need package channels/history? An epoch has one form, be it in memory or stored, and is drawn at one place.
//
// Why do processes not expire, nor topics with a Due or posts? Somebody will wake those.
//
// What was measured? On two cores that others used too, synced, states of 250 bytes, beside bare appends of as many bytes (p50 0.6 ms, p99 8 ms): one
// committer has 2,000 commits/s (p50 0.45 ms, p99 1.8 ms), 100 have 31,000 to 35,000 (1.5 to 1.9 and 12 to 16 ms), 1,000 have 80,000 to 107,000 (8 and
// 35 to 94 ms). Without checkpoints p99 is the same for 100, and 29 ms for 1,000. A commit waits for the sync under way and for its own, so its
// p99 is that of the disk. A load has a p50 of 41 µs. 100,000 topics are open in 0.7 s, and with all of them in the log in 1.5 s. 1,000,000 topics
// take 351 B of memory each, with what is left from storing them, and 377 B of disk. Where each commit is of another topic, leaves set the pace:
// 5,000 to 12,000 commits/s.
//
// How is it known that nothing is lost? A child process counts, and is killed, or its file system is a copy from before: checker_test.go.
// The checker is shown to fail for one that acknowledges too early, and for a bus that does not sync. The same is done with a whole server and its
// clients: TestWhatWasAcknowledgedIsThere and TestPowerCuts of cmd/rtd, RTD_TEST_KILLS and RTD_TEST_POWER_CUTS times.
package store
