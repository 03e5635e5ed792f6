package host_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// What a client may not send ends its own connection, with a code that says
// why, and all its channels; nobody else notices.
func TestBadFramesEndTheirConnection(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[server]\nmax_frame = 4096\n"})
	other := s.Connect(t)
	other.MustJoin(t, "nasty:a", "{}")
	for _, bad := range []struct {
		name string
		kind websocket.MessageType
		data string
		code websocket.StatusCode
	}{
		{"no JSON", websocket.MessageText, `{"topic`, websocket.StatusInternalError},
		{"four elements", websocket.MessageText, `["1","2","nasty:a","say"]`, websocket.StatusInternalError},
		{"an object", websocket.MessageText, `{"topic":"nasty:a","event":"say","payload":{},"ref":"1"}`, websocket.StatusInternalError},
		{"empty", websocket.MessageText, "", websocket.StatusInternalError},
		{"binary", websocket.MessageBinary, "\x07\x00", websocket.StatusInternalError},
		{"invalid UTF-8", websocket.MessageText, "[null,\"1\",\"nasty:a\",\"say\",{\"x\":\"\xff\"}]", websocket.StatusInvalidFramePayloadData},
		{"too large", websocket.MessageText, `[null,"1","nasty:a","say",{"x":"` + strings.Repeat("x", 10_000) + `"}]`, websocket.StatusMessageTooBig},
		{"far too large", websocket.MessageText, strings.Repeat("[", 3<<20), websocket.StatusMessageTooBig},
	} {
		t.Run(bad.name, func(t *testing.T) {
			c := s.Connect(t)
			c.MustJoin(t, "nasty:a", "{}")
			c.MustJoin(t, "nasty:b", "{}")
			// A write of far too much may fail: the server need not read all.
			if err := c.WS.Write(context.Background(), bad.kind, []byte(bad.data)); err != nil && len(bad.data) < 1<<20 {
				t.Fatal(err)
			}
			c.WantClosed(t, bad.code)
			hosttest.Eventually(t, "end of its channels", func() bool { return s.Metric(t, "rtd_channels") == 1 })
			other.WantReply(t, "nasty:a", "say", "{}", "ok")
		})
	}
	if n := s.Metric(t, "rtd_malformed_frames_total"); n != 6 {
		t.Errorf("malformed frames = %v, want 6", n)
	}
	hosttest.Eventually(t, "one connection", func() bool { return s.Metric(t, "rtd_connections") == 1 })
}

// rawUpgrade opens a WebSocket and hands over its TCP connection, for what no library
// would send.
func (s *server) rawUpgrade(t testing.TB) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := s.rawDial(t)
	fmt.Fprintf(conn, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	must(t, err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response.Status)
	}
	return conn, reader
}

func (s *server) rawDial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(hosttest.Patience)))
	return conn
}

// wantCloseFrame reads until a close frame and checks its code.
func wantCloseFrame(t testing.TB, r io.Reader, code websocket.StatusCode) {
	t.Helper()
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if head[1] > 125 {
			t.Fatal("frame of more than 125 bytes")
		}
		body := make([]byte, head[1])
		if _, err := io.ReadFull(r, body); err != nil {
			t.Fatal(err)
		}
		if head[0] != 0x88 {
			continue
		}
		if got := websocket.StatusCode(binary.BigEndian.Uint16(body)); got != code {
			t.Fatalf("closed with %d, want %d", got, code)
		}
		return
	}
}

func TestBrokenFraming(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}})
	for name, bytes := range map[string]string{
		"unmasked":       "\x81\x02hi",
		"reserved bits":  "\xf1\x80\x00\x00\x00\x00",
		"unknown opcode": "\x83\x80\x00\x00\x00\x00",
		"long ping":      "\x89\xfe\x01\x00\x00\x00\x00\x00" + strings.Repeat("x", 256),
	} {
		t.Run(name, func(t *testing.T) {
			conn, reader := s.rawUpgrade(t)
			io.WriteString(conn, bytes)
			wantCloseFrame(t, reader, websocket.StatusProtocolError)
			conn.Close()
		})
	}
	hosttest.Eventually(t, "no connections", func() bool { return s.Metric(t, "rtd_connections") == 0 })
}

