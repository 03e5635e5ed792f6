// The C SDK for rtd plugins: write a channel handler, build it to WebAssembly, drop it
// into the plugins folder. It needs clang and lld, and no C library. README.md has an
// example and the build line; rtd/sandbox/abi is the contract behind it.
//
// # Memory
//
// An instance of the module is one process: one client's join, one topic, one server.
// Its static variables are its state, and nobody else's: nothing is shared, nothing
// needs a lock, and after a crash all of them are as after start.
//
// Everything else lives in an arena that is emptied after each event: what rtd_alloc
// returns, and every rtd_bytes that comes from this SDK. Copy what you keep; rtd_keep
// does, into an RTD_KEPT. The arena is wiped, so an idle process is no larger
// than what it has written to its static variables.
//
// # Effects and operations
//
// Functions that return void ask for effects. These happen, in order, when the event has
// been handled; after a crash none of them does. Functions that return an
// rtd_result do something at once, crash or not, where nothing else is said. An effect that
// the host refuses, such as a second reply, is a crash.
//
// A crash is a trap or rtd_crash. Its supervisor decides what follows.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- bytes

// rtd_bytes is text (UTF-8, not terminated) or any other bytes, at most 2 GiB: an address, a
// size, and whether it is binary, in one number, which makes guests small. Zero is
// empty.
//
// A payload says whether it is binary. Any other is JSON text: in replies any value, else an
// object. An empty one stands for {}.
typedef struct {
	uint64_t packed; // 32 bits address, 31 bits size, 1 bit binary
} rtd_bytes;

static inline rtd_bytes rtd_make(const void *at, uint32_t size) { return (rtd_bytes){(uint64_t)size << 32 | (uintptr_t)at}; }
static inline const char *rtd_at(rtd_bytes b) { return (const char *)(uintptr_t)(uint32_t)b.packed; }
static inline uint32_t rtd_size(rtd_bytes b) { return b.packed << 1 >> 33; }
static inline bool rtd_is_binary(rtd_bytes b) { return b.packed >> 63; }

// rtd_binary marks a payload as binary. Topics and the names of events are then at most 255
// bytes long.
static inline rtd_bytes rtd_binary(rtd_bytes b) { return (rtd_bytes){b.packed | (uint64_t)1 << 63}; }

// RTD makes bytes of a string literal.
#define RTD(literal) rtd_make("" literal, sizeof(literal) - 1)

// rtd_text makes bytes of a terminated string, which may be null.
rtd_bytes rtd_text(const char *string);

// rtd_equal says that two bytes are the same, binary or not.
bool rtd_equal(rtd_bytes a, rtd_bytes b);

// rtd_cut removes prefix from the beginning of b, if it is there.
bool rtd_cut(rtd_bytes *b, rtd_bytes prefix);

// rtd_number reads the decimal number, perhaps with a minus, that the text begins with; 0 if it
// begins with none.
int64_t rtd_number(rtd_bytes text);

// RTD_KEPT is the type of a static variable for up to room bytes that stay: RTD_KEPT(64) user;
#define RTD_KEPT(room) struct { uint32_t size; char at[room]; }

// rtd_keep copies bytes there, as many as fit; rtd_kept gives them back.
#define rtd_keep(kept, bytes) ((kept).size = rtd_copy((kept).at, sizeof (kept).at, (bytes)))
#define rtd_kept(kept) rtd_make((kept).at, (kept).size)

// rtd_copy copies as much as fits, clears the rest, and returns how much it copied.
uint32_t rtd_copy(char *into, uint32_t room, rtd_bytes b);

// rtd_alloc returns memory that is zero, aligned to 8, and gone after the event. If there
// is no more, the process crashes.
void *rtd_alloc(uint32_t size);

// rtd_format writes text: %d an int, %q rtd_bytes as a JSON string, %s rtd_bytes as they
// are.
//
//	rtd_format("{\"count\":%d,\"user\":%q}", count, user)
rtd_bytes rtd_format(const char *format, ...);

// rtd_decimal writes a number of 64 bits, such as milliseconds since 1970, for %s of rtd_format.
rtd_bytes rtd_decimal(int64_t number);

static inline rtd_bytes rtd_bool(bool b) { return b ? RTD("true") : RTD("false"); }

// ---- as much JSON as handlers need

