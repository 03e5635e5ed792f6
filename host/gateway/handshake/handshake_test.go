package handshake_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rtd/host/gateway/handshake"
)

func TestOffers(t *testing.T) {
	const prefix = "base64url.bearer.phx."
	const none = "no token"
	for _, test := range []struct {
		name    string
		headers []string
		token   string
		others  []string
		err     error
	}{
		{"nothing", nil, none, nil, nil},
		{"empty", []string{""}, none, nil, nil},
		{"phoenix", []string{"phoenix"}, none, []string{"phoenix"}, nil},
		{"with a token", []string{"phoenix, " + prefix + "YWJj"}, "abc", []string{"phoenix"}, nil},
		{"in two headers", []string{prefix + "YWJj", "other,phoenix"}, "abc", []string{"other", "phoenix"}, nil},
		{"only a token", []string{prefix + "YWI"}, "ab", nil, nil},
		{"empty token", []string{"phoenix, " + prefix}, "", []string{"phoenix"}, nil},
		{"standard alphabet", []string{"phoenix, " + prefix + "Pz8/Pj4+"}, "???>>>", []string{"phoenix"}, nil},
		{"padded", []string{"phoenix, " + prefix + "YQ=="}, "a", []string{"phoenix"}, nil},
		{"two tokens", []string{"phoenix, " + prefix + "YWJj, " + prefix + "YWJj"}, none, []string{"phoenix"}, nil},
		{"only two tokens", []string{prefix + "YWJj, " + prefix + "YWJj"}, none, nil, handshake.ErrSubprotocol},
		{"others", []string{"graphql-ws, mqtt"}, none, nil, handshake.ErrSubprotocol},
		{"another and a token", []string{"mqtt, " + prefix + "YWJj"}, none, nil, handshake.ErrSubprotocol},
		{"case", []string{"Phoenix"}, none, nil, handshake.ErrSubprotocol},
		{"URL alphabet", []string{"phoenix, " + prefix + "Pz8_Pj4-"}, none, nil, handshake.ErrToken},
		{"no base64", []string{"phoenix, " + prefix + "Y!"}, none, nil, handshake.ErrToken},
		{"half a byte", []string{"phoenix, " + prefix + "Y"}, none, nil, handshake.ErrToken},
		{"no UTF-8", []string{"phoenix, " + prefix + "/w"}, none, nil, handshake.ErrToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			offer, err := handshake.ParseOffer(http.Header{"Sec-Websocket-Protocol": test.headers})
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			token := none
			if offer.Token != nil {
				token = *offer.Token
			}
			if token != test.token || !slices.Equal(offer.Subprotocols, test.others) {
				t.Errorf("token %q, others %q", token, offer.Subprotocols)
			}
		})
	}
}

func FuzzOffer(f *testing.F) {
	for _, seed := range []string{"", "phoenix", "phoenix, base64url.bearer.phx.YWJj", "base64url.bearer.phx.Pz8/Pj4+,,phoenix", "base64url.bearer.phx.=,\x00", "base64url.bearer.phx.0\rarerA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		offer, err := handshake.ParseOffer(http.Header{"Sec-Websocket-Protocol": {header}})
		if err != nil {
			if !errors.Is(err, handshake.ErrToken) && !errors.Is(err, handshake.ErrSubprotocol) {
				t.Fatal(err)
			}
			return
		}
		if offer.Token != nil && !strings.Contains(header, strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(*offer.Token)), "=")[:len(*offer.Token)]) {
			t.Errorf("token %q of %q", *offer.Token, header)
		}
		if len(offer.Subprotocols) > 0 && !slices.Contains(offer.Subprotocols, handshake.Subprotocol) {
			t.Errorf("offer %q", offer.Subprotocols)
		}
	})
}

