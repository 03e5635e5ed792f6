package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// phxGuest decides about clients and does what they say; see its README.
func phxGuest(t testing.TB) []byte { t.Helper(); return sandboxtest.BuildGo(t, "./testdata/phx") }

const phxTable = "[plugin.phx]\nrestart = \"temporary\"\ndeadline = \"10s\"\n" + phxAllows

const phxAllows = "allows = [\"connect\", \"disconnect\"]\n"

// status dials, offering subprotocols, and returns the answer's status, header and whether it has a body.
func (s *server) status(t testing.TB, path string, header http.Header, offer ...string) (status int, answer http.Header, body bool) {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), s.URL+path, &websocket.DialOptions{HTTPHeader: header, HTTPClient: hosttest.Web, Subprotocols: offer})
	if err == nil {
		ws.CloseNow()
	} else if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, response.ContentLength != 0 && err != nil
}

// What the plugin says of a client becomes the status, and what it said the log.
func TestConnectStatuses(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable})
	for query, want := range map[string]int{
		"&user=ada":     101,
		"":              101,
		"&refuse=error": 403,
		"&refuse=403":   403,
		"&refuse=429":   429,
		"&refuse=503":   503,
		"&refuse=200":   403,
		"&refuse=600":   403,
		"&crash=raise":  500,
		"&crash=panic":  500,
		"&crash=trap":   500,
		"&slow=20":      101,
	} {
		status, _, body := s.status(t, "/socket/websocket?vsn=2.0.0"+query, nil)
		if status != want || body {
			t.Errorf("%q: status %d, body %v; want %d without a body", query, status, body, want)
		}
	}
	s.Log.Wait(t, "connection refused", "status", "429", "cause", "phx")
	if n := s.Metric(t, "rtd_connections_refused_total", `cause="crash"`); n != 3 {
		t.Errorf("crashes = %v, want 3", n)
	}
	// A request that will not get a connection is not worth a guest.
	if status, _ := s.Get(t, "/socket/websocket?vsn=2.0.0&refuse=429"); status != 400 {
		t.Errorf("no upgrade: status %d, want 400", status)
	}
	hosttest.Eventually(t, "end of all", func() bool { return s.Metric(t, "rtd_connections") == 0 })
}

func TestAuthTokens(t *testing.T) {
	t.Parallel()
	const token = "base64url.bearer.phx."
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[socket.socket]\n[socket.plain]\nauth_token = false\n"})
	for _, test := range []struct {
		name, path string
		offer      []string
		status     int
		selected   string
	}{
		{"none", "/socket", nil, 101, ""},
		{"phoenix", "/socket", []string{"phoenix"}, 101, "phoenix"},
		{"token", "/socket", []string{"phoenix", token + "Pz8/Pj4+"}, 101, "phoenix"},
		{"token first", "/socket", []string{token + "YWJj", "phoenix"}, 101, "phoenix"},
		{"token alone", "/socket", []string{token + "YWJj"}, 101, ""},
		{"two tokens", "/socket", []string{"phoenix", token + "YWJj", token + "YWJj"}, 101, "phoenix"},
		{"malformed", "/socket", []string{"phoenix", token + "%%%"}, 403, ""},
		{"others", "/socket", []string{"mqtt"}, 403, ""},
		{"ignored", "/plain", []string{"phoenix", token + "YWJj"}, 101, ""},
		{"ignored too", "/plain", []string{"mqtt", token + "%%%"}, 101, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, answer, _ := s.status(t, test.path+"/websocket?vsn=2.0.0", nil, test.offer...)
			if selected := answer.Get("Sec-WebSocket-Protocol"); status != test.status || selected != test.selected {
				t.Errorf("status %d, subprotocol %q; want %d, %q", status, selected, test.status, test.selected)
			}
		})
	}
	c, err := hosttest.Dial(s.Socket("&user=ada"), &websocket.DialOptions{Subprotocols: []string{"phoenix", token + "Pz8/Pj4+"}})
	must(t, err)
	t.Cleanup(c.Close)
	if a := assigns(t, c); a.AuthToken != "???>>>" {
		t.Errorf("auth token %q", a.AuthToken)
	}
}

// said is what phx assigns to a client.
type said struct {
	User      string
	AuthToken string `json:"auth_token"`
	Mount     string
	Info      struct {
		Params map[string]any
		Peer   struct {
			Address string
			Port    int
		}
		URI struct {
			Scheme, Host, Path, Query string
			Port                      int
		}
		UserAgent *string           `json:"user_agent"`
		XHeaders  map[string]string `json:"x_headers"`
		WSHeaders map[string]string `json:"sec_websocket_headers"`
		Trace     map[string]string `json:"trace_context_headers"`
	}
}

func assigns(t testing.TB, c *hosttest.Client) (a said) {
	t.Helper()
	c.MustJoin(t, "room:assigns", "{}")
	r, err := c.Call("room:assigns", "assigns", "{}")
	must(t, err)
	must(t, json.Unmarshal(r.Payload, &a))
	return a
}

