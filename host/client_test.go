package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is a Phoenix client that speaks V2 and forgets nothing it receives.
type client struct {
	ws    *websocket.Conn
	ended chan struct{} // closed when the socket is; code then says how
	code  websocket.StatusCode

	writing sync.Mutex
	lastRef int

	mu       sync.Mutex
	joinRefs map[string]string  // by topic
	replies  map[string]message // that nobody has asked for yet, by topic and ref
	received []message          // other messages, likewise
	changed  chan struct{}      // closed and replaced when something is received
	seen     func(message)      // if set, gets the other messages; set before the first
}

// message is a frame. Null refs are "".
type message struct {
	joinRef, ref, topic, event string
	payload                    json.RawMessage
	at                         time.Time
}

// reply is the payload of a phx_reply.
type reply struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
}

func (r reply) String() string { return r.Status + " " + string(r.Response) }

// connect opens a socket, which the test's end closes.
func (s *server) connect(t testing.TB) *client {
	t.Helper()
	c, err := dial(s.url+"/socket/websocket?vsn=2.0.0", nil)
	must(t, err)
	t.Cleanup(c.close)
	return c
}

// connectAll opens sockets that are in a topic.
func (s *server) connectAll(t testing.TB, n int, topic, params string) []*client {
	t.Helper()
	clients := make([]*client, n)
	var all sync.WaitGroup
	var failed firstError
	for i := range clients {
		clients[i] = s.connect(t)
		all.Go(func() {
			r, err := clients[i].join(topic, params)
			if err == nil && r.Status != "ok" {
				err = fmt.Errorf("join of %s: %v", topic, r)
			}
			failed.set(err)
		})
	}
	all.Wait()
	must(t, failed.get())
	return clients
}

func dial(url string, header http.Header) (*client, error) {
	return dialWith(url, &websocket.DialOptions{HTTPHeader: header, HTTPClient: web})
}

func dialWith(url string, o *websocket.DialOptions) (*client, error) {
	// No deadline on the dial: with one, the connection would end with it.
	ws, _, err := websocket.Dial(context.Background(), url, o)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	c := &client{
		ws:       ws,
		ended:    make(chan struct{}),
		joinRefs: map[string]string{},
		changed:  make(chan struct{}),
		replies:  map[string]message{},
	}
	go c.read()
	return c, nil
}

