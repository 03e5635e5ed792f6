// JSON (RFC 8259), strictly, on hostile input: no recursion, no allocation.
// Strings are decoded where they lie, for they only become shorter.
#pragma once

#include "rtd.h"

enum { MAX_DEPTH = 10000 }; // of objects and arrays in each other

typedef struct {
	uint8_t *at, *end;
} json;

static bool utf8(bytes b) {
	for (uint32_t i = 0; i < b.size;) {
		uint8_t c = b.at[i++];
		if (c < 0x80) continue;
		// How many bytes follow, and the bounds of the first of them: these keep
		// out surrogates, code points above U+10FFFF and overlong forms.
		uint32_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		if (c < 0xc2 || c > 0xf4 || b.size - i < more) return false;
		for (; more > 0; more--, low = 0x80, high = 0xbf, i++)
			if (b.at[i] < low || b.at[i] > high) return false;
	}
	return true;
}

// clip shortens a UTF-8 text to at most size bytes, without cutting a character.
static bytes clip(bytes text, uint32_t size) {
	if (text.size <= size) return text;
	while (size > 0 && (text.at[size] & 0xc0) == 0x80) size--;
	return (bytes){text.at, size};
}

static uint8_t json_peek(json *j) { // past white space; 0 at the end
	for (; j->at < j->end; j->at++) {
		uint8_t c = *j->at;
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
	}
	return 0;
}

static bool json_end(json *j) {
	json_peek(j);
	return j->at == j->end;
}

static bool json_take(json *j, uint8_t c) {
	if (json_peek(j) != c || j->at == j->end) return false;
	j->at++;
	return true;
}

// json_word takes exactly this; no white space may come before.
static bool json_word(json *j, const char *word) {
	for (; *word; word++)
		if (j->at == j->end || *j->at++ != (uint8_t)*word) return false;
	return true;
}

// What may follow a backslash, each with what it means. All but the last are
// written so, too.
static const char escapes[] = "b\bf\fn\nr\rt\t\"\"\\\\//";

static bool json_hex4(json *j, uint32_t *unit) {
	*unit = 0;
	for (int i = 0; i < 4; i++) {
		if (j->at == j->end) return false;
		uint8_t c = *j->at++;
		uint8_t digit = c - '0', letter = (c | 0x20) - 'a';
		if (digit > 9 && letter > 5) return false;
		*unit = *unit << 4 | (digit > 9 ? letter + 10 : digit);
	}
	return true;
}

static uint8_t *encode_utf8(uint8_t *to, uint32_t c) {
	static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
	int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	*to++ = lead[more] | c >> 6 * more;
	while (more-- > 0) *to++ = 0x80 | (c >> 6 * more & 0x3f);
	return to;
}

// json_unicode takes what follows \u. Half a surrogate pair becomes U+FFFD.
static bool json_unicode(json *j, uint32_t *c) {
	uint32_t low;
	if (!json_hex4(j, c)) return false;
	if (*c >> 11 != 0xd800 >> 11) return true;
	json next = *j;
	if (*c < 0xdc00 && json_word(&next, "\\u") && json_hex4(&next, &low) && low >> 10 == 0xdc00 >> 10) {
		*c = 0x10000 + ((*c & 0x3ff) << 10 | (low & 0x3ff));
		*j = next;
	} else {
		*c = 0xfffd;
	}
	return true;
}

static bool json_string(json *j, bytes *text) {
	if (!json_take(j, '"')) return false;
	uint8_t *to = text->at = j->at;
	while (j->at < j->end) {
		uint32_t c = *j->at++;
		if (c == '"') {
			text->size = to - text->at;
			return true;
		}
		if (c < 0x20) return false;
		if (c != '\\') {
			*to++ = c;
			continue;
		}
		if (j->at == j->end) return false;
		c = *j->at++;
		if (c == 'u') {
			if (!json_unicode(j, &c)) return false;
		} else {
			const char *e = escapes;
			while (*e && (uint8_t)*e != c) e += 2;
			if (!*e) return false;
			c = e[1];
		}
		to = encode_utf8(to, c);
	}
	return false;
}

