package rtd

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// As much JSON as the SDK itself needs: encoding/json would make every guest half
// as large again. The texts that it reads are the host's, and well-formed; of
// others it makes something, but ends.

const space = " \t\r\n"

// find returns the value at a path of keys, as it is written in the text; nil if
// there is none.
func find(text []byte, path ...string) []byte {
	for _, key := range path {
		text = findMember(text, key)
	}
	return text
}

func findMember(object []byte, key string) []byte {
	rest := skip(object, '{')
	for len(rest) > 0 && rest[0] == '"' {
		n := extent(rest)
		name := rest[:n]
		rest = skip(rest[n:], ':')
		n = extent(rest)
		if unquote(name) == key {
			return rest[:n:n]
		}
		rest = skip(rest[n:], ',')
	}
	return nil
}

// skip drops a character and the space around it; nil if there is another one.
func skip(text []byte, c byte) []byte {
	text = bytes.TrimLeft(text, space)
	if len(text) == 0 || text[0] != c {
		return nil
	}
	return bytes.TrimLeft(text[1:], space)
}

// extent is the length of the value at the beginning of text.
func extent(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
			if depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == '}' || c == ']' || c <= ' '):
			return i
		}
	}
	return len(text)
}

// unquote returns the text of a JSON string, and "" of any other value.
func unquote(value []byte) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return ""
	}
	value = value[1 : len(value)-1]
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	text := make([]byte, 0, len(value))
	for len(value) > 0 {
		c := value[0]
		value = value[1:]
		if c != '\\' || len(value) == 0 {
			text = append(text, c)
			continue
		}
		c, value = value[0], value[1:]
		switch c {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			var r rune
			r, value = cutUnit(value)
			if rest, ok := bytes.CutPrefix(value, []byte(`\u`)); ok && utf16.IsSurrogate(r) {
				low, rest := cutUnit(rest)
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					r, value = pair, rest
				}
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, c)
		}
	}
	return string(text)
}

// cutUnit reads the four digits of an escape.
func cutUnit(text []byte) (r rune, rest []byte) {
	n := min(4, len(text))
	unit, err := strconv.ParseUint(string(text[:n]), 16, 16)
	if err != nil || n < 4 {
		return utf8.RuneError, text[n:]
	}
	return rune(unit), text[n:]
}

// object builds a JSON object that has no nested ones.
type object struct{ members []byte }

func (o *object) add(key, value string) {
	if len(o.members) > 0 {
		o.members = append(o.members, ',')
	}
	o.members = append(o.members, `"`+key+`":`+value...)
}

func (o *object) text(key, value string) {
	if value != "" {
		o.add(key, string(appendQuoted(nil, value)))
	}
}

func (o *object) String() string {
	if len(o.members) == 0 {
		return ""
	}
	return "{" + string(o.members) + "}"
}

// appendQuoted appends s as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
