package main

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is of objects and arrays in each other.
const maxDepth = 10000

// reader reads JSON (RFC 8259) strictly, without recursion and without
// allocation. Strings are decoded where they lie, for they only become shorter.
// Its methods return false for what is not there or malformed.
//
// encoding/json would do, in ten lines. It takes this guest five times the time,
// and an idle actor three times the memory: what deep calls leave on the stack,
// and the garbage.
type reader struct {
	text []byte
	at   int
}

func (r *reader) byte() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// peek returns the next byte that is no white space, 0 at the end.
func (r *reader) peek() byte {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

func (r *reader) take(c byte) bool {
	if r.peek() != c || r.at == len(r.text) {
		return false
	}
	r.at++
	return true
}

func (r *reader) end() bool {
	r.peek()
	return r.at == len(r.text)
}

// word takes exactly this; no white space may come before.
func (r *reader) word(word string) bool {
	if len(r.text)-r.at < len(word) || string(r.text[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

func (r *reader) null() bool { return r.peek() == 'n' && r.word("null") }

func (r *reader) bool() (value, ok bool) {
	if r.peek() == 't' {
		return true, r.word("true")
	}
	return false, r.word("false")
}

// string returns the decoded text, which lies in the reader's.
func (r *reader) string() (text []byte, ok bool) {
	if !r.take('"') {
		return nil, false
	}
	from, to := r.at, r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		r.at++
		switch {
		case c == '"':
			return r.text[from:to], true
		case c < 0x20:
			return nil, false
		case c == '\\':
			char, ok := r.escape()
			if !ok {
				return nil, false
			}
			to = len(utf8.AppendRune(r.text[:to], char))
		default:
			r.text[to] = c
			to++
		}
	}
	return nil, false
}

func (r *reader) escape() (rune, bool) {
	c := r.byte()
	r.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return r.unicode()
	}
	return 0, false
}

// unicode takes what follows \u. Half a surrogate pair becomes U+FFFD.
func (r *reader) unicode() (rune, bool) {
	c, ok := r.hex4()
	if !ok || !utf16.IsSurrogate(c) {
		return c, ok
	}
	behind := r.at
	if r.word(`\u`) {
		if low, ok := r.hex4(); ok {
			if pair := utf16.DecodeRune(c, low); pair != utf8.RuneError {
				return pair, true
			}
		}
	}
	r.at = behind
	return utf8.RuneError, true
}

func (r *reader) hex4() (unit rune, ok bool) {
	for range 4 {
		c := r.byte()
		r.at++
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

func (r *reader) oneOf(a, b byte) bool {
	if c := r.byte(); r.at == len(r.text) || c != a && c != b {
		return false
	}
	r.at++
	return true
}

func (r *reader) digits() bool {
	from := r.at
	for c := r.byte(); c >= '0' && c <= '9'; c = r.byte() {
		r.at++
	}
	return r.at > from
}

func (r *reader) number() bool {
	r.oneOf('-', '-')
	if !r.oneOf('0', '0') && !r.digits() {
		return false
	}
	if r.oneOf('.', '.') && !r.digits() {
		return false
	}
	if r.oneOf('e', 'E') {
		r.oneOf('+', '-')
		return r.digits()
	}
	return true
}

// uint32 takes a number that is written as an integer and fits.
func (r *reader) uint32() (uint32, bool) {
	r.peek()
	from := r.at
	if !r.number() {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.text[from:r.at]), 10, 32)
	return uint32(n), err == nil
}

func (r *reader) key() (key []byte, ok bool) {
	key, ok = r.string()
	return key, ok && r.take(':')
}

func (r *reader) scalar() (ok bool) {
	switch r.peek() {
	case '"':
		_, ok = r.string()
	case 't', 'f':
		_, ok = r.bool()
	case 'n':
		ok = r.word("null")
	default:
		ok = r.number()
	}
	return ok
}

// levels has a bit for each object or array around: is it an object? They are
// cleared on the way out.
var levels [maxDepth/8 + 1]byte

// skip takes any value that lies in depth objects and arrays.
func (r *reader) skip(depth int) bool {
	for outside := depth; ; {
		open := r.peek()
		if object := open == '{'; object || open == '[' {
			r.at++
			if depth++; depth > maxDepth {
				return false
			}
			if object {
				levels[depth/8] |= 1 << (depth % 8)
			}
			if r.peek() != open+2 {
				if object && !r.anyKey() {
					return false
				}
				continue
			}
		} else if !r.scalar() {
			return false
		}
		for depth > outside { // behind a value, or before the end of an empty one
			object := levels[depth/8]>>(depth%8)&1 == 1
			if r.take(',') {
				if object && !r.anyKey() {
					return false
				}
				break
			}
			closing := byte(']')
			if object {
				closing = '}'
			}
			if !r.take(closing) {
				return false
			}
			levels[depth/8] &^= 1 << (depth % 8)
			depth--
		}
		if depth == outside {
			return true
		}
	}
}

func (r *reader) anyKey() bool {
	_, ok := r.key()
	return ok
}

// appendQuoted appends a text as a JSON string that is safe inside of HTML too,
// as encoding/json does.
func appendQuoted(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', byte(c))
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < 0x20 || c == '<' || c == '>' || c == '&' || c == '\u2028' || c == '\u2029' {
				dst = append(dst, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
			} else {
				dst = utf8.AppendRune(dst, c)
			}
		}
	}
	return append(dst, '"')
}
