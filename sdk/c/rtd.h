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
// A payload says whether it is binary; what is not is JSON text: an object, in replies any
// value. An empty one stands for {}.
typedef struct {
	uint64_t packed; // 32 bits address, 31 bits size, 1 bit binary
} rtd_bytes;

static inline rtd_bytes rtd_make(const void *at, uint32_t size) { return (rtd_bytes){(uint64_t)size << 32 | (uintptr_t)at}; }
static inline const char *rtd_at(rtd_bytes b) { return (const char *)(uintptr_t)(uint32_t)b.packed; }
static inline uint32_t rtd_size(rtd_bytes b) { return b.packed << 1 >> 33; }
static inline bool rtd_is_binary(rtd_bytes b) { return b.packed >> 63; }

// rtd_binary marks a payload as binary. Beside it, topics and names of events are at most
// 255 bytes long.
static inline rtd_bytes rtd_binary(rtd_bytes b) { return (rtd_bytes){b.packed | (uint64_t)1 << 63}; }

// RTD makes bytes of a string literal.
#define RTD(literal) rtd_make("" literal, sizeof(literal) - 1)

// rtd_text makes bytes of a terminated string, which may be null.
rtd_bytes rtd_text(const char *string);

bool rtd_equal(rtd_bytes a, rtd_bytes b);

// rtd_cut removes prefix from the beginning of b, if it is there.
bool rtd_cut(rtd_bytes *b, rtd_bytes prefix);

// rtd_number reads a decimal number, perhaps behind a minus; of other text as far as it
// is one.
int64_t rtd_number(rtd_bytes text);

// RTD_KEPT is a static variable's type for up to room bytes that stay: RTD_KEPT(64) user;
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

static inline rtd_bytes rtd_bool(bool b) { return b ? RTD("true") : RTD("false"); }

// ---- as much JSON as handlers need

// rtd_find returns the value of a key as it is written in the object, empty if there is
// none; it can be looked into in turn. rtd_find_text returns a string's text, empty if
// the value is no string, and rtd_find_int a number's integer part, 0 if it is none.
// Of what is no JSON they make something, but end.
rtd_bytes rtd_find(rtd_bytes object, rtd_bytes key);
rtd_bytes rtd_find_text(rtd_bytes object, rtd_bytes key);
int64_t rtd_find_int(rtd_bytes object, rtd_bytes key);

// ---- results

// rtd_code is the host's reason for not doing something.
typedef enum {
	RTD_OK = 0,
	RTD_UNKNOWN = -1,    // the server is too old to know it
	RTD_MALFORMED = -2,  // a name, time or pid that is none
	RTD_TOO_MUCH = -3,   // too many effects in one event, or a message above 4 MiB
	RTD_NOT_NOW = -4,    // not during this event
	RTD_NO_PROCESS = -5, // there is no such process, name, request, timer or monitor
	RTD_TIMEOUT = -6,    // no answer came in time
	RTD_BUSY = -7,       // too many processes of the plugin wait already; try later
	RTD_ENDED = -8,      // the process ended before it answered; bytes are the reason
	RTD_SELF = -9,       // a process cannot wait for its own answer
	RTD_FULL = -10,      // its mailbox is full
	RTD_LIMIT = -11,     // the plugin has as many processes, timers … as it may
	RTD_TAKEN = -12,     // another process has the name
	RTD_DENIED = -13,    // a plugin that this one does not depend on, or a topic not granted
	RTD_DEADLOCK = -14,  // it waits for this process, itself or by way of others
	RTD_TOO_LARGE = -15, // it has no room for the message
} rtd_code;

// rtd_result is what came of an operation: its answer, if code is RTD_OK.
typedef struct {
	rtd_code code;
	rtd_bytes bytes;
} rtd_result;

// rtd_cut_field takes the first field from a list of fields.
bool rtd_cut_field(rtd_bytes *list, rtd_bytes *field);

// rtd_join_field appends a field to a list.
rtd_bytes rtd_join_field(rtd_bytes list, rtd_bytes field);

// ---- the plugin