// rtd_find returns the value of a key as it is written in the object, empty if there is
// none; it can be looked into in turn. rtd_find_text returns a string's text, empty if
// the value is no string, and rtd_find_int a number's integer part, 0 if it is none.
// Malformed texts, which clients may send, give any result, but reading them ends.
rtd_bytes rtd_find(rtd_bytes object, rtd_bytes key);
rtd_bytes rtd_find_text(rtd_bytes object, rtd_bytes key);
int64_t rtd_find_int(rtd_bytes object, rtd_bytes key);

// ---- results

// rtd_code is the host's reason for not doing an effect or operation.
typedef enum {
	RTD_OK = 0,
	RTD_UNKNOWN = -1,    // the server is too old to know it
	RTD_MALFORMED = -2,  // a name, time or pid that is none
	RTD_TOO_MUCH = -3,   // too many effects in one event, or a message above 4 MiB
	RTD_NOT_NOW = -4,    // not during this event
	RTD_NO_PROCESS = -5, // there is no such process, name, request, timer, monitor or member
	RTD_TIMEOUT = -6,    // no answer came in time
	RTD_BUSY = -7,       // too many processes of the plugin wait already; try later
	RTD_ENDED = -8,      // the process ended before it answered; bytes are the reason
	RTD_SELF = -9,       // a process cannot wait for its own answer
	RTD_FULL = -10,      // its mailbox is full, or too much waits for the plugin's processes
	RTD_LIMIT = -11,     // the plugin has as many processes, timers … as it may, or makes the server keep too many bytes
	RTD_TAKEN = -12,     // another process has the name, or the key is tracked already
	RTD_DENIED = -13,    // not granted: a process of a plugin that this one does not depend on, a topic not its own, to disconnect, a service of the server
	RTD_DEADLOCK = -14,  // it waits for this process, itself or by way of others
	RTD_TOO_LARGE = -15, // it has no room for the message, or a meta or key is too large
	RTD_NO_HISTORY = -16, // nothing is kept of what is broadcast to the topic
} rtd_code;

// rtd_result holds the answer of an operation, if code is RTD_OK.
typedef struct {
	rtd_code code;
	rtd_bytes bytes;
} rtd_result;

// rtd_cut_field takes the first field from a list of fields.
bool rtd_cut_field(rtd_bytes *list, rtd_bytes *field);

// rtd_join_field appends a field to a list.
rtd_bytes rtd_join_field(rtd_bytes list, rtd_bytes field);

// ---- the plugin

// rtd_event is an event, for a handler. Its parts have a name for each event; see the handlers
// below.
typedef struct {
	uint16_t kind, flags;
	union { rtd_bytes name, topic, event, module, from, request, monitor, mount; };
	union { rtd_bytes payload, args, question, message, answer, reason, config, state; };
	union { rtd_bytes detail, member, pid, of, schema, late; };
	union { rtd_bytes extra, assigns, ref, members; };
} rtd_event;

typedef void rtd_handler(const rtd_event *e);

// RTD_HANDLERS are the handlers of a channel or a module. Each may be missing. A call, a cast or an
// import without a handler is a crash; any other event without one is dropped.
//
//	handler    when                                       parts of the event
//	join       of a channel: a client joins. Accepted,    topic, payload; assigns: of rtd_accept;
//	           unless it calls rtd_refuse or crashes      member: tells those of a topic apart, empty
//	                                                      if each join has a process
//	message    of a channel: a client has pushed          event, payload, member; ref: for rtd_reply_to,
//	                                                      empty if no client waits for a reply
//	idle       it has grown and will stand still
//	init       of a module: the process begins            args; pid: its own
//	call       rtd_call, rtd_request; rtd_answer it       from, question
//	           now or later
//	cast       rtd_cast                                   message
//	info       rtd_send, rtd_send_after                   message; late: milliseconds, if a timer was
//	                                                      due while a durable process was not there
//	reply      to a request or task with notify           request, answer, or reason if rtd_failed
//	down       a monitored process has ended              monitor, pid, reason
//	exit       a linked one has, if rtd_trap_exit is on   pid, reason
//	terminate  the last event, unless it crashes          reason
//	leave      of a channel per topic: a member has left  member, reason
//	members    of a channel per topic: after a crash, or  topic
//	           when a durable one wakes: join follows
//	           for each member who is there
//	out        of a channel: a broadcast that it          event, payload; member: that
//	           intercepts                                 rtd_broadcast_from leaves out
//	broadcast  of a topic that is subscribed to           event, payload; of: the topic
//	export     before the next version: rtd_export        name: topic or module
//	import     behind it, in place of join or init;       schema, state; members: for rtd_next_join;
//	           rtd_refuse says that it cannot read it     rtd_imported_args
//	away       of a channel with a process for each       topic; reason: "closed", or "taken_over" if the
//	           join, which lingers: the client's          client came back before the connection was
//	           connection has broken                      noticed to be broken
//	back       of the same: the client comes back.        topic, payload, assigns: of the new join and
//	           Accepted, unless it calls rtd_refuse,      connection
//	           after which the process waits on
//
// Channels linger if the plugin's table of the server's config says so; one without away and back does, too. What is pushed to a
// client that is away is kept, up to 100 pushes and 64 KiB, until it is back; more ends the process, as the time of linger does.
// See sdk/recovery.md.
//
// They lie in the order of the events' numbers, of which two are not theirs: the plugin takes stop and connect.
#define RTD_HANDLERS \
	rtd_handler *join, *message, *idle, *init, *call, *cast, *info, *reply, *down, *exit, *terminate, *leave, *members, *not_theirs[2]; \
	rtd_handler *out, *broadcast, *export, *import, *away, *back

