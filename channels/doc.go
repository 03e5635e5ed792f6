// Package channels is the Phoenix Channels protocol above the transport: clients
// join topics, push messages to the handlers behind them, and get replies, pushes
// and broadcasts.
//
// All clients of a server share an [Endpoint]. Each connection has a [Socket],
// which reads frames with a [Codec] and keeps what the client has joined. Each join
// has a [Channel]: an actor with a mailbox, under the supervisor of the [Plugin]
// that the [Router] names for the topic. If the plugin wants it so, all joins of a
// topic have one [SharedChannel] instead. Both are called handlers. Inside a handler
// a [Guest] of the plugin's current [Version] decides on joins and handles messages.
// Its broadcasts go through the [Hub] to every member's [Outbox].
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
// # Where to look
//
// Where does a frame become an event? socket.go receives it, v1.go or v2.go cuts it
// into five fields, and Socket.dispatch decides: one case for each kind of message.
// A heartbeat, or a message to a topic that is not joined, is answered on the spot.
// A join goes by router.go to a plugin and by endpoint.go to a handler, any other
// message into the handler's mailbox. The handler's process takes it from there:
// Handle in channel.go or shared.go, which makes the event (messageEvent in
// effects.go, joinEvent in member.go) and gives it to the guest. Messages of other
// processes and of timers become events by [Guest].Message.
//
// Where does an effect become bytes? In effects.go, in two steps. askGuest holds all
// effects of a call to the protocol; one that breaks it is a crash, and none of them
// counts. Then apply carries them out, in order: replies and pushes by member.go into
// the client's outbox, broadcasts by hub.go into those of all members. Effects that
// concern other processes go to [Guest].Apply.
//
// What happens after a trap? handler.go closes the guest and ends the process with
// the error. The supervisor asks Again, and tells the decision to Exited, both in
// channel.go and shared.go: a message at hand is answered "crashed", and crash.go
// reports the life to the endpoint's owner, who logs it. If there is a next life, its
// Init begins with a new guest and a replay of the join (enter in channel.go), or
// with the list of members (enter in shared.go). If there is none, member.go sends
// phx_error and socket.go forgets the topic. presence/ keeps who is present until the
// replay has settled. The picture in channel.go has all ways from one life to the next.
//
// What happens when a plugin gets a new version? renew.go moves each handler between
// two messages, by the algorithm in handover.go.
//
// What if the connection breaks? Socket.end in socket.go ends what was joined. A [Channel] whose version lingers is away
// instead, until its client is back: linger.go has the picture, lingers.go the keys and bounds.
//
// And a handler that is remembered? durable.go has a picture of how it wakes and sleeps. Its guest is a [Durable], and comes and
// goes within a life.
//
// Where does a broadcast go that does not come from a handler, or does not go to a
// client? pubsub.go publishes and listens for processes, intercept.go takes
// broadcasts to guests, presence.go makes them of presence diffs. payer.go counts the
// bytes of those that wait.
//
// And to other nodes? remote.go has what a hub tells a cluster, and what it takes from it. foreign.go has what other nodes say stored here, in topics
// with a durable history. Sockets are ended on the node that has them: [Endpoint].Disconnect is called on each.
//
// What can be asked of a handler from outside? Renew (renew.go), Inspect
// (inspect.go) and Opening (opening.go).
//
// And the rest? guest.go and plugin.go are what the packages above implement;
// message.go the protocol's words, codec.go what v1.go and v2.go have to do, json.go
// and jsoncheck.go their JSON. topics.go holds what a socket has joined, rate.go how
// fast its messages come, token.go how a message is answered later, disconnect.go the
// sockets with an id, stats.go the counters.
//
// # What the host answers by itself
//
//	event      payload                                 when
//	phx_reply  ok, {}                                  heartbeat; leave, joined or not
//	phx_reply  error, unmatched topic                  no plugin has the topic of a join, or
//	                                                   not for this socket;
//	                                                   a message to a topic not joined
//	phx_reply  error, too many channels joined         Limits.Joins
//	phx_reply  error, unavailable                      the plugin has ended or given up, has yet
//	                                                   to start, or too
//	                                                   many joins wait for it; or the handler is
//	                                                   durable, and what the message did cannot be
//	                                                   stored
//	phx_reply  error, join crashed                     the guest crashed in the first join; a
//	                                                   shared handler in this one, or for good
//	phx_reply  error, crashed                          the guest crashed in this message and is
//	                                                   restarted, or was interrupted for a restart;
//	                                                   or a shared handler's reply is binary, and
//	                                                   this client cannot be sent it
//	phx_reply  error, too_large                        the guest has no room for this payload, or
//	                                                   its state may not become so large
//	phx_reply  error, overloaded                       too many messages for this handler wait, or
//	                                                   too many bytes of this socket; or its plugin
//	                                                   gets too many per second, [Version].Rate
//	phx_reply  error, overtaken                        the join waited for more than five seconds, and
//	                                                   the client has left or joined again meanwhile
//	phx_error  channel_crash                           a handler crashed and is not restarted, or
//	                                                   its plugin has given up
//	phx_close  {}                                      a membership ended in order, or its handler was taken
//	                                                   over by another connection of the client
//	resume     {"key":K,"resumed":B}                   behind the reply to a join whose handler lingers
//	nothing                                            a message with an old join_ref
//	[ErrDecode]                                        a malformed frame; the connection ends
//	[ErrRate]                                          Limits.Rate; the connection ends
//
// Errors stand in the response as {"reason":"…"}. The reasons unavailable, crashed,
// too_large, overloaded and overtaken are rtd's own, the others are Phoenix's. After
// "overloaded" and "too_large" the message had no effect. After "crashed" it may have
// had some, by operations that happen at once, but none of its effects, unless the
// guest itself ended with a crash.
//
// # What a guest hears of its end
//
// A guest that has asked for the event terminate gets it last, unless it crashes, or is durable and so has no end:
//
//	terminate                 when
//	normal                    the guest stopped so; a shared handler has nobody left
//	shutdown, left            the client has left
//	shutdown, closed          its connection has ended
//	shutdown, draining        the same, as the server is about to stop
//	shutdown, duplicate_join  another join replaces this one
//	shutdown, overflow        its client is away, and there is no room for what waits for it
//	shutdown, …               the guest stopped so; its plugin ends; it is restarted with
//	                          its siblings
//
// A member of a shared handler who goes is told to the guest by the event leave, with
// the same details.
//
// # What may overtake what
//
// Kept in order: the messages of one client to one topic, as the guest sees them; the
// replies and pushes of one handler to one client; the broadcasts of one handler, at
// every member; all frames of one call of a guest, at each client. A join's reply
// comes before anything else of that join, and phx_close or phx_error after it: one of
// them for each join that was accepted. A duplicate join's reply comes before the
// phx_close of the channel that it replaces. Behind the reply to a join that resumes come the next key, what the handler
// pushed meanwhile, and what the client missed of the topic's history. Text and binary messages keep their order among each
// other.
//
// Not in order: different topics among each other; broadcasts of different handlers,
// which two members may see in different order, on two nodes too, and which may come before a reply that
// was under way; and answers that the host gives by itself. A heartbeat overtakes
// everything, and "overloaded" the replies to earlier messages.
//
// # Locks
//
// Locks are taken in this order: a handler's, a Socket's, the Endpoint's two, those of
// the hub's shards, those of a topic's history, that of the lingers, those of mailboxes and outboxes, and of a [Remote]. The router has a lock for its
// changes only, which comes before those of the hub's shards; its readers take none.
// No lock is held while a guest runs. Some are while its effects are applied and while
// a broadcast is heard: functions that are called then must not block. Publish, Listen
// and Disconnect take no lock above the Endpoint's, so that [Guest].Apply may call them.
package channels
