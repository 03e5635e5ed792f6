package gateway

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/gateway/wire"
)

// Between two messages, a connection has no library: it is gone, and the connection is not.
func TestLibraryIsGivenBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // a connection keeps its library
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{
		config: config.Default(), log: slog.New(slog.DiscardHandler), conns: newConnSet(1, 1), poller: wire.New(wire.Options{}),
	}
	defer g.poller.Close()
	g.writers = newWriters(1, &g.running, g.poller.Look)
	defer g.running.Wait()
	defer g.writers.stop()
	c := &conn{gateway: g}
	c.socket = channels.NewEndpoint(channels.Limits{}).NewSocket(channels.SocketOptions{Codec: channels.V2, Out: c})
	defer c.socket.Close()
	if err := g.conns.add(c); err != nil {
		t.Fatal(err)
	}
	c.adopt(raw, nil)
	c.open()
	c.wire.Start(c, false)

	frame := append([]byte{0x81, 0x80 | byte(len(heartbeat)), 0, 0, 0, 0}, heartbeat...)
	until := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	answered := func() {
		t.Helper()
		var head [2]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, client, int64(head[1])); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		client.Write(frame[:9])
		until("half a frame takes a library", func() bool { return c.library.Load() != nil })
		library := weak.Make(c.library.Load())
		client.Write(frame[9:])
		answered()
		until("it is given back", func() bool { runtime.GC(); return library.Value() == nil })
		client.Write(frame)
		answered()
		if c.library.Load() != nil {
			t.Error("a whole message takes a library")
		}
	}
	client.Write(binary.BigEndian.AppendUint16([]byte{0x88, 0x82, 0, 0, 0, 0}, 1000))
	g.conns.close()
	defer g.conns.kill()
	if head, err := io.ReadAll(client); err != nil || len(head) < 2 || head[0] != 0x88 {
		t.Errorf("after a close frame comes % x, %v", head, err)
	}
}
