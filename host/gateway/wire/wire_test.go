package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/gateway/handshake"
	"rtd/host/gateway/wire"
)

// patience bounds every wait.
const patience = time.Minute

// server echoes every message, by Batch.
type server struct {
	*httptest.Server
	poller *wire.Poller
	conns  chan *echo
}

// echo is one connection of it. It has the library only while it needs that.
type echo struct {
	wire.Conn
	failed   chan error   // has one for each end
	writable atomic.Int64 // calls of Writable
	silent   bool         // does not echo

	mu      sync.Mutex
	ws      *websocket.Conn // nil while it is not needed
	request *http.Request
	pending bool
	waiting []byte // to be written when nothing is pending
}

// hijacker has the library take c for what the client connected to.
type hijacker struct {
	http.ResponseWriter
	c wire.Conn
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return below{h.c}, h.c.Buffers(), nil
}

// below is what the library has below it; a library that is not used any more may close that.
type below struct{ wire.Conn }

func (below) Close() error { return nil }

// library returns the one above the connection.
func (c *echo) library() *websocket.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws == nil {
		var err error
		if c.ws, err = websocket.Accept(hijacker{httptest.NewRecorder(), c.Conn}, c.request, nil); err != nil {
			panic(err)
		}
		c.ws.SetReadLimit(1 << 20)
	}
	return c.ws
}

func (c *echo) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws = nil
}

// start serves until the test ends; by then each connection must have failed once.
func start(t *testing.T, kind string, tls bool) *server {
	s := &server{poller: wire.New(wire.Options{Kind: kind, Limit: 8 << 10}), conns: make(chan *echo, 1000)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &echo{failed: make(chan error, 10), silent: r.URL.Path == "/silent", request: r.WithContext(context.Background())}
		handshake.Accept(w, r, handshake.Offer{})
		raw, buffers, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			tcp.SetWriteBuffer(64 << 10)
		}
		arrived, _ := buffers.Reader.Peek(buffers.Reader.Buffered())
		c.Conn = s.poller.Adopt(raw, arrived)
		s.conns <- c
		c.Start(c, false)
	}))
	if tls {
		s.StartTLS()
	} else {
		s.Server.Start()
	}
	t.Cleanup(func() { s.Server.Close(); s.poller.Close() })
	return s
}

func (c *echo) Message(b []byte, binary bool) {
	if !c.silent {
		c.send(append(wire.AppendHeader(nil, binary, false, len(b)), b...))
	}
}

func (c *echo) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, b...)
	if !c.pending {
		c.pending, _ = c.Batch(c.waiting)
		c.waiting = nil
	}
}

func (c *echo) ReadFrames() {
	ws := c.library()
	for {
		kind, b, err := ws.Read(context.Background())
		if err != nil {
			c.fail(err)
			return
		}
		c.Message(b, kind == websocket.MessageBinary)
		if c.Park(c.leave) {
			return
		}
	}
}

func (c *echo) fail(err error) {
	c.library().CloseNow()
	c.Close()
	c.failed <- err
}

func (c *echo) Writable() {
	c.mu.Lock()
	c.pending = false
	c.mu.Unlock()
	c.send(nil)
	c.writable.Add(1)
}

// connect returns a client's raw connection after the handshake, and the server's end.
func (s *server) connect(t *testing.T, path string, early string) (net.Conn, *echo) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n%s", path, early)
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("handshake: %v", err)
		}
	}
	return c, <-s.conns
}

// frame is a client's; first is its first byte.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i%4])
	}
	return b
}

