package bench

import "bytes"

// A scanner for as much of JSON as the generator has to understand. It finds where
// values begin and end, and trusts the server that they are well formed: what is not
// makes it find something else, never anything outside of the bytes.

// skip returns the index behind the value that begins at b[i], or -1.
func skip(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = skipString(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != ']' && b[i] != '}' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// skipString returns the index behind the string whose quote is b[i], or -1.
func skipString(b []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' { // ends at the first quote at the latest
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// skipSpace returns the index of what comes behind white space and one of these
// separators, if it is there.
func skipSpace(b []byte, i int, separator byte) int {
	for i < len(b) && (b[i] <= ' ' || b[i] == separator) {
		i++
	}
	return i
}

// members calls yield with each key, without quotes, and value of the object b.
func members(b []byte, yield func(key, value []byte)) {
	i := skipSpace(b, 0, '{')
	for i < len(b) && b[i] == '"' {
		end := skipString(b, i)
		if end < 0 {
			return
		}
		key := b[i+1 : end-1]
		start := skipSpace(b, end, ':')
		if i = skip(b, start); i < 0 {
			return
		}
		yield(key, b[start:i])
		i = skipSpace(b, i, ',')
	}
}

// unquoted returns the text of a string, or any other value as it is. Escapes stay.
func unquoted(b []byte) []byte {
	if len(b) >= 2 && b[0] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// number reads a reference: digits, quoted or not. 0 is none.
func number(b []byte) uint32 {
	n := uint32(0)
	for _, c := range unquoted(b) {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}
