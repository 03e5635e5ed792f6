package host

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/handshake"
)

// again is a client that sends the same frame for ever.
type again struct {
	net.Conn
	frame []byte
	rest  []byte
}

func (a *again) Read(b []byte) (int, error) {
	if len(a.rest) == 0 {
		a.rest = a.frame
	}
	n := copy(b, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func (*again) Write(b []byte) (int, error) { return len(b), nil }
func (*again) Close() error                { return nil }

type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriter(io.Discard)), nil
}

// readerOf returns a connection whose client sends frame, masked with nothing, for ever.
func readerOf(tb testing.TB, frame string) (c *conn, write func()) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for key, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		r.Header.Set(key, value)
	}
	masked := append([]byte{0x81, 0x80 | byte(len(frame)), 0, 0, 0, 0}, frame...)
	ws, err := websocket.Accept(hijacked{httptest.NewRecorder(), &again{frame: masked}}, r, nil)
	if err != nil || !handshake.Upgrades(r) {
		tb.Fatalf("accept: %v", err)
	}
	c, write = outboxOf(&taker{})
	c.ws = ws
	c.socket = channels.NewEndpoint(channels.Limits{Rate: -1}).NewSocket(channels.SocketOptions{Codec: channels.V2, Out: c})
	tb.Cleanup(c.socket.Close)
	return c, write
}

// BenchmarkReadPath is a heartbeat's way from arrived bytes to the reply's system call,
// without that. The frame and the reply are what it allocates: both outlive it.
func BenchmarkReadPath(b *testing.B) {
	c, write := readerOf(b, `[null,"123","phoenix","heartbeat",{}]`)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.ReadFrame(); err != nil {
			b.Fatal(err)
		}
		write()
	}
}
