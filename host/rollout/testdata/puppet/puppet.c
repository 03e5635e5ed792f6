// A guest that does as it is told, for the tests of this package. Orders are a
// list of fields (length, bytes), each a record for the host, which the puppet
// passes on to op, or one of its own tricks (kinds from 0x400). In place of the
// extra "@" it puts the member at hand.
//
// It takes orders as the config (in start), the arguments (in init), the question
// (of a call), or the payload of a cast, connect, join, message or timer. To a call it answers with a
// list of the results: code and answer of each order. Every other event it
// casts, as it came (init and join, too), to the host's process "rtd/sink". The state
// that it exports is what COUNT counts, and the call that it has kept.
#include <stdint.h>

__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t op(const void *record, uint32_t size, void *out, uint32_t cap);

enum {
	START = 1, JOIN = 2, MESSAGE = 3, IDLE = 4, INIT = 5, CALL = 6, TOLD = 7, INFO = 8, CONNECT = 16,
	EXPORT = 19, IMPORT = 20, REPLY = 0x101, BROADCAST = 0x103, WANTS = 0x10C, STATE = 0x113,
	ANSWER = 0x107, CAST = 0x209, OP_CALL = 0x206,
	TRAP = 0x400,   // crash
	SPIN = 0x401,   // never return
	KEEP = 0x402,   // do not answer this call
	LATE = 0x403,   // answer the call that was kept, with the payload
	COUNT = 0x404,  // result: how often this was asked, to see a memory being new
	LAPS = 0x405,   // call the process in field 0 as often as the payload (u32) says
	ECHO = 0x406,   // answer with this payload alone
	// How export and import go, in start:
	STATELESS = 0x407, // export gives nothing
	LOST = 0x408,      // export traps
	PICKY = 0x409,     // import is refused
	BROKEN = 0x40A,    // import traps
};

static uint8_t inbox_room[64 << 10], out[64 << 10], made[64 << 10];
static uint8_t kept[32];
static uint32_t kept_size, counter, moves;

typedef struct { const uint8_t *at; uint32_t size; } bytes;

