package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"rtd/host/web"
)

func get(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestServesEachFileWithItsType(t *testing.T) {
	for target, want := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/?room=attic": "text/html; charset=utf-8",
		"/chat.css":    "text/css; charset=utf-8",
		"/chat.js":     "text/javascript; charset=utf-8",
		"/phoenix.js":  "text/javascript; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
	} {
		response := get(t, "GET", target)
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != want {
			t.Errorf("GET %s: %s, %q; want 200, %q", target, response.Status, response.Header.Get("Content-Type"), want)
		}
		if body(t, response) == "" {
			t.Errorf("GET %s: empty body", target)
		}
	}
}

func TestHeadersProtectTheReader(t *testing.T) {
	header := get(t, "GET", "/").Header
	for name, want := range map[string]string{
		"Cache-Control":          "no-cache",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	policy := header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'self'", "connect-src 'self' ws: wss:", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("Content-Security-Policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy %q allows inline code", policy)
	}
}

func TestRevalidatesByETag(t *testing.T) {
	page, script := get(t, "GET", "/").Header.Get("ETag"), get(t, "GET", "/chat.js").Header.Get("ETag")
	if page == "" || page == script {
		t.Fatalf("ETag of the page %q, of the script %q; want two different ones", page, script)
	}
	fresh := get(t, "GET", "/", "If-None-Match", page)
	if fresh.StatusCode != http.StatusNotModified || body(t, fresh) != "" {
		t.Errorf("GET with the current ETag: %s; want 304 without a body", fresh.Status)
	}
	if stale := get(t, "GET", "/", "If-None-Match", script); stale.StatusCode != http.StatusOK {
		t.Errorf("GET with another ETag: %s; want 200", stale.Status)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	response := get(t, "HEAD", "/")
	if response.StatusCode != http.StatusOK || response.ContentLength < 1 || body(t, response) != "" {
		t.Errorf("HEAD /: %s, length %d; want 200, the length, no body", response.Status, response.ContentLength)
	}
}

func TestRefusesOtherMethods(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		response := get(t, method, "/")
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s /: %s, Allow %q; want 405, \"GET, HEAD\"", method, response.Status, response.Header.Get("Allow"))
		}
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	for _, target := range []string{"/index.html", "/static/chat.js", "/chat.js/", "//", "/../web.go", "/%2e%2e/web.go", "/socket"} {
		if response := get(t, "GET", target); response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s; want 404", target, response.Status)
		}
	}
}

var (
	inline     = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script[^>]*>[^<]`)
	references = regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
)

// The policy forbids inline code, and the page shall work without any other host: neither shows in a Go test otherwise.
func TestPageStandsAlone(t *testing.T) {
	page := body(t, get(t, "GET", "/"))
	if found := inline.FindString(page); found != "" {
		t.Errorf("the page has inline code, which its policy blocks: %q", found)
	}
	seen := map[string]bool{}
	var follow func(text string)
	follow = func(text string) {
		for _, match := range references.FindAllStringSubmatch(text, -1) {
			target := "/" + strings.TrimPrefix(match[1]+match[2], "/")
			if seen[target] {
				continue
			}
			seen[target] = true
			if strings.Contains(target, "//") {
				t.Errorf("the page refers to another host: %q", target)
				continue
			}
			response := get(t, "GET", target)
			if response.StatusCode != http.StatusOK {
				t.Errorf("the page refers to %s, which answers %s", target, response.Status)
			}
			follow(body(t, response))
		}
	}
	follow(page)
	for _, want := range []string{"/chat.js", "/chat.css", "/phoenix.js", "/timeline.js", "/outbox.js", "/recovery.js", "/favicon.svg"} {
		if !seen[want] {
			t.Errorf("the page does not lead to %s", want)
		}
	}
}

// Browser tests hold on to these.
func TestPageNamesItsParts(t *testing.T) {
	page := body(t, get(t, "GET", "/"))
	for _, want := range []string{`id="status" data-state=`, `id="log"`, `id="composer"`, `id="send"`, `id="name"`, `id="room"`, `id="crash"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
