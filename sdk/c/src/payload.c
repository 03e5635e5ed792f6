// Bytes: texts and payloads.
#include "internal.h"

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