// rtd_is_replay says that the client joined earlier and does not know of this join: the process was
// restarted after a crash, or moved to a new version of the plugin. Do not greet twice.
static inline bool rtd_is_replay(const rtd_event *join) { return join->flags >> 2 & 1; }

// rtd_failed says that a reply is no answer: reason says why there is none.
static inline bool rtd_failed(const rtd_event *reply) { return reply->flags >> 3 & 1; }

// rtd_next_join takes the first of an import's members, with all parts of its join but the
// topic. They are in the order of their joins; a channel that is not per_topic has one.
bool rtd_next_join(rtd_bytes *members, rtd_event *join);

// rtd_imported_args are the arguments with which the process began.
rtd_bytes rtd_imported_args(const rtd_event *import);

// rtd_channel serves the topics that match a pattern, an exact topic or a prefix followed by *: with
// one process for each join, or one for each topic, for all who join it. Of several patterns that
// match, the first wins. The server's config can give the plugin other topics; one that no pattern
// matches goes to the first.
//
// After a crash of a process per_topic, join runs again for every member, in the order in which they
// joined; see rtd_is_replay. None can be refused then. So it does when a durable one wakes, whose static variables are as
// they were: let it forget, in members, whom it knows, as nobody tells it of those that have gone.
typedef struct {
	const char *topic;
	bool per_topic;
	const char *const *intercepts; // events whose broadcasts go to out instead of to the clients
	RTD_HANDLERS;
} rtd_channel;

typedef struct rtd_module rtd_module;

// rtd_behaviour makes an agent, task, event handler or event manager of a module: rtd_agent, rtd_task,
// rtd_event_handler or rtd_event_manager.
typedef struct {
	void (*handle)(const rtd_module *module, const rtd_event *e);
	bool exports;
} rtd_behaviour;

// rtd_module is a module of the plugin, of which processes are started: OTP's GenServer, a process that
// keeps a state and answers, unless it has a behaviour.
struct rtd_module {
	const char *name;
	RTD_HANDLERS;
	const rtd_behaviour *behaviour;
	const struct rtd_function *const *functions;    // of rtd_agent
	rtd_bytes (*run)(rtd_bytes args);               // of rtd_task: returns the answer
	void (*event)(rtd_bytes event);                 // of rtd_event_handler
	const struct rtd_handler_spec *const *handlers; // of rtd_event_manager
};

// rtd_plugin is the table that a plugin has to define, under the name rtd_this.
typedef struct {
	const rtd_channel *const *channels;
	const rtd_module *const *modules;
	// start runs once for each version of the plugin, before anything else, with config, the plugin's
	// table of the server's config as a JSON object: {} if there is none. All instances begin with the
	// memory that it leaves. A crash stops the deploy.
	rtd_handler *start;
	// stop runs once when the plugin has ended, after all of its processes, in an instance of its own.
	rtd_handler *stop;
	// connect decides about each client that connects. It accepts the client, unless it calls
	// rtd_refuse or rtd_refuse_status; if it crashes, the client gets status 500. mount is the name of
	// the socket in the server's config; payload is a JSON object of all that is known of the client:
	// params, peer, uri, user_agent, x_headers, sec_websocket_headers, trace_context_headers,
	// auth_token, claims.
	//
	// Ask for it with connect = true in [capabilities] of rtd.toml. The server grants it with
	// allows = ["connect"] in [plugin.NAME] of its config, or else does not deploy the plugin. If the
	// server has other plugins, its config also has to name the plugin that decides, with
	// connect = "NAME" in [socket.NAME].
	//
	// It runs in a process of its own, which ends after it: it can call others, publish, disconnect and
	// so on, and may wait; no other client waits for it.
	rtd_handler *connect;
} rtd_plugin;

