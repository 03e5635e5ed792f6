// A channel handler in C. What it does is written in ../README.md.
#include "json.h"

enum { MAX_NAME = 32, MAX_TEXT = 64, KEEP = 10 };

static uint8_t inbox_room[32 << 10]; // with stack and state it fits one page

// All that is kept between events. Unused bytes are zero, as at the start, so
// that an idle actor is no larger than what it knows.
static struct {
	bool joined;
	uint8_t name_size;
	uint8_t name[MAX_NAME];
	uint32_t count;
	struct {
		uint8_t size;
		uint8_t text[MAX_TEXT];
	} kept[KEEP]; // a ring: message n lies at n % KEEP
} self;

// ---- payloads

typedef struct {
	bool has_body;
	bytes body, name;
	bool refuse;
	uint32_t n;
} payload;

static bool null(json *j) { return json_peek(j) == 'n' && json_word(j, "null"); }

static bool member(json *j, bytes key, payload *p) {
	if (is(key, "body")) {
		p->has_body = !null(j);
		return !p->has_body || json_string(j, &p->body);
	}
	if (is(key, "name")) return null(j) || json_string(j, &p->name);
	if (is(key, "n")) return null(j) || json_u32(j, &p->n);
	if (is(key, "refuse")) {
		if (null(j)) return true;
		p->refuse = json_peek(j) == 't';
		return json_word(j, p->refuse ? "true" : "false");
	}
	return json_skip(j, 1);
}

static bool members(json *j, payload *p) {
	if (null(j)) return true;
	if (!json_take(j, '{')) return false;
	if (json_take(j, '}')) return true;
	do {
		bytes key;
		if (!json_key(j, &key) || !member(j, key, p)) return false;
	} while (json_take(j, ','));
	return json_take(j, '}');
}

static payload parse(bytes text) {
	payload p = {0};
	json j = {text.at, text.at + text.size};
	if (!utf8(text) || !members(&j, &p) || !json_end(&j)) die("malformed payload");
	return p;
}

// ---- join and messages

static uint8_t keep(uint8_t *into, uint32_t room, bytes text) {
	text = clip(text, room);
	__builtin_memset(into, 0, room);
	__builtin_memcpy(into, text.at, text.size);
	return text.size;
}

static bytes kept(uint32_t n) { return (bytes){self.kept[n % KEEP].text, self.kept[n % KEEP].size}; }

static bytes name(void) { return (bytes){self.name, self.name_size}; }

static uint32_t oldest(void) { return self.count > KEEP ? self.count - KEEP : 0; }

static void join(bytes text) {
	__builtin_memset(&self, 0, sizeof self);
	self.joined = true;
	payload p = parse(text);
	self.name_size = keep(self.name, MAX_NAME, p.name.size > 0 ? p.name : (bytes){(uint8_t *)"anon", 4});
	if (p.refuse) {
		ask(EFFECT_REPLY, "error", "{\"reason\":\"refused\"}");
		return;
	}
	record r;
	begin(&r, EFFECT_REPLY, "ok");
	put_text(&r, "{\"name\":");
	put_quoted(&r, name());
	put(&r, '}');
	end(&r);
}

static void say(bytes text) {
	payload p = parse(text);
	if (!p.has_body) die("malformed payload");
	uint32_t slot = self.count % KEEP;
	self.kept[slot].size = keep(self.kept[slot].text, MAX_TEXT, p.body);
	self.count++;
	record r;
	begin(&r, EFFECT_REPLY, "ok");
	put_text(&r, "{\"count\":");
	put_number(&r, self.count);
	put_text(&r, ",\"name\":");
	put_quoted(&r, name());
	put_text(&r, ",\"oldest\":");
	put_quoted(&r, kept(oldest()));
	put(&r, '}');
	end(&r);
}

static void last(void) {
	record r;
	begin(&r, EFFECT_REPLY, "ok");
	put(&r, '[');
	for (uint32_t n = oldest(); n < self.count; n++) {
		if (n > oldest()) put(&r, ',');
		put_quoted(&r, kept(n));
	}
	put(&r, ']');
	end(&r);
}

static void shout(bytes inbox) {
	pass_on(inbox, EFFECT_BROADCAST);
	ask(EFFECT_REPLY, "ok", "");
}

static void random_numbers(void) {
	uint32_t numbers[4];
	wasi_random_get(numbers, sizeof numbers);
	record r;
	begin(&r, EFFECT_REPLY, "ok");
	for (int i = 0; i < 4; i++) {
		put(&r, i == 0 ? '[' : ',');
		put_number(&r, numbers[i]);
	}
	put(&r, ']');
	end(&r);
}

// work adds n rounds of a xorshift generator to an array of 4 KiB.
__attribute__((noinline)) static uint32_t work(uint32_t n) {
	uint32_t cells[1024] = {0}, x = 1, sum = 0;
	for (; n > 0; n--)
		for (int i = 0; i < 1024; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			cells[i] += x;
		}
	for (int i = 0; i < 1024; i++) sum += cells[i];
	return sum;
}

static void reply_sum(uint32_t sum) {
	record r;
	begin(&r, EFFECT_REPLY, "ok");
	put_text(&r, "{\"sum\":");
	put_number(&r, sum);
	put(&r, '}');
	end(&r);
}

// ---- ways to die; not inlined, so that a stack trace names them

__attribute__((noinline)) static void crash(void) { __builtin_trap(); }

__attribute__((noinline)) static void spin(void) {
	for (;;) {
	}
}

__attribute__((noinline)) static void hoard(void) {
	for (;;) {
		uint32_t page = __builtin_wasm_memory_grow(0, 1);
		if (page == UINT32_MAX) __builtin_trap();
		*(volatile uint8_t *)(page << 16) = 1;
	}
}

static volatile uint32_t depth; // what keeps the compiler from making a loop of it

__attribute__((noinline)) static void recurse(void) {
	depth++;
	recurse();
	depth--;
}

// ---- the exports

static void message(const event *e, bytes inbox) {
	if (!self.joined) die("message before join");
	if (is(e->name, "say")) say(e->payload);
	else if (is(e->name, "last")) last();
	else if (is(e->name, "shout")) shout(inbox);
	else if (is(e->name, "work")) reply_sum(work(parse(e->payload).n));
	else if (is(e->name, "random")) random_numbers();
	else if (is(e->name, "crash")) crash();
	else if (is(e->name, "spin")) spin();
	else if (is(e->name, "alloc")) hoard();
	else if (is(e->name, "recurse")) recurse();
	else if (is(e->name, "exit")) wasi_proc_exit(3);
	else die("unknown event");
}

__attribute__((export_name("inbox"))) uint8_t *inbox(uint32_t size) {
	return size <= sizeof inbox_room ? inbox_room : 0;
}

__attribute__((export_name("handle"))) uint32_t handle(uint32_t size) {
	bytes inbox = {inbox_room, size};
	event e;
	if (size > sizeof inbox_room || !read_event(inbox, &e)) return 1;
	switch (e.kind) {
	case EVENT_START:
		ask(EFFECT_HANDLES, "actor:*", "");
		declare_stack();
		break;
	case EVENT_JOIN: join(e.payload); break;
	case EVENT_MESSAGE: message(&e, inbox); break;
	}
	return 0; // a newer host may tell of other events
}
