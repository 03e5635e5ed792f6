package longpoll

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"rtd/channels"
)

var errEnded = errors.New("the session has ended")

// session is one client between its requests. It is the outbox of its socket.
type session struct {
	server *Server
	token  string
	ended  chan struct{}

	receiving sync.Mutex // held while frames are given to the socket, to keep their order

	mu     sync.Mutex
	socket Socket
	queue  []string
	bytes  int
	wake   chan struct{} // of the poll that waits, if one does: closed when it is to look
	last   time.Time     // when a poll began or ended last
	over   bool
}

func newSession(s *Server) *session {
	token := rand.Text()
	if s.options.Node != "" {
		token = s.options.Node + betweenNode + token
	}
	return &session{server: s, token: token, ended: make(chan struct{}), last: time.Now()}
}

// connect gives a session its socket. It may have ended meanwhile.
func (c *session) connect(socket Socket) {
	c.mu.Lock()
	over := c.over
	c.socket = socket
	c.mu.Unlock()
	if over {
		socket.Close()
	}
}

// Send implements [channels.Outbox].
func (c *session) Send(f channels.Frame) {
	if f.Binary {
		c.server.binary.Add(1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	o := c.server.options
	if len(c.queue) >= o.Messages || c.bytes+len(f.Data) > o.Bytes && len(c.queue) > 0 {
		c.server.slow.Add(1)
		c.queue, c.over = nil, true
		go c.close() // callers hold locks
		return
	}
	c.queue = append(c.queue, string(f.Data))
	c.bytes += len(f.Data)
	c.wakePoll()
}

// wakePoll lets the poll that waits look again. Callers hold mu.
func (c *session) wakePoll() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// poll returns what is queued, as soon as something is, or nothing after the
// window or when another poll comes.
func (c *session) poll(ctx context.Context, window time.Duration) ([]string, error) {
	c.mu.Lock()
	c.wakePoll() // another poll, which was given up
	c.last = time.Now()
	wake := make(chan struct{})
	if len(c.queue) == 0 && !c.over {
		c.wake = wake
		c.mu.Unlock()
		late := time.NewTimer(window)
		defer late.Stop()
		select {
		case <-wake:
		case <-c.ended:
		case <-late.C:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if c.wake == wake {
			c.wake = nil
		}
	}
	defer c.mu.Unlock()
	c.last = time.Now()
	switch {
	case c.over:
		return nil, errEnded
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.wake != nil: // of a later poll: what is queued is that one's
		return nil, nil
	}
	messages := c.queue
	c.queue, c.bytes = nil, 0
	return messages, nil
}

// idleSince returns how long ago the last poll was.
func (c *session) idleSince(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		return 0
	}
	return now.Sub(c.last)
}

// receive gives frames to the socket, in order.
func (c *session) receive(frames []frame) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.mu.Lock()
	socket, over := c.socket, c.over
	c.mu.Unlock()
	if socket == nil || over {
		return errEnded
	}
	for _, f := range frames {
		if err := socket.Receive(f.data, f.binary); err != nil {
			return err
		}
	}
	return nil
}

// decided waits until all joins that were received are decided, so that a poll behind a
// POST finds all their replies. It reports whether that was within the window.
func (c *session) decided(ctx context.Context, window time.Duration) bool {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	return socket.Decided(ctx) == nil
}

// end ends the session, once.
func (c *session) end() {
	c.mu.Lock()
	over := c.over
	c.over = true
	c.mu.Unlock()
	if !over {
		c.close()
	}
}

// close ends the socket of a session that is over.
func (c *session) close() {
	c.server.remove(c)
	close(c.ended)
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	if socket != nil {
		socket.Close()
	}
}