// The plugin gets to know what it may, and its word about the client is what its
// handlers know.
func TestConnectInfo(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[socket.tenants]\npath = \"/tenant/:id/socket\"\n"})
	c := connectAs(t, s.URL+"/tenant/a%2fb/socket/websocket?vsn=2.0.0&user=ada&tags[]=x&tags[]=y&who[name]=A+B&id=no", http.Header{
		"User-Agent":        {"test <1>"},
		"X-Forwarded-For":   {"6.6.6.6, 203.0.113.7"},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {"web.example"},
		"X-Request-Id":      {"7"},
		"Traceparent":       {"00-11-22-00"},
		"Cookie":            {"secret=1"},
		"Origin":            {"https://web.example"},
	})
	a := assigns(t, c)
	params, _ := json.Marshal(a.Info.Params)
	if want := `{"id":"a/b","tags":["x","y"],"user":"ada","vsn":"2.0.0","who":{"name":"A B"}}`; string(params) != want {
		t.Errorf("params\n%s, want\n%s", params, want)
	}
	if a.User != "ada" || a.Mount != "tenants" || a.Info.Peer.Address != "203.0.113.7" || a.Info.UserAgent == nil || *a.Info.UserAgent != "test <1>" {
		t.Errorf("got %+v", a)
	}
	if u := a.Info.URI; u.Scheme != "https" || u.Host != "web.example" || u.Port != 443 || u.Path != "/tenant/a%2fb/socket/websocket" {
		t.Errorf("URI %+v", u)
	}
	if a.Info.XHeaders["x-request-id"] != "7" || a.Info.Trace["traceparent"] != "00-11-22-00" || a.Info.WSHeaders["sec-websocket-version"] != "13" {
		t.Errorf("headers %+v", a.Info)
	}
	r, err := c.Call("room:assigns", "assigns", "{}")
	must(t, err)
	for _, secret := range []string{"secret=1", "cookie", `"origin"`} {
		if strings.Contains(strings.ToLower(string(r.Payload)), secret) {
			t.Errorf("%s is told: %s", secret, r.Payload)
		}
	}
}

// A client that waits for a slow connect is in nobody's way, and cannot be in everybody's.
func TestSlowConnects(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable +
		"[socket.few]\nmax_connecting = 3\n[socket.quick]\nconnect_timeout = \"200ms\"\n[socket.socket]\n"})
	var slow sync.WaitGroup
	for range 3 {
		slow.Go(func() {
			c, err := hosttest.Dial(s.URL+"/few/websocket?vsn=2.0.0&slow=5000", nil)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	hosttest.Eventually(t, "three that wait", func() bool { return s.Metric(t, "rtd_connections") == 3 })
	if status, _, _ := s.status(t, "/few/websocket?vsn=2.0.0", nil); status != 503 {
		t.Errorf("the fourth: status %d, want 503", status)
	}
	s.Connect(t).WantOpen(t) // another mount
	if status, _, _ := s.status(t, "/quick/websocket?vsn=2.0.0&slow=30000", nil); status != 503 {
		t.Errorf("too slow: status %d, want 503", status)
	}
	slow.Wait()
	if status, _, _ := s.status(t, "/few/websocket?vsn=2.0.0", nil); status != 101 {
		t.Errorf("later: status %d, want 101", status)
	}
}

// Those of one id are disconnected with a code after which clients come back, and others stay.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable})
	user := func(name string) *hosttest.Client {
		c := hosttest.Connect(t, s.Socket("&user="+name))
		c.MustJoin(t, "room:a", "{}")
		return c
	}
	phone, laptop, other := user("ada"), user("ada"), user("grace")
	other.MustJoin(t, "terminated:ada", "{}")
	phone.WantReply(t, "room:a", "report", `{"as":"ada"}`, "ok")
	other.WantReply(t, "room:a", "disconnect", `{"id":"users:ada"}`, "ok")
	phone.WantClosed(t, websocket.StatusGoingAway)
	laptop.WantClosed(t, websocket.StatusGoingAway)
	other.Expect(t, "terminated:ada", "terminated")
	other.WantOpen(t)
	hosttest.Eventually(t, "end of the channels", func() bool { return s.Metric(t, "rtd_channels") == 2 })
	if n := s.Metric(t, "rtd_connections_closed_total", `code="1001"`); n != 2 {
		t.Errorf("disconnected = %v, want 2", n)
	}
	user("ada").WantOpen(t)
}

// Mounts have their own paths, plugins, origins and connect.
func TestMounts(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t), "nasty": nastyGuest(t)}, Config: phxTable + nastyTable + `
[server]
origins = ["https://web.example"]
[socket.socket]
connect = "phx"
[socket.nasty]
path = "/nasty/:id"
plugins = ["nasty"]
origins = ["https://nasty.example"]
[socket.fixed]
path = "/nasty/fixed"
plugins = ["phx"]
[socket.gone]
connect = "nobody"
[socket.root]
path = "/"
connect = "phx"
`})
	for _, test := range []struct {
		path, origin string
		status       int
	}{
		{"/socket/websocket", "", 101},
		{"/socket/websocket", "https://web.example", 101},
		{"/socket/websocket", "https://nasty.example", 403},
		{"/socket/websocket?refuse=429", "", 429},
		{"/nasty/7/websocket", "https://nasty.example", 101},
		{"/nasty/7/websocket", "https://web.example", 403},
		{"/nasty/7/websocket?refuse=429", "", 101}, // its plugin does not want to be asked
		{"/nasty/fixed/websocket?refuse=429", "", 429},
		{"/nasty//websocket", "", 404},
		{"/nasty/7/8/websocket", "", 404},
		{"/nasty/websocket", "", 404},
		{"/gone/websocket", "", 503},
		{"/websocket?refuse=429", "", 429},
		{"/socket/websocket/", "", 404},
		{"/soCket/websocket", "", 404},
		{"/s%6fcket/websocket", "", 101},
		{"/socket%2fwebsocket", "", 404},
	} {
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		if status, _, _ := s.status(t, test.path, header); status != test.status {
			t.Errorf("%s from %q: status %d, want %d", test.path, test.origin, status, test.status)
		}
	}

	join := func(path, topic, want string) {
		t.Helper()
		c := hosttest.Connect(t, s.URL+path+"/websocket?vsn=2.0.0")
		c.WantReply(t, topic, "phx_join", "{}", want)
	}
	const unmatched = `error {"reason":"unmatched topic"}`
	join("/socket", "room:a", "ok")
	join("/socket", "nasty:a", "ok")
	join("/nasty/7", "room:a", unmatched)
	join("/nasty/7", "nasty:a", "ok")
	join("/nasty/fixed", "room:a", "ok")
	join("/nasty/fixed", "nasty:a", unmatched)
}

