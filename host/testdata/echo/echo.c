// A channel handler in C without an SDK: it serves echo:* and answers each message
// with its payload. package abi says what the bytes mean.
#include <stdint.h>

__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t op(const void *record, uint32_t size, void *out, uint32_t cap);

enum { START = 1, MESSAGE = 3, REPLY = 0x101, HANDLES = 0x105 };

static uint8_t inbox_room[32 << 10], record[33 << 10];

static uint32_t u32(const uint8_t *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }

// ask asks for an effect with a name and a payload.
static int32_t ask(uint16_t kind, uint16_t flags, const void *name, uint32_t name_size, const void *payload, uint32_t size) {
	uint8_t *p = record;
	__builtin_memcpy(p, &kind, 2), __builtin_memcpy(p + 2, &flags, 2), p += 4;
	__builtin_memcpy(p, &name_size, 4), __builtin_memcpy(p + 4, name, name_size), p += 4 + name_size;
	__builtin_memcpy(p, &size, 4), __builtin_memcpy(p + 4, payload, size), p += 4 + size;
	return op(record, p - record, 0, 0);
}

__attribute__((export_name("inbox"))) void *inbox(uint32_t n) { return n <= sizeof inbox_room ? inbox_room : 0; }

__attribute__((export_name("handle"))) int32_t handle(uint32_t n) {
	(void)n; // the record says where it ends
	switch (inbox_room[0]) { // the kind; those below 256 have one byte
	case START:
		return ask(HANDLES, 0, "echo:*", 6, "", 0);
	case MESSAGE: {
		uint32_t name_size = u32(inbox_room + 4);
		const uint8_t *payload = inbox_room + 8 + name_size;
		return ask(REPLY, inbox_room[2] & 1, "ok", 2, payload + 4, u32(payload)); // binary stays binary
	}
	}
	return 0; // joins are accepted by default
}
