package gate_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/gate"
)

// patience bounds every wait of a test.
const patience = time.Minute

// server has a gate in front.
type server struct {
	*httptest.Server
	gate  *gate.Gate
	hold  chan struct{} // /hold waits until it is closed, or for an entry
	holds chan struct{} // has an entry for each that waits
	body  chan error    // what became of a body at /read

	accepted atomic.Int64 // connections, ever

	mu      sync.Mutex
	refused map[string]int
}

func start(t *testing.T, o gate.Options, all, own int, secure bool) *server {
	s := &server{hold: make(chan struct{}), holds: make(chan struct{}, 100), body: make(chan error, 100), refused: map[string]int{}}
	o.Room = func(netip.Addr) (int, int) { return all, own }
	o.Address = func(peer net.Addr) netip.Addr { return peer.(*net.TCPAddr).AddrPort().Addr().Unmap() }
	o.Refused = func(_ net.Addr, cause string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused[cause]++
	}
	s.gate = gate.New(o)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		s.body <- err
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	})
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body)
		s.holds <- struct{}{}
		select {
		case <-s.hold:
			io.WriteString(w, "held")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/much", func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				s.body <- err
				return
			}
		}
	})
	mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		c = gate.Take(c)
		s.holds <- struct{}{}
		go func() { io.Copy(c, c); c.Close() }()
	})
	s.Server = httptest.NewUnstartedServer(s.gate.Handler(mux))
	s.Config.ReadHeaderTimeout = patience
	s.Config.ConnContext = s.gate.ConnContext
	s.Listener = counting{s.gate.Listen(s.Listener), &s.accepted}
	if secure {
		s.StartTLS()
	} else {
		s.Server.Start()
	}
	t.Cleanup(func() {
		select {
		case <-s.hold:
		default:
			close(s.hold)
		}
		s.CloseClientConnections()
		s.Server.Close()
		s.gate.Wait()
		waitFor(t, "end of all", func() bool { return s.gate.Len() == 0 })
	})
	return s
}

func (s *server) count(cause string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[cause]
}

// counting is a listener that counts.
type counting struct {
	net.Listener
	accepted *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// came counts the connections that were accepted or refused.
func (s *server) came() int {
	return int(s.accepted.Load()) + s.count(gate.Full) + s.count(gate.AddressFull)
}

// dial opens a connection on which so much has been said.
func (s *server) dial(t *testing.T, said string) net.Conn {
	t.Helper()
	before := s.came()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, said)
	c.SetReadDeadline(time.Now().Add(patience))
	waitFor(t, "accept", func() bool { return s.came() > before })
	return c
}

func status(t *testing.T, c net.Conn) int {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func wantEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is still open")
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func post(path, length string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + length + "\r\n\r\n"
}

// Bodies that do not come end, wherever they are sent, and what handles them is told.
func TestSlowBodies(t *testing.T) {
	s := start(t, gate.Options{Patience: 50 * time.Millisecond}, 100, 100, false)
	for _, length := range []string{"Content-Length: 5000", "Transfer-Encoding: chunked", "Content-Length: 5000\r\nExpect: 100-continue"} {
		c := s.dial(t, post("/read", length)+"12")
		reader := bufio.NewReader(c)
		r, err := http.ReadResponse(reader, nil)
		if err == nil && r.StatusCode == http.StatusContinue {
			r, err = http.ReadResponse(reader, nil)
		}
		if err != nil || r.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: %v, %v; want 408", length, r, err)
		}
		if err := <-s.body; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read: %v", length, err)
		}
		wantEnd(t, c)
		c = s.dial(t, post("/", length)+"12") // nobody reads it
		wantEnd(t, c)
	}
	waitFor(t, "end of all", func() bool { return s.gate.Len() == 0 })
}

// A byte now and then is no body either.
func TestTrickle(t *testing.T) {
	s := start(t, gate.Options{Patience: 50 * time.Millisecond, Rate: 1000}, 100, 100, false)
	c := s.dial(t, post("/read", "Content-Length: 5000"))
	go func() {
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := <-s.body; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}

// What comes fast enough may take longer than the patience that a silent one finds, and
// what is handled may take as long as it likes.
func TestPatienceEndsWithTheBody(t *testing.T) {
	const patient = 20 * time.Millisecond
	s := start(t, gate.Options{Patience: patient, Rate: 1}, 100, 100, false)
	c := s.dial(t, post("/read", "Content-Length: 100"))
	for range 100 {
		io.WriteString(c, "x") // which is worth a second
		time.Sleep(patient / 10)
	}
	if err := <-s.body; err != nil {
		t.Errorf("read: %v", err)
	}
	if got := status(t, c); got != 200 {
		t.Errorf("status %d", got)
	}
	for _, request := range []string{"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n", post("/hold", "Content-Length: 1") + "x"} {
		c := s.dial(t, request)
		<-s.holds
		time.Sleep(4 * patient)
		s.hold <- struct{}{}
		if got := status(t, c); got != 200 {
			t.Errorf("status %d", got)
		}
		io.WriteString(c, request) // and the connection goes on
		<-s.holds
		s.hold <- struct{}{}
		if got := status(t, c); got != 200 {
			t.Errorf("status %d", got)
		}
	}
}

// The visitor that keeps the server waiting for the longest makes room, whatever it waits for, and
// however often it says a little.
func TestSlowOnesMakeRoom(t *testing.T) {
	for name, bounds := range map[string][2]int{"of the address": {100, 4}, "in all": {4, 100}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, gate.Options{}, bounds[0], bounds[1], false)
			first := s.dial(t, post("/read", "Content-Length: 5000"))
			others := []net.Conn{s.dial(t, ""), s.dial(t, "GET / HT"), s.dial(t, post("/", "Transfer-Encoding: chunked")+"1\r\n")}
			io.WriteString(first, "x")
			good := s.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if got := status(t, good); got != 200 {
				t.Errorf("status %d", got)
			}
			wantEnd(t, first)
			for _, c := range others {
				again := s.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if got := status(t, again); got != 200 {
					t.Errorf("status %d", got)
				}
				wantEnd(t, c)
			}
			if got := s.count(gate.Slow); got != 4 {
				t.Errorf("%d closed, want 4", got)
			}
			if n := s.gate.Len(); n > 4 {
				t.Errorf("%d visitors", n)
			}
		})
	}
}

