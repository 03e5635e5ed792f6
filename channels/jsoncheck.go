package channels

import "strconv"

// checker reads a JSON text once, as RFC 8259 has it. It is most of what the host
// does with a payload, so that it is faster than encoding/json, and it also
// knows what that does not mind: see inexact.
type checker struct {
	text []byte
	at   int
	// inexact: there is half of a surrogate pair, or a number beyond a double that
	// is no integer, which may be of any size.
	inexact bool

	// The containers around at: a bit for each, set for objects. Few texts need
	// more than the first words.
	depth int
	low   [4]uint64
	high  []uint64
}

// maxDepth is how deep a text may be nested, as in encoding/json.
const maxDepth = 10_000

// valid reports whether the text is one value.
func (c *checker) valid() bool {
	for {
		if !c.value() {
			return false
		}
		more, ok := c.ends()
		if !more || !ok {
			return ok
		}
	}
}

// value reads a value, or the beginning of one that contains others, up to the
// first that does not.
func (c *checker) value() bool {
	for {
		switch ch := c.next(); {
		case ch == '"':
			return c.str()
		case ch == '-' || ch >= '0' && ch <= '9':
			return c.number()
		case ch == 't':
			return c.word("true")
		case ch == 'f':
			return c.word("false")
		case ch == 'n':
			return c.word("null")
		case ch == '{':
			c.at++
			if c.next() == '}' {
				c.at++
				return c.depth < maxDepth
			}
			if !c.enter(1) || !c.key() {
				return false
			}
		case ch == '[':
			c.at++
			if c.next() == ']' {
				c.at++
				return c.depth < maxDepth
			}
			if !c.enter(0) {
				return false
			}
		default:
			return false
		}
	}
}

// ends reads what stands behind a value: the ends of containers, and what leads to
// the next value, if more is true.
func (c *checker) ends() (more, ok bool) {
	for c.depth > 0 {
		object := *c.bits(c.depth - 1)>>((c.depth-1)%64)&1 == 1
		ch := c.next()
		c.at++
		switch {
		case ch == ',' && object:
			return true, c.key()
		case ch == ',':
			return true, true
		case ch == '}' && object || ch == ']' && !object:
			c.depth--
		default:
			return false, false
		}
	}
	return false, c.next() == 0 && c.at == len(c.text)
}

// enter notes a container.
func (c *checker) enter(object uint64) bool {
	if c.depth >= maxDepth {
		return false
	}
	if c.depth == 64*(len(c.low)+len(c.high)) {
		c.high = append(c.high, 0)
	}
	word, bit := c.bits(c.depth), c.depth%64
	*word = *word&^(1<<bit) | object<<bit
	c.depth++
	return true
}

// bits is the word that has the bit of a container.
func (c *checker) bits(depth int) *uint64 {
	i := depth / 64
	if i < len(c.low) {
		return &c.low[i]
	}
	return &c.high[i-len(c.low)]
}

// next skips white space and returns the byte behind it, 0 at the end.
func (c *checker) next() byte {
	for ; c.at < len(c.text); c.at++ {
		switch ch := c.text[c.at]; ch {
		case ' ', '\t', '\r', '\n':
		default:
			return ch
		}
	}
	return 0
}

// key reads a name and its colon.
func (c *checker) key() bool {
	if c.next() != '"' || !c.str() || c.next() != ':' {
		return false
	}
	c.at++
	return true
}

func (c *checker) word(w string) bool {
	end := c.at + len(w)
	if end > len(c.text) || string(c.text[c.at:end]) != w {
		return false
	}
	c.at = end
	return true
}

// str reads a string.
func (c *checker) str() bool {
	text, i := c.text, c.at+1
	for i < len(text) {
		ch := text[i]
		if ch >= 0x20 && ch != '"' && ch != '\\' {
			i++
			continue
		}
		if ch == '"' {
			c.at = i + 1
			return true
		}
		n := 0
		if ch == '\\' {
			n = c.escape(text[i:])
		}
		if n == 0 {
			return false
		}
		i += n
	}
	return false
}

// escape returns the length of the escape, or of the pair of them, that s begins
// with; 0 if it is none.
func (c *checker) escape(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	first, ok := escapedUnit(s)
	switch {
	case !ok:
		return 0
	case first < 0xd800 || first > 0xdfff: // no surrogate
		return 6
	case first < 0xdc00:
		if second, ok := escapedUnit(s[6:]); ok && second >= 0xdc00 && second <= 0xdfff {
			return 12
		}
	}
	c.inexact = true
	return 6
}

// escapedUnit is the UTF-16 unit of the \uXXXX that s begins with.
func escapedUnit(s []byte) (unit uint32, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, ch := range s[2:6] {
		switch {
		case ch >= '0' && ch <= '9':
			ch -= '0'
		case ch|0x20 >= 'a' && ch|0x20 <= 'f':
			ch = ch | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint32(ch)
	}
	return unit, true
}

// number reads a number: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (c *checker) number() bool {
	from := c.at
	if c.text[c.at] == '-' {
		c.at++
	}
	zero := c.at < len(c.text) && c.text[c.at] == '0'
	digits := c.digits()
	if digits == 0 || zero && digits > 1 {
		return false
	}
	integer := true
	if c.at < len(c.text) && c.text[c.at] == '.' {
		c.at++
		integer = false
		if c.digits() == 0 {
			return false
		}
	}
	exponent := c.at < len(c.text) && c.text[c.at]|0x20 == 'e'
	if exponent {
		c.at++
		if c.at < len(c.text) && (c.text[c.at] == '+' || c.text[c.at] == '-') {
			c.at++
		}
		if c.digits() == 0 {
			return false
		}
	}
	const short = 300 // digits; fewer need an exponent to be too many
	if exponent || !integer && digits >= short {
		if _, err := strconv.ParseFloat(string(c.text[from:c.at]), 64); err != nil {
			c.inexact = true
		}
	}
	return true
}

// digits skips digits and returns how many there were.
func (c *checker) digits() int {
	from := c.at
	for c.at < len(c.text) && c.text[c.at] >= '0' && c.text[c.at] <= '9' {
		c.at++
	}
	return c.at - from
}
