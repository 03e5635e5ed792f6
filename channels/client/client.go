package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// maxUnread is how many messages wait for their taker. Further ones are counted and dropped.
const maxUnread = 100_000

// Malformed is the event of a message that stands for a frame that is none: its payload is the frame.
const Malformed = "malformed frame"

// ErrEnded is returned by Take when the connection has ended.
var ErrEnded = errors.New("the connection has ended")

// Client is one connection. Its methods may be called from any goroutine.
type Client struct {
	send  func(frame []byte, binary bool) error
	ended chan struct{}
	end   sync.Once

	sending  sync.Mutex // held while a frame is sent, so that refs go up
	ref      int
	joinRefs map[string]string // by topic, of the last join

	mu      sync.Mutex
	unread  []Message
	dropped int
	changed chan struct{} // closed when a message comes; nil while nobody waits
	hear    func(Message)
}

// New returns a client that sends frames with send, which is called by one goroutine at a time.
func New(send func(frame []byte, binary bool) error) *Client {
	return &Client{send: send, ended: make(chan struct{}), joinRefs: map[string]string{}}
}

// Push sends a message and returns its ref. The payload must be JSON. The events phx_join and
// phx_leave join and leave.
func (c *Client) Push(topic, event string, payload []byte) (ref string, err error) {
	return c.push(topic, event, payload, false)
}

// PushBinary is Push with a payload of any bytes.
func (c *Client) PushBinary(topic, event string, payload []byte) (ref string, err error) {
	return c.push(topic, event, payload, true)
}

func (c *Client) push(topic, event string, payload []byte, binary bool) (ref string, err error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.ref++
	ref = strconv.Itoa(c.ref)
	if event == eventJoin {
		c.joinRefs[topic] = ref
	}
	var frame []byte
	if binary {
		frame, err = encodeBinary(c.joinRefs[topic], ref, topic, event, payload)
	} else {
		frame = encode(c.joinRefs[topic], ref, topic, event, payload)
	}
	if err == nil {
		err = c.send(frame, binary)
	}
	if err != nil {
		return ref, fmt.Errorf("push %.100s: %w", event, err)
	}
	return ref, nil
}

// JoinRef returns the ref of the last join of a topic, or "".
func (c *Client) JoinRef(topic string) string {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.joinRefs[topic]
}

// Receive takes a frame of the server, which must not change from then on. Frames that are malformed
// become messages of the event [Malformed].
func (c *Client) Receive(frame []byte, binary bool) {
	m, err := Decode(frame, binary)
	if err != nil {
		m = Message{Event: Malformed, Payload: frame, Binary: binary}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.hear != nil && !m.IsReply():
		c.hear(m)
		return
	case len(c.unread) >= maxUnread:
		c.dropped++
		return
	}
	c.unread = append(c.unread, m)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Hear lets f have every message but replies from now on, instead of Take. Calls of f come one
// after the other, in the order of the messages, and must not call the client's methods.
func (c *Client) Hear(f func(Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hear = f
}

// End says that no more will come. Calls of Take that find nothing return [ErrEnded].
func (c *Client) End() { c.end.Do(func() { close(c.ended) }) }

// Ended returns a chan that is closed by End.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Take waits for the first message that is wanted, and takes it. Those before it stay. It ends with
// ctx, or when the connection does. It calls wanted for every message that nobody has taken, whenever one
// comes.
func (c *Client) Take(ctx context.Context, wanted func(Message) bool) (Message, error) {
	for ended := false; ; {
		m, ok, changed := c.take(wanted)
		switch {
		case ok:
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

// take removes the first message that is wanted, or returns what is closed when another one comes.
func (c *Client) take(wanted func(Message) bool) (m Message, ok bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.unread, wanted)
	if i < 0 {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		return Message{}, false, c.changed
	}
	m = c.unread[i]
	copy(c.unread[1:i+1], c.unread) // what was searched moves, not the rest, which may be long
	c.unread[0] = Message{}
	c.unread = c.unread[1:]
	return m, true, nil
}

// Unread returns the messages that nobody has taken, and how many more there was no room for.
func (c *Client) Unread() (messages []Message, dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.unread), c.dropped
}
