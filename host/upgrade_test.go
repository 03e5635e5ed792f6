package host_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	s := start(t, setup{})
	for query, want := range map[string]int{
		"":                       403, // means 1.0.0
		"?vsn=":                  403,
		"?vsn=2":                 403,
		"?vsn=1.0.0":             403, // not yet
		"?vsn=2.1.0":             403,
		"?vsn=2.0.0&vsn=2.0.0":   403,
		"?vsn[]=2.0.0":           403,
		"?vsn=2.0.0-rc.1":        403,
		"?vsn=2.0.00":            403,
		"?vsn=2.0.0":             101,
		"?vsn=2.0.5":             101,
		"?vsn=2.0.0&user[name]=": 101,
	} {
		if got := s.refusal(t, query, nil); got != want {
			t.Errorf("%q: status %d, want %d", query, got, want)
		}
	}
	if n := s.metric(t, "rtd_connections_refused_total"); n != 9 {
		t.Errorf("refused = %v, want 9", n)
	}
}

// Requests that are no upgrade get 400, as from Phoenix, other mounts 404.
func TestNoUpgrade(t *testing.T) {
	s := start(t, setup{})
	if status, _ := s.get(t, "/socket/websocket?vsn=2.0.0"); status != http.StatusBadRequest {
		t.Errorf("GET: status %d, want 400", status)
	}
	response, err := web.Post(s.url+"/socket/websocket?vsn=2.0.0", "text/plain", strings.NewReader("hi"))
	must(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("POST: status %d, want 400", response.StatusCode)
	}
	if status, _ := s.get(t, "/other/websocket?vsn=2.0.0"); status != http.StatusNotFound {
		t.Errorf("unknown mount: status %d, want 404", status)
	}
	if status, page := s.get(t, "/"); status != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("page: status %d, %d bytes", status, len(page))
	}
}

func TestOrigins(t *testing.T) {
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
			s := start(t, setup{config: "[server]\n" + rule.config + "\n"})
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
