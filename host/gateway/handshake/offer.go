package handshake

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Subprotocol is the one that rtd speaks.
const Subprotocol = "phoenix"

// tokenPrefix begins a subprotocol that only carries a token: besides the URL, a
// browser's handshake has no other place for one. In spite of its name, the alphabet is
// the standard one.
const tokenPrefix = "base64url.bearer.phx."

// Errors of [ParseOffer]. The answer to both is 403.
var (
	ErrToken       = errors.New("malformed auth token: it is not the base64 of text in UTF-8")
	ErrSubprotocol = errors.New(`none of the subprotocols offered is "phoenix"`)
)

// Offer is a client's Sec-WebSocket-Protocol.
type Offer struct {
	Token *string // nil if it sent none
	// Subprotocols are those offered, without the token. If there are any, "phoenix"
	// is one of them, and has to be chosen: browsers fail otherwise.
	Subprotocols []string
}

// ParseOffer takes the token out of what a client offers. As in Phoenix, two tokens are none.
func ParseOffer(h http.Header) (Offer, error) {
	var o Offer
	var tokens []string
	for _, word := range words(h, "Sec-WebSocket-Protocol") {
		if encoded, found := strings.CutPrefix(word, tokenPrefix); found {
			tokens = append(tokens, encoded)
		} else {
			o.Subprotocols = append(o.Subprotocols, word)
		}
	}
	if len(tokens) == 1 {
		token, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(tokens[0], "="))
		if err != nil || !utf8.Valid(token) || strings.ContainsAny(tokens[0], "\r\n") { // which Go skips
			return Offer{}, ErrToken
		}
		text := string(token)
		o.Token = &text
	}
	if len(o.Subprotocols)+max(0, len(tokens)-1) > 0 && !slices.Contains(o.Subprotocols, Subprotocol) {
		return Offer{}, ErrSubprotocol
	}
	return o, nil
}

// Upgrades reports whether a request is a valid handshake of version 13 by RFC 6455, section 4.2.1.
func Upgrades(r *http.Request) bool {
	has := func(header, word string) bool {
		return slices.ContainsFunc(words(r.Header, header), func(w string) bool { return strings.EqualFold(w, word) })
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")))
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && has("Connection", "upgrade") && has("Upgrade", "websocket") &&
		r.Header.Get("Sec-WebSocket-Version") == "13" && len(r.Header.Values("Sec-WebSocket-Key")) == 1 && err == nil && len(key) == 16
}

// Accept answers a request that [Upgrades] with 101, and agrees to the subprotocol if the client
// has offered any. The caller takes over the connection next.
func Accept(w http.ResponseWriter, r *http.Request, o Offer) {
	const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
	sum := sha1.Sum([]byte(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")) + magic))
	h := w.Header()
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	if len(o.Subprotocols) > 0 {
		h.Set("Sec-WebSocket-Protocol", Subprotocol)
	}
	w.WriteHeader(http.StatusSwitchingProtocols)
}

// words returns the entries of a header that is a list.
func words(h http.Header, name string) []string {
	var list []string
	for _, line := range h.Values(name) {
		for word := range strings.SplitSeq(line, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
	}
	return list
}
