// Records, the one shape of events, effects and operations.
#include "internal.h"

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