extern const rtd_plugin rtd_this;

// RTD_LIST is a list of pointers, as these tables have them.
#define RTD_LIST(type, ...) ((const type *const[]){__VA_ARGS__, 0})

// In start: the processes that the plugin has besides its channels.

// rtd_depends says that another plugin must run before this one starts. Processes of this one reach
// its processes as "plugin/name".
void rtd_depends(rtd_bytes plugin);

// rtd_durable says what is to be remembered over crashes, standing still and restarts of the server: topics of
// channels per_topic, "doc:*" or "doc:1", or processes by their names, "process:counter" or "process:*". All static
// variables are. See sdk/durable.md for what is promised. A process that goes on has no second init, and a channel is
// told who is there, by members.
void rtd_durable(rtd_bytes pattern);

// rtd_keeping says how much is kept of each topic with history. Zero is what the plugin's table of the server's config
// says: 100 messages, 1 MiB, an hour, unless it says something else.
typedef struct {
	int64_t messages; // at most a million
	int64_t bytes;    // that they take, about; at least 1,024
	int64_t age;      // milliseconds
	bool durable;     // it is stored as well, before anybody gets a message, and outlives the server
} rtd_keeping;

// rtd_keep_history says that the broadcasts of topics which the plugin serves, "room:*" or "room:1", are kept for a
// while: whoever comes back is told what it missed, and rtd_history reads them. Of several patterns that match a topic
// the first counts, and those of history in the plugin's table of the server's config come first. See sdk/recovery.md.
void rtd_keep_history(rtd_bytes pattern, rtd_keeping how);

// rtd_child is a process or supervisor that the plugin consists of: a worker; a supervisor, which
// restarts its children, and ends and is restarted with all of them when they crash too often; or a
// dynamic one, for processes that are started later, with rtd_spawn or rtd_async. Children are started
// in the order in which they are declared, before any channel, and stopped in reverse order. The
// outermost ones are children of the plugin, whose strategy and intensity are in its table of the
// server's config. Zero values are defaults.
typedef struct {
	const char *id;
	enum { RTD_WORKER, RTD_SUPERVISOR, RTD_DYNAMIC } type;
	const char *under;     // id of a supervisor declared before; default: the plugin
	const char *module;    // of a worker; default: the id
	const char *args;      // of a worker
	const char *name;      // under which a worker is registered; default: the id
	bool anonymous;        // it is not registered
	enum { RTD_PERMANENT, RTD_TRANSIENT, RTD_TEMPORARY } restart; // of a dynamic one: of its children
	enum { RTD_ONE_FOR_ONE, RTD_ONE_FOR_ALL, RTD_REST_FOR_ONE } strategy;
	int shutdown;          // milliseconds; default 5000; negative: killed at once
	int max_restarts;      // more than so many restarts …; default 3; negative: none
	int max_seconds;       // … in so many seconds are too often; default 5
} rtd_child;

void rtd_declare(const rtd_child *child);

// In connect:

// rtd_accept names the connection, and all others to which the id is given, for rtd_disconnect, empty
// for none; and gives assigns for its channels, JSON or any other bytes. An id has at most 255 bytes.
void rtd_accept(rtd_bytes id, rtd_bytes assigns);

// rtd_refuse_status refuses the client: its request is answered with this HTTP status, from 400 to 599.
void rtd_refuse_status(int status);

// ---- clients

// rtd_refuse refuses a join: the client gets an error reply with this JSON object. It also refuses a
// client in connect, and a state in import.
void rtd_refuse(rtd_bytes response);

// rtd_reply answers the message or join at hand, whichever client's it is. The status is "ok" or
// "error" by convention. A message has one reply, or none. In join, any status but "ok" refuses.
void rtd_reply(rtd_bytes status, rtd_bytes response);

