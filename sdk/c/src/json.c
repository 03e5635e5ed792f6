// JSON, written and read.
#include "internal.h"

#include <stdarg.h>

static void append(const void *at, uint32_t size) { __builtin_memcpy(rtd_extend(size), at, size); }

static void append_char(char c) { *rtd_extend(1) = c; }

static void append_number(int n) {
	uint32_t left = n;
	if (n < 0) {
		append_char('-');
		left = -left;
	}
	if (left > 9) append_number(left / 10);
	append_char('0' + left % 10);
}

static void append_quoted(rtd_bytes b) {
	append_char('"');
	for (uint32_t i = 0; i < rtd_size(b); i++) {
		uint8_t c = rtd_at(b)[i];
		if (c < ' ') {
			append("\\u00", 4);
			append_char('0' + (c >> 4));
			append_char((c & 15) + ((c & 15) > 9 ? 'a' - 10 : '0'));
			continue;
		}
		if (c == '"' || c == '\\') append_char('\\');
		append_char(c);
	}
	append_char('"');
}

rtd_bytes rtd_format(const char *format, ...) {
	char *from = rtd_extend(0);
	va_list args;
	va_start(args, format);
	for (const char *f = format; *f; f++) {
		if (*f != '%') append(f, 1);
		else if (*++f == 'd') append_number(va_arg(args, int));
		else if (*f == 'q') append_quoted(va_arg(args, rtd_bytes));
		else {
			rtd_bytes b = va_arg(args, rtd_bytes);
			append(rtd_at(b), rtd_size(b));
		}
	}
	va_end(args);
	return rtd_make(from, rtd_extend(0) - from);
}

rtd_bytes rtd_decimal(int64_t number) {
	enum { DIGITS = 20 }; // and a minus
	char *text = rtd_alloc(DIGITS), *at = text + DIGITS;
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
	do *--at = '0' + left % 10;
	while (left /= 10);
	if (number < 0) *--at = '-';
	return rtd_make(at, text + DIGITS - at);
}

// ---- reading JSON

// peek returns the character behind space, 0 at the end.
static char peek(rtd_bytes *text) {
	for (; rtd_size(*text); rtd_drop(text, 1))
		if (*rtd_at(*text) > ' ' || *rtd_at(*text) < 0) return *rtd_at(*text);
	return 0;
}

static void take(rtd_bytes *text, char c) {
	if (peek(text) == c) rtd_drop(text, 1);
}

// value takes the value at the beginning of text.
static rtd_bytes value(rtd_bytes *text) {
	const char *at = rtd_at(*text);
	uint32_t n = 0, size = rtd_size(*text);
	int depth = 0;
	bool quoted = false;
	for (; n < size; n++) {
		char c = at[n], bracket = c | 32; // [ is { then, and ] is }
		if (!quoted && depth == 0 && (c <= ' ' || c == ',' || c == ':' || bracket == '}')) break;
		if (c == '"') quoted = !quoted;
		else if (quoted) n += c == '\\';
		else depth += (bracket == '{') - (bracket == '}');
	}
	if (n > size) n = size;
	rtd_drop(text, n);
	return rtd_make(at, n);
}

static uint32_t unit(const char *at, uint32_t size) {
	uint32_t n = 0;
	if (size < 4) return 0xFFFD;
	for (int i = 0; i < 4; i++) {
		uint32_t c = at[i] | 32;
		n = n << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return n & 0xFFFF;
}

static char *put_rune(char *to, uint32_t r) {
	if (r < 0x80) {
		*to++ = r;
		return to;
	}
	int more = r < 0x800 ? 1 : r < 0x10000 ? 2 : 3;
	*to++ = 0xFF00 >> (more + 1) | r >> 6 * more;
	while (more-- > 0) *to++ = 0x80 | (r >> 6 * more & 0x3F);
	return to;
}

// unquote returns the text of a JSON string, which is never longer than the string.
static rtd_bytes unquote(rtd_bytes v) {
	enum { HIGH = 0xD800 >> 10, LOW = 0xDC00 >> 10, HALF = 0xD800 >> 11 }; // of pairs in UTF-16; a half alone is no text
	const char *at = rtd_at(v);
	uint32_t size = rtd_size(v);
	if (size < 2 || *at != '"') return NONE;
	char *text = rtd_alloc(size), *to = text;
	for (uint32_t i = 1; i < size - 1; i++) {
		char c = at[i];
		if (c != '\\') {
			*to++ = c;
			continue;
		}
		c = at[++i];
		if (c == 'u') {
			uint32_t r = unit(at + i + 1, size - i - 1);
			i += 4;
			if (r >> 10 == HIGH && i + 6 < size && at[i + 1] == '\\' && at[i + 2] == 'u') {
				uint32_t low = unit(at + i + 3, size - i - 3);
				if (low >> 10 == LOW) {
					r = 0x10000 + ((r & 0x3FF) << 10) + (low & 0x3FF);
					i += 6;
				}
			}
			to = put_rune(to, r >> 11 == HALF ? 0xFFFD : r);
			continue;
		}
		const char *escapes = "b\bf\fn\nr\rt\t";
		for (int k = 0; k < 10; k += 2)
			if (c == escapes[k]) c = escapes[k + 1];
		*to++ = c;
	}
	return rtd_make(text, to - text);
}

rtd_bytes rtd_find(rtd_bytes object, rtd_bytes key) {
	take(&object, '{');
	while (peek(&object) == '"') {
		rtd_bytes name = value(&object);
		take(&object, ':');
		peek(&object);
		rtd_bytes found = value(&object);
		if (rtd_equal(unquote(name), key)) return found;
		take(&object, ',');
	}
	return NONE;
}

rtd_bytes rtd_find_text(rtd_bytes object, rtd_bytes key) { return unquote(rtd_find(object, key)); }

int64_t rtd_find_int(rtd_bytes object, rtd_bytes key) { return rtd_number(rtd_find(object, key)); }
