package handshake

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Info describes a client to a plugin's connect; package abi has its contract.
type Info struct {
	Params  map[string]any
	Offer   Offer
	Claims  []byte  // JSON of a verified token, or nil
	Proxies Proxies // who may say what the client's address is, and what it asked for
}

// JSON writes the payload of the event connect for a request. Bytes of headers and URL
// that are no UTF-8 become replacement characters, so that the payload is always valid.
func (i Info) JSON(r *http.Request) []byte {
	peer := i.Proxies.Client(r)
	scheme, host := i.Proxies.Scheme(r), i.Proxies.Host(r)
	_, said, _ := net.SplitHostPort(host) // without a port it fails, and said is empty
	number, _ := strconv.Atoi(port(said, scheme))
	type object map[string]any
	uri := object{
		"scheme": scheme, "host": hostname(host), "port": number,
		"path": r.URL.EscapedPath(), "query": r.URL.RawQuery,
	}
	info := object{
		"params":                i.Params,
		"peer":                  object{"address": peer.Addr().String(), "port": peer.Port()},
		"uri":                   uri,
		"user_agent":            nil,
		"x_headers":             headers(r.Header, func(name string) bool { return strings.HasPrefix(name, "x-") }),
		"sec_websocket_headers": headers(r.Header, func(name string) bool { return strings.HasPrefix(name, "sec-websocket-") }),
		"trace_context_headers": headers(r.Header, func(name string) bool { return name == "traceparent" || name == "tracestate" }),
		"auth_token":            i.Offer.Token,
		"claims":                nil,
	}
	if i.Claims != nil {
		info["claims"] = json.RawMessage(i.Claims)
	}
	if agent := r.Header.Values("User-Agent"); len(agent) > 0 {
		info["user_agent"] = agent[0]
	}
	if offered := words(r.Header, "Sec-WebSocket-Protocol"); len(offered) > 0 {
		// The token has a place of its own, and is not for every log.
		hidden := info["sec_websocket_headers"].(map[string]string)
		delete(hidden, "sec-websocket-protocol")
		if i.Offer.Subprotocols != nil {
			hidden["sec-websocket-protocol"] = strings.Join(i.Offer.Subprotocols, ", ")
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(info); err != nil {
		panic(err) // there is nothing in it that JSON cannot say
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// headers returns those whose names, in lower case, match.
func headers(h http.Header, match func(name string) bool) map[string]string {
	found := map[string]string{}
	for name, values := range h {
		if name = strings.ToLower(name); match(name) {
			found[name] = strings.Join(values, ", ")
		}
	}
	return found
}
