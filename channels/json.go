package channels

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What is wrong with a text that is to reach clients.
var (
	errNotJSON  = errors.New("not JSON, or nested too deep")
	errNotExact = errors.New("half of a surrogate pair, or a number beyond a double")
)

// checkJSON holds a text to what every client can read. What one client sends
// reaches the others as it is, so that a text which only lenient decoders
// accept must not pass. encoding/json bounds the depth.
func checkJSON(text []byte) error {
	switch {
	case !utf8.Valid(text):
		return ErrUTF8
	case !json.Valid(text):
		return errNotJSON
	case !exact(text):
		return errNotExact
	}
	return nil
}

// exact reports whether each string and number of a valid JSON text has a
// value: encoding/json also accepts "\ud800" and 1e999.
func exact(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			end := i + stringLen(text[i:])
			if !paired(text[i:end]) {
				return false
			}
			i = end - 1
		case c == '-' || c >= '0' && c <= '9':
			end := i + numberLen(text[i:])
			if !finite(text[i:end]) {
				return false
			}
			i = end - 1
		}
	}
	return true
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

// paired reports whether a JSON string escapes surrogates in pairs only.
func paired(s []byte) bool {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return true
		}
		first := escapedUnit(s[i:])
		switch {
		case first < 0xd800 || first > 0xdfff: // none
			s = s[i+2:]
		case first >= 0xdc00:
			return false
		default:
			second := escapedUnit(s[i+6:])
			if second < 0xdc00 || second > 0xdfff {
				return false
			}
			s = s[i+12:]
		}
	}
}

// escapedUnit is the UTF-16 unit of the \uXXXX that s begins with, or 0.
func escapedUnit(s []byte) uint64 {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(s[2:6]), 16, 16)
	return unit
}

func numberLen(text []byte) int {
	for i, c := range text {
		switch c {
		case '+', '-', '.', 'e', 'E', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		default:
			return i
		}
	}
	return len(text)
}

// finite reports whether a JSON number is an integer, which may be of any size,
// or fits a double.
func finite(number []byte) bool {
	const short = 300 // digits; fewer need an exponent to be too many
	if len(number) < short && bytes.IndexByte(number, 'e') < 0 && bytes.IndexByte(number, 'E') < 0 {
		return true
	}
	if bytes.IndexAny(number, ".eE") < 0 {
		return true
	}
	_, err := strconv.ParseFloat(string(number), 64)
	return err == nil
}

// cutArray fills into with the elements of a valid JSON array and returns how
// many there are, at most len(into); -1 if text is no array.
func cutArray(text []byte, into [][]byte) int {
	text = bytes.TrimLeft(text, jsonSpace)
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
				if into[n] = bytes.Trim(text[start:i], jsonSpace); len(into[n]) == 0 {
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
	text = bytes.TrimLeft(text, jsonSpace)
	return len(text) > 0 && text[0] == '{'
}

// openObject returns what stands behind the brace that a valid JSON text begins
// with, if it is an object.
func openObject(text []byte) (rest []byte, ok bool) {
	text = bytes.TrimLeft(text, jsonSpace)
	if text[0] != '{' {
		return nil, false
	}
	return text[1:], true
}

// cutMember takes the next member off what is left of a valid JSON object; more
// is false if there is none.
func cutMember(text []byte) (key, value, rest []byte, more bool) {
	text = bytes.TrimLeft(text, jsonSpace+",")
	if text[0] == '}' {
		return nil, nil, nil, false
	}
	n := stringLen(text)
	key, text = text[:n], text[n:]
	text = bytes.TrimLeft(text, jsonSpace+":")
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

const jsonSpace = " \t\r\n"