func request(remote string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://chat.example:4000/socket/websocket?vsn=2.0.0&user=%41da", nil)
	r.RemoteAddr = remote
	for pair := range slices.Chunk(header, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	return r
}

func TestProxies(t *testing.T) {
	proxies, err := handshake.NewProxies([]string{"10.0.0.0/8", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name                       string
		request                    *http.Request
		client, group, host, proto string
	}{
		{"direct", request("203.0.113.7:99"), "203.0.113.7:99", "203.0.113.7", "chat.example:4000", "http"},
		{"a liar", request("203.0.113.7:99", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "https"),
			"203.0.113.7:99", "203.0.113.7", "chat.example:4000", "http"},
		{"a proxy", request("10.1.2.3:99", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "web.example", "X-Forwarded-Proto", "https"),
			"1.2.3.4:0", "1.2.3.4", "web.example", "https"},
		{"a liar behind a proxy", request("10.1.2.3:99", "X-Forwarded-For", "1.2.3.4, 5.6.7.8"), "5.6.7.8:0", "5.6.7.8", "chat.example:4000", "http"},
		{"two proxies", request("[::1]:99", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "5.6.7.8, 10.9.9.9"), "5.6.7.8:0", "5.6.7.8", "chat.example:4000", "http"},
		{"with a port", request("10.1.2.3:99", "X-Forwarded-For", "5.6.7.8:1234"), "5.6.7.8:1234", "5.6.7.8", "chat.example:4000", "http"},
		{"IPv6", request("10.1.2.3:99", "X-Forwarded-For", "2001:db8:1:2:3:4:5:6"), "[2001:db8:1:2:3:4:5:6]:0", "2001:db8:1:2::", "chat.example:4000", "http"},
		{"IPv6 in brackets", request("10.1.2.3:99", "X-Forwarded-For", "[2001:db8::1]:7"), "[2001:db8::1]:7", "2001:db8::", "chat.example:4000", "http"},
		{"IPv4 in IPv6", request("[::ffff:10.1.2.3]:99", "X-Forwarded-For", "::ffff:5.6.7.8"), "5.6.7.8:0", "5.6.7.8", "chat.example:4000", "http"},
		{"rubbish", request("10.1.2.3:99", "X-Forwarded-For", "1.2.3.4, unknown"), "10.1.2.3:99", "10.1.2.3", "chat.example:4000", "http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := proxies.Client(test.request)
			if client != netip.MustParseAddrPort(test.client) || handshake.Group(client.Addr()).String() != test.group {
				t.Errorf("client %v, group %v", client, handshake.Group(client.Addr()))
			}
			if host, proto := proxies.Host(test.request), proxies.Scheme(test.request); host != test.host || proto != test.proto {
				t.Errorf("host %q, scheme %q", host, proto)
			}
		})
	}
}

// What connect gets to know, to the byte, and what it does not.
func TestInfo(t *testing.T) {
	r := request("203.0.113.7:50123", "User-Agent", "a \"browser\" \xff<b>", "X-One", "1", "X-One", "2", "x-request-id", "r",
		"Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx.YWJj", "Sec-WebSocket-Key", "k", "Traceparent", "00-1", "Tracestate", "a=b",
		"Tracestatement", "no", "Cookie", "secret=1", "Authorization", "Bearer secret", "Origin", "http://chat.example")
	params, err := handshake.Params(r.URL.RawQuery, nil)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := handshake.ParseOffer(r.Header)
	if err != nil {
		t.Fatal(err)
	}
	got := string(handshake.Info{Params: params, Offer: offer}.JSON(r))
	want := `{"auth_token":"abc","claims":null,"params":{"user":"Ada","vsn":"2.0.0"},"peer":{"address":"203.0.113.7","port":50123},` +
		`"sec_websocket_headers":{"sec-websocket-key":"k","sec-websocket-protocol":"phoenix"},` +
		`"trace_context_headers":{"traceparent":"00-1","tracestate":"a=b"},` +
		`"uri":{"host":"chat.example","path":"/socket/websocket","port":4000,"query":"vsn=2.0.0&user=%41da","scheme":"http"},` +
		`"user_agent":"a \"browser\" \ufffd<b>","x_headers":{"x-one":"1, 2","x-request-id":"r"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	r = request("203.0.113.7:1")
	r.Host = "[2001:db8::1]"
	var plain map[string]any
	if err := json.Unmarshal(handshake.Info{Params: map[string]any{}}.JSON(r), &plain); err != nil {
		t.Fatal(err)
	}
	uri := plain["uri"].(map[string]any)
	if plain["user_agent"] != nil || plain["auth_token"] != nil || uri["host"] != "2001:db8::1" || uri["port"] != 80.0 {
		t.Errorf("got %v", plain)
	}
}