// rtd_event is what a handler gets. Its parts are called as the event calls them; see the
// handlers below.
typedef struct {
	uint16_t kind, flags;
	union { rtd_bytes name, topic, event, module, from, request, monitor, mount; };
	union { rtd_bytes payload, args, question, message, answer, reason, config, state; };
	union { rtd_bytes detail, member, pid, of, schema; };
	union { rtd_bytes extra, assigns, ref, members; };
} rtd_event;

typedef void rtd_handler(const rtd_event *e);

// RTD_HANDLERS are what a channel or a module does. Each may be missing: a call, a cast or an
// import is a crash then, anything else is dropped.
//
//	handler    when                                       parts of the event
//	join       of a channel: a client joins. Accepted,    topic, payload; assigns: what connect gave;
//	           unless it calls rtd_refuse or crashes      member: tells those of a topic apart, empty
//	                                                      if each join has a process
//	message    of a channel: a client has pushed          event, payload, member; ref: for rtd_reply_to,
//	                                                      empty if nobody waits for a reply
//	idle       it has grown and will stand still
//	init       of a module: the process begins            args; pid: its own
//	call       rtd_call, rtd_request; rtd_answer it       from, question
//	           now or later
//	cast       rtd_cast                                   message
//	info       rtd_send, rtd_send_after                   message
//	reply      to a request or task with notify           request, answer, or reason if rtd_failed
//	down       a monitored process has ended              monitor, pid, reason
//	exit       a linked one has, if rtd_trap_exit is on   pid, reason
//	terminate  the last event, unless it crashes          reason
//	leave      of a channel per topic: a member has left  member, reason
//	out        of a channel: a broadcast that it          event, payload; member: who is left out
//	           intercepts
//	broadcast  of a topic that is subscribed to           event, payload; of: the topic
//	export     before the next version: rtd_export        name: topic or module
//	import     behind it, in place of join or init;       schema, state; members: for rtd_next_join;
//	           rtd_refuse says that it cannot read it     rtd_imported_args
//
// They lie in the order of the events' numbers. Members, stop and connect are not for them:
// members come as joins, and the others are the plugin's.
#define RTD_HANDLERS \
	rtd_handler *join, *message, *idle, *init, *call, *cast, *info, *reply, *down, *exit, *terminate, *leave, *not_theirs[3]; \
	rtd_handler *out, *broadcast, *export, *import

// rtd_is_replay says that the client of a join joined earlier and knows nothing of this one:
// the process was restarted, or moved to another version. Do not greet twice.
static inline bool rtd_is_replay(const rtd_event *join) { return join->flags >> 2 & 1; }

static inline bool rtd_failed(const rtd_event *reply) { return reply->flags >> 3 & 1; }

// rtd_next_join takes the first of an import's members, with all parts of its join but the
// topic. They are in the order of their joins; a channel that is not per_topic has one.
bool rtd_next_join(rtd_bytes *members, rtd_event *join);

// rtd_imported_args is what the process had as arguments.
rtd_bytes rtd_imported_args(const rtd_event *import);

// rtd_channel handles the joins of the topics that match a pattern: an exact topic, or a
// prefix followed by *. Of several that match the first one does; a topic that none
// matches goes to the first.
typedef struct {
	const char *topic;
	bool per_topic;                // one process for all members of a topic
	const char *const *intercepts; // events whose broadcasts go to out, not to the clients
	RTD_HANDLERS;
} rtd_channel;

typedef struct rtd_module rtd_module;

// rtd_behaviour is what makes something other than a server of a module: rtd_agent,
// rtd_task, rtd_event_handler or rtd_event_manager.
typedef struct {
	void (*handle)(const rtd_module *module, const rtd_event *e);
	bool exports;
} rtd_behaviour;

// rtd_module is what a process of the plugin's own can be: a server (OTP's GenServer), or
// what its behaviour says.
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
	rtd_handler *start;   // config; once for a version: all processes begin with what it leaves
	rtd_handler *stop;    // once when the plugin has ended
	// A client connects: mount, and payload, JSON with params, peer, uri, user_agent, x_headers,
	// auth_token …, see rtd/sandbox/abi. It is accepted without assigns, unless connect
	// says otherwise.
	rtd_handler *connect;
} rtd_plugin;

