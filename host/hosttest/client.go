package hosttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/channels/client"
)

// Client is a Phoenix client on a WebSocket. It forgets nothing that it receives. Its methods may be
// called from any goroutine, those with a testing.TB from the test's own.
type Client struct {
	WS *websocket.Conn // for what no client of Phoenix would send

	phoenix *client.Client
	code    websocket.StatusCode // that the socket was closed with; read after the end
}

// Message is what a client has received.
type Message = client.Message

// Web is an HTTP client that leaves no connections behind.
var Web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}

// Dial opens a socket: url is where, such as ws://127.0.0.1:4000/socket/websocket?vsn=2.0.0. Nil options
// are none. The caller closes it.
func Dial(url string, o *websocket.DialOptions) (*Client, error) {
	if o == nil {
		o = &websocket.DialOptions{}
	}
	if o.HTTPClient == nil {
		o.HTTPClient = Web
	}
	// No deadline on the dial: with one, the connection would end with it.
	ws, _, err := websocket.Dial(context.Background(), url, o)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	c := &Client{WS: ws}
	c.phoenix = client.New(c.write)
	go c.read()
	return c, nil
}

// Connect is Dial for a test whose end closes the socket.
func Connect(t testing.TB, url string) *Client {
	t.Helper()
	c, err := Dial(url, nil)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func (c *Client) read() {
	defer c.phoenix.End()
	for {
		kind, frame, err := c.WS.Read(context.Background())
		if err != nil {
			c.code = websocket.CloseStatus(err)
			return
		}
		c.phoenix.Receive(frame, kind == websocket.MessageBinary)
	}
}

func (c *Client) write(frame []byte, binary bool) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	return c.WS.Write(context.Background(), kind, frame)
}

// Close ends the socket as a browser does, and waits for its end.
func (c *Client) Close() {
	c.WS.Close(websocket.StatusNormalClosure, "")
	<-c.phoenix.Ended()
}

// Ended returns a chan that is closed when the socket is.
func (c *Client) Ended() <-chan struct{} { return c.phoenix.Ended() }

// IsClosed tells whether the socket is closed.
func (c *Client) IsClosed() bool {
	select {
	case <-c.Ended():
		return true
	default:
		return false
	}
}

// SendFrame sends text as it is.
func (c *Client) SendFrame(text string) error { return c.write([]byte(text), false) }

// Push sends a message and returns its ref.
func (c *Client) Push(topic, event, payload string) (ref string, err error) {
	return c.phoenix.Push(topic, event, []byte(payload))
}

// PushBinary is Push with a payload of any bytes.
func (c *Client) PushBinary(topic, event string, payload []byte) (ref string, err error) {
	return c.phoenix.PushBinary(topic, event, payload)
}

// Call sends a message and waits for its reply.
func (c *Client) Call(topic, event, payload string) (Message, error) {
	ref, err := c.Push(topic, event, payload)
	if err != nil {
		return Message{}, err
	}
	return c.Reply(ref)
}

// Join joins a topic and waits for the answer.
func (c *Client) Join(topic, params string) (Message, error) {
	return c.Call(topic, "phx_join", params)
}

// JoinRef returns the ref of the last join of a topic.
func (c *Client) JoinRef(topic string) string { return c.phoenix.JoinRef(topic) }

// Reply waits for the reply to the push with this ref, and takes it.
func (c *Client) Reply(ref string) (Message, error) {
	m, err := c.Next(func(m Message) bool { return m.Answers(ref) })
	if err != nil {
		return m, fmt.Errorf("reply to push %s: %w", ref, err)
	}
	return m, nil
}

var errTooLate = errors.New("nothing came in time")

// Next waits for a message that matches, and takes it.
func (c *Client) Next(match func(Message) bool) (Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	m, err := c.phoenix.Take(ctx, match)
	switch {
	case errors.Is(err, client.ErrEnded):
		return m, fmt.Errorf("socket is closed with %d", c.code)
	case err != nil:
		unread, dropped := c.phoenix.Unread()
		return m, fmt.Errorf("%w; %d other messages wait, %d found no room: %.500v", errTooLate, len(unread), dropped, fmt.Sprint(unread))
	}
	return m, nil
}

// Has tells whether a message of an event was received that nobody has taken.
func (c *Client) Has(event string) bool {
	return c.HasAny(func(m Message) bool { return m.Event == event })
}

// HasAny is Has for any message that matches.
func (c *Client) HasAny(match func(Message) bool) bool {
	unread, _ := c.phoenix.Unread()
	for _, m := range unread {
		if match(m) {
			return true
		}
	}
	return false
}

// Hear lets f have every message but replies from now on; see [client.Client.Hear].
func (c *Client) Hear(f func(Message)) { c.phoenix.Hear(f) }

// MustJoin joins a topic, which must succeed.
func (c *Client) MustJoin(t testing.TB, topic, params string) {
	t.Helper()
	c.WantReply(t, topic, "phx_join", params, "ok")
}

// WantReply pushes and checks that the reply, written as status and response, begins as given.
func (c *Client) WantReply(t testing.TB, topic, event, payload, want string) {
	t.Helper()
	r, err := c.Call(topic, event, payload)
	must(t, err)
	if !strings.HasPrefix(r.String(), want) {
		t.Fatalf("%s on %s: reply %v, want %s", event, topic, r, want)
	}
}

// Expect waits for a message of an event.
func (c *Client) Expect(t testing.TB, topic, event string) Message {
	t.Helper()
	m, err := c.Next(func(m Message) bool { return m.Topic == topic && m.Event == event })
	if err != nil {
		t.Fatalf("%s on %s: %v", event, topic, err)
	}
	return m
}

// WantOpen checks that the socket works.
func (c *Client) WantOpen(t testing.TB) {
	t.Helper()
	c.WantReply(t, "phoenix", "heartbeat", "{}", "ok {}")
}

// WantClosed waits for the end of the socket and checks its code.
func (c *Client) WantClosed(t testing.TB, code websocket.StatusCode) {
	t.Helper()
	select {
	case <-c.Ended():
		if c.code != code {
			t.Fatalf("socket is closed with %d, want %d", c.code, code)
		}
	case <-time.After(Patience):
		t.Fatal("socket is not closed")
	}
}

// WantAllOpen checks that no socket was closed.
func WantAllOpen(t testing.TB, clients []*Client) {
	t.Helper()
	for i, c := range clients {
		if c.IsClosed() {
			t.Errorf("the socket of client %d was closed with %d", i, c.code)
		}
	}
}