// next reads a frame of the server.
func next(c net.Conn) (first byte, payload []byte, err error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var head [10]byte
	if _, err := io.ReadFull(c, head[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(c, head[2:4])
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(c, head[2:10])
		size = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(c, payload)
	return head[0], payload, err
}

func mustNext(t *testing.T, c net.Conn, first byte, payload []byte) {
	t.Helper()
	f, p, err := next(c)
	if err != nil || f != first || !bytes.Equal(p, payload) {
		t.Fatalf("got frame %#x of %d bytes (%.40q), %v; want %#x of %d", f, len(p), p, err, first, len(payload))
	}
}

const (
	text, ping, pong, closing = 0x81, 0x89, 0x8a, 0x88
)

// both runs a test with every kind of waiting.
func both(t *testing.T, test func(t *testing.T, s *server)) {
	for _, kind := range []string{wire.Auto, wire.Goroutines} {
		t.Run(kind, func(t *testing.T) { test(t, start(t, kind, false)) })
	}
}

// However a client cuts its bytes, the messages are the same.
func TestPieces(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
		for seed := range uint64(30) {
			random := rand.New(rand.NewPCG(seed, 0))
			var bytesSent []byte
			var want [][]byte
			for n := range 30 {
				payload := bytes.Repeat([]byte{byte(n)}, []int{0, 5, 125, 126, 3000, 20_000}[random.IntN(6)])
				switch random.IntN(4) {
				case 0: // in fragments, with a ping between
					cut := random.IntN(len(payload) + 1)
					bytesSent = append(bytesSent, frame(0x02, payload[:cut])...)
					bytesSent = append(bytesSent, frame(ping, []byte("p"))...)
					bytesSent = append(bytesSent, frame(0x80, payload[cut:])...)
				default:
					bytesSent = append(bytesSent, frame(0x82, payload)...)
				}
				want = append(want, payload)
			}
			early := random.IntN(min(len(bytesSent), 3000))
			c, _ := s.connect(t, "/", string(bytesSent[:early]))
			go func() {
				for rest := bytesSent[early:]; len(rest) > 0; {
					n := min(1+random.IntN(5000), len(rest))
					c.Write(rest[:n])
					rest = rest[n:]
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
					}
				}
			}()
			for i, payload := range want {
				first, got, err := next(c)
				if first == pong {
					first, got, err = next(c)
				}
				if first == pong {
					first, got, err = next(c)
				}
				if err != nil || first != 0x82 || !bytes.Equal(got, payload) {
					t.Fatalf("seed %d, message %d: %#x of %d bytes, %v; want %d", seed, i, first, len(got), err, len(payload))
				}
			}
			c.Close()
		}
	})
}

// Whoever looks, everything that clients send is read, in order: of more than a buffer, the loop reads on.
func TestLook(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
		const clients, frames, size = 4, 500, 4 << 10
		done := make(chan struct{})
		var looking sync.WaitGroup
		for range 2 {
			looking.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						s.poller.Look()
						runtime.Gosched()
					}
				}
			})
		}
		var all sync.WaitGroup
		for range clients {
			c, _ := s.connect(t, "/", "")
			all.Go(func() {
				var burst []byte
				for n := range frames {
					burst = append(burst, frame(text, bytes.Repeat([]byte{byte(n)}, size))...)
				}
				c.Write(burst)
			})
			all.Go(func() {
				for n := range frames {
					if _, payload, err := next(c); err != nil || len(payload) != size || payload[0] != byte(n) {
						t.Errorf("frame %d comes back as %d bytes, %v", n, len(payload), err)
						return
					}
				}
			})
		}
		all.Wait()
		close(done)
		looking.Wait()
	})
}

// What a client is not ready for waits, in order, and delays nobody; frames of the
// library go between whole ones.
func TestSlowClient(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
		c, e := s.connect(t, "/silent", "")
		if e.Blocks() != (s.poller.Kind() == wire.Goroutines) {
			t.Errorf("blocks: %v", e.Blocks())
		}
		c.(*net.TCPConn).SetReadBuffer(32 << 10)
		const frames, size = 400, 40_000
		go func() {
			for n := range frames {
				e.send(append(wire.AppendHeader(nil, false, false, size), bytes.Repeat([]byte{byte(n)}, size)...))
			}
		}()
		time.Sleep(50 * time.Millisecond)
		c.Write(frame(ping, []byte("there?")))
		time.Sleep(50 * time.Millisecond)
		pongs := 0
		for n := 0; n < frames; {
			first, payload, err := next(c)
			switch {
			case err != nil:
				t.Fatalf("frame %d: %v", n, err)
			case first == pong && string(payload) == "there?":
				pongs++
			case first == text && len(payload) == size && payload[0] == byte(n) && payload[size-1] == byte(n):
				n++
			default:
				t.Fatalf("frame %d is %#x of %d bytes", n, first, len(payload))
			}
		}
		if pongs != 1 {
			t.Errorf("%d pongs", pongs)
		}
		if n := e.writable.Load(); (n == 0) != e.Blocks() {
			t.Errorf("%d times writable again", n)
		}
	})
}

// A client that takes nothing cannot make the server keep answers for it.
func TestPingFlood(t *testing.T) {
	s := start(t, wire.Auto, false)
	c, e := s.connect(t, "/silent", "")
	go func() {
		for pings := bytes.Repeat(frame(ping, make([]byte, 125)), 100); ; {
			if _, err := c.Write(pings); err != nil {
				return
			}
		}
	}()
	select {
	case <-e.failed:
	case <-time.After(patience):
		t.Fatal("the connection lives on")
	}
}

