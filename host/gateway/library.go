package gateway

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"runtime"

	"github.com/coder/websocket"

	"rtd/host/gateway/wire"
)

// borrow returns the WebSocket library above the connection. It takes more memory than all else
// of a connection, so that each has one only while something comes that is no whole message, and
// when it is closed. Between two messages a new one is as good as the last.
func (c *conn) borrow() *websocket.Conn {
	c.mu.Lock() // who closes and who reads may both want one
	defer c.mu.Unlock()
	if ws := c.library.Load(); ws != nil {
		return ws
	}
	request, mode := c.packs.handshake()
	ws, err := websocket.Accept(handshaken{c.wire}, request, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // that was decided in the client's handshake
		CompressionMode:    mode,
		OnPingReceived:     func(context.Context, []byte) bool { c.touch(); return true },
		OnPongReceived:     func(context.Context, []byte) { c.touch() },
	})
	if err != nil {
		panic(err) // nothing of that comes from a client
	}
	ws.SetReadLimit(int64(c.gateway.config.Server.MaxFrame))
	c.library.Store(ws)
	return ws
}

// giveBack ends the use of the library, between two messages.
func (c *conn) giveBack() {
	ws := c.library.Swap(nil)
	// It has a finalizer, which would close the connection; and as it refers to itself, it would
	// never be collected.
	runtime.SetFinalizer(ws, nil)
}

// handshakeOfAll is what the library is told in place of a client's handshake, which
// [handshake.Accept] has answered.
var handshakeOfAll = &http.Request{
	Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	},
}

// handshaken takes the library's answer, of which the client hears nothing.
type handshaken struct{ conn wire.Conn }

func (handshaken) Header() http.Header         { return http.Header{} }
func (handshaken) Write(b []byte) (int, error) { return len(b), nil }
func (handshaken) WriteHeader(int)             {}

// Hijack implements [http.Hijacker].
func (h handshaken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, h.conn.Buffers(), nil
}