extern const rtd_plugin rtd_this;

// RTD_LIST is a list of pointers, as these tables have them.
#define RTD_LIST(type, ...) ((const type *const[]){__VA_ARGS__, 0})

// In start: what the plugin consists of beside its channels.

void rtd_depends(rtd_bytes plugin);

// rtd_child is a child of the plugin's tree. Children are started in the order in which
// they are declared; zero values are defaults.
typedef struct {
	const char *id;
	enum { RTD_WORKER, RTD_SUPERVISOR, RTD_DYNAMIC } type;
	const char *under;     // id of a supervisor declared before; default: the plugin
	const char *module;    // of a worker; default: the id
	const char *args;      // of a worker
	const char *name;      // that a worker is registered under; default: the id
	bool anonymous;        // it is not registered
	enum { RTD_PERMANENT, RTD_TRANSIENT, RTD_TEMPORARY } restart; // of a dynamic one: of its children
	enum { RTD_ONE_FOR_ONE, RTD_ONE_FOR_ALL, RTD_REST_FOR_ONE } strategy;
	int shutdown;          // milliseconds; default 5000; negative: killed at once
	int max_restarts;      // default 3; negative: none
	int max_seconds;       // default 5
} rtd_child;

void rtd_declare(const rtd_child *child);

// In connect:

// rtd_accept gives the connection an id, for rtd_disconnect, and assigns for its channels.
void rtd_accept(rtd_bytes id, rtd_bytes assigns);

// rtd_refuse_status refuses with an HTTP status from 400 to 599.
void rtd_refuse_status(int status);

// ---- clients

// rtd_refuse refuses a join, a client in connect, or a state in import.
void rtd_refuse(rtd_bytes response);

// rtd_reply answers the join or message at hand, once; "ok" or "error" by convention.
void rtd_reply(rtd_bytes status, rtd_bytes response);
void rtd_reply_to(rtd_bytes ref, rtd_bytes status, rtd_bytes response);

// rtd_push sends to the client of the event at hand, rtd_push_to to any member of a per_topic
// channel. rtd_broadcast_from leaves out the client at hand.
void rtd_push(rtd_bytes event, rtd_bytes payload);
void rtd_push_to(rtd_bytes member, rtd_bytes event, rtd_bytes payload);
void rtd_broadcast(rtd_bytes event, rtd_bytes payload);
void rtd_broadcast_from(rtd_bytes event, rtd_bytes payload);

// Other topics must be the plugin's own, or granted in the server's config: else RTD_DENIED. They
// happen when the event has been handled, as effects do.
rtd_result rtd_publish(rtd_bytes topic, rtd_bytes event, rtd_bytes payload);
rtd_result rtd_subscribe(rtd_bytes topic);
void rtd_unsubscribe(rtd_bytes topic);
void rtd_disconnect(rtd_bytes id);

// Presence of this process in a topic, its own if empty. The answer of the first two is
// phx_ref, that of rtd_presences JSON.
rtd_result rtd_track(rtd_bytes topic, rtd_bytes key, rtd_bytes meta);
rtd_result rtd_update(rtd_bytes topic, rtd_bytes key, rtd_bytes meta);
rtd_result rtd_untrack(rtd_bytes topic, rtd_bytes key);
rtd_result rtd_presences(rtd_bytes topic);
rtd_result rtd_presence_count(rtd_bytes topic, int64_t *keys, int64_t *metas);
// rtd_present pushes the client at hand presence_state, when the event has been handled.
rtd_result rtd_present(rtd_bytes topic);

// ---- processes

// A process is named by pid ("#12"), by name, or by plugin and name ("accounts/registry").
// Times are milliseconds; a timeout of 0 is 5,000.

rtd_bytes rtd_self(void);

// rtd_spawning says how a process is started; empty values are none.
typedef struct {
	rtd_bytes under; // a dynamic supervisor; init is waited for then
	rtd_bytes name;
	bool link;
} rtd_spawning;

rtd_result rtd_spawn(rtd_bytes module, rtd_bytes args, rtd_spawning how); // the pid
rtd_result rtd_children(rtd_bytes supervisor);                            // a list of fields
rtd_result rtd_stop_child(rtd_bytes pid);

