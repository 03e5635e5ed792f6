// Package channels is the Phoenix Channels protocol above the transport:
// clients join topics, push messages to the handlers behind them, and get
// replies, pushes and broadcasts.
//
// An [Endpoint] is what all clients of a server share. Each connection has a
// [Socket], which reads frames with a [Codec] and keeps what the client has
// joined. Each join that a socket has is a [Channel]: an actor with a mailbox,
// under the supervisor of the [Plugin] that the [Router] names for the topic.
// If the plugin wants it so, all joins of a topic have one [SharedChannel]
// instead. Behind either, its handler, is a [Guest] of the plugin's current
// [Version]: the code that decides on joins and handles messages. What a guest
// says to all members of a topic goes through the [Hub] to every member's
// [Outbox], and to processes that listen.
//
//	           Receive(frame)                        Send(frame)
//	                │                                     ▲
//	┌ Socket ───────▼───────────────────┐            ┌────┴───┐
//	│ Codec.Decode ──► dispatch ────────┼─ answers ─►│ Outbox │◄────────┐
//	└───────────┬──────────┬────────────┘            └────▲───┘         │
//	            │ join     │ message, leave               │             │
//	            ▼          ▼                              │             │
//	         Router     mailbox                     replies, pushes     │
//	            │          │ one at a time                │             │
//	┌ handler ──▼──────────▼────────────┐                 │          ┌──┴──┐
//	│ Guest.Handle(event) ──► effects ──┼─────────────────┴─────────►│ Hub │
//	└───────────────▲───────────────────┘            broadcasts      └─────┘
//	                │ starts, restarts, stops
//	        supervisor.Dynamic of the Plugin
//
// The package knows neither WebSockets nor WebAssembly: an [Outbox] may end in
// anything, and a [Guest] is anything that turns events into effects.
//
// # A frame on its way
//
// The transport calls [Socket.Receive], which checks the frame, cuts it into its
// five fields, and dispatches it under the socket's lock: a switch with one case for
// each kind of message. Whatever the host can answer by itself is answered
// there: a heartbeat, a topic that is not joined, too many joins. A join starts
// a Channel under its plugin's supervisor, or goes to the SharedChannel of its
// topic. Any other message goes into the mailbox of the topic's handler, and the
// reader goes on to the next frame. While a topic changes hands (a join is being
// decided, a membership is ending) its frames are held in the socket and
// dispatched again, in order, when that is over.
//
// The handler's process takes one message at a time and gives it to the guest
// as an event. What the guest asks for is collected and applied when the call
// has succeeded, in order: a reply and a push are encoded and put into the
// client's outbox, a broadcast into those of all members. A guest that fails
// half-way has said nothing.
//
// What carries the five fields is the client's choice: [V1] is a JSON object,
// [V2] a JSON array or, beside a binary payload, a binary frame. [CodecFor] knows
// which one a client means. Text and binary messages of a topic mix and keep
// their order; what was asked in one may be answered in the other.
//
// A handler is a process among others. What these send to it is none of this
// package's business: [Guest].Message makes an event of it. Neither are the
// effects that concern them, which [Guest].Apply carries out, in their place
// among the others.
//
// # The life of a channel
//
//	phx_join ──► first life: join ──refused, crashed──► error reply; gone
//	                  │
//	                  ok: subscribed, replied
//	                  ▼
//	      ┌──► messages ──leave, dup join, plugin ends,
//	      │           │    the guest stops in order─────► phx_close; gone
//	      │           │  ──socket closed────────────────► gone
//	      │           crash
//	      │           ▼
//	      │   restart type, intensity ──no──────────────► phx_error; gone
//	      │           yes
//	      │           ▼
//	      └─ok── next life: join, replayed ──refused, crashed──► phx_error; gone
//
// Each life is a process of its own with a guest of its own. Between two lives
// the mailbox goes on filling, and the subscription stays, so that the client
// misses nothing. It gets the error reply "crashed" to the message that
// crashed, if that had a ref; what waited behind it is served by the next life.
// With restart type temporary all is as in Phoenix: the message gets no reply,
// what waits is lost, a leave included, and phx_error tells the client.
// The guest of a replayed join is told so by [rtd/sandbox/abi.Replay]; its
// answer is not sent.
//
// [Channel.Renew] moves a channel to another version of its plugin without a
// crash, between two messages, and within one life: process, subscription, mailbox,
// presence, timers and monitors stay.
//
//	both versions export?  ──yes──► export to the old guest ──► import to the new one ──ok──► it goes on
//	     no                           no state, or it trapped        refused, or it trapped
//	     ▼                                       ▼                              │
//	a guest of the new version ◄──────────── or it stays ◄──────────────────────┘
//	replays the join ──refused, crashed──► phx_error; gone
//
// What the old guest holds outside of its memory is lent to the new one for import, and
// becomes its own if it accepts ([Guest].Adopt); a guest that begins with a replay has
// nothing but the subscription and, if it says so again, its presence. Which version a
// handler is to be of, the plugin says ([Plugin].Next): most often the current one, but
// some handlers may try another first.
//
// If a process is restarted on which the channels depend, a sibling in the
// plugin's tree, their supervisor starts them anew after it: a life ends, the
// next replays the join, and no client notices. Joins wait meanwhile.
//
// A guest that has asked for it is told of the end of its process by terminate:
// unless that is a crash, it may say its last then.
//
//	terminate                 when
//	normal                    the guest stopped so; a shared handler has nobody left
//	shutdown, left            the client has left
//	shutdown, closed          its connection has ended
//	shutdown, duplicate_join  another join replaces this one
//	shutdown, …               the guest stopped so; its plugin ends; it is restarted with
//	                          its siblings
//
// An end that somebody asked for is followed by no further life, whatever the
// restart type. A leave is served behind the messages that came before it; a
// duplicate join and the end of the socket or plugin wait only for the message
// at hand, and what waits behind that is dropped. A guest that does not return
// in the supervisor's time is cut off: what it does afterwards has no effect.
// A guest that ends its process for another reason than normal and shutdown has
// crashed, but for its effects, which are applied.
//
// # One handler for a topic
//
// A SharedChannel is the same with many members. It begins with the first join
// and ends when nobody is left, unless [Version].Stays. Its guest gets join,
// message and leave with a number that names the member for as long as the
// handler exists. It pushes to any member by that number; without one, to the
// member at hand. Of the clients' assigns, join has those of the one who joins;
// members has a list of all, unless nobody has any.
//
//	       first life
//	            ▼
//	┌──► joins, messages ──refused─────────────────► error reply for that one
//	│           │         ──leave, …───────────────► phx_close for that one
//	│           │         ──nobody is left─────────► gone
//	│           crash
//	│           ▼
//	│    restart type, intensity ──no──────────────► phx_error for all; gone
//	│           yes
//	│           ▼
//	└─ok── next life: members ──crashed────────────► phx_error for all; gone
//
// After a crash, or with a new version of the plugin, the event members comes in
// place of the joins, which are not decided again. Only the message at hand is
// answered "crashed", or the join at hand "join crashed". A crash in a join that
// nobody stands beside or behind is the end of the handler, without a restart.
//
// If a new version declares another scope for a topic, its handlers crash for
// good: the clients join again, and find a handler of the other kind.
//
// # Replies in later events
//
// A message that wants a reply comes with a token, a text that guests keep or
// hand around as they like. A reply with that token, in any later event of the
// same handler, answers the message; in a shared handler it also finds the
// member. Nothing is kept on this side, so that a message may stay unanswered. A
// token is good for as long as the client has the channel: through restarts, but
// not after a leave, or another join in its place.
//
// # Broadcasts that go elsewhere
//
// Broadcasts go from outbox to outbox and enter no guest, with two exceptions.
//
// A guest that says in join that it intercepts an event gets the topic's
// broadcasts of it as out, in place of its client: its own ones too, unless they
// leave it out. They wait in its mailbox among the client's messages; if
// that is full, they are dropped and counted. A shared handler gets each once,
// for all members, with the name of the one whom a broadcast_from left out, if
// it was its own. Every life declares anew what it intercepts, in its first
// event: join, or members of a shared handler, whose further joins add to it.
//
//	broadcast ──► Hub ──► Outbox of a member
//	               │ └──► mailbox of its handler ── out ──► Guest ── push ──► Outbox
//	               └────► whoever listens
//
// [Endpoint.Listen] gets the broadcasts of a topic without being a member of it,
// and [Endpoint.Publish] broadcasts to a topic from anywhere.
//
// # What the host answers by itself
//
//	event      payload                                 when
//	phx_reply  ok, {}                                  heartbeat; leave, joined or not
//	phx_reply  error, unmatched topic                  no plugin serves the topic of a join, or
//	                                                   not for this socket;
//	                                                   a message to a topic not joined
//	phx_reply  error, too many channels joined         Limits.Joins
//	phx_reply  error, unavailable                      the plugin has ended or given up, or too
//	                                                   many joins wait for it
//	phx_reply  error, join crashed                     the guest crashed in the first join; a
//	                                                   shared handler in this one, or for good
//	phx_reply  error, crashed                          it crashed in this message and is
//	                                                   restarted, or was interrupted for a restart;
//	                                                   or a shared handler's reply is binary, and
//	                                                   this client cannot be sent it
//	phx_reply  error, too_large                        it has no room for this payload
//	phx_reply  error, overloaded                       too many messages for this handler wait, or
//	                                                   too many bytes of this socket; or its plugin
//	                                                   gets too many per second, [Version].Rate
//	phx_error  channel_crash                           a handler crashed and is not restarted, or
//	                                                   its plugin has given up
//	phx_close  {}                                      a membership ended in order
//	nothing                                            a message with an old join_ref
//	[ErrDecode]                                        a malformed frame; the connection ends
//	[ErrRate]                                          Limits.Rate; the connection ends
//
// Errors stand in the response as {"reason":"…"}. The reasons unavailable,
// crashed, too_large and overloaded are rtd's own, the rest is Phoenix's.
// "overloaded" and "too_large" tell that the message had no effect. After
// "crashed" it may have had some, by operations that happen at once, but none
// of its effects, unless the guest itself ended with a crash.
//
// # What may overtake what
//
// Kept in order: what one client pushes to one topic, as the guest sees it, and
// the replies and pushes of one handler to one client; the broadcasts of one
// handler, at every member; all frames of one call of a guest, at each client.
// A join's reply comes before anything else of that join, and phx_close or
// phx_error after it: one of them for each join that was accepted. A duplicate
// join's reply comes before the phx_close of the channel that it replaces.
//
// Not in order: different topics among each other; broadcasts of different
// handlers, which two members may see in different order, and which may come
// before a reply that was under way; and answers that the host gives by itself:
// a heartbeat overtakes everything, and "overloaded" the replies to earlier
// messages.
//
// # Locks
//
// A handler's lock is taken before a Socket's, that before the Endpoint's two,
// these before the locks of the hub's shards, and those before the ones of
// mailboxes and outboxes. None is held while a guest runs, but some are while its
// effects are applied and while a broadcast is heard: who is called then must
// not block. To publish, listen and disconnect takes no lock above
// the Endpoint's, so that [Guest].Apply may.
//
// # Questions
//
// Why are joins asynchronous, when Phoenix's socket waits for each? There a
// join that takes a second delays every other topic of the client and its
// heartbeats. Here the guest may have to wait for a slot, or be one that loops
// until its deadline. All that a client can see of it is that its other topics
// go on: frames for the joining topic are held, and then served as if they had
// just come.
//
// Why do a topic's frames wait behind a leave or a duplicate join, too? A topic
// has one channel at a time. If the next one began while the last still handled
// a message, their frames could mix, and a broadcast could come twice.
//
// Why does a held leave or second join not cancel the join it waits for? A
// guest cannot be interrupted half-way without losing what it said, and it has
// a deadline anyway. Join, leave, join come out as three answers in order,
// which is what a client expects.
//
// Why are the reply to a join and the subscription one step? Subscribed first,
// a client could get a broadcast before the reply that carries the state to
// which it applies. Replied first, it could miss one, and never know.
// [Hub.Subscribe] sends the reply while no broadcast of the topic can happen.
//
// Why does the longest prefix win, not the first pattern declared? Plugins come
// as files in a folder. Which one was declared first would depend on their
// names, or on the order of copying. For the same reason two plugins cannot
// share one pattern.
//
// Why are payloads checked but never decoded? To pass on is what most messages
// are for. A decode and encode would cost more than all the rest, and change
// what it touches: large integers, the order of keys, duplicates. But a frame
// is built by pasting payloads into it. One that is not valid JSON could break
// or forge the frames of clients that did nothing wrong, and one that is not
// valid UTF-8 would make their browsers close the connection. So what clients
// and guests send is held to what every decoder can read, which excludes half
// surrogate pairs and numbers beyond a double, as in Phoenix.
//
// Why does a full mailbox answer "overloaded", rather than make the reader
// wait? The reader serves all topics of the client: one slow handler would stop
// the others, and the heartbeats, until the client takes the connection for
// dead. An answer lets it decide what to do with that one message. A leave of a
// channel that serves, and a join in its place, always find room: with these a
// client ends the trouble.
//
// Why does a crashed push get a reply, when Phoenix gives none? In Phoenix
// phx_error follows, and the client drops what it had asked. Here the channel
// lives on, and without an answer the client would wait until its own timeout.
//
// Why is a leave answered even if the channel crashes before its turn? A client
// that has sent a leave and gets phx_error takes it for a reason to rejoin. It
// gets what it asked for instead: ok, phx_close. Not so with restart type
// temporary, which is Phoenix to the letter.
//
// Why are refs compared as bytes? They are opaque, and a client writes the same
// one in the same way each time. Decoding would lose big integers and gain
// nothing. Only strings are looked into, when one of them has escapes: a binary
// frame has the bare name, which is the JSON string. So 7 in binary is "7" in
// text, and not the number 7. An empty ref in binary is the empty string and not
// null, as in Phoenix: it is stale where a channel has another.
//
// Why does a duplicate join drop the answer to a message that it interrupts, when
// a restart answers "crashed"? Phoenix kills the old channel on the spot. The
// client asked for that, and drops what the channel still says.
//
// What if a client cannot be sent what a guest sends it: bytes to one of
// version 1, or beside a topic of more than 255 bytes? Phoenix crashes whoever
// encodes it, and so does a Channel that replies or pushes so, before any effect
// of the event is applied. A name that is too long for everybody is a crash in a
// broadcast, too. But who is a member of a topic is not the sender's doing: a
// broadcast leaves out the members that cannot be sent it. A shared
// handler's push to such a one does nothing, its reply becomes "crashed", and a
// join that it accepts so is answered "join crashed" and followed by a leave.
// Otherwise one old client could crash what serves everybody. Stats count what
// was left out.
//
// Why is a token made of the client's own ref? A table of messages that may be
// answered some day would need a bound, and its entries an end. So a guest may
// answer twice, or a ref that it made up: a client drops what it does not
// expect, and nothing but JSON gets into a frame.
//
// Why do intercepted broadcasts wait in a mailbox with a bound, when Phoenix's has
// none? Ten thousand handlers that cannot keep up would hold ten thousand
// queues. Whoever misses one has missed a broadcast, as after a lost connection.
//
// Why are a Channel and a SharedChannel two types? One could be the other with
// one member, but what is simple with one is not with many: whether a process
// lives is whether its member is there; a leave or a duplicate join is an end of
// the process, ahead of what waits; a replay is the same join. What they share,
// the lives, is in one place. The socket sees of either a mailbox and a way to
// end a membership.
//
// Why does a closed socket or a duplicate join wait its turn in the mailbox of a
// shared handler? It concerns one member of many, and the guest has to hear of it
// between two events. What that member has waiting is skipped on the way. So one
// client cannot get rid of a shared handler that is stuck; the guest's deadline
// does.
//
// Why may joins and leaves go past the bound of a mailbox? There is at most one
// of each for a socket and topic, and sockets have limits of their own. After a
// restart of the server, all clients of a topic come at once; to answer all but
// the first thousand "overloaded" would bring them back again and again.
//
// Why do the effects of a refused join count in a shared handler, when those of
// a Channel do not? The handler lives on and may have something to say to the
// members: that somebody knocked. Only what it pushes to the refused one is
// dropped.
//
// Why does a crash in a join restart a shared handler, for members that had no
// part in it? Its memory is in an unknown state, and is theirs. A guest that
// does not want to be restarted by bad payloads refuses them.
//
// Why is a plugin that has given up told by phx_error, although its supervisor
// ended by a shutdown? After phx_close clients stay away. They are meant to come
// back: until somebody repairs the plugin, they hear "unavailable".
package channels
