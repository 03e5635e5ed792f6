// A complete plugin without an SDK: a room, whose members hear what each of them says. It
// keeps how often its client has spoken. The contract is in rtd/sandbox/abi. Build it with
//
//	clang --target=wasm32 -O2 -ffreestanding -nostdlib -mbulk-memory \
//		-Wl,--no-entry -Wl,--strip-debug -o room.wasm room.c
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

// The one import: what a guest asks the host for. (Answers are not used here.)
__attribute__((import_module("rtd_v1"), import_name("op")))
int32_t op(const void *record, uint32_t size, void *answer, uint32_t room);

enum { START = 0x001, JOIN = 0x002, MESSAGE = 0x003, REPLY = 0x101, BROADCAST = 0x103, HANDLES = 0x105, ABORT = 0x202 };

// An event lies here from inbox until the end of handle. Larger ones are refused: who
// sent them is told.
static uint8_t event[16 << 10];

EXPORT("inbox") void *inbox(uint32_t size) { return size <= sizeof event ? event : 0; }

// All that stays between events. Each join has a process of its own, with this for
// itself; after a crash it is as after start.
static uint32_t said;

static uint32_t load32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

// put_field writes a field: its length in four bytes, little endian, then its bytes.
static uint8_t *put_field(uint8_t *at, const char *text) {
	uint32_t size = 0;
	for (; text[size]; size++) at[4 + size] = text[size];
	for (int i = 0; i < 4; i++) at[i] = size >> 8 * i;
	return at + 4 + size;
}

// ask hands a record to the host: kind, flags (none), name, payload.
static void ask(uint16_t kind, const char *name, const char *payload) {
	uint8_t record[256] = {kind & 0xff, kind >> 8};
	op(record, put_field(put_field(record + 4, name), payload) - record, 0, 0);
}

static char *put_number(char *at, uint32_t n) {
	if (n > 9) at = put_number(at, n / 10);
	*at = '0' + n % 10;
	return at + 1;
}

static void message(uint32_t size) {
	const uint8_t *name = event + 8; // behind the header and its length
	uint32_t n = load32(event + 4);
	if (n != 3 || name[0] != 's' || name[1] != 'a' || name[2] != 'y') {
		ask(ABORT, "", "unknown event"); // a crash; its cause is in the log
		__builtin_trap();
	}
	// The effect broadcast has the shape of the event, so another kind makes one of the
	// other: name and payload go to everybody as the client sent them.
	event[0] = BROADCAST & 0xff;
	event[1] = BROADCAST >> 8;
	event[2] &= 1; // of the flags Binary alone means something here
	op(event, size, 0, 0);
	char response[24] = "{\"said\":";
	*put_number(response + 8, ++said) = '}';
	ask(REPLY, "ok", response);
}

EXPORT("handle") int32_t handle(uint32_t size) {
	switch (event[0] | event[1] << 8) {
	case START: ask(HANDLES, "room:*", ""); break;
	case JOIN: break; // no reply accepts
	case MESSAGE: message(size); break;
	}
	return 0; // events that it does not know are ignored
}