static bool json_one_of(json *j, uint8_t a, uint8_t b) {
	if (j->at == j->end || (*j->at != a && *j->at != b)) return false;
	j->at++;
	return true;
}

static bool json_digits(json *j) {
	uint8_t *from = j->at;
	while (j->at < j->end && (uint8_t)(*j->at - '0') <= 9) j->at++;
	return j->at > from;
}

static bool json_number(json *j) {
	json_one_of(j, '-', '-');
	if (!json_one_of(j, '0', '0') && !json_digits(j)) return false;
	if (json_one_of(j, '.', '.') && !json_digits(j)) return false;
	if (json_one_of(j, 'e', 'E')) {
		json_one_of(j, '+', '-');
		return json_digits(j);
	}
	return true;
}

// json_u32 takes a number that is written as an integer and fits.
static bool json_u32(json *j, uint32_t *n) {
	json_peek(j);
	uint8_t *from = j->at;
	if (!json_number(j)) return false;
	uint64_t value = 0;
	for (; from < j->at; from++) {
		uint8_t digit = *from - '0';
		value = value * 10 + digit;
		if (digit > 9 || value > UINT32_MAX) return false; // digit: a sign, a fraction or an exponent
	}
	*n = value;
	return true;
}

static bool json_scalar(json *j) {
	bytes ignored;
	switch (json_peek(j)) {
	case '"': return json_string(j, &ignored);
	case 't': return json_word(j, "true");
	case 'f': return json_word(j, "false");
	case 'n': return json_word(j, "null");
	}
	return json_number(j);
}

static bool json_key(json *j, bytes *key) { return json_string(j, key) && json_take(j, ':'); }

// json_skip takes any value that lies in depth objects and arrays.
static bool json_skip(json *j, uint32_t depth) {
	uint8_t objects[MAX_DEPTH / 8 + 1]; // a bit for each level: is it an object?
	uint32_t outside = depth;
	bytes ignored;
	for (;;) {
		bool object = json_peek(j) == '{';
		if (object || json_peek(j) == '[') {
			j->at++;
			if (++depth > MAX_DEPTH) return false;
			uint8_t bit = 1 << depth % 8;
			objects[depth / 8] = object ? objects[depth / 8] | bit : objects[depth / 8] & ~bit;
			if (json_peek(j) != (object ? '}' : ']')) {
				if (object && !json_key(j, &ignored)) return false;
				continue;
			}
		} else if (!json_scalar(j)) {
			return false;
		}
		for (;;) { // behind a value, or before the end of an empty one
			if (depth == outside) return true;
			object = objects[depth / 8] >> depth % 8 & 1;
			if (json_take(j, ',')) {
				if (object && !json_key(j, &ignored)) return false;
				break;
			}
			if (!json_take(j, object ? '}' : ']')) return false;
			depth--;
		}
	}
}

// put_quoted writes a text as a JSON string that is safe inside of HTML too:
// the bytes, and the rules, are those of Go's encoding/json.
static void put_quoted(record *r, bytes text) {
	put(r, '"');
	for (uint32_t i = 0; i < text.size; i++) {
		uint8_t c = text.at[i];
		const char *e = escapes;
		while (*e != '/' && (uint8_t)e[1] != c) e += 2;
		if (*e != '/') {
			put(r, '\\');
			put(r, *e);
		} else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
			put_text(r, "\\u00");
			put(r, "0123456789abcdef"[c >> 4]);
			put(r, "0123456789abcdef"[c & 15]);
		} else if (c == 0xe2 && text.at[i + 1] == 0x80 && (text.at[i + 2] | 1) == 0xa9) {
			put_text(r, "\\u202"); // U+2028 and U+2029, which end lines in JavaScript
			put(r, '8' + (text.at[i += 2] & 1));
		} else {
			put(r, c);
		}
	}
	put(r, '"');
}