rtd_result rtd_call(rtd_bytes process, rtd_bytes question, uint32_t timeout);
rtd_result rtd_request(rtd_bytes process, rtd_bytes question, bool notify); // the ref
rtd_result rtd_await(rtd_bytes ref, uint32_t timeout);
rtd_result rtd_cast(rtd_bytes process, rtd_bytes message);
rtd_result rtd_send(rtd_bytes process, rtd_bytes message);
rtd_result rtd_send_after(rtd_bytes message, uint32_t ms); // the timer
rtd_result rtd_cancel(rtd_bytes timer);                    // milliseconds left
rtd_result rtd_sleep(uint32_t ms);
void rtd_answer(rtd_bytes from, rtd_bytes answer);

rtd_result rtd_monitor(rtd_bytes process); // the ref
rtd_result rtd_demonitor(rtd_bytes ref);
rtd_result rtd_link(rtd_bytes process);
rtd_result rtd_unlink(rtd_bytes process);
rtd_result rtd_trap_exit(bool on);
rtd_result rtd_register(rtd_bytes name, rtd_bytes pid);
rtd_result rtd_unregister(rtd_bytes name);
rtd_result rtd_whereis(rtd_bytes name);
rtd_result rtd_exit(rtd_bytes process, rtd_bytes reason); // "kill" cannot be trapped
rtd_result rtd_process_info(rtd_bytes process);           // JSON

void rtd_log(rtd_bytes level, rtd_bytes text); // debug, info, warn or error
void rtd_hibernate(void);
// rtd_stop ends this process after the event: "normal", "shutdown", "shutdown: " and why, or
// anything else, which is a crash.
void rtd_stop(rtd_bytes reason);
_Noreturn void rtd_crash(rtd_bytes cause);
// rtd_export answers export: any bytes, and how they are to be read.
void rtd_export(rtd_bytes schema, rtd_bytes state);

// ---- behaviours

// An agent has a state, its static variables, and functions that others run on it.
typedef struct rtd_function {
	const char *name;
	rtd_bytes (*run)(rtd_bytes arg); // returns the answer
} rtd_function;

extern const rtd_behaviour rtd_agent;
rtd_result rtd_run(rtd_bytes agent, rtd_bytes function, rtd_bytes arg);

// A task runs once and answers. Without a link only who waits for its answer hears of its
// crash; with notify the answer goes to the reply handler.
typedef struct {
	rtd_bytes under; // a dynamic supervisor, best a temporary one
	bool link, notify;
} rtd_async_how;

extern const rtd_behaviour rtd_task;
rtd_result rtd_async(rtd_bytes task, rtd_bytes args, rtd_async_how how); // the ref, for rtd_await

// An event manager passes events to its handlers, each a process of its own that is linked
// with it. At most 32 handlers, and 32 calls that wait;
// ids and modules have at most 64 bytes, arguments 128.
typedef struct rtd_handler_spec {
	const char *id;
	const char *module; // default: the id
	const char *args;
	bool restart; // after a crash, if there were at most 3 in 5 s; else it is removed
} rtd_handler_spec;

extern const rtd_behaviour rtd_event_handler, rtd_event_manager;
rtd_result rtd_notify(rtd_bytes manager, rtd_bytes event);                          // does not wait
rtd_result rtd_sync_notify(rtd_bytes manager, rtd_bytes event, uint32_t timeout);   // waits for all handlers
rtd_result rtd_ask_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes question, uint32_t timeout);
rtd_result rtd_add_handler(rtd_bytes manager, rtd_bytes id, rtd_bytes module, rtd_bytes args, bool restart); // waits for its init
rtd_result rtd_remove_handler(rtd_bytes manager, rtd_bytes id);
rtd_result rtd_handlers(rtd_bytes manager);                                         // a list of fields

// ---- records

// Effects and operations have the shape of events, too. These are for what this SDK does not
// know.
bool rtd_read(rtd_bytes bytes, rtd_event *record);
rtd_bytes rtd_write(const rtd_event *record);
rtd_result rtd_op(const rtd_event *operation);
