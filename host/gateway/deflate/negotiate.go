package deflate

import (
	"net/http"
	"strconv"
	"strings"
)

// header is where extensions are offered and accepted.
const header = "Sec-WebSocket-Extensions"

// Agreement is what both sides have agreed to. The zero value is no compression.
type Agreement struct {
	// Answer is the value of the header Sec-WebSocket-Extensions; "" means that there is none.
	Answer string
	// Window is how many bytes a message may have that the server compresses.
	Window int
}

// maxWindow is for a client that does not ask for a smaller window: any message may be compressed.
const maxWindow = 1<<31 - 1

// Negotiate answers what a client offers: it takes the first offer of permessage-deflate that
// is well-formed and has known parameters only, each once (RFC 7692, section 7.1), and ignores all others. A
// header that is no list of extensions (RFC 6455, section 9.1) offers nothing.
func Negotiate(h http.Header) Agreement {
	offers, ok := parse(strings.Join(h.Values(header), ","))
	if !ok {
		return Agreement{}
	}
	for _, o := range offers {
		if a, ok := o.accept(); ok {
			return a
		}
	}
	return Agreement{}
}

// extension is one of the list in the header.
type extension struct {
	name   string
	params []param
}

type param struct {
	name, value string
	valued      bool // "" is a value, too
}

func (e *extension) accept() (Agreement, bool) {
	if !strings.EqualFold(e.name, "permessage-deflate") {
		return Agreement{}, false
	}
	a := Agreement{Answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover", Window: maxWindow}
	seen := map[string]bool{}
	for _, p := range e.params {
		name := strings.ToLower(p.name)
		if seen[name] {
			return Agreement{}, false
		}
		seen[name] = true
		bits, isBits := windowBits(p.value)
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if p.valued {
				return Agreement{}, false
			}
		case "client_max_window_bits": // a hint, whose value is optional; Inflate has the largest window
			if p.valued && !isBits {
				return Agreement{}, false
			}
		case "server_max_window_bits":
			if !isBits {
				return Agreement{}, false
			}
			a.Answer += "; server_max_window_bits=" + p.value
			if bits < 15 {
				a.Window = 1 << bits
			}
		default:
			return Agreement{}, false
		}
	}
	return a, true
}

// windowBits reads the base-2 logarithm of a window: 8 to 15, in decimal without leading zeros.
func windowBits(s string) (n int, ok bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == s
}

// parse reads a list of extensions. Empty elements of a list are allowed (RFC 9110, section 5.6.1).
func parse(s string) (list []extension, ok bool) {
	r := scanner{s}
	for {
		for r.next(',') {
		}
		if r.rest == "" {
			return list, true
		}
		e := extension{name: r.token()}
		if e.name == "" {
			return nil, false
		}
		for r.next(';') {
			p := param{name: r.token()}
			if p.name == "" {
				return nil, false
			}
			if p.valued = r.next('='); p.valued {
				if p.value, ok = r.value(); !ok {
					return nil, false
				}
			}
			e.params = append(e.params, p)
		}
		list = append(list, e)
		if r.rest != "" && !r.next(',') {
			return nil, false
		}
	}
}

// scanner reads a header from its beginning. All of its methods skip white space on both sides.
type scanner struct{ rest string }

func (r *scanner) skip() { r.rest = strings.TrimLeft(r.rest, " \t") }

// next takes the character c, if it comes next.
func (r *scanner) next(c byte) bool {
	r.skip()
	if r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	r.skip()
	return true
}

// token takes a token, "" if none comes.
func (r *scanner) token() (token string) {
	r.skip()
	n := 0
	for n < len(r.rest) && isToken(r.rest[n]) {
		n++
	}
	token, r.rest = r.rest[:n], r.rest[n:]
	r.skip()
	return token
}

// value takes a token, or a quoted string whose text is one.
func (r *scanner) value() (value string, ok bool) {
	if !r.next('"') {
		value = r.token()
		return value, value != ""
	}
	var text strings.Builder
	for n := 0; n < len(r.rest); n++ {
		switch c := r.rest[n]; {
		case c == '"':
			r.rest = r.rest[n+1:]
			r.skip()
			return text.String(), text.Len() > 0
		case c == '\\' && n+1 < len(r.rest) && isToken(r.rest[n+1]):
			n++
			text.WriteByte(r.rest[n])
		case !isToken(c):
			return "", false
		default:
			text.WriteByte(c)
		}
	}
	return "", false
}

// isToken reports whether c can be in a token (RFC 9110, section 5.6.2).
func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))
}