// rtd_reply_to answers the message of a ref, during a later event: keep the ref, and do not call
// rtd_reply then. It is Phoenix's socket_ref: good for one reply, by the process that got the message. A
// reply that nobody waits for goes nowhere.
void rtd_reply_to(rtd_bytes ref, rtd_bytes status, rtd_bytes response);

// rtd_push sends a message to the client at hand alone, rtd_push_to to any member of a per_topic
// channel. rtd_broadcast sends one to everybody on the topic, the client at hand included;
// rtd_broadcast_from to everybody but this client: if its user has joined on other connections, those
// get it.
void rtd_push(rtd_bytes event, rtd_bytes payload);
void rtd_push_to(rtd_bytes member, rtd_bytes event, rtd_bytes payload);
void rtd_broadcast(rtd_bytes event, rtd_bytes payload);
void rtd_broadcast_from(rtd_bytes event, rtd_bytes payload);

// These functions work in every process, not only in channels. Their effects happen when the event at
// hand has been handled.

// rtd_publish sends a message to everybody on a topic: to the clients that have joined it, and to the
// processes that have subscribed to it. It fails with RTD_DENIED unless the topic is the channel's own,
// or one that a join would bring to this plugin now, or one of grants in the plugin's table of the
// server's config.
rtd_result rtd_publish(rtd_bytes topic, rtd_bytes event, rtd_bytes payload);

// rtd_subscribe lets this process's broadcast get the broadcasts of a topic, until rtd_unsubscribe or
// the end of the process; a process that is restarted subscribes again. It fails as rtd_publish does. To
// subscribe twice is to subscribe once. While another plugin serves the topic, no broadcast comes.
rtd_result rtd_subscribe(rtd_bytes topic);

// rtd_unsubscribe takes back a rtd_subscribe.
void rtd_unsubscribe(rtd_bytes topic);

// rtd_disconnect ends all connections that were given this id. The clients reconnect, and connect
// decides again. Ask for it with disconnect = true in [capabilities] of rtd.toml; the server grants it
// with allows = ["disconnect"] in [plugin.NAME] of its config. Without the grant the process crashes.
void rtd_disconnect(rtd_bytes id);

// Presence in a topic, the one joined if empty. These functions have their effect at once, and fail
// with RTD_DENIED as rtd_publish does.

// rtd_track makes the client at hand present, or, where there is none, as in info, this process, under a
// key, such as a user's id, with meta data: a JSON object. Members of the topic get presence_diff. The
// host untracks the process when it ends; one that is restarted tracks itself again. The answer is the
// phx_ref that the meta data gets.
//
// In a per_topic channel the client is a member. Members may have the same key, which then has several
// metas. A member stays present when the process is restarted or moves to another version, and to track
// it again in join changes nothing, unless the meta data is another. The host untracks a member that
// leaves; this and rtd_update for one that has left fail with RTD_NO_PROCESS.
rtd_result rtd_track(rtd_bytes topic, rtd_bytes key, rtd_bytes meta);

// rtd_update replaces the meta data of a key that was tracked.
rtd_result rtd_update(rtd_bytes topic, rtd_bytes key, rtd_bytes meta);

// rtd_untrack takes back a rtd_track.
rtd_result rtd_untrack(rtd_bytes topic, rtd_bytes key);

// The same for any member; for this process itself, if member is empty.
rtd_result rtd_track_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key, rtd_bytes meta);
rtd_result rtd_update_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key, rtd_bytes meta);
rtd_result rtd_untrack_of(rtd_bytes member, rtd_bytes topic, rtd_bytes key);

// rtd_presences answers who is present, for the plugin itself: the metas of each key, in JSON as
// presence_state has it. Keys that this process has just tracked are among them. Clients are told by
// rtd_present.
rtd_result rtd_presences(rtd_bytes topic);

// rtd_presence_count says how many keys are present, and how many metas: a key with two metas counts
// once among the keys. It is cheap, however many there are.
rtd_result rtd_presence_count(rtd_bytes topic, int64_t *keys, int64_t *metas);

// rtd_present tells the client at hand who is in the topic, by presence_state; the presence_diff that
// follow keep it up to date, if the topic is the one joined. Call it in join, after rtd_track. The host
// makes the list when the event has been handled: however long it is, it does not enter the plugin.
rtd_result rtd_present(rtd_bytes topic);

