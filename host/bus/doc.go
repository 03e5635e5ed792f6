// Package bus is what remembers, and what nodes talk by: logs, stores of keys and values, and messages. It is the one package
// that knows NATS, embedded or somewhere else; the others see records, entries and messages.
//
//	       Bus                          Mesh                    kinds of errors: errors.go
//	Log        Store                   Inbox                    whether it works: health.go
//	log.go     store.go               inbox.go                  names: names.go    counts: status.go, meshstatus.go
//	   └── stream.go ──┘                 │
//	       request.go                    │
//	           │                         │                      a connection: line.go
//	          conn                      conn                    keeper.go, mesh.go: connect, check, start anew
//	in process │ TCP          in process │ TCP
//	   ┌───────┴──────┐           ┌──────┴───────┐
//	engine.go   an existing     hub.go     an existing NATS
//	a server    NATS, 2.12      a server ══ routes to those of other nodes: meshtls.go
//	that listens  or later      for nodes    one node of each name: meshname.go
//	nowhere
//	   │
//	folder.go, damage.go,     DIR/format.json    what this is, of which version
//	seal.go                   DIR/lock           one process at a time
//	                          DIR/alone/         what the server stores
//	                          DIR/damaged/NAME   a log or store that must not be used, and NAME.lost/: records that are damaged
//
// A [Log] is for who must know that something is stored before going on: one writer appends at the end that it knows, and
// whoever takes over from it makes its next append fail. A [Store] has the latest value of each key.
//
// A [Mesh] is apart from that: it stores nothing and needs no majority, so messages go on while storage does not. An [Inbox] has what any node
// publishes while it is there, and is told when it misses some in its own node.
//
//	b, err := bus.Open(bus.Options{Dir: dir})    // returns at once
//	err = b.Up(ctx)                              // waits
//	log, err := b.Log(ctx, "node-1")
//	_, last, err := log.Bounds(ctx)
//	last, err = log.Append(ctx, last, record)    // it is on the disk
//
//	m, err := bus.OpenMesh(bus.MeshOptions{Cluster: "chat", Node: "a", Listen: "10.0.0.1:4400", Seeds: seeds, Secret: secret})
//	err = m.Up(ctx)
//	i := m.Inbox(1000)
//	err = i.Subscribe(ctx, "to.a")
//	err = m.Publish("to.b", data)
//	message, err := i.Next(ctx)
//
// # Promises
//
//	write returns        what is so
//	nil                  it is stored and synced (with SyncEvery 0); kill -9 and a power cut leave it
//	ErrUnknown           it is stored once, or not: the same call again tells
//	any other            it is not stored, and will not be
//	WriteAll             all or none, for readers too
//	Publish              at most once to each inbox, those of a publisher to a subject in order. An inbox whose queue was full, or whose
//	                     node lost its own server, gets ErrLost. Nobody is told what a route lost that broke, or of a node that does
//	                     not read: number your messages
//
// # What may go wrong, and what then
//
//	folder read-only, or no folder    ErrDown with the cause; tried again, at least every 5 s
//	disk full                         the write under way is ErrUnknown, then ErrDown; the server is started
//	                                  anew as soon as 256 KiB can be written
//	max_bytes reached                 Room is 0; a 16th later ErrFull. Reading, purging and deleting go on
//	folder of a later format          ErrDown, ErrUnfit; nothing in it is touched
//	folder of another process         the same, until that one ends
//	folder removed, or put back       within a second ErrDown with the cause, writes under way ErrUnknown; when it is
//	                                  there again the server is started anew
//	damaged record                    it is missing, and in Lost, with the bytes that are left; those behind it are there
//	cut file, damaged description     the log or store is ErrDamaged, until Accept; the others go on
//	server away                       ErrDown within milliseconds, or after 10 s if it just hangs; back by itself
//	server not fit                    ErrDown, ErrUnfit: max_payload, version, JetStream
//	log or store not fit              ErrUnfit: in memory, persist_mode async, messages that go by themselves
//
// And of a mesh:
//
//	address of Listen taken           ErrDown with the cause, tried again
//	seeds not there                   the node works alone, and tries each once a second for ever
//	node ended or killed              its routes are gone at once, with what was under way
//	node hangs                        its routes are gone after 1.5 s; up to 48 MiB wait for it, what is more is dropped; nobody waits
//	route cut                         the side that made it tries again, each second: seeds for ever, others for about an hour
//	other secret, certificates,       refused by both, one line in the log in ten minutes; the others do not notice
//	or name of the cluster
//	name of another node              ErrTaken, and nothing is sent or received until that one is gone; who has worked for longer stays
//	client of NATS at Listen          refused: no certificate. There is no port for clients at all
//
// Each is one line in the log when it begins and one when it ends. Operations without a deadline take 5 s at the most.
//
// # Figures
//
// A process without a cluster has no mesh, and pays nothing. With one, on 2 cores over loopback (BenchmarkMesh…; all nodes in one process):
//
//	resident memory                       4.2 MB for the first of a process, most of it code that is used now; 0.4 to 1 MB with two routes
//	start                                 3 ms; 9 ms the first time; 55 to 70 ms with a seed that answers, of which 50 are for who has the name
//	there and back, 256 bytes             60 to 70 µs; 64 to 72 with a secret; 100 by an existing NATS
//	to two nodes, each, of all three      7 to 8 µs; 9 with a secret; 2.6 by an existing NATS: 130,000, 110,000 and 380,000 a second
//	subject of an inbox                   0.9 KB, no goroutine
//
// # Questions
//
// Why NATS? It is one engine for logs, keys and values, messages and clusters, for one node and many, embedded or not. pebble, bbolt
// and SQLite are not faster when commits come in groups, and replicate nothing. It costs 16 MB of binary, and 0.4 MB of memory where
// nothing needs it. nkeys, of the same authors, signs for who logs in by a seed.
//
// Why is it one connection for both kinds? Embedded, it ends at a server in the process; all else is the same code, and one
// suite of exercises holds both to the same behaviour. The same connection stays while the embedded server is started anew.
//
// Why does Open not fail if the disk is full? It may be so at any later moment as well. There is one way to learn of that, [Bus.Err],
// and one way back.
//
// How does an append after ErrUnknown know its record again? It fails with a conflict then, and reads the record at its
// place: that has the mark of this Bus, and the same bytes, or it is somebody else's. A sequence is never asked for
// and taken as the new end: another node may have taken over.
//
// Why is a failed write of the embedded server a reason to start it anew? Its file store does not answer writes any more after the first
// that failed, and does not say so. It reports an error on its log, at which the keeper tries the folder; and a write that is not
// answered is one, too.
//
// Why does this package look at the server's files? A server that finds a damaged record cuts the file there, drops all behind it,
// synced or not, and starts without a word: acknowledged records vanish. So all records are looked at before it starts, by its own hash, which is what
// highwayhash is for; 1 GB takes a second. A damaged one is kept apart, and sealed as one that was erased, which the server passes over. What cannot be sealed
// it cuts, and that shows: the sizes before and after a start are compared. After a
// proper end nothing may be cut. After a kill or a power cut a log may lose the one record that was being written, which nobody
// was told of. Of a store an unfinished batch may be lost; more than that cannot be told apart, and is not. Nor can a file that somebody cuts after such an
// end: that is how an unfinished write looks.
// Files that go bad under a running server show when a sequence is smaller than one that was there before.
//
// Why do logs and stores have no copies on several nodes? They will, with the first code that runs on several. Reads go to the leader
// already if somebody has given a stream copies: a follower may be behind.
//
// Why is there no watching of keys? Watchers of NATS stand still for 17 s when the node of their consumer dies. Polling, or a message,
// says the same.
//
// Why does a mesh have a server of its own? That of the bus listens nowhere, and one of a cluster changes how streams are stored. Two of them cost
// little, see below, and a mesh is there only in a cluster.
//
// Why do nodes say their names to each other, when NATS refuses a second server of one name? It does so between two that have a route, and lets a third
// have one to both; who may stay is a matter of who dialed; and clients of an existing NATS have no such rule. So servers have names of their own, and
// nodes settle it: before a node says anything else, it asks whether someone has its name.
//
// Why are certificates made from a secret? One line of config, and what one line gives is mutual TLS 1.3: no password goes over the network, and nobody reads along. The key
// of the authority is Ed25519 from HKDF-SHA256 of the secret, with the cluster's name as salt. Clocks have no say, as those of nodes may be wrong.
//
// Why no port for clients? A server with DontListen has no routes either. One whose listener for clients fails has routes: so it is given a port that is none.
//
// Why is what is deleted really gone, without a mark? A key has one message. To remove the message of a sequence is to remove the
// key if it still has that revision, and marks would pile up.
//
// What else of NATS is a trap? max_payload is 1 MB by default. persist_mode async switches sync_always off, without a
// word. The default discards the oldest messages when a stream is full: streams here refuse the newest. Subjects beyond 4 KiB break the
// connection: keys are shorter, and [Token] hashes what is long. A folder of a server alone is deleted by one in a cluster, so its
// name is "alone". A write that is queued while there is no connection is stored who knows when: nothing is queued. Handlers of a
// signal, and an end of the process, are not for libraries: NoSigs, and a logger whose Fatalf is an error.
package bus
