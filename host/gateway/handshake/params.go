package handshake

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a query, beyond which [Params] refuses it.
const (
	MaxDepth = 32   // brackets behind one key
	MaxPairs = 1000 // keys with their values
)

// ErrQuery is wrapped by the errors of [Params]. The answer to such a request is 400.
var ErrQuery = errors.New("malformed query")

// Params decodes a query as Plug.Conn.Query does, and adds what the path had, which wins. A value is
// a string, a []any or a map[string]any.
//
//	user[name]=Ada       {"user": {"name": "Ada"}}
//	tags[]=a&tags[]=b    {"tags": ["a", "b"]}
//	u[][a]=1&u[][b]=2    {"u": [{"a": "1", "b": "2"}]}
//	a=1&a=2              {"a": "2"}
//	a=1&a[b]=2           {"a": {"b": "2"}}      the last one decides what a is
//	a                    {"a": ""}
//	a=%zz                {"a": "%zz"}
//
// The error wraps [ErrQuery]: text that is no UTF-8, or a query beyond [MaxDepth] or [MaxPairs].
func Params(query string, path map[string]string) (map[string]any, error) {
	var root level
	pairs := 0
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		if pairs++; pairs > MaxPairs {
			return nil, fmt.Errorf("%w: it has more than %d pairs", ErrQuery, MaxPairs)
		}
		key, value, _ := strings.Cut(pair, "=")
		key, value = unescape(key), unescape(value)
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("%w: it is not UTF-8", ErrQuery)
		}
		steps := split(key)
		if len(steps) > MaxDepth+1 {
			return nil, fmt.Errorf("%w: a key has more than %d brackets", ErrQuery, MaxDepth)
		}
		root.insert(steps, value)
	}
	params := root.object(false)
	for name, value := range path {
		params[name] = value
	}
	return params, nil
}

// split takes user[name][] apart into user, name and "", which is an entry of a list. A key that has no
// bracket at its end, or none behind a name, is one name.
func split(key string) []string {
	name, rest, found := strings.Cut(key, "[")
	inner, closed := strings.CutSuffix(rest, "]")
	if !found || !closed || name == "" {
		return []string{key}
	}
	return append([]string{name}, strings.Split(inner, "][")...)
}

// level has the entries behind the same brackets, in the order in which they came. The
// last one decides whether they are an object or a list.
type level struct {
	entries []entry
	deeper  map[string]*level // by name, "" for what stands behind the brackets of a list
}

type entry struct {
	name  string
	text  string
	level *level // in place of text
}

// insert puts text at the end of steps. A level that is there already takes it in without being named anew.
func (l *level) insert(steps []string, text string) {
	name := steps[0]
	if len(steps) == 1 {
		l.entries = append(l.entries, entry{name: name, text: text})
		return
	}
	next := l.deeper[name]
	if next == nil {
		next = &level{}
		if l.deeper == nil {
			l.deeper = map[string]*level{}
		}
		l.deeper[name] = next
		l.entries = append(l.entries, entry{name: name, level: next})
	}
	next.insert(steps[1:], text)
}

func (e entry) value() any {
	switch {
	case e.level == nil:
		return e.text
	case e.level.entries[len(e.level.entries)-1].name == "":
		return e.level.list()
	default:
		return e.level.object(true)
	}
}

func (l *level) list() []any {
	var list []any
	for _, e := range l.entries {
		if e.name == "" {
			list = append(list, e.value())
		}
	}
	return list
}

// object returns the entries that have a name. Behind brackets, an empty name is an entry
// of a list.
func (l *level) object(brackets bool) map[string]any {
	last := map[string]entry{}
	for _, e := range l.entries {
		if e.name != "" || !brackets {
			last[e.name] = e
		}
	}
	object := make(map[string]any, len(last))
	for name, e := range last {
		object[name] = e.value()
	}
	return object
}

// unescape undoes the encoding of forms. As in Elixir, a percent sign without two digits stays.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			if high, low := digit(s[i+1]), digit(s[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// digit returns the value of a hexadecimal digit, or -1.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