// ---- what was said lately

// rtd_history_page is a part of what was said in a topic.
typedef struct {
	rtd_bytes position; // of the newest message, "EPOCH:OFFSET", as clients know it
	int64_t oldest;     // offset of the oldest message that is kept, or of the next one if none is
	rtd_bytes messages; // for rtd_next_past
} rtd_history_page;

// rtd_past_message is a message that was broadcast.
typedef struct {
	int64_t offset;  // the topic's first message has 1, each further one the next
	int64_t unix_ms; // when it was
	rtd_bytes event, payload;
} rtd_past_message;

// rtd_history reads what was broadcast to a topic, the own one if empty, behind an offset: at most limit messages of
// 1,000; with a limit of 0 only where it stands. A page ends sooner if its messages are large: ask again behind its last
// one, until none come. It reads at once: what the event at hand broadcasts is not in it yet. It fails with
// RTD_NO_HISTORY if nothing is kept of the topic's broadcasts, and with RTD_DENIED as rtd_publish does.
//
//	rtd_history_page page;
//	rtd_past_message m;
//	if (rtd_history(NONE, 0, 100, &page).code == RTD_OK)
//		while (rtd_next_past(&page, &m)) …
rtd_result rtd_history(rtd_bytes topic, int64_t after, int limit, rtd_history_page *page);

// rtd_next_past takes the first message from a page, the oldest; false says that there is none.
bool rtd_next_past(rtd_history_page *page, rtd_past_message *message);

// ---- processes

// A pid says which process is meant: "#1c.k3v9q2m". Wherever one is asked for, a name under which the process is
// registered will do: "registry", or "accounts/registry" for one of a plugin that this one depends on.
// Times are milliseconds; a timeout of 0 is 5,000.

// rtd_self is the pid of this process. One that is durable has another after a crash, standing still or a restart of
// the server.
rtd_bytes rtd_self(void);

// rtd_event_id is the id of the event at hand. It is the same when the event is tried again, as some of what is durable
// are, and no other event ever has it: whoever is told the id, and keeps it, can see that a call is an old one.
rtd_bytes rtd_event_id(void);

// rtd_spawning says how a process is started. Zero is a process without supervisor, link or name.
typedef struct {
	rtd_bytes under; // the id of a dynamic supervisor, which restarts the process as declared there; init is waited for then
	rtd_bytes name;  // registered for the process before it begins
	bool link;       // the process is linked with this one
} rtd_spawning;

// rtd_spawn starts a process of a module. It has its own memory and gets a copy of the arguments. The
// answer is its pid.
rtd_result rtd_spawn(rtd_bytes module, rtd_bytes args, rtd_spawning how);

// rtd_children answers the pids of the processes under a dynamic supervisor, a list of fields.
rtd_result rtd_children(rtd_bytes supervisor);

// rtd_stop_child ends a process under a dynamic supervisor for good.
rtd_result rtd_stop_child(rtd_bytes pid);

// rtd_call asks a process's call and waits for the answer. While it waits, this process takes no events,
// and its deadline does not come nearer. If there is no answer, the code says why: RTD_ENDED,
// RTD_NO_PROCESS, RTD_TIMEOUT, RTD_DEADLOCK or RTD_BUSY, for example.
rtd_result rtd_call(rtd_bytes process, rtd_bytes question, uint32_t timeout);

// rtd_request asks as rtd_call does, but does not wait. The answer to the ref that it answers with is for
// rtd_await; with notify it goes, or the reason why there is none, to this process's reply.
rtd_result rtd_request(rtd_bytes process, rtd_bytes question, bool notify);

// rtd_await waits for the answer to a request. Timeout and codes are those of rtd_call. After RTD_TIMEOUT
// the request can be awaited again.
rtd_result rtd_await(rtd_bytes ref, uint32_t timeout);

// rtd_cast tells a process's cast something. It does not wait.
rtd_result rtd_cast(rtd_bytes process, rtd_bytes message);

// rtd_send gives a process a message for its info. It does not wait.
rtd_result rtd_send(rtd_bytes process, rtd_bytes message);

// rtd_answer answers the call that came from there, when the event at hand has been handled. from may be
// kept, and answered during a later event. Of several answers the first counts.
void rtd_answer(rtd_bytes from, rtd_bytes answer);

