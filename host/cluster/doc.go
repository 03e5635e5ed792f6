// Package cluster makes several nodes one hub: what is said on one of them reaches members on all, and each knows which others are there.
//
//	channels.Hub ── Interest, Broadcast ──► Node ◄── Changes ── presence.Tracker
//	      ▲                                  │                        ▲
//	      │ Deliver                          ├─ interests: topic → peers with members
//	      │                                  │                        │ Merge, Down, Up, Gone
//	      └──────────────── peer ◄───────────┴───────────► peer ──────┘
//	                         │ stream.go: one each way       │
//	                         └──────────── Carrier ──────────┘          Ask ──► Answer
//	                                   (package bus: Mesh)
//
//	node.go      beats, who is there, who is not       relay.go      what the hub says goes to peers
//	peer.go      one other node, in one life           interest.go   which peers want a topic
//	stream.go    frames that are numbered              ask.go        questions and answers
//	order.go     who owns a topic with history         learn.go      how its log comes here
//	wire.go      what stands in frames and beats       status.go     what those see who operate it
//
// # Links
//
// As in Erlang's distribution, there is a link between each two nodes, and everything that they say to each other goes over it in order. It is two
// streams of frames, one each way. A frame has as many messages as were there when it was sent: nobody waits for company. The sender keeps a frame until the
// receiver has it. The carrier may lose some; then the receiver asks for them again. That the last one is missing shows by the next beat, which says how many there
// were. A stream begins with all that the other has to know: the topics with members here, and who is present here.
//
// A peer that does not keep up has 16 MiB waiting for it at the most. Beyond that the stream is given up, and another begins. What was lost, is lost, and both sides say so.
//
// # Beats
//
// Each node says twice a second, to all, that it is there, how far its streams are, and whom it hears. A node is there when both hear each other. It is away
// when it was silent for DownAfter, or did not hear this one for so long: a node that can be reached in one direction is of no use. Then nobody
// here sends to it, and its presences leave. They are forgotten after a minute. If it is back before, they come back as they were, as far as they are still true.
//
// A node that ends says so, and is away at once. One that starts anew has another life: a number that grows. What is under way from its former life is ignored.
//
// # Promises
//
//	what                                    holds
//	broadcasts of one sender in one topic   in order, each at most once, at members of every node
//	a node without members of a topic       gets nothing of it
//	members here                            get a broadcast without waiting for any other node
//	a frame that the carrier loses          comes late, and those behind it after it
//	a short cut (less than DownAfter)       all that was said meanwhile comes late, up to 16 MiB for each node
//	a longer one                            what was said meanwhile is lost to the other side: counted, and a line in the log of both; in topics
//	                                        with history members of both sides are told of a gap
//	a node ends, or starts                  histories that it orders go over to others, or come to it, without a gap
//	kill -9 of a node                       what it had said, and what had not left it, is lost; its presences leave within DownAfter
//	a cut between two, seen by a third      what the one says that does not see a topic's owner, the owner orders again, for all who see both
//	a node that stands still for a while    as a cut
//	clocks that differ                      nothing depends on them, but the order of a node's lives
//
// # What may go wrong, and what then
//
//	two nodes with one name           the mesh lets one of them in. Should both be in, both say so in the log and in `rtd nodes`, and others see them in turns
//	more than 65 nodes                a node does not take in a 65th peer, and says so
//	broadcast of more than 2 MiB      members on other nodes do not get it; a line in the log
//	malformed message                 a line in the log; the others of its frame are taken
//	frames or beats of strangers      the carrier lets nobody in without the cluster's secret
//	message of a later version        skipped
//
// # Questions
//
// Why are subjects of the carrier not topics? NATS would know the interests itself. But it tells no one that a message was lost on a route that broke: the receiver's own
// connection has not noticed anything. Numbers for each topic and sender would not show that the last one is missing, and cost memory on both sides for each topic. A link
// knows how many frames there were, tells it twice a second, and sends again. It also puts many messages into one of NATS, and keeps the order between interests, broadcasts and presences.
// A topic takes its name and about 50 bytes here; a subscription takes nearly 1 KB.
//
// Why not plain TCP between nodes? A mesh needs addresses, discovery, certificates, and reconnection; NATS has all that, and users may have one already.
//
// Why does a broadcast leave once for each node, and not once for all? So that each link has its own numbers. The bytes on the wire are the same, since routes are between each two nodes, too.
//
// Why are beats JSON? There are few, several versions of rtd have to read them, and so can people.
//
// Why is nothing agreed by vote? Topics without history, presence and membership need none: each node says what it sees. What has to be owned by one node is another matter.
package cluster
