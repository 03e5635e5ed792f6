package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/cmd/rtd/bench"
)

// mischief is a server that loses, repeats and reorders on purpose: what it does must
// be counted. It speaks as much of Phoenix Channels as the generator needs.
type mischief struct {
	mu      sync.Mutex
	members []*websocket.Conn // in the order of joins
	said    int
	held    []byte

	answer  func(n int) bool                                                         // whether push n is answered
	deliver func(m *mischief, n int, first *websocket.Conn, text []byte) (sent bool) // to the first member
}

func (m *mischief) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	go ws.Ping(r.Context()) // an ordinary server does
	for {
		_, text, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		m.take(ws, text)
	}
}

func (m *mischief) take(ws *websocket.Conn, text []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fields [5]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		ws.Close(websocket.StatusInternalError, "malformed")
		return
	}
	ok := fmt.Appendf(nil, `[%s, %s, %s, "phx_reply", {"response": %s, "status": "ok"}]`, fields[0], fields[1], fields[2], fields[4])
	switch string(fields[3]) {
	case `"phx_join"`:
		m.members = append(m.members, ws)
		write(ws, ok)
	case `"echo"`:
		m.said++
		if m.answer(m.said) {
			write(ws, ok)
		}
	default:
		said := fmt.Appendf(nil, `[null,null,%s,%s,{"from":"~mischief","message":%s}]`, fields[2], fields[3], fields[4])
		for i, member := range m.members {
			if i > 0 || !m.deliver(m, m.said, member, said) {
				write(member, said)
			}
		}
		m.said++
	}
}

// write sends a text, a long one in several frames.
func write(ws *websocket.Conn, text []byte) {
	w, err := ws.Writer(context.Background(), websocket.MessageText)
	if err != nil {
		return
	}
	for len(text) > 0 {
		n := min(len(text), 5000)
		w.Write(text[:n]) // a client that is gone is none of our business
		text = text[n:]
	}
	w.Close()
}

// chatter sends everybody something that nobody has asked for.
func (m *mischief) chatter(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		for _, member := range m.members {
			write(member, []byte(`[null,null,"bench:1","chatter",{}]`))
		}
		m.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

func (m *mischief) start(t *testing.T, s bench.Scenario) bench.Options {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	o := bench.Defaults(s)
	o.URL = "ws" + strings.TrimPrefix(server.URL, "http") + "/socket"
	o.Connections, o.Duration, o.Timeout = 5, 300*time.Millisecond, 300*time.Millisecond
	return o
}

func TestMischiefIsCounted(t *testing.T) {
	t.Parallel()
	m := &mischief{deliver: func(m *mischief, n int, first *websocket.Conn, text []byte) bool {
		switch n {
		case 3: // lost
		case 5:
			write(first, text)
			write(first, text)
		case 7:
			m.held = text
		case 8:
			write(first, text)
			write(first, m.held)
		default:
			return false
		}
		return true
	}}
	o := m.start(t, bench.Fanout)
	o.Rate, o.Body, o.Window = 100, 20_000, 1
	l := run(t, o).Load
	if l.Lost != 1 || l.Duplicated != 1 || l.Reordered != 1 || l.Received != 5*l.Sent-1 {
		t.Errorf("sent %d to 5, received %d, lost %d, duplicated %d, reordered %d; want 1 each", l.Sent, l.Received, l.Lost, l.Duplicated, l.Reordered)
	}
}

// In a closed loop a lost message must not hold up the rest for ever.
func TestLossInClosedLoop(t *testing.T) {
	t.Parallel()
	m := &mischief{deliver: func(_ *mischief, n int, _ *websocket.Conn, _ []byte) bool { return n < 4 }}
	o := m.start(t, bench.Fanout)
	o.Timeout, o.Duration, o.Window = 100*time.Millisecond, 500*time.Millisecond, 1
	l := run(t, o).Load
	if l.Lost != 4 || l.Sent < 10 {
		t.Errorf("sent %d, lost %d, want 4 of many", l.Sent, l.Lost)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	// Chatter must not keep the generator waiting for what does not come.
	m := &mischief{answer: func(n int) bool { return n != 5 }}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go m.chatter(ctx)
	l := run(t, m.start(t, bench.Echo)).Load
	if l.Lost != 1 || l.Sent != l.Received+1 || l.Sent < 10 {
		t.Errorf("sent %d, received %d, lost %d, want 1", l.Sent, l.Received, l.Lost)
	}
}

// A connection that the server closes is told, and nobody waits for it.
func TestClosed(t *testing.T) {
	t.Parallel()
	m := &mischief{deliver: func(m *mischief, n int, first *websocket.Conn, text []byte) bool {
		if n == 3 {
			go first.Close(4001, "slow consumer")
		}
		return n >= 3
	}}
	o := m.start(t, bench.Fanout)
	o.Rate, o.Window = 50, 1
	r := run(t, o)
	if r.Closed != 1 || !strings.Contains(r.ClosedCause, "4001 slow consumer") {
		t.Errorf("closed %d: %s", r.Closed, r.ClosedCause)
	}
	if r.Load.Received < 4*r.Load.Sent || r.Load.Lost < 1 {
		t.Errorf("%+v", r.Load)
	}
}

// Without a publisher there is nothing to measure, but an end.
func TestPublisherClosed(t *testing.T) {
	t.Parallel()
	m := &mischief{deliver: func(m *mischief, n int, _ *websocket.Conn, _ []byte) bool {
		if n == 3 {
			go m.members[len(m.members)-1].Close(1011, "sorry")
		}
		return false
	}}
	o := m.start(t, bench.Fanout)
	o.Window = 1
	if r := run(t, o); r.Closed != 1 || r.Load.Sent < 4 {
		t.Errorf("closed %d, load %+v", r.Closed, r.Load)
	}
}

// A server that takes connections and says nothing is given up.
func TestSilent(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	o := bench.Defaults(bench.Idle)
	o.URL, o.Timeout, o.Connections = "ws"+strings.TrimPrefix(silent.URL, "http"), 100*time.Millisecond, 3
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "0 of 3 connections") {
		t.Errorf("error %v", err)
	}
}