// rtd_send_after gives this process itself a message for its info, after a delay. The answer is the timer.
rtd_result rtd_send_after(rtd_bytes message, uint32_t ms);

// rtd_cancel stops a timer and answers how many milliseconds it had left. Its message does not come any
// more, even if it was on its way.
rtd_result rtd_cancel(rtd_bytes timer);

// rtd_sleep waits. Other processes run meanwhile, and the deadline of the event does not come nearer.
rtd_result rtd_sleep(uint32_t ms);

// rtd_monitor lets this process's down know when another ends. If that has ended already, the code is
// RTD_NO_PROCESS. The answer is the monitor.
rtd_result rtd_monitor(rtd_bytes process);

// rtd_demonitor takes back a monitor. Nothing more comes of it.
rtd_result rtd_demonitor(rtd_bytes ref);

// rtd_link binds this process and another: if one of them ends, other than normally, so does the other
// one, for the same reason, unless it traps exits.
rtd_result rtd_link(rtd_bytes process);

// rtd_unlink takes back a link.
rtd_result rtd_unlink(rtd_bytes process);

// rtd_trap_exit says whether the end of a linked process is told to this one's exit instead of ending it.
rtd_result rtd_trap_exit(bool on);

// rtd_register gives a process a name, which is free again when the process has ended.
rtd_result rtd_register(rtd_bytes name, rtd_bytes pid);

// rtd_unregister takes a name away from the process that has it.
rtd_result rtd_unregister(rtd_bytes name);

// rtd_whereis answers the pid behind a name.
rtd_result rtd_whereis(rtd_bytes name);

// rtd_exit makes a process end for a reason, as the end of a linked one would. The reason "kill" ends
// also one that traps exits.
rtd_result rtd_exit(rtd_bytes process, rtd_bytes reason);

// rtd_process_info answers a JSON object about a process: its names, state, mailbox, memory and so on.
rtd_result rtd_process_info(rtd_bytes process);

// rtd_log writes a line to the server's log, at once, even if the event crashes later. The level is
// debug, info, warn or error.
void rtd_log(rtd_bytes level, rtd_bytes text);

// rtd_hibernate says that nothing will happen to this process for long: after the event its memory is
// made as small as can be.
void rtd_hibernate(void);

// rtd_stop ends this process when it has handled the event at hand; what it asked for happens. The reason
// is "normal", "shutdown", or "shutdown: " and why; any other is a crash.
void rtd_stop(rtd_bytes reason);

// rtd_crash crashes this process with a cause for the log, and for those who are told of its end.
_Noreturn void rtd_crash(rtd_bytes cause);

// rtd_export hands over the state for the next version of the plugin, and names the schema in which the
// bytes are to be read. Call it in export, which changes nothing: the process may have to go on without
// the move.
void rtd_export(rtd_bytes schema, rtd_bytes state);

// ---- time zones

// rtd_time is a time in a zone.
typedef struct {
	int64_t unix_ms;              // milliseconds since 1970
	rtd_bytes zone, abbreviation; // "Europe/Berlin", "CEST"
	int offset;                   // seconds east of Greenwich
	int year, month, day, hour, minute, second, milliseconds;
	int weekday;                  // 1 is Monday, 7 is Sunday
	int year_day;                 // 1 is January 1st
	bool dst;                     // daylight saving time
	// A time of rtd_clock_parse or rtd_clock_add is skipped if the zone's clocks left the time of day out
	// when they went forward: it was moved by as much. It is twice if the time of day came twice when
	// they went back: this is the first.
	bool skipped, twice;
} rtd_time;

// rtd_span is a number of calendar units, each of which may be negative.
typedef struct {
	int years, months, days;
} rtd_span;

