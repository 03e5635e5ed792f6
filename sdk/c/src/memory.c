// Memory, bytes, records, and the way out to the host.
#include "kinds.h"

// ---- the arena

// It begins behind the static variables and grows with the memory. The event at hand lies
// at its beginning, where inbox has put it.

extern char __heap_base;

static char *top;   // of what is allocated
static char *dirty; // below it, the event has written

enum { MAX_EVENT = (4 << 20) + (64 << 10) }; // what processes may send at once, and names

static char *arena(void) { return (char *)(((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7); }

static bool reserve(char *until) {
	uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16, want = (uintptr_t)until;
	return want <= have || __builtin_wasm_memory_grow(0, (want - have + 0xffff) >> 16) != SIZE_MAX;
}

char *rtd_extend(uint32_t size) {
	char *at = top;
	if (size > 64 << 20 || !reserve(at + size)) __builtin_trap(); // out of memory
	top = at + size;
	if (top > dirty) dirty = top;
	return at;
}

void *rtd_alloc(uint32_t size) {
	rtd_extend(-(uintptr_t)top & 7);
	return __builtin_memset(rtd_extend(size), 0, size);
}

void rtd_wipe(void) {
	__builtin_memset(arena(), 0, dirty - arena());
	top = dirty = 0;
}

__attribute__((export_name("inbox"))) char *inbox(uint32_t size) {
	if (size > MAX_EVENT || !reserve(arena() + size)) return 0;
	top = dirty = arena() + size;
	return arena();
}

rtd_bytes rtd_inbox(uint32_t size) { return rtd_make(arena(), size); }

// ---- bytes

rtd_bytes rtd_text(const char *string) {
	uint32_t n = 0;
	while (string && string[n]) n++;
	return rtd_make(string, n);
}

bool rtd_equal(rtd_bytes a, rtd_bytes b) { return rtd_size(a) == rtd_size(b) && rtd_cut(&a, b); }

bool rtd_cut(rtd_bytes *b, rtd_bytes prefix) {
	uint32_t n = rtd_size(prefix);
	if (rtd_size(*b) < n) return false;
	const char *x = rtd_at(*b), *y = rtd_at(prefix);
	for (uint32_t i = 0; i < n; i++)
		if (x[i] != y[i]) return false;
	rtd_drop(b, n);
	return true;
}

int64_t rtd_number(rtd_bytes text) {
	bool negative = rtd_cut(&text, RTD("-"));
	uint64_t n = 0;
	for (uint32_t i = 0; i < rtd_size(text) && i < 18 && rtd_at(text)[i] >= '0' && rtd_at(text)[i] <= '9'; i++)
		n = n * 10 + (rtd_at(text)[i] - '0');
	return negative ? -(int64_t)n : (int64_t)n;
}

uint32_t rtd_copy(char *into, uint32_t room, rtd_bytes b) {
	uint32_t n = rtd_size(b) < room ? rtd_size(b) : room;
	__builtin_memmove(into, rtd_at(b), n);
	__builtin_memset(into + n, 0, room - n);
	return n;
}

// ---- records

static uint32_t load32(const char *at) {
	uint32_t n;
	__builtin_memcpy(&n, at, sizeof n);
	return n;
}

bool rtd_cut_field(rtd_bytes *list, rtd_bytes *field) {
	*field = NONE;
	if (rtd_size(*list) < 4) return false;
	uint32_t n = load32(rtd_at(*list));
	if (n > rtd_size(*list) - 4) return false;
	*field = rtd_make(rtd_at(*list) + 4, n);
	rtd_drop(list, 4 + n);
	return true;
}

static char *put(char *at, const void *from, uint32_t n) {
	__builtin_memcpy(at, from, n);
	return at + n;
}

static char *put_field(char *at, rtd_bytes b) {
	uint32_t n = rtd_size(b);
	return put(put(at, &n, 4), rtd_at(b), n);
}

rtd_bytes rtd_join_field(rtd_bytes list, rtd_bytes field) {
	uint32_t size = rtd_size(list) + 4 + rtd_size(field);
	char *at = rtd_alloc(size);
	put_field(put(at, rtd_at(list), rtd_size(list)), field);
	return rtd_make(at, size);
}

bool rtd_read(rtd_bytes bytes, rtd_event *r) {
	*r = (rtd_event){0};
	if (rtd_size(bytes) < 4) return false;
	uint32_t head = load32(rtd_at(bytes));
	r->kind = head;
	r->flags = head >> 16;
	rtd_drop(&bytes, 4);
	rtd_bytes unknown;
	for (int i = 0; rtd_size(bytes) > 0; i++)
		if (!rtd_cut_field(&bytes, i < 4 ? &r->name + i : &unknown)) return false;
	if (r->flags & BINARY) r->payload = rtd_binary(r->payload);
	return true;
}

rtd_bytes rtd_write(const rtd_event *r) {
	const rtd_bytes *fields = &r->name;
	int count = rtd_size(r->extra) ? 4 : rtd_size(r->detail) ? 3 : 2;
	uint32_t size = 4, head = r->kind | (r->flags | (rtd_is_binary(r->payload) ? BINARY : 0)) << 16;
	for (int i = 0; i < count; i++) size += 4 + rtd_size(fields[i]);
	char *from = rtd_alloc(size), *at = put(from, &head, 4);
	for (int i = 0; i < count; i++) at = put_field(at, fields[i]);
	return rtd_make(from, size);
}

__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t op(const void *record, uint32_t size, void *answer, uint32_t room);

static rtd_event record(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra) {
	return (rtd_event){kind, kind >> 16, {name}, {payload}, {detail}, {extra}};
}

void rtd_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail) {
	rtd_code code = rtd_try_effect(kind, name, payload, detail).code;
	if (code) rtd_crash(rtd_format("effect %d %s: code %d", kind, name, code));
}

rtd_result rtd_try_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail) {
	char *mark = top;
	rtd_event e = record(kind, name, payload, detail, NONE);
	rtd_bytes b = rtd_write(&e);
	int32_t code = op(rtd_at(b), rtd_size(b), 0, 0);
	top = mark;
	return (rtd_result){code < 0 ? (rtd_code)code : RTD_OK, NONE};
}

rtd_result rtd_ask(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra) {
	rtd_event e = record(kind, name, payload, detail, extra);
	return rtd_op(&e);
}

// rtd_op has little room for the answer at first. What does not fit is fetched once more.
rtd_result rtd_op(const rtd_event *r) {
	enum { ROOM = 128 };
	char *answer = rtd_alloc(ROOM), *mark = top;
	rtd_bytes b = rtd_write(r);
	int32_t n = op(rtd_at(b), rtd_size(b), answer, ROOM);
	top = mark;
	rtd_result result = {n < 0 ? (rtd_code)n : RTD_OK, rtd_make(answer, n < 0 ? 0 : n)};
	if (n > ROOM || n == RTD_ENDED) {
		const uint16_t take[6] = {OP_TAKE};
		uint32_t size = n > ROOM ? n : op(take, sizeof take, 0, 0);
		answer = rtd_alloc(size);
		op(take, sizeof take, answer, size);
		result.bytes = rtd_make(answer, size);
	}
	return result;
}

_Noreturn void rtd_crash(rtd_bytes cause) {
	rtd_try_effect(OP_ABORT, NONE, cause, NONE);
	__builtin_trap(); // only if the host knows no abort
}
