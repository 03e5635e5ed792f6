// The handler that rtd bench talks to, in C: what an application would keep of one
// client, a name, a counter and the last ten messages, and little else.
//
//	join {"name": "…"}   accepted
//	echo {"body": "…"}   kept, and answered with the payload
//	say  {"body": "…"}   kept, and broadcast to the topic
//	crash                a trap
#include "../../../sandbox/testdata/actor/c/json.h"

enum { MAX_NAME = 32, MAX_TEXT = 64, KEEP = 10 };

static uint8_t inbox_room[32 << 10]; // with stack and state it fits one page

static struct {
	uint8_t name_size, name[MAX_NAME];
	uint32_t count;
	struct {
		uint8_t size, text[MAX_TEXT];
	} kept[KEEP]; // a ring: message n lies at n % KEEP
} self;

// member finds a string in the object that a payload is. The payload is decoded
// where it lies, so this comes after it was passed on.
static bytes member(bytes text, const char *wanted) {
	bytes found = {0}, key;
	json j = {text.at, text.at + text.size};
	if (!utf8(text) || !json_take(&j, '{')) die("malformed payload");
	if (json_take(&j, '}')) return found;
	do {
		if (!json_key(&j, &key)) die("malformed payload");
		bool ok = is(key, wanted) && json_peek(&j) == '"' ? json_string(&j, &found) : json_skip(&j, 1);
		if (!ok) die("malformed payload");
	} while (json_take(&j, ','));
	if (!json_take(&j, '}') || !json_end(&j)) die("malformed payload");
	return found;
}

static void keep(bytes payload) {
	bytes body = clip(member(payload, "body"), MAX_TEXT);
	uint32_t slot = self.count++ % KEEP;
	self.kept[slot].size = body.size;
	__builtin_memcpy(self.kept[slot].text, body.at, body.size);
}

// reply_same answers with the payload of the event in the inbox: a new name before
// it makes an effect of it, in place.
static void reply_same(bytes payload) {
	enum { HEADER = 4, LENGTH = 4, NAME = 2 };
	uint8_t *at = payload.at - LENGTH - NAME - LENGTH - HEADER;
	store32(at, EFFECT_REPLY);
	store32(at + HEADER, NAME);
	__builtin_memcpy(at + HEADER + LENGTH, "ok", NAME);
	rtd_op(at, HEADER + LENGTH + NAME + LENGTH + payload.size, 0, 0);
}

static void message(const event *e, bytes inbox) {
	if (is(e->name, "echo")) { // whose name is longer than "ok"
		reply_same(e->payload);
		keep(e->payload);
	} else if (is(e->name, "say")) {
		inbox.size = e->payload.at + e->payload.size - inbox.at; // no further fields
		pass_on(inbox, EFFECT_BROADCAST);
		keep(e->payload);
	} else {
		__builtin_trap();
	}
}

__attribute__((export_name("inbox"))) uint8_t *inbox(uint32_t size) { return size <= sizeof inbox_room ? inbox_room : 0; }

__attribute__((export_name("handle"))) uint32_t handle(uint32_t size) {
	bytes inbox = {inbox_room, size};
	event e;
	if (size > sizeof inbox_room || !read_event(inbox, &e)) return 1;
	switch (e.kind) {
	case EVENT_START:
		ask(EFFECT_HANDLES, "bench:*", "");
		declare_stack();
		break;
	case EVENT_JOIN: {
		bytes name = clip(member(e.payload, "name"), MAX_NAME);
		self.name_size = name.size;
		__builtin_memcpy(self.name, name.at, name.size);
		break;
	}
	case EVENT_MESSAGE: message(&e, inbox); break;
	}
	return 0; // a newer host may tell of other events
}