func (c *client) read() {
	defer close(c.ended)
	for {
		_, frame, err := c.ws.Read(context.Background())
		if err != nil {
			c.code = websocket.CloseStatus(err)
			return
		}
		m, err := decode(frame)
		if err != nil {
			m.event = err.Error() // no test expects that
		}
		c.mu.Lock()
		switch {
		case m.event == "phx_reply":
			c.replies[m.topic+" "+m.ref] = m
		case c.seen != nil:
			c.seen(m)
		default:
			c.received = append(c.received, m)
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

func decode(frame []byte) (message, error) {
	var fields [5]json.RawMessage
	if err := json.Unmarshal(frame, &fields); err != nil {
		return message{}, fmt.Errorf("frame %.200q: %w", frame, err)
	}
	m := message{payload: fields[4], at: time.Now()}
	for i, into := range []*string{&m.joinRef, &m.ref, &m.topic, &m.event} {
		if string(fields[i]) == "null" {
			continue
		}
		if err := json.Unmarshal(fields[i], into); err != nil {
			return m, fmt.Errorf("frame %.200q: %w", frame, err)
		}
	}
	return m, nil
}

// close ends the socket as a browser does, and waits for its end.
func (c *client) close() {
	c.ws.Close(websocket.StatusNormalClosure, "")
	<-c.ended
}

// send pushes a message and does not wait for the reply.
func (c *client) send(topic, event, payload string) (ref string, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.lastRef++
	ref = strconv.Itoa(c.lastRef)
	c.mu.Lock()
	if event == "phx_join" {
		c.joinRefs[topic] = ref
	}
	joinRef := c.joinRefs[topic]
	c.mu.Unlock()
	return ref, c.sendFrame(fmt.Sprintf(`[%s,"%s",%q,%q,%s]`, orNull(joinRef), ref, topic, event, payload))
}

func orNull(ref string) string {
	if ref == "" {
		return "null"
	}
	return strconv.Quote(ref)
}

// sendFrame sends text as it is.
func (c *client) sendFrame(text string) error {
	return c.ws.Write(context.Background(), websocket.MessageText, []byte(text))
}

// push sends a message and waits for its reply.
func (c *client) push(topic, event, payload string) (reply, error) {
	ref, err := c.send(topic, event, payload)
	if err != nil {
		return reply{}, fmt.Errorf("push %s: %w", event, err)
	}
	return c.reply(topic, event, ref)
}

// reply waits for the reply to a message that was sent.
func (c *client) reply(topic, event, ref string) (reply, error) {
	var r reply
	err := c.wait(func() (ok bool, err error) {
		m, ok := c.replies[topic+" "+ref]
		if ok {
			delete(c.replies, topic+" "+ref)
			err = json.Unmarshal(m.payload, &r)
		}
		return ok, err
	})
	if err != nil {
		return r, fmt.Errorf("reply to %s: %w", event, err)
	}
	return r, nil
}

// join joins a topic and waits for the answer.
func (c *client) join(topic, params string) (reply, error) {
	return c.push(topic, "phx_join", params)
}

// next waits for a message other than a reply that matches, and takes it.
func (c *client) next(match func(message) bool) (found message, err error) {
	err = c.wait(func() (bool, error) {
		i := slices.IndexFunc(c.received, match)
		if i < 0 {
			return false, nil
		}
		found = c.received[i]
		c.received = slices.Delete(c.received, i, i+1)
		return true, nil
	})
	return found, err
}

// wait returns when done, which is called with mu held, says so.
func (c *client) wait(done func() (bool, error)) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for ended := false; ; {
		c.mu.Lock()
		ok, err := done()
		changed := c.changed
		c.mu.Unlock()
		switch {
		case ok || err != nil:
			return err
		case ended:
			return fmt.Errorf("socket is closed with %d", c.code)
		}
		select {
		case <-changed:
		case <-c.ended:
			ended = true // look once more
		case <-late.C:
			return errTooLate
		}
	}
}

// has tells whether a message of an event was received that nobody has taken.
func (c *client) has(event string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.received, func(m message) bool { return m.event == event })
}

// The same for a test's own goroutine.

func (c *client) mustJoin(t testing.TB, topic, params string) {
	t.Helper()
	c.wantReply(t, topic, "phx_join", params, `ok`)
}

// wantReply pushes and checks that the reply, written as status and response, begins
// as given.
func (c *client) wantReply(t testing.TB, topic, event, payload, want string) {
	t.Helper()
	r, err := c.push(topic, event, payload)
	must(t, err)
	if !strings.HasPrefix(r.String(), want) {
		t.Fatalf("%s on %s: reply %v, want %s", event, topic, r, want)
	}
}

// expect waits for a message of an event.
func (c *client) expect(t testing.TB, topic, event string) message {
	t.Helper()
	m, err := c.next(func(m message) bool { return m.topic == topic && m.event == event })
	if err != nil {
		t.Fatalf("%s on %s: %v", event, topic, err)
	}
	return m
}

// wantOpen checks that the socket works.
func (c *client) wantOpen(t testing.TB) {
	t.Helper()
	c.wantReply(t, "phoenix", "heartbeat", "{}", "ok {}")
}

// wantClosed waits for the end of the socket and checks its code.
func (c *client) wantClosed(t testing.TB, code websocket.StatusCode) {
	t.Helper()
	select {
	case <-c.ended:
		if c.code != code {
			t.Fatalf("socket is closed with %d, want %d", c.code, code)
		}
	case <-time.After(patience):
		t.Fatal("socket is not closed")
	}
}

func (c *client) isClosed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// wantAllOpen checks that no socket was closed.
func wantAllOpen(t testing.TB, clients []*client) {
	t.Helper()
	for i, c := range clients {
		if c.isClosed() {
			t.Errorf("the socket of client %d was closed with %d", i, c.code)
		}
	}
}

// refusal dials and returns the status with which it is refused, or 101.
func (s *server) refusal(t testing.TB, query string, header http.Header) int {
	t.Helper()
	ws, response, err := websocket.Dial(t.Context(), s.url+"/socket/websocket"+query, &websocket.DialOptions{HTTPHeader: header, HTTPClient: web, Host: header.Get("Host")})
	if err == nil {
		ws.CloseNow()
		return http.StatusSwitchingProtocols
	}
	if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
