package gateway

import (
	"testing"

	"rtd/channels"
)

// readerOf returns a connection to a client, and what its writer does, on demand.
func readerOf(tb testing.TB) (c *conn, write func()) {
	c, write = outboxOf(&taker{})
	c.socket = channels.NewEndpoint(channels.Limits{Rate: -1}).NewSocket(channels.SocketOptions{Codec: channels.V2, Out: c})
	tb.Cleanup(c.socket.Close)
	return c, write
}

const heartbeat = `[null,"123","phoenix","heartbeat",{}]`

// BenchmarkReadPath is a heartbeat's way from package wire to the reply's system call,
// without that. The frame and the reply are what it allocates: both outlive it.
func BenchmarkReadPath(b *testing.B) {
	c, write := readerOf(b)
	b.ReportAllocs()
	for b.Loop() {
		c.Message([]byte(heartbeat), false)
		write()
	}
}
