// The numbers of rtd/sandbox/abi, and what the files of the SDK share.
#pragma once

#include "../rtd.h"

enum {
	EVENT_START = 0x001,
	EVENT_JOIN = 0x002,
	EVENT_MESSAGE = 0x003,
	EVENT_IDLE = 0x004,
	EVENT_INIT = 0x005,
	EVENT_CALL = 0x006,
	EVENT_CAST = 0x007,
	EVENT_INFO = 0x008,
	EVENT_REPLY = 0x009,
	EVENT_DOWN = 0x00A,
	EVENT_EXIT = 0x00B,
	EVENT_TERMINATE = 0x00C,
	EVENT_LEAVE = 0x00D,
	EVENT_MEMBERS = 0x00E,
	EVENT_STOP = 0x00F,
	EVENT_CONNECT = 0x010,
	EVENT_OUT = 0x011,
	EVENT_BROADCAST = 0x012,
	EVENT_EXPORT = 0x013,
	EVENT_IMPORT = 0x014,

	EFFECT_REPLY = 0x101,
	EFFECT_PUSH = 0x102,
	EFFECT_BROADCAST = 0x103,
	EFFECT_BROADCAST_FROM = 0x104,
	EFFECT_HANDLES = 0x105,
	EFFECT_SCRATCH = 0x106,
	EFFECT_ANSWER = 0x107,
	EFFECT_STOP = 0x108,
	EFFECT_HIBERNATE = 0x109,
	EFFECT_CHILD = 0x10A,
	EFFECT_DEPENDS = 0x10B,
	EFFECT_WANTS = 0x10C,
	EFFECT_INTERCEPT = 0x10D,
	EFFECT_PUBLISH = 0x10E,
	EFFECT_SUBSCRIBE = 0x10F,
	EFFECT_UNSUBSCRIBE = 0x110,
	EFFECT_DISCONNECT = 0x111,
	EFFECT_PRESENT = 0x112,
	EFFECT_STATE = 0x113,

	OP_LOG = 0x201,
	OP_ABORT = 0x202,
	OP_TAKE = 0x203,
	OP_SELF = 0x204,
	OP_SPAWN = 0x205,
	OP_CALL = 0x206,
	OP_REQUEST = 0x207,
	OP_AWAIT = 0x208,
	OP_CAST = 0x209,
	OP_SEND = 0x20A,
	OP_SEND_AFTER = 0x20B,
	OP_CANCEL = 0x20C,
	OP_SLEEP = 0x20D,
	OP_MONITOR = 0x20E,
	OP_DEMONITOR = 0x20F,
	OP_LINK = 0x210,
	OP_UNLINK = 0x211,
	OP_TRAP_EXIT = 0x212,
	OP_REGISTER = 0x213,
	OP_UNREGISTER = 0x214,
	OP_WHEREIS = 0x215,
	OP_EXIT = 0x216,
	OP_INFO = 0x217,
	OP_CHILDREN = 0x218,
	OP_STOP_CHILD = 0x219,
	OP_TRACK = 0x21A,
	OP_UPDATE = 0x21B,
	OP_UNTRACK = 0x21C,
	OP_PRESENCES = 0x21D,
	OP_PRESENCE_COUNT = 0x21E,

	BINARY = 1 << 0,
	REPLAY = 1 << 2,
	FAILED = 1 << 3,
	LINK = 1 << 4,
	REQUEST = 1 << 5,
	NOTIFY = 1 << 6,
};

#define NONE ((rtd_bytes){0})

// rtd_drop takes n bytes from the beginning.
static inline void rtd_drop(rtd_bytes *b, uint32_t n) { *b = rtd_make(rtd_at(*b) + n, rtd_size(*b) - n); }

// rtd_extend returns the next bytes of the arena: not aligned, not zero, and right behind
// what was returned last.
char *rtd_extend(uint32_t size);

// rtd_effect asks for an effect; if the host refuses, the process crashes. rtd_try_effect
// returns why instead. Behind the kind come flags, from bit 16 on.
void rtd_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail);
rtd_result rtd_try_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail);

// rtd_ask does an operation.
rtd_result rtd_ask(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra);

// rtd_wipe empties the arena, at the end of an event.
void rtd_wipe(void);

// rtd_inbox is the event that lies there.
rtd_bytes rtd_inbox(uint32_t size);

// rtd_handle gives an event to the handler that a module has for it.
void rtd_handle(const rtd_module *m, const rtd_event *e);

// rtd_start_process is spawn with flags; the second field of its answer is a request's ref.
rtd_result rtd_start_process(rtd_bytes module, rtd_bytes args, rtd_spawning how, uint16_t flags);
