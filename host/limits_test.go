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

	"rtd/host/hosttest"
)

// Beyond the limits clients are refused before the upgrade, and when others
// have left they come in.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Config: "[server]\nmax_connections = 5\nmax_per_address = 3\ntrusted_proxies = [\"127.0.0.1\"]\n"})
	from := func(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }
	enter := func(address string) *hosttest.Client {
		t.Helper()
		return connectAs(t, s.Socket(""), from(address))
	}
	want := func(address string, want int, why string) {
		t.Helper()
		status, answer, body := s.status(t, "/socket/websocket?vsn=2.0.0", from(address))
		if status != want || body || (answer.Get("Retry-After") == "") != (want == 101) {
			t.Errorf("%s: status %d, body %v, header %v; want %d without a body", why, status, body, answer, want)
		}
		hosttest.Eventually(t, "end of who came in", func() bool { return want != 101 || s.Metric(t, "rtd_connections") < 5 })
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
	if n := s.Metric(t, "rtd_connections_refused_total", `cause="max_per_address"`); n != 1 {
		t.Errorf("refused for the address = %v, want 1", n)
	}
	if n := s.Metric(t, "rtd_connections_refused_total", `cause="max_connections"`); n != 2 {
		t.Errorf("refused for all = %v, want 2", n)
	}
	first.Close()
	hosttest.Eventually(t, "room", func() bool { return s.Metric(t, "rtd_connections") == 4 })
	want("2001:db8::4", 101, "after one has left")
}

// A refused handshake gives its place back.
func TestRefusalsTakeNoPlace(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Config: "[server]\nmax_connections = 1\n"})
	for range 3 {
		if status, _, _ := s.status(t, "/socket/websocket?vsn=9", nil); status != 403 {
			t.Errorf("status %d, want 403", status)
		}
	}
	s.Connect(t).WantOpen(t)
}

// A client that sends too much too fast loses the connection with a code that says so; nobody else does.
func TestRate(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\nmax_rate = 50\n"})
	other, c := s.Connect(t), s.Connect(t)
	for range 100_000 {
		if c.SendFrame(`[null,"1","phoenix","heartbeat",{}]`) != nil {
			break
		}
	}
	c.WantClosed(t, websocket.StatusPolicyViolation)
	other.WantOpen(t)
	if n := s.Metric(t, "rtd_connections_closed_total", `code="1008"`, `cause="too many messages"`); n != 1 {
		t.Errorf("closed = %v, want 1", n)
	}
}

// What is too much for a plugin is answered so, and does not cost the connection.
func TestPluginRate(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[plugin.echo]\nmax_rate = 20\n"})
	c := s.Connect(t)
	c.MustJoin(t, "echo:a", "{}")
	var refs []string
	for range 1000 {
		ref, err := c.Push("echo:a", "x", "{}")
		must(t, err)
		refs = append(refs, ref)
	}
	refused := 0
	for _, ref := range refs {
		r, err := c.Reply(ref)
		must(t, err)
		if r.String() == `error {"reason":"overloaded"}` {
			refused++
		}
	}
	if refused == 0 {
		t.Error("none of 1000 was too much")
	}
	c.WantOpen(t)
	hosttest.Eventually(t, "an answer, later", func() bool {
		r, err := c.Call("echo:a", "x", "{}")
		must(t, err)
		return r.Status == "ok"
	})
}

// Frames may be as large as configured, and several at a time.
func TestLargeFrames(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: fmt.Sprintf("[server]\nmax_frame = %d\n", size) +
		phxTable + "memory = 536870912\n"})
	c := s.Connect(t)
	c.MustJoin(t, "echo:large", "{}")
	payload := `{"x":"` + strings.Repeat("x", size-100) + `"}`
	for range 2 {
		r, err := c.Call("echo:large", "echo", payload)
		must(t, err)
		if r.Status != "ok" || len(r.Payload) != len(payload) {
			t.Fatalf("reply %s, %d bytes", r.Status, len(r.Payload))
		}
	}
	// The client may not get to the end of it.
	_ = c.WS.Write(context.Background(), websocket.MessageText, make([]byte, size+1))
	c.WantClosed(t, websocket.StatusMessageTooBig)
	hosttest.Eventually(t, "note of it", func() bool { return s.Metric(t, "rtd_connections_closed_total", `code="1009"`) == 1 })
}

// A socket can have as many topics as configured, and is told when that is all.
func TestManyJoins(t *testing.T) {
	t.Parallel()
	const joins = 2000
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: fmt.Sprintf("[server]\nmax_joins = %d\nmax_outbox_messages = 100000\n", joins)})
	c := s.Connect(t)
	for n := range joins {
		_, err := c.Push(fmt.Sprintf("echo:%d", n), "phx_join", "{}")
		must(t, err)
	}
	for n := range joins {
		if r, err := c.Reply(fmt.Sprint(n + 1)); err != nil || r.Status != "ok" {
			t.Fatalf("join %d: %v, %v", n, r, err)
		}
	}
	c.WantReply(t, "echo:more", "phx_join", "{}", `error {"reason":"too many channels joined"}`)
	c.WantReply(t, "echo:1999", "x", "{}", "ok")
	c.WantOpen(t)
}

// What rtd closes, it counts, by code and cause.
func TestClosesAreCounted(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\nmax_frame = 1024\nidle_timeout = \"5s\"\n"})
	for _, end := range []struct {
		frame, code, cause string
	}{
		{"{", "1011", "malformed frame"},
		{"[\"\xff\"]", "1007", "invalid UTF-8"},
		{strings.Repeat("x", 2000), "1009", "frame too large"},
		{"", "1002", "idle timeout"},
	} {
		c := s.Connect(t)
		if end.frame != "" {
			must(t, c.SendFrame(end.frame))
		}
		c.WantClosed(t, map[string]websocket.StatusCode{"1011": 1011, "1007": 1007, "1009": 1009, "1002": 1002}[end.code])
		labels := []string{fmt.Sprintf("code=%q", end.code), fmt.Sprintf("cause=%q", end.cause)}
		hosttest.Eventually(t, "note of "+end.cause, func() bool { return s.Metric(t, "rtd_connections_closed_total", labels...) == 1 })
	}
	conn, reader := s.rawUpgrade(t)
	io.WriteString(conn, "\x81\x02hi")
	wantCloseFrame(t, reader, websocket.StatusProtocolError)
	conn.Close()
	hosttest.Eventually(t, "note of the unmasked frame", func() bool {
		return s.Metric(t, "rtd_connections_closed_total", `code="1002"`, `cause="protocol error"`) == 1
	})
	// A client that goes by itself was not closed.
	s.Connect(t).Close()
	gone, _ := s.rawUpgrade(t)
	gone.Close()
	hosttest.Eventually(t, "end of all", func() bool { return s.Metric(t, "rtd_connections") == 0 })
	time.Sleep(20 * time.Millisecond)
	if n := s.Metric(t, "rtd_connections_closed_total"); n != 5 {
		t.Errorf("closed = %v, want 5", n)
	}
}
