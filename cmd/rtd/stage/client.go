package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"rtd/channels"
	"rtd/host/plugin"
)

// maxUnread is how many messages may wait for whoever plays a client.
const maxUnread = 100_000

// Message is what a client has received. A payload is JSON, or anything if Binary.
type Message struct {
	Topic   string
	Event   string // of a reply: phx_reply
	Ref     string // of a reply: that of the message which it answers
	Status  string // of a reply
	Payload []byte // of a reply: its response
	Binary  bool
}

// Client is a Phoenix client whose messages are kept until somebody asks for them. Its methods
// may be called from any goroutine.
type Client struct {
	socket *channels.Socket
	ended  chan struct{} // closed when the server ends the connection
	ending sync.WaitGroup
	once   sync.Once

	mu       sync.Mutex
	ref      int
	joinRefs map[string]string // by topic
	unread   []Message
	dropped  int
	changed  chan struct{} // closed and made anew when a message comes
}

func newClient(e *channels.Endpoint, c plugin.Connection) *Client {
	client := &Client{ended: make(chan struct{}), joinRefs: map[string]string{}, changed: make(chan struct{})}
	ready := make(chan struct{})
	client.socket = e.NewSocket(channels.SocketOptions{
		Codec: channels.V2, Out: client, ID: c.ID, Assigns: c.Assigns,
		Disconnect: func() { client.ending.Go(func() { <-ready; client.end() }) },
	})
	close(ready)
	return client
}

// Close ends the connection and waits for that.
func (c *Client) Close() {
	c.end()
	c.ending.Wait()
}

func (c *Client) end() {
	c.once.Do(func() { c.socket.Close(); close(c.ended) })
}

// Ended returns a chan that is closed when the connection has ended, because of Close or because a
// plugin has disconnected it.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Push sends a message and returns its ref. Payload must be JSON. The events phx_join and phx_leave
// join and leave.
func (c *Client) Push(topic, event string, payload []byte) (ref string, err error) {
	c.mu.Lock()
	c.ref++
	ref = strconv.Itoa(c.ref)
	if event == "phx_join" {
		c.joinRefs[topic] = ref
	}
	var joinRef *string
	if joined, ok := c.joinRefs[topic]; ok {
		joinRef = &joined
	}
	c.mu.Unlock()
	frame, err := json.Marshal([]any{joinRef, ref, topic, event, json.RawMessage(payload)})
	if err != nil {
		return "", fmt.Errorf("push %s: %w", event, err)
	}
	if err := c.socket.Receive(frame, false); err != nil {
		return "", fmt.Errorf("push %s: %w", event, err)
	}
	return ref, nil
}

// Send takes a frame from the server: Client is a [channels.Outbox].
func (c *Client) Send(f channels.Frame) {
	m := decode(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) >= maxUnread {
		c.dropped++
		return
	}
	c.unread = append(c.unread, m)
	close(c.changed)
	c.changed = make(chan struct{})
}

// ErrEnded is returned by Take when the connection has ended.
var ErrEnded = errors.New("the connection has ended")

// Take waits for the first message that is wanted, and takes it. Those before it stay. It ends with
// ctx, or when the connection does.
func (c *Client) Take(ctx context.Context, wanted func(Message) bool) (Message, error) {
	for ended := false; ; {
		c.mu.Lock()
		i := slices.IndexFunc(c.unread, wanted)
		var m Message
		if i >= 0 {
			m = c.unread[i]
			c.unread = slices.Delete(c.unread, i, i+1)
		}
		changed := c.changed
		c.mu.Unlock()
		switch {
		case i >= 0:
			return m, nil
		case ended:
			return Message{}, ErrEnded
		}
		select {
		case <-changed:
		case <-c.ended:
			ended = true // look once more
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Unread returns the messages that nobody has taken, and how many more there was no room for.
func (c *Client) Unread() (messages []Message, dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.unread), c.dropped
}

// decode reads a frame of [channels.V2]. It comes from this process: what is malformed is a bug
// there, and shows as an event of that name.
func decode(f channels.Frame) Message {
	malformed := Message{Event: "malformed frame", Payload: f.Data, Binary: f.Binary}
	if f.Binary {
		return decodeBinary(f.Data, malformed)
	}
	var parts [5]json.RawMessage
	var m Message
	if json.Unmarshal(f.Data, &parts) != nil || json.Unmarshal(parts[2], &m.Topic) != nil || json.Unmarshal(parts[3], &m.Event) != nil {
		return malformed
	}
	m.Payload = parts[4]
	if m.Event != "phx_reply" {
		return m
	}
	var reply struct {
		Status   string
		Response json.RawMessage
	}
	if json.Unmarshal(parts[4], &reply) != nil {
		return malformed
	}
	_ = json.Unmarshal(parts[1], &m.Ref) // null, for a reply without a ref, is ""
	m.Status, m.Payload = reply.Status, reply.Response
	return m
}

func decodeBinary(data []byte, malformed Message) Message {
	if len(data) == 0 || int(data[0]) > 2 {
		return malformed
	}
	count := [...]int{3, 4, 2}[data[0]] // names of a push, a reply, a broadcast
	if len(data) < 1+count {
		return malformed
	}
	var names []string
	rest := data[1+count:]
	for _, size := range data[1 : 1+count] {
		if int(size) > len(rest) {
			return malformed
		}
		names, rest = append(names, string(rest[:size])), rest[size:]
	}
	m := Message{Payload: rest, Binary: true}
	switch data[0] {
	case 0:
		m.Topic, m.Event = names[1], names[2]
	case 1:
		m.Ref, m.Topic, m.Event, m.Status = names[1], names[2], "phx_reply", names[3]
	default:
		m.Topic, m.Event = names[0], names[1]
	}
	return m
}