// A plugin's connect does not decide for the clients of another before the config says so, and the second of
// two that want to be asked does not take the first one's clients down. Saying so needs no restart.
func TestSeveralConnectors(t *testing.T) {
	t.Parallel()
	phx := phxGuest(t)
	table := phxTable + "[plugin.phy]\ntopics = [\"y:*\"]\n" + phxAllows + nastyTable
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phx}, Config: table})
	wantStatus := func(query string, want int) {
		t.Helper()
		if status, _, _ := s.status(t, "/socket/websocket"+query, nil); status != want {
			t.Errorf("%q: status %d, want %d", query, status, want)
		}
	}
	for name, wasm := range map[string][]byte{"phy": phx, "nasty": nastyGuest(t)} {
		s.Write(t, name, wasm)
		line := s.Log.Wait(t, "plugin not deployed", "plugin", name)
		if cause := line.Text("cause"); !strings.Contains(cause, `set in [socket.socket] of config.toml: connect = "phx"`) {
			t.Errorf("the log does not say which line decides: %s", cause)
		}
		wantStatus("", 101)
		wantStatus("?refuse=429", 429)
	}

	s.Log.Forget()
	s.Configure(t, table+"[socket.socket]\nconnect = \"phx\"\n")
	for _, name := range []string{"phy", "nasty"} {
		s.Log.Wait(t, "plugin deployed", "plugin", name)
	}
	c := s.Connect(t)
	c.MustJoin(t, "y:1", "{}")
	c.MustJoin(t, "nasty:1", "{}")
	wantStatus("?refuse=429", 429)
	if lines := s.Log.All("needs restart"); len(lines) != 0 {
		t.Errorf("it needs a restart: %v", lines)
	}

	// What would leave it open again is not taken over.
	s.Log.Forget()
	s.Configure(t, table)
	s.Log.Wait(t, "connect of sockets not taken over, the same plugins go on to decide", "cause", "phx and phy want connect")
	wantStatus("?refuse=429", 429)
	s.Remove(t, "phx")
	s.Log.Wait(t, "plugin unloaded, its file is gone", "plugin", "phx")
	wantStatus("", 503)
}

// A drain does not wait for plugins that think about clients.
func TestDrainWhileConnecting(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: phxTable + "[server]\ngrace = \"5m\"\n"})
	answered := make(chan error, 1)
	go func() {
		_, response, err := websocket.Dial(t.Context(), s.URL+"/socket/websocket?vsn=2.0.0&slow=60000", &websocket.DialOptions{HTTPClient: hosttest.Web})
		if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable {
			err = fmt.Errorf("answer %v, %v", response, err)
		} else {
			err = nil
		}
		answered <- err
	}()
	hosttest.Eventually(t, "one that waits", func() bool { return s.Metric(t, "rtd_connections") == 1 })
	time.Sleep(100 * time.Millisecond) // so that its guest is at work
	s.Stop(t)                          // within Patience, which is less than the grace period
	hosttest.Within(t, "the answer", func() error { return <-answered })
}