// A client that takes nothing is cut off, and those that it shares a topic with
// are not held up.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"nasty": nastyGuest(t)}, Config: "[server]\nmax_outbox_messages = 50\n"})
	c := s.Connect(t)
	s.joinAndSleep(t)
	c.MustJoin(t, "nasty:a", "{}")
	hosttest.Eventually(t, "the lazy client's join", func() bool { return s.Metric(t, "rtd_channels") == 2 })
	big := `{"x":"` + strings.Repeat("x", 50_000) + `"}`
	begin := time.Now()
	for sent := 0; s.Metric(t, "rtd_connections_closed_total", `code="4001"`) == 0; sent++ {
		c.WantReply(t, "nasty:a", "say", big, "ok")
		if time.Since(begin) > hosttest.Patience {
			t.Fatalf("after %d messages the slow client is still there", sent)
		}
	}
	hosttest.Eventually(t, "the end of the lazy connection", func() bool { return s.Metric(t, "rtd_connections") == 1 })
	c.WantOpen(t)
}

// joinAndSleep joins nasty:a with a client that never reads again.
func (s *server) joinAndSleep(t testing.TB) {
	t.Helper()
	conn, _ := s.rawUpgrade(t)
	writeMasked(t, conn, `["1","1","nasty:a","phx_join",{}]`)
}

// writeMasked writes a short text frame.
func writeMasked(t testing.TB, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0})+text)
	must(t, err)
}

// A client that pushes without measure and reads nothing loses its connection;
// a slow consumer that reads again sees the code.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\nmax_outbox_messages = 10\n[plugin.echo]\nmailbox = 100\n"})
	other := s.Connect(t)
	other.MustJoin(t, "echo:b", "{}")
	conn, reader := s.rawUpgrade(t)
	writeMasked(t, conn, `["1","1","echo:a","phx_join",{}]`)
	flooding := make(chan struct{})
	go func() {
		defer close(flooding)
		text := `["1","2","echo:a","x",{"x":"` + strings.Repeat("x", 80) + `"}]`
		frame := string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
		for conn.SetWriteDeadline(time.Now().Add(2*time.Second)) == nil {
			if _, err := io.WriteString(conn, strings.Repeat(frame, 100)); err != nil {
				return
			}
		}
	}()
	hosttest.Eventually(t, "a slow consumer", func() bool {
		other.WantReply(t, "echo:b", "x", "{}", "ok")
		return s.Metric(t, "rtd_connections_closed_total", `code="4001"`) == 1
	})
	must(t, conn.SetReadDeadline(time.Now().Add(hosttest.Patience)))
	if n, err := io.Copy(io.Discard, reader); n == 0 {
		t.Errorf("nothing was answered: %v", err)
	}
	hosttest.Within(t, "the end of the flood", func() error { <-flooding; return nil })
	other.WantOpen(t)
}

// A client that connects and says nothing, or half a sentence, is in nobody's way.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\ngrace = \"5m\"\n"})
	for range 20 {
		s.rawDial(t)
		fmt.Fprint(s.rawDial(t), "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConn")
		conn, _ := s.rawUpgrade(t)
		io.WriteString(conn, "\x81\xfe\xff") // the beginning of a frame
	}
	c := s.Connect(t)
	c.MustJoin(t, "echo:a", "{}")
	c.WantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
	s.Stop(t) // within Patience, which is less than the grace period
}

// A silent connection is closed, one that sends pings is not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\nidle_timeout = \"4s\"\n"})
	silent, pinging, beating := s.Connect(t), s.Connect(t), s.Connect(t)
	begin := time.Now()
	for !silent.IsClosed() {
		must(t, pinging.WS.Ping(t.Context()))
		beating.WantOpen(t)
		time.Sleep(100 * time.Millisecond)
		if time.Since(begin) > hosttest.Patience {
			t.Fatal("the silent connection is still open")
		}
	}
	silent.WantClosed(t, websocket.StatusProtocolError)
	hosttest.WantAllOpen(t, []*hosttest.Client{pinging, beating})
}
