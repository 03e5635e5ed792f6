package gateway

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/gateway/wire"
)

// taker is a connection whose client takes everything, or nothing.
type taker struct {
	net.Conn
	bytes   int
	batches int
	stuck   bool
}

func (*taker) Buffers() *bufio.ReadWriter { return nil }
func (*taker) Start(wire.Reader, bool)    {}
func (*taker) Park(func()) bool           { return true }
func (*taker) Hold() bool                 { return true }
func (*taker) Blocks() bool               { return false }
func (*taker) Close() error               { return nil }

func (t *taker) Batch(b []byte) (bool, error) {
	t.bytes += len(b)
	t.batches++
	return t.stuck, nil
}

// outboxOf returns a connection to a client, and what its writer does, on demand.
func outboxOf(client *taker) (c *conn, write func()) {
	g := &Gateway{config: config.Default(), writers: &writers{}}
	shard := &writer{wake: make(chan struct{}, 1)}
	c = &conn{gateway: g, wire: client, raw: client, writer: shard, opened: true}
	buffer := make([]byte, 0, writeBatch)
	return c, func() {
		for len(shard.ready) > 0 {
			batch := shard.ready
			shard.ready = shard.ready[:0]
			for _, c := range batch {
				if c.write(buffer) {
					shard.add(c)
				}
			}
		}
	}
}

var somethingSaid = channels.Frame{Data: []byte(`[null,null,"room:lobby","said",{"body":"` + strings.Repeat("x", 64) + `"}]`)}

// A connection whose client takes nothing is not written to again until there is
// room; what was not on its way comes first then.
func TestOutboxWaits(t *testing.T) {
	client := &taker{stuck: true}
	c, write := outboxOf(client)
	large := channels.Frame{Data: make([]byte, writeBatch-100)}
	for range 3 {
		c.Send(large)
	}
	write()
	c.Send(somethingSaid)
	write()
	if client.batches != 1 {
		t.Fatalf("%d batches for a client that takes none", client.batches)
	}
	client.stuck = false
	c.Writable()
	write()
	whole := 3*(4+len(large.Data)) + 2 + len(somethingSaid.Data)
	if client.bytes != whole {
		t.Errorf("%d bytes, want %d", client.bytes, whole)
	}
}

// BenchmarkOutbox is a frame's way from Send to the system call, without that.
func BenchmarkOutbox(b *testing.B) {
	c, write := outboxOf(&taker{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c.Send(somethingSaid)
		if n%8 == 7 {
			write()
		}
	}
}