// rtd_clock tells the time in a time zone: a name of the IANA database such as "Europe/Berlin"; empty
// is UTC. It asks the server's service rtd/clock, which services = ["rtd/clock"] grants in [plugin.NAME] of
// the server's config; without the grant the code is RTD_DENIED. A question that the service cannot answer
// fails with RTD_MALFORMED, and bytes are the reason: of an unknown zone, a text that is no time, or a year
// before 1 or after 9999. Other codes are those of rtd_call. After a failure the time is zero.
//
// A layout is "rfc3339" (which an empty one is, too, where a text is read), "http", or has directives as in
// "%d.%m.%Y %H:%M"; see rtd/host/clock. A text is of the zone, if it does not say its offset itself.
//
// add moves a time in the zone's calendar: first by years and months, where a day that the month does not have
// becomes its last, then by days. The time of day stays as it is.
rtd_result rtd_clock_now(rtd_bytes zone, rtd_time *now);
rtd_result rtd_clock_at(rtd_bytes zone, int64_t unix_ms, rtd_time *time);
rtd_result rtd_clock_parse(rtd_bytes zone, rtd_bytes text, rtd_bytes layout, rtd_time *time);
rtd_result rtd_clock_format(rtd_bytes zone, int64_t unix_ms, rtd_bytes layout); // the text
rtd_result rtd_clock_add(rtd_bytes zone, int64_t unix_ms, rtd_span span, rtd_time *time);

// ---- behaviours

// OTP's Agent: a process that keeps a state, its static variables, and lets others work on it with
// functions. A function cannot be sent from one memory to another, but every process of the plugin has
// the whole program: functions are registered, and a call carries the name.
typedef struct rtd_function {
	const char *name;
	rtd_bytes (*run)(rtd_bytes arg); // returns the answer
} rtd_function;

extern const rtd_behaviour rtd_agent;

// rtd_run runs a function in an agent's process and waits for the answer, as rtd_call does.
rtd_result rtd_run(rtd_bytes agent, rtd_bytes function, rtd_bytes arg);

// OTP's Task: a function, run, that runs in a process of its own, once.
extern const rtd_behaviour rtd_task;

// rtd_async_how says how a task is started. Without a link only the process that waits for its answer
// learns that it crashed.
typedef struct {
	rtd_bytes under; // the id of a dynamic supervisor, best of temporary processes: nobody waits for the answer of a restarted task
	bool link;       // the process is linked with this one
	bool notify;     // the answer goes to this process's reply, instead of being awaited
} rtd_async_how;

// rtd_async runs a task. The answer is the ref of a request, for rtd_await.
rtd_result rtd_async(rtd_bytes task, rtd_bytes args, rtd_async_how how);

// OTP's event manager: a process that passes events to its handlers, of which each is a process of its
// own, linked with the manager. A handler that crashes is removed, or restarted if its spec says so; the
// manager and the other handlers do not notice. There are at most 32 handlers, and 32 calls that wait;
// ids and modules have at most 64 bytes, arguments 128.
extern const rtd_behaviour rtd_event_manager;

// The code of one handler. Its call gets the questions of rtd_ask_handler. With rtd_stop it removes itself.
//
// It moves to the next version of the plugin with its place, pid, id and arguments: with its state if its
// module has export, else by init. If the next version does not have its module it is removed.
extern const rtd_behaviour rtd_event_handler;

// rtd_handler_spec describes a handler of a manager.
typedef struct rtd_handler_spec {
	const char *id;     // unique within the manager
	const char *module; // default: the id
	const char *args;   // for its init
	bool restart;       // start it again after a crash; after more than 3 in 5 s it is removed
} rtd_handler_spec;

// rtd_notify gives all handlers an event. It does not wait.
rtd_result rtd_notify(rtd_bytes manager, rtd_bytes event);

// rtd_sync_notify gives all handlers an event and waits until each has handled it, or crashed.
rtd_result rtd_sync_notify(rtd_bytes manager, rtd_bytes event, uint32_t timeout);

// rtd_ask_handler asks one handler's call and waits for the answer. RTD_NO_PROCESS says that there is no
// such handler.
rtd_result rtd_ask_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes question, uint32_t timeout);

// rtd_add_handler starts a handler and waits for its init. It fails with RTD_TAKEN if there is one of the
// same id, and with RTD_ENDED if init fails. A manager that is restarted begins without it.
rtd_result rtd_add_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes module, rtd_bytes args, bool restart);

// rtd_remove_handler ends a handler, for the reason shutdown. It does not wait for its terminate.
rtd_result rtd_remove_handler(rtd_bytes manager, rtd_bytes id);

// rtd_handlers answers the ids of the handlers, in the order in which they were added, a list of fields.
rtd_result rtd_handlers(rtd_bytes manager);

// ---- records

// Effects and operations have the shape of events. These functions are for those of a newer server
// that this SDK does not know.
bool rtd_read(rtd_bytes bytes, rtd_event *record);
rtd_bytes rtd_write(const rtd_event *record);
rtd_result rtd_op(const rtd_event *operation);
