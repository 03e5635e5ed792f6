package channels

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// Why a text may not reach clients.
var (
	errNotJSON  = errors.New("not JSON, or nested too deep")
	errNotExact = errors.New("half of a surrogate pair, or a number beyond a double")
)

// checkJSON holds a text to the JSON that every client can read: no half of a surrogate
// pair, no number beyond a double, as in Phoenix. A payload of one client reaches the
// others as it is, so that a text which only lenient decoders accept must not pass.
//
// Why are payloads checked but never decoded? Most messages are only passed on. To decode
// and encode one would cost more than all the rest, and change large integers, the order
// of keys, and duplicates. But a frame is built by pasting payloads into it. One that is
// not valid JSON could break or forge the frames of clients that did nothing wrong, and
// one that is not valid UTF-8 would make their browsers close the connection.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return ErrUTF8
	}
	c := checker{text: text}
	switch {
	case !c.valid():
		return errNotJSON
	case c.inexact:
		return errNotExact
	}
	return nil
}

// stringLen is the length of the JSON string that a valid text begins with.
func stringLen(text []byte) int {
	i := 1
	for ; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// cutArray fills into with the elements of a valid JSON array and returns how
// many there are, at most len(into); -1 if text is no array.
func cutArray(text []byte, into [][]byte) int {
	text = skip(text, ' ')
	if text[0] != '[' {
		return -1
	}
	n, depth, start := 0, 0, 1
	for i := 1; i < len(text) && n < len(into); i++ {
		switch text[i] {
		case '"':
			i += stringLen(text[i:]) - 1
		case '[', '{':
			depth++
		case ']', '}':
			if depth > 0 {
				depth--
				continue
			}
			fallthrough // the end of the array itself
		case ',':
			if depth == 0 {
				if into[n] = trim(text[start:i]); len(into[n]) == 0 {
					return n // of the empty array
				}
				n, start = n+1, i+1
			}
		}
	}
	return n
}

// unquote reads a valid JSON string.
func unquote(text []byte) (string, bool) {
	if text[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), true
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err == nil
}

// isObject reports whether a valid JSON text is an object.
func isObject(text []byte) bool {
	text = skip(text, ' ')
	return len(text) > 0 && text[0] == '{'
}

// openObject returns what stands behind the brace that a valid JSON text begins
// with, if it is an object.
func openObject(text []byte) (rest []byte, ok bool) {
	text = skip(text, ' ')
	if text[0] != '{' {
		return nil, false
	}
	return text[1:], true
}

// cutMember takes the next member off what is left of a valid JSON object; more
// is false if there is none.
func cutMember(text []byte) (key, value, rest []byte, more bool) {
	text = skip(text, ',')
	if text[0] == '}' {
		return nil, nil, nil, false
	}
	n := stringLen(text)
	key, text = text[:n], text[n:]
	text = skip(text, ':')
	n = valueLen(text)
	return key, text[:n], text[n:], true
}

// valueLen is the length of the JSON value that a text begins with, behind which
// a valid one goes on.
func valueLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLen(text[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 { // of what the value stands in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// escaped reports whether a text is a JSON string with escapes.
func escaped(text []byte) bool {
	return text[0] == '"' && bytes.IndexByte(text, '\\') >= 0
}

// appendString appends s as a JSON string, escaping as little as it can.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// skip cuts white space off the beginning of a text, and a mark among it.
func skip(text []byte, mark byte) []byte {
	i := 0
	for i < len(text) && (text[i] == mark || isSpace(text[i])) {
		i++
	}
	return text[i:]
}

// trim cuts white space off both ends of a text.
func trim(text []byte) []byte {
	text = skip(text, ' ')
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