static void copy(uint8_t *to, const uint8_t *from, uint32_t n) { __builtin_memcpy(to, from, n); }
static uint32_t u32(const uint8_t *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
static uint16_t u16(const uint8_t *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }

// field cuts the first field off b.
static bytes field(bytes *b) {
	if (b->size < 4) return (bytes){0, 0};
	uint32_t n = u32(b->at);
	bytes f = {b->at + 4, n};
	if (n > b->size - 4) __builtin_trap();
	b->at += 4 + n, b->size -= 4 + n;
	return f;
}

// record writes one with two fields to made.
static uint32_t record(uint16_t kind, bytes name, bytes payload) {
	uint8_t *p = made;
	uint16_t flags = 0;
	copy(p, (uint8_t *)&kind, 2), copy(p + 2, (uint8_t *)&flags, 2), p += 4;
	copy(p, (uint8_t *)&name.size, 4), copy(p + 4, name.at, name.size), p += 4 + name.size;
	copy(p, (uint8_t *)&payload.size, 4), copy(p + 4, payload.at, payload.size), p += 4 + payload.size;
	return p - made;
}

static void must(int32_t code) { if (code < 0) __builtin_trap(); }

// trick does what no host does.
static int32_t trick(uint16_t kind, bytes name, bytes payload, bytes *token) {
	switch (kind) {
	case TRAP: __builtin_trap();
	case SPIN: for (volatile int i = 0;;) i++;
	case KEEP:
		copy(kept, token->at, token->size), kept_size = token->size;
		token->size = 0;
		return 0;
	case LATE: return op(made, record(ANSWER, (bytes){kept, kept_size}, payload), 0, 0);
	case COUNT: return ++counter;
	case LAPS:
		for (uint32_t n = u32(payload.at); n; n--)
			must(op(made, record(OP_CALL, name, (bytes){(uint8_t *)"\x0c\0\0\0\x06\x04\0\0\0\0\0\0\0\0\0\0", 16}), out, sizeof out));
		return 0;
	case ECHO:
		must(op(made, record(ANSWER, *token, payload), 0, 0));
		token->size = 0;
		return 0;
	case STATELESS: case LOST: case PICKY: case BROKEN:
		moves = kind;
		return 0;
	}
	return -1;
}

// refused asks for an effect that must not be asked for now.
static void refused(uint32_t size) { if (op(made, size, 0, 0) >= 0) __builtin_trap(); }

static void export(void) {
	refused(record(BROADCAST, (bytes){(uint8_t *)"x", 1}, (bytes){0, 0}));
	refused(record(WANTS, (bytes){(uint8_t *)"terminate", 9}, (bytes){0, 0}));
	if (moves == STATELESS) return;
	if (moves == LOST) __builtin_trap();
	copy(out, (uint8_t *)&counter, 4), copy(out + 4, kept, kept_size);
	must(op(made, record(STATE, (bytes){(uint8_t *)"1", 1}, (bytes){out, 4 + kept_size}), 0, 0));
	refused(record(STATE, (bytes){(uint8_t *)"2", 1}, (bytes){0, 0}));
}

static void import(bytes state) {
	refused(record(STATE, (bytes){(uint8_t *)"1", 1}, (bytes){0, 0}));
	if (moves == PICKY) must(op(made, record(REPLY, (bytes){(uint8_t *)"error", 5}, (bytes){0, 0}), 0, 0));
	if (moves == BROKEN) __builtin_trap();
	counter = u32(state.at), kept_size = state.size - 4;
	copy(kept, state.at + 4, kept_size);
}

// about puts the member at hand into an order that says so.
static bytes about(bytes order, bytes member) {
	bytes rest = {order.at + 4, order.size - 4}, extra;
	field(&rest), field(&rest), field(&rest), extra = field(&rest);
	if (extra.size != 1 || *extra.at != '@') return order;
	uint32_t before = order.size - 5;
	copy(made, order.at, before);
	copy(made + before, (uint8_t *)&member.size, 4);
	copy(made + before + 4, member.at, member.size);
	return (bytes){made, before + 4 + member.size};
}

// obey carries out orders and returns the size of their results, which lie in out.
static uint32_t obey(bytes orders, bytes *token, bytes member) {
	uint32_t used = 0;
	while (orders.size) {
		bytes order = field(&orders), rest = order;
		uint16_t kind = u16(order.at);
		uint8_t *room = out + used + 8;
		int32_t code;
		uint32_t size = 0;
		if (kind >= 0x400) {
			rest.at += 4, rest.size -= 4;
			bytes name = field(&rest), payload = field(&rest);
			code = trick(kind, name, payload, token);
		} else {
			order = about(order, member);
			code = op(order.at, order.size, room, sizeof out - used - 8);
			if (code >= 0) size = code;
			else if (code == -8) { // the reason why a process has ended
				uint32_t take = 0x203;
				int32_t n = op(&take, 4, room, sizeof out - used - 8);
				if (n > 0) size = n;
			}
		}
		copy(out + used, (uint8_t *)&code, 4);
		copy(out + used + 4, (uint8_t *)&size, 4);
		used += 8 + size;
	}
	return used;
}

__attribute__((export_name("inbox"))) void *inbox(uint32_t n) { return n <= sizeof inbox_room ? inbox_room : 0; }

__attribute__((export_name("handle"))) int32_t handle(uint32_t n) {
	uint16_t kind = u16(inbox_room);
	bytes all = {inbox_room + 4, n - 4}, name = field(&all), payload = field(&all), member = field(&all);
	switch (kind) {
	case IDLE: return 0;
	case EXPORT: export(); return 0;
	case IMPORT: import(payload); break;
	case START: case INIT: case JOIN: case MESSAGE: case TOLD: case CONNECT: {
		bytes none = {0, 0};
		obey(payload, &none, member);
		if (kind == START || kind == TOLD || kind == CONNECT) return 0;
		break;
	}
	case INFO: // a timer, of which the text may be orders
		if (payload.size > 4 && u32(payload.at) <= payload.size - 4) obey(payload, &(bytes){0, 0}, member);
		break;
	case CALL: {
		bytes token = name;
		uint32_t size = obey(payload, &token, (bytes){0, 0});
		if (token.size) must(op(made, record(ANSWER, token, (bytes){out, size}), 0, 0));
		return 0;
	}
	}
	op(made, record(CAST, (bytes){(uint8_t *)"rtd/sink", 8}, (bytes){inbox_room, n}), 0, 0);
	return 0;
}