// No request is given up that is being handled; others are refused, and told so.
func TestHandledOnesStay(t *testing.T) {
	for name, bounds := range map[string][3]int{"of the address": {100, 3, 429}, "in all": {3, 100, 503}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, gate.Options{}, bounds[0], bounds[1], false)
			held := []net.Conn{
				s.dial(t, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"),
				s.dial(t, post("/hold", "Content-Length: 2")+"xx"),
				s.dial(t, post("/hold", "Transfer-Encoding: chunked")+"1\r\nx\r\n0\r\n\r\n"),
			}
			for range held {
				<-s.holds
			}
			for range 30 { // also more than are answered at once
				c, err := net.Dial("tcp", s.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			waitFor(t, "refusals", func() bool { return s.count(gate.Full)+s.count(gate.AddressFull) == 30 })
			waitFor(t, "a refusal with an answer", func() bool {
				c := s.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				r, err := http.ReadResponse(bufio.NewReader(c), nil)
				return err == nil && r.StatusCode == bounds[2] && r.Header.Get("Retry-After") != ""
			})
			close(s.hold)
			for _, c := range held {
				if got := status(t, c); got != 200 {
					t.Errorf("status %d", got)
				}
			}
			c := s.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if got := status(t, c); got != 200 {
				t.Errorf("status %d after they were answered", got)
			}
		})
	}
}

// A client that takes nothing of its answer does not hold up a handler for ever.
func TestClientThatReadsNothing(t *testing.T) {
	s := start(t, gate.Options{Patience: 20 * time.Millisecond}, 100, 100, false)
	s.dial(t, "GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-s.body:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the handler still writes")
	}
}

// A handshake that does not end is a visitor like others, and HTTP/2 goes through too.
func TestTLS(t *testing.T) {
	s := start(t, gate.Options{Silent: true}, 2, 100, true)
	s.dial(t, "")
	s.dial(t, "\x16\x03\x01")
	for _, protocols := range [][]string{{"http/1.1"}, {"h2"}} {
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: protocols[0] == "h2", DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}}, Timeout: patience}
		for _, body := range []io.Reader{nil, strings.NewReader("hello")} {
			r, err := client.Post(s.URL+"/read", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
		}
	}
	if s.count(gate.Slow) == 0 {
		t.Error("none made room")
	}
}

// What was taken is no visitor: it takes no place, and has no deadline.
func TestTake(t *testing.T) {
	s := start(t, gate.Options{Patience: 10 * time.Millisecond}, 1, 1, false)
	var taken []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /take HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
		<-s.holds
		if n := s.gate.Len(); n != 0 {
			t.Errorf("%d visitors", n)
		}
		taken = append(taken, c)
	}
	time.Sleep(linger) // what a deadline left behind would need
	for _, c := range taken {
		io.WriteString(c, "still there")
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, make([]byte, 11)); err != nil {
			t.Errorf("after a while: %v", err)
		}
	}
}

const linger = 1100 * time.Millisecond

// At the end those are closed that wait for their clients, and no others.
func TestCloseWaiting(t *testing.T) {
	s := start(t, gate.Options{}, 100, 100, false)
	slow := []net.Conn{s.dial(t, ""), s.dial(t, post("/read", "Content-Length: 5000"))}
	held := s.dial(t, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	<-s.holds
	if n := s.gate.CloseWaiting(); n != 2 {
		t.Errorf("%d closed, want 2", n)
	}
	for _, c := range slow {
		wantEnd(t, c)
	}
	s.hold <- struct{}{}
	if got := status(t, held); got != 200 {
		t.Errorf("status %d", got)
	}
}

// broken is a listener without file descriptors, at times.
type broken struct {
	net.Listener
	fails chan error
}

func (b broken) Accept() (net.Conn, error) {
	select {
	case err := <-b.fails:
		return nil, err
	default:
		return b.Listener.Accept()
	}
}

type noFiles struct{ error }

func (noFiles) Timeout() bool   { return false }
func (noFiles) Temporary() bool { return true }

// Without file descriptors somebody hears of it, and who waits for longest makes room.
func TestAcceptFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := broken{l, make(chan error, 1)}
	failures := make(chan error, 1)
	g := gate.New(gate.Options{Room: func(netip.Addr) (int, int) { return 9, 9 }, Failed: func(err error) { failures <- err }})
	s := &http.Server{Handler: g.Handler(http.NotFoundHandler()), ConnContext: g.ConnContext}
	served := make(chan error, 1)
	go func() { served <- s.Serve(g.Listen(b)) }()
	slow, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	waitFor(t, "visitor", func() bool { return g.Len() == 1 })
	b.fails <- noFiles{errors.New("too many open files")}
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := <-failures; err == nil {
		t.Error("no cause")
	}
	wantEnd(t, slow)
	fmt.Fprint(other, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := status(t, other); got != 404 {
		t.Errorf("status %d", got)
	}
	s.Shutdown(context.Background())
	<-served
}
