package host_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Beyond the limits clients are refused before the upgrade, and when others
// have left they come in.
func TestConnectionLimits(t *testing.T) {
	s := start(t, setup{config: "[server]\nmax_connections = 5\nmax_per_address = 3\ntrusted_proxies = [\"127.0.0.1\"]\n"})
	from := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	enter := func(address string) *client {
		t.Helper()
		c, err := dial(s.url+"/socket/websocket?vsn=2.0.0", from(address))
		must(t, err)
		t.Cleanup(c.close)
		return c
	}
	want := func(address string, want int, why string) {
		t.Helper()
		status, answer, body := s.status(t, "/socket/websocket?vsn=2.0.0", from(address))
		if status != want || body || (answer.Get("Retry-After") == "") != (want == 101) {
			t.Errorf("%s: status %d, body %v, header %v; want %d without a body", why, status, body, answer, want)
		}
		eventually(t, "end of who came in", func() bool { return want != 101 || s.metric(t, "rtd_connections") < 5 })
	}
	first := enter("2001:db8::1")
	enter("2001:db8::2")
	enter("2001:db8::3:3")
	want("2001:db8::4", 429, "a fourth of one network")
	enter("2001:db8:0:1::1")
	want("5.6.7.8", 101, "another address")
	enter("::ffff:5.6.7.8")
	want("9.9.9.9", 503, "a sixth")
	want("2001:db8::4", 503, "a sixth")
	if n := s.metric(t, "rtd_connections_refused_total", `cause="max_per_address"`); n != 1 {
		t.Errorf("refused for the address = %v, want 1", n)
	}
	if n := s.metric(t, "rtd_connections_refused_total", `cause="max_connections"`); n != 2 {
		t.Errorf("refused for all = %v, want 2", n)
	}
	first.close()
	eventually(t, "room", func() bool { return s.metric(t, "rtd_connections") == 4 })
	want("2001:db8::4", 101, "after one has left")
}

// A refused handshake gives its place back.
func TestRefusalsTakeNoPlace(t *testing.T) {
	s := start(t, setup{config: "[server]\nmax_connections = 1\n"})
	for range 3 {
		if status, _, _ := s.status(t, "/socket/websocket?vsn=9", nil); status != 403 {
			t.Errorf("status %d, want 403", status)
		}
	}
	s.connect(t).wantOpen(t)
}

// Who sends too much too fast loses the connection with a code that says so; nobody else does.
func TestRate(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"echo": echoGuest(t)}, config: "[server]\nmax_rate = 50\n"})
	other, c := s.connect(t), s.connect(t)
	for range 200 {
		if c.sendFrame(`[null,"1","phoenix","heartbeat",{}]`) != nil {
			break
		}
	}
	c.wantClosed(t, websocket.StatusPolicyViolation)
	other.wantOpen(t)
	if n := s.metric(t, "rtd_connections_closed_total", `code="1008"`, `cause="too many messages"`); n != 1 {
		t.Errorf("closed = %v, want 1", n)
	}
}

// What is too much for a plugin is answered so, and does not cost the connection.
func TestPluginRate(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"echo": echoGuest(t)}, config: "[plugin.echo]\nmax_rate = 20\n"})
	c := s.connect(t)
	c.mustJoin(t, "echo:a", "{}")
	var last string
	for range 200 {
		ref, err := c.send("echo:a", "x", "{}")
		must(t, err)
		last = ref
	}
	if r, err := c.reply("echo:a", "x", last); err != nil || r.String() != `error {"reason":"overloaded"}` {
		t.Errorf("the last of 200: %v, %v", r, err)
	}
	c.wantOpen(t)
	time.Sleep(time.Second)
	c.wantReply(t, "echo:a", "x", "{}", "ok")
}

// Frames may be as large as configured, and several at a time.
func TestLargeFrames(t *testing.T) {
	const size = 16 << 20
	s := start(t, setup{plugins: map[string][]byte{"phx": phxGuest(t)}, config: fmt.Sprintf("[server]\nmax_frame = %d\n", size) +
		phxTable + "memory = 536870912\n"})
	c := s.connect(t)
	c.mustJoin(t, "echo:large", "{}")
	payload := `{"x":"` + strings.Repeat("x", size-100) + `"}`
	for range 2 {
		r, err := c.push("echo:large", "echo", payload)
		must(t, err)
		if r.Status != "ok" || len(r.Response) != len(payload) {
			t.Fatalf("reply %s, %d bytes", r.Status, len(r.Response))
		}
	}
	// The client may not get to the end of it.
	_ = c.ws.Write(context.Background(), websocket.MessageText, make([]byte, size+1))
	c.wantClosed(t, websocket.StatusMessageTooBig)
	eventually(t, "note of it", func() bool { return s.metric(t, "rtd_connections_closed_total", `code="1009"`) == 1 })
}

// A socket can have as many topics as configured, and is told when that is all.
func TestManyJoins(t *testing.T) {
	const joins = 10_000
	s := start(t, setup{plugins: map[string][]byte{"echo": echoGuest(t)}, config: fmt.Sprintf("[server]\nmax_joins = %d\nmax_outbox_messages = 100000\n", joins)})
	c := s.connect(t)
	for n := range joins {
		_, err := c.send(fmt.Sprintf("echo:%d", n), "phx_join", "{}")
		must(t, err)
	}
	for n := range joins {
		if r, err := c.reply(fmt.Sprintf("echo:%d", n), "phx_join", fmt.Sprint(n+1)); err != nil || r.Status != "ok" {
			t.Fatalf("join %d: %v, %v", n, r, err)
		}
	}
	c.wantReply(t, "echo:more", "phx_join", "{}", `error {"reason":"too many channels joined"}`)
	c.wantReply(t, "echo:9999", "x", "{}", "ok")
	c.wantOpen(t)
}

// What rtd closes, it counts, by code and cause.
func TestClosesAreCounted(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"echo": echoGuest(t)}, config: "[server]\nmax_frame = 1024\nidle_timeout = \"2s\"\n"})
	for _, end := range []struct {
		frame, code, cause string
	}{
		{"{", "1011", "malformed frame"},
		{"[\"\xff\"]", "1007", "invalid UTF-8"},
		{strings.Repeat("x", 2000), "1009", "frame too large"},
		{"", "1002", "idle timeout"},
	} {
		c := s.connect(t)
		if end.frame != "" {
			must(t, c.sendFrame(end.frame))
		}
		c.wantClosed(t, map[string]websocket.StatusCode{"1011": 1011, "1007": 1007, "1009": 1009, "1002": 1002}[end.code])
		labels := []string{fmt.Sprintf("code=%q", end.code), fmt.Sprintf("cause=%q", end.cause)}
		eventually(t, "note of "+end.cause, func() bool { return s.metric(t, "rtd_connections_closed_total", labels...) == 1 })
	}
	conn, reader := s.rawUpgrade(t)
	io.WriteString(conn, "\x81\x02hi")
	wantCloseFrame(t, reader, websocket.StatusProtocolError)
	conn.Close()
	eventually(t, "note of the unmasked frame", func() bool {
		return s.metric(t, "rtd_connections_closed_total", `code="1002"`, `cause="protocol error"`) == 1
	})
	// Who goes by itself was not closed.
	s.connect(t).close()
	gone, _ := s.rawUpgrade(t)
	gone.Close()
	eventually(t, "end of all", func() bool { return s.metric(t, "rtd_connections") == 0 })
	time.Sleep(20 * time.Millisecond)
	if n := s.metric(t, "rtd_connections_closed_total"); n != 5 {
		t.Errorf("closed = %v, want 5", n)
	}
}
