// The contract of rtd/sandbox/abi, as much of it as a small guest in C needs.
// Freestanding: no C library.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	EVENT_START = 0x001,
	EVENT_JOIN = 0x002,
	EVENT_MESSAGE = 0x003,

	EFFECT_REPLY = 0x101,
	EFFECT_BROADCAST = 0x103,
	EFFECT_HANDLES = 0x105,
	EFFECT_SCRATCH = 0x106, // hosts that do not know it answer CodeUnknown

	OP_ABORT = 0x202,
};

__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t rtd_op(const void *record, uint32_t size, void *answer, uint32_t room);

__attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get")))
uint32_t wasi_random_get(void *into, uint32_t size);

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn))
void wasi_proc_exit(uint32_t status);

typedef struct {
	uint8_t *at;
	uint32_t size;
} bytes;

static bool is(bytes b, const char *text) {
	for (uint32_t i = 0; i < b.size; i++)
		if (text[i] == 0 || b.at[i] != (uint8_t)text[i]) return false;
	return text[b.size] == 0;
}

static uint32_t length(const char *text) {
	uint32_t n = 0;
	while (text[n]) n++;
	return n;
}

// ---- reading an event

typedef struct {
	uint16_t kind;
	bytes name, payload;
} event;

// One instruction each: WebAssembly is little endian and needs no alignment.
static uint32_t load32(const uint8_t *at) {
	uint32_t n;
	__builtin_memcpy(&n, at, sizeof n);
	return n;
}

static void store32(uint8_t *at, uint32_t n) { __builtin_memcpy(at, &n, sizeof n); }

// read_event finds kind and fields in a record. Missing fields are empty.
static bool read_event(bytes record, event *e) {
	if (record.size < 4) return false;
	e->kind = load32(record.at);
	bytes *fields[] = {&e->name, &e->payload};
	uint32_t from = 4;
	for (int i = 0; i < 2; i++) {
		uint32_t size = 0;
		if (from < record.size) {
			if (record.size - from < 4) return false;
			size = load32(record.at + from);
			from += 4;
			if (size > record.size - from) return false;
		}
		*fields[i] = (bytes){record.at + from, size};
		from += size;
	}
	return true;
}

// ---- writing an effect or operation

// A record is built on the stack, which is dead between events: nothing of it
// stays in the state of an idle actor.
typedef struct {
	uint32_t size;
	uint32_t payload; // where it begins
	uint8_t at[4096];
} record;

static void put(record *r, uint8_t byte) {
	if (r->size == sizeof r->at) __builtin_trap();
	r->at[r->size++] = byte;
}

static void put32(record *r, uint32_t n) {
	for (int i = 0; i < 4; i++, n >>= 8) put(r, n);
}

static void put_text(record *r, const char *text) {
	while (*text) put(r, *text++);
}

static void put_number(record *r, uint32_t n) {
	if (n > 9) put_number(r, n / 10);
	put(r, '0' + n % 10);
}

// begin starts a record; what is put afterwards is its payload.
static void begin(record *r, uint32_t kind, const char *name) {
	r->size = 0;
	put32(r, kind); // and no flags
	put32(r, length(name));
	put_text(r, name);
	put32(r, 0);
	r->payload = r->size;
}

static void end(record *r) {
	store32(r->at + r->payload - 4, r->size - r->payload);
	rtd_op(r->at, r->size, 0, 0);
}

static void ask(uint32_t kind, const char *name, const char *payload) {
	record r;
	begin(&r, kind, name);
	put_text(&r, payload);
	end(&r);
}

// pass_on asks for an effect with the name and payload of the event in the
// inbox. The records of events and effects have one shape, so a new header makes
// one of the other, however long it is.
static void pass_on(bytes inbox, uint32_t kind) {
	store32(inbox.at, kind);
	rtd_op(inbox.at, inbox.size, 0, 0);
}

// die crashes the actor with a cause for the log.
static _Noreturn void die(const char *cause) {
	ask(OP_ABORT, "", cause);
	__builtin_trap(); // only if the host knows no abort
}

// declare_stack tells the host that the stack means nothing between events.
// The stack is linked below the data (--stack-first).
static void declare_stack(void) {
	extern uint8_t __global_base;
	record r;
	begin(&r, EFFECT_SCRATCH, "");
	put32(&r, 0);
	put32(&r, (uint32_t)&__global_base);
	end(&r);
}