// Every end is told once: the client's, with a word and without, and the server's own.
func TestEnds(t *testing.T) {
	ends := map[string]func(c net.Conn, e *echo){
		"client closes":                  func(c net.Conn, _ *echo) { c.Close() },
		"client resets":                  func(c net.Conn, _ *echo) { c.(*net.TCPConn).SetLinger(0); c.Close() },
		"client says so":                 func(c net.Conn, _ *echo) { c.Write(frame(closing, []byte{3, 232})) },
		"half a frame":                   func(c net.Conn, _ *echo) { c.Write(frame(text, []byte("hello"))[:7]); c.Close() },
		"a frame, and the end behind it": func(c net.Conn, _ *echo) { c.Write(frame(text, []byte("hello"))); c.Close() },
		"nonsense":                       func(c net.Conn, _ *echo) { c.Write([]byte("\xf1\x85\x00\x00\x00\x00")) },
		"without a mask":                 func(c net.Conn, _ *echo) { c.Write([]byte("\x81\x01x")) },
		"much too large":                 func(c net.Conn, _ *echo) { c.Write(frame(text, make([]byte, 2<<20))) },
		"server closes":                  func(_ net.Conn, e *echo) { e.Close() },
		"server closes in the middle":    func(c net.Conn, e *echo) { c.Write(frame(text, []byte("hello"))[:7]); e.Close() },
	}
	both(t, func(t *testing.T, s *server) {
		for name, end := range ends {
			t.Run(name, func(t *testing.T) {
				c, e := s.connect(t, "/", "")
				c.Write(frame(text, []byte("first")))
				mustNext(t, c, text, []byte("first"))
				go io.Copy(io.Discard, c)
				end(c, e)
				select {
				case err := <-e.failed:
					if err == nil {
						t.Error("failed without an error")
					}
				case <-time.After(patience):
					t.Fatal("nobody was told")
				}
				select {
				case err := <-e.failed:
					t.Errorf("told twice: %v", err)
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := e.Batch([]byte("x")); err == nil {
					t.Error("written to after the end")
				}
			})
		}
	})
}

// A closing handshake that the server begins waits for the client's answer, whoever
// reads at that moment.
func TestHold(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
		for round := range 20 {
			c, e := s.connect(t, "/", "")
			c.Write(frame(text, []byte("first")))
			mustNext(t, c, text, []byte("first"))
			go func() {
				for range 50 {
					c.Write(frame(text, []byte("more")))
				}
			}()
			if round%2 == 0 {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			}
			closed := make(chan error, 1)
			go func() {
				alone := e.Hold()
				closed <- e.library().Close(4001, "enough")
				if alone {
					e.fail(net.ErrClosed)
				}
			}()
			for {
				first, payload, err := next(c)
				if err != nil {
					t.Fatalf("no close frame: %v", err)
				}
				if first == closing {
					if !strings.HasSuffix(string(payload), "enough") {
						t.Errorf("closed with %q", payload)
					}
					break
				}
			}
			c.Write(frame(closing, []byte{15, 161}))
			if err := <-closed; err != nil { // after 5 s, by the library
				t.Fatalf("the answer was not noticed: %v", err)
			}
			<-e.failed
		}
	})
}

// With TLS there is a goroutine for each, whatever was asked for.
func TestTLS(t *testing.T) {
	s := start(t, wire.Auto, true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	e := <-s.conns
	if !e.Blocks() {
		t.Error("does not block")
	}
	for _, body := range []string{"one", strings.Repeat("two", 10_000)} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(ctx); err != nil || string(got) != body {
			t.Fatalf("%.20q, %v", got, err)
		}
	}
}

// Connections that are silent have no goroutine, also after unusual frames.
func TestSilence(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // the kind is goroutines
	}
	s := start(t, wire.Auto, false)
	before := runtime.NumGoroutine()
	for range 100 {
		c, e := s.connect(t, "/", "")
		hello := frame(text, []byte("hello"))
		c.Write(hello[:4]) // half a frame, which takes a goroutine
		time.Sleep(100 * time.Microsecond)
		c.Write(hello[4:])
		mustNext(t, c, text, []byte("hello"))
		c.Write(hello) // and this does not
		mustNext(t, c, text, []byte("hello"))
		if e.RemoteAddr().String() != c.LocalAddr().String() || e.LocalAddr().String() != c.RemoteAddr().String() {
			t.Errorf("%v and %v are %v and %v", c.LocalAddr(), c.RemoteAddr(), e.RemoteAddr(), e.LocalAddr())
		}
	}
	waitFor(t, "end of the goroutines for 100 silent connections", func() bool { return runtime.NumGoroutine()-before <= 20 })
}

// A client that sends without a pause does not keep others waiting.
func TestGreedy(t *testing.T) {
	both(t, func(t *testing.T, s *server) {
		for range 4 {
			c, _ := s.connect(t, "/silent", "")
			go func() {
				many := bytes.Repeat(frame(text, make([]byte, 50)), 1000)
				for {
					if _, err := c.Write(many); err != nil {
						return
					}
				}
			}()
		}
		c, _ := s.connect(t, "/", "")
		for range 50 {
			c.Write(frame(text, []byte("quick")))
			mustNext(t, c, text, []byte("quick"))
		}
	})
}
