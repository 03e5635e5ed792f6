// Package rtd is the Go SDK for rtd plugins: write a channel handler, build it
// to WebAssembly, drop it into the plugins folder.
//
//	package main
//
//	import rtd "rtd/sdk/go"
//
//	func main() {} // never called
//
//	func init() {
//		rtd.Handle("room:*", func() rtd.Channel { return new(Room) })
//	}
//
//	type Room struct{ sent int } // private to one client's join
//
//	func (r *Room) Join(s *rtd.Socket, payload []byte) error { return nil }
//
//	func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
//		r.sent++
//		s.Broadcast(event, payload)
//		s.Reply("ok", nil)
//		return nil
//	}
//
// Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o room.wasm .
//
// # How it runs
//
// Every join has a process of its own with its own copy of the whole program's
// memory: fields, package variables, everything. Nothing is shared with
// other clients, so nothing needs a lock. Events arrive one at a time.
//
// The effects of a handler (Reply, Push, Broadcast …) happen when it returns
// nil, in order. If it panics, returns an error, loops past its deadline or
// outgrows its memory, none of them happens: the process crashes, and its
// supervisor starts a new one with fresh memory, for which Join runs
// again with the same payload; see [Socket.Replay].
//
// The program starts once for each version of the plugin: package variables, init
// and OnStart. Every process then begins with a copy of that memory, made in
// microseconds. Memory that OnStart has touched costs an idle process nothing, so a
// handler that uses encoding/json may well use it once there.
//
// # Clients
//
// Phoenix.Socket and Phoenix.Channel have their counterparts here:
//
//	connect/3, id/1                 OnConnect: refuse, or set the Conn's ID and Assigns
//	join/3                          Channel.Join: Reply, Refuse, Push
//	handle_in/3                     Channel.HandleIn; IsBinary
//	{:reply, …}                     Socket.Reply, with any status
//	socket_ref/1, reply/2           Socket.Ref, SocketRef.Reply: later, from any event
//	{:stop, …}                      Stop, with or without a Reply before
//	push, broadcast, broadcast_from Socket.Push, Broadcast, BroadcastFrom; with Binary, any bytes
//	intercept, handle_out/3         OutHandler
//	handle_info/2, send_after       InfoHandler, Send, SendAfter
//	terminate/2                     Terminator
//	                                AwayHandler, BackHandler: the client's connection breaks, and it comes back
//	Endpoint.broadcast              Publish: to any topic that the plugin serves or was granted
//	Endpoint.subscribe              Subscribe and BroadcastHandler
//	broadcast "disconnect" to an id Disconnect
//	Presence.track/3, list/1        Socket.Presence, Presence, PushPresence
//	DateTime, Calendar.strftime/3   Clock: the time in a zone, without a zone database in the guest
//
// A [TopicChannel] has no counterpart there: one process for all who join a topic. Its
// members are present each for itself, by [Socket.Presence]; with a [Presence] the
// process is.
//
// # Processes
//
// A plugin is an application: besides the channel handlers it can have processes of
// its own. Each is made of a module, which is registered by name from init; its
// memory is its own, and others reach it by messages.
//
//	                   OTP              what you write
//	Serve              GenServer        Init, HandleCall, HandleCast …
//	NewAgent           Agent            a state, and functions that work on it
//	NewTask            Task             one function, whose answer is awaited
//	NewEventManager    event manager    handlers, a process each
//	Tree               Supervisor       who is there from the start, and what
//	                                    happens after a crash
//	OnStart, OnStop    Application      what comes before and after
//
// The tree is a value:
//
//	rtd.Tree(
//		rtd.Worker{ID: "registry"},                             chat
//		rtd.Worker{ID: "words"},                                ├─ registry
//		rtd.Dynamic{ID: "previews", Restart: rtd.Temporary},    ├─ words
//	)                                                           ├─ previews
//	                                                            └─ channels
//
// Processes find each other by name or [PID]; [Call] and [Cast] talk to servers, [Spawn]
// starts what is not in the tree, [Link] and [Monitor] tell of ends. All of it works
// in every process, channel handlers among them, and takes effect at once: it is
// not taken back if the event crashes later, unless the process is durable and the
// message a [Cast] or a [Send]: those leave when the event is stored. Events go to the same optional methods
// everywhere, see [CallHandler].
//
// What [Durable] names is remembered: topics with one handler, and processes by name, go on after a crash or a restart of
// the server with the memory that they had. sdk/durable.md says what is promised, and what is not.
//
// Of the topics that [KeepHistory] names, the last broadcasts are kept: clients that come back are told what they missed, and
// [History] reads them. sdk/recovery.md has the rest.
//
// When a new version is deployed, each process hands its state on if it is a [Migrator];
// otherwise it begins anew. So do handlers of an [EventManager], in their place.
//
// plugins/rooms is an example of everything.
//
// # Questions
//
// Why are payloads bytes? A handler that passes a payload on need not
// parse it, and a Go guest without encoding/json is a third smaller. Decode with
// what you like. The same holds for what processes say to each other.
//
// Why are there PushBinary and its like, and no type for payloads? A []byte goes in and
// out of every encoder without a conversion. The other way of marking bytes would be
// written at each of the many calls that send JSON.
//
// When is garbage collected? By Go's own pacing, when between 2 and 4.5 MB were allocated since the last time: each
// instance draws its own limit at its 16th event, so that those that get the same events do not collect, and keep others
// waiting, in the same moment. Besides, the host has an instance collect before its state is put away.
//
// How long is a payload valid? Until the method returns. Copy the bytes that you keep.
// Answers of Call, Await and the like are yours.
//
// May a handler start goroutines? It may, and they run while a method runs.
// Between events the instance stands still, they too. For work that goes on
// meanwhile there are tasks.
//
// Why do Reply and its like return no error? They fail only when a handler
// asks for more than one event may (see rtd/sandbox/abi), which is a
// bug: the process crashes with that as its cause. A function that depends on another
// process, which can fail any time, or on the server's config, as Publish does, returns an
// error.
//
// Why are functions and processes registered by name? Nothing but bytes goes from
// one memory to another. But every process has the whole program, so a name
// is enough.
//
// Why may package variables not be used to talk to other processes? Each process has
// its own copy. One that is set in a handler is set there alone; one that is set
// before OnStart returns is the same everywhere.
//
// Why is HandleCall answered with from.Reply and not with a result? The answer may
// come in a later event, of a server that has to ask others first. One way for both.
//
// Why does every call have a timeout? A process takes no events while it waits. Five
// seconds is OTP's default, too.
//
// Why is each handler of an event manager a process, where OTP runs them in the
// manager's? A crash takes a memory along, and there is no catching a trap in
// WebAssembly. With a memory for each, the crash of one is nobody else's.
package rtd
