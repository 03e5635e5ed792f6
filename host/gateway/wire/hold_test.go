package wire_test

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"rtd/host/gateway/wire"
)

// scripted is a reader that does as a test says, step by step.
type scripted struct {
	wire.Conn
	reading chan struct{} // ReadFrames has read half a frame
	park    chan struct{} // it is to park
	parked  chan bool     // what Park has said
}

func (s *scripted) Message([]byte, bool) {}
func (s *scripted) Writable()            {}

func (s *scripted) ReadFrames() {
	if _, err := s.Read(make([]byte, 1)); err != nil {
		return
	}
	s.reading <- struct{}{}
	<-s.park
	s.parked <- s.Park(func() {})
}

// A goroutine that closes a connection may wait in the library for the client's answer while another
// reads. That one cannot leave the connection to the poller any more: the answer, or the
// end, would never reach who waits for it.
func TestWhoeverClosesIsNotForgotten(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
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
		c := &scripted{
			Conn:    s.poller.Adopt(raw, nil),
			reading: make(chan struct{}, 2), park: make(chan struct{}), parked: make(chan bool, 1),
		}
		c.Start(c, false)
		if _, err := client.Write([]byte{text}); err != nil { // half a frame
			t.Fatal(err)
		}
		<-c.reading
		if c.Hold() {
			t.Fatal("nobody reads")
		}
		closed := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1)) // the other reader has the half frame already
			closed <- err
		}()
		waitFor(t, "somebody who waits for the answer", func() bool {
			return strings.Contains(stacks(), "TestWhoeverClosesIsNotForgotten.func1.1")
		})
		c.park <- struct{}{}
		if <-c.parked {
			t.Error("parked, although somebody closes")
		}
		c.Close()
		select {
		case err := <-closed:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		case <-time.After(patience):
			t.Fatalf("who closes waits for ever\n%s", stacks())
		}
	})
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s\n%s", what, stacks())
		}
	}
}
