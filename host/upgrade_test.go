package host_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	for query, want := range map[string]int{
		"":                       101, // means 1.0.0
		"?vsn":                   403,
		"?vsn=":                  403,
		"?vsn=2":                 403,
		"?vsn=1.0.0":             101,
		"?vsn=1.0.7":             101,
		"?vsn=1.1.0":             403,
		"?vsn=2.1.0":             403,
		"?vsn=9.9.9":             403,
		"?vsn=2.0.0&vsn=1":       403, // the last one counts
		"?vsn=1&vsn=2.0.0":       101,
		"?vsn[]=2.0.0":           403,
		"?vsn[a]=2.0.0":          403,
		"?vsn=2.0.0-rc.1":        403,
		"?vsn=2.0.00":            403,
		"?vsn=2.0.0":             101,
		"?vsn=2.0.5":             101,
		"?vsn=2.0.0&user[name]=": 101,
		"?vsn=%322.0.0":          403,
		"?vsn=%32.0.0":           101,
	} {
		if got := s.refusal(t, query, nil); got != want {
			t.Errorf("%q: status %d, want %d", query, got, want)
		}
	}
	if n := s.Metric(t, "rtd_connections_refused_total", `cause="vsn"`); n != 12 {
		t.Errorf("refused = %v, want 12", n)
	}
}

// Requests that are no upgrade get 400 with an empty body, as from Phoenix, other mounts 404.
func TestNoUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{})
	const (
		upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
		version = "Sec-WebSocket-Version: 13\r\n"
		key     = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	)
	for _, test := range []struct {
		name, line, headers string
		status              int
	}{
		{"all of it", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version + key, 101},
		{"none of it", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", "", 400},
		{"no Upgrade", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", "Connection: Upgrade\r\n" + version + key, 400},
		{"no Connection", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", "Upgrade: websocket\r\n" + version + key, 400},
		{"no key", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version, 400},
		{"short key", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version + "Sec-WebSocket-Key: AAAA\r\n", 400},
		{"two keys", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version + key + key, 400},
		{"no version", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + key, 400},
		{"old version", "GET /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + key + "Sec-WebSocket-Version: 8\r\n", 400},
		{"old HTTP", "GET /socket/websocket?vsn=2.0.0 HTTP/1.0", upgrade + version + key, 400},
		{"POST", "POST /socket/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version + key + "Content-Length: 0\r\n", 400},
		{"PUT", "PUT /socket/websocket HTTP/1.1", "Content-Length: 0\r\n", 400},
		{"OPTIONS", "OPTIONS /socket/websocket HTTP/1.1", "", 400},
		{"no upgrade, bad vsn", "GET /socket/websocket?vsn=9 HTTP/1.1", "", 403},
		{"no UTF-8", "GET /socket/websocket?vsn=2.0.0&x=%ff HTTP/1.1", upgrade + version + key, 400},
		{"too deep", "GET /socket/websocket?vsn=2.0.0&x" + strings.Repeat("[a]", 40) + "=1 HTTP/1.1", upgrade + version + key, 400},
		{"too many params", "GET /socket/websocket?vsn=2.0.0" + strings.Repeat("&x[]=", 1001) + " HTTP/1.1", upgrade + version + key, 400},
		{"other mount", "GET /other/websocket?vsn=2.0.0 HTTP/1.1", upgrade + version + key, 404},
		{"other transport", "GET /socket/carrierpigeon?vsn=2.0.0 HTTP/1.1", upgrade + version + key, 404},
		{"no transport", "GET /socket HTTP/1.1", upgrade + version + key, 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := s.rawDial(t)
			io.WriteString(conn, test.line+"\r\nHost: x\r\n"+test.headers+"\r\n")
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if body := response.ContentLength; body != 0 && test.status != 404 && test.status != 101 {
				t.Errorf("body of %d bytes", body)
			}
			conn.Close()
		})
	}
	if status, page := s.Get(t, "/"); status != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("page: status %d, %d bytes", status, len(page))
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, rule := range []struct {
		name, config string
		allowed      []http.Header
		refused      []http.Header
	}{
		{"same host", "",
			[]http.Header{{}, origin("http://127.0.0.1:9"), from("https://chat.example", "chat.example:4000")},
			[]http.Header{origin("http://evil.example"), origin("null"), from("https://chat.example", "other.example"),
				{"Origin": {"http://chat.example"}, "X-Forwarded-Host": {"chat.example"}}}},
		{"behind a proxy", "trusted_proxies = [\"127.0.0.1\"]",
			[]http.Header{{"Origin": {"http://chat.example"}, "X-Forwarded-Host": {"chat.example"}}},
			[]http.Header{{"Origin": {"http://evil.example"}, "X-Forwarded-Host": {"chat.example"}}}},
		{"behind another proxy", "trusted_proxies = [\"10.0.0.0/8\"]",
			nil,
			[]http.Header{{"Origin": {"http://chat.example"}, "X-Forwarded-Host": {"chat.example"}}}},
		{"list", `origins = ["https://a.example", "//*.b.example", "c.example:8443"]`,
			[]http.Header{{}, origin("https://a.example"), origin("http://b.example"), origin("https://x.b.example:99"), origin("http://c.example:8443")},
			[]http.Header{origin("http://a.example"), origin("https://x.a.example"), origin("https://notb.example"),
				origin("http://c.example"), origin("http://127.0.0.1")}},
		{"any", `origins = ["*"]`, []http.Header{origin("http://evil.example"), origin("null"), {}}, nil},
	} {
		t.Run(rule.name, func(t *testing.T) {
			s := start(t, hosttest.Setup{Config: "[server]\n" + rule.config + "\n"})
			for _, h := range rule.allowed {
				if got := s.refusal(t, "?vsn=2.0.0", h); got != http.StatusSwitchingProtocols {
					t.Errorf("%v: status %d, want 101", h, got)
				}
			}
			for _, h := range rule.refused {
				if got := s.refusal(t, "?vsn=2.0.0", h); got != http.StatusForbidden {
					t.Errorf("%v: status %d, want 403", h, got)
				}
			}
		})
	}
}

func origin(o string) http.Header { return http.Header{"Origin": {o}} }

func from(o, host string) http.Header { return http.Header{"Origin": {o}, "Host": {host}} }
