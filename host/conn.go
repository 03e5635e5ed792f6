package host

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/plugin"
)

// conn is one WebSocket connection: it reads frames for a [channels.Socket] and
// writes those of its outbox. It reads on the goroutine that serves it and writes on
// one that lives as long as there is something to write.
type conn struct {
	server  *Server
	raw     net.Conn   // closing it ends everything at once
	remote  string     // the client's address
	address netip.Addr // by which connections are counted

	// Set by open; before, it is a client that is about to connect.
	ws       *websocket.Conn // above raw
	socket   *channels.Socket
	lastRead atomic.Int64 // when something came in last, Unix seconds

	taking sync.Mutex // held while a frame is taken
	deaf   bool       // no more are

	mu      sync.Mutex
	opened  bool // there is something to write to
	queue   []channels.Frame
	bytes   int
	writing bool
	closing *closeFrame // to send behind the queue

	token *heldToken // that it lives by, or nil; set before it is open
}

type closeFrame struct {
	code   websocket.StatusCode
	reason string
}

// Close frames that rtd sends. doc.go has the table of what they mean. The library
// sends closeTooLarge itself.
var (
	closeProtocol  = closeFrame{websocket.StatusProtocolError, "protocol error"}
	closeIdle      = closeFrame{websocket.StatusProtocolError, "idle timeout"}
	closeUTF8      = closeFrame{websocket.StatusInvalidFramePayloadData, "invalid UTF-8"}
	closeMalformed = closeFrame{websocket.StatusInternalError, "malformed frame"}
	closeDrain     = closeFrame{websocket.StatusServiceRestart, "server restarts"}
	closeTooLarge  = closeFrame{websocket.StatusMessageTooBig, "frame too large"}
	closeRate      = closeFrame{websocket.StatusPolicyViolation, "too many messages"}
	closeGone      = closeFrame{websocket.StatusGoingAway, "disconnected"}
	closeSlow      = closeFrame{closeCodeSlow, "slow consumer"}
)

var closeToken = closeFrame{closeCodeToken, "token expired"}

const (
	closeCodeSlow  websocket.StatusCode = 4001
	closeCodeToken websocket.StatusCode = 4003

	// closePatience is how long a client has to take what is queued for it and
	// to answer a close frame.
	closePatience = 5 * time.Second
)

// open makes a client that was about to connect a connection, through mount m and
// with what its plugin has said about it.
func (c *conn) open(ws *websocket.Conn, codec channels.Codec, said plugin.Connection, m *mount) {
	c.ws = ws
	c.touch()
	socket := c.server.endpoint.NewSocket(channels.SocketOptions{
		Codec: codec, Out: c, ID: said.ID, Assigns: said.Assigns, Serves: m.serves,
		Disconnect: func() { c.close(closeGone) }, Control: c.token.controls(),
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket, c.opened = socket, true
	if c.closing != nil || len(c.queue) > 0 { // already
		c.startWriter()
	}
}

// tell sends the client an event of the host's own.
func (c *conn) tell(event string, payload []byte) {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	if socket != nil {
		socket.Tell(event, payload)
	}
}

// serve reads until the connection ends.
func (c *conn) serve() {
	defer c.token.release()
	err := c.read()
	c.socket.Close()
	c.end(err)
}

func (c *conn) read() error {
	for {
		kind, data, err := c.ws.Read(context.Background())
		if err != nil {
			return err
		}
		c.touch()
		if err := c.take(data, kind == websocket.MessageBinary); err != nil {
			c.server.log.Debug("closing connection", "remote", c.remote, "cause", err)
			c.close(closeFor(err))
		}
	}
}

// take gives a frame to the socket, but not in a drain: the frame is never
// answered then, and the client asks again elsewhere. Behind a frame that ends the
// connection, nothing is taken either.
func (c *conn) take(frame []byte, binary bool) error {
	c.taking.Lock()
	defer c.taking.Unlock()
	if c.deaf {
		return nil
	}
	err := c.socket.Receive(frame, binary)
	if err != nil {
		c.deaf = true
		c.socket.Close()
	}
	return err
}

// takeNothing makes the connection take no further frame. When it returns, what it has
// taken is in a mailbox, so that Server.settle waits for it.
func (c *conn) takeNothing() {
	c.taking.Lock() // taking waits for no handler
	defer c.taking.Unlock()
	c.deaf = true
}

// closeFor returns how a connection is closed whose frame was not accepted for err.
func closeFor(err error) closeFrame {
	switch {
	case errors.Is(err, channels.ErrRate):
		return closeRate
	case errors.Is(err, channels.ErrUTF8):
		return closeUTF8
	default:
		return closeMalformed
	}
}

// drain ends the channels, which are told why, and closes the connection.
func (c *conn) drain() {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	if socket != nil {
		socket.Drain()
	}
	c.close(closeDrain)
}

// Send implements [channels.Outbox].
func (c *conn) Send(f channels.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	limits := &c.server.config.Server
	bytes := max(limits.MaxOutboxBytes, framesThatFit*limits.MaxFrame)
	if len(c.queue) >= limits.MaxOutboxMessages || c.bytes+len(f.Data) > bytes && len(c.queue) > 0 {
		c.queue, c.bytes = nil, 0
		c.closeLocked(closeSlow)
		return
	}
	c.queue = append(c.queue, f)
	c.bytes += len(f.Data)
	c.startWriter()
}

// close sends what is queued, then a close frame, and waits for the client's in the
// background. The channels end with the close frame. The first close wins.
func (c *conn) close(f closeFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closeLocked(f)
	}
}

func (c *conn) closeLocked(f closeFrame) {
	c.closing = &f
	c.server.counts.closed.add(f)
	c.startWriter()
	// A client that does not read holds up the writer, and one that does not
	// answer the close frame holds up the end.
	time.AfterFunc(closePatience, func() { c.raw.Close() })
}

func (c *conn) startWriter() {
	if c.opened && !c.writing {
		c.writing = true
		c.server.writers.start(c.write)
	}
}

// write sends what is queued until nothing is.
func (c *conn) write() {
	var batch []channels.Frame
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.writing = false
			closing := c.closing
			c.mu.Unlock()
			if closing != nil {
				c.socket.Close()
				c.ws.Close(closing.code, closing.reason) // its error says what the reader learns anyway
			}
			return
		}
		batch, c.queue = c.queue, batch[:0]
		c.bytes = 0
		c.mu.Unlock()
		for i, f := range batch {
			kind := websocket.MessageText
			if f.Binary {
				kind = websocket.MessageBinary
			}
			if err := c.ws.Write(context.Background(), kind, f.Data); err != nil {
				c.raw.Close() // which the reader notices
				c.abandon()
				break
			}
			c.server.counts.framesOut.Add(1)
			batch[i] = channels.Frame{}
		}
	}
}

// abandon drops what is queued and takes no more. It reports whether the connection
// was open until then.
func (c *conn) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue, c.bytes = nil, 0
	if c.closing != nil {
		return false
	}
	c.closing = &closeProtocol
	return true
}

// end frees the connection after its last read, which ended with err.
func (c *conn) end(err error) {
	c.server.log.Debug("disconnected", "remote", c.remote, "cause", err)
	wasOpen := c.abandon()
	if websocket.CloseStatus(err) < 0 {
		if wasOpen {
			c.count(err)
		}
		// Not closed by the client: it broke the protocol, or is gone and will
		// not mind. Close also takes in what a client is still sending of an
		// oversized frame, so that it can see the code.
		force := time.AfterFunc(closePatience, func() { c.raw.Close() })
		c.ws.Close(closeProtocol.code, closeProtocol.reason)
		force.Stop()
	}
	c.ws.CloseNow()
	c.raw.Close()
}

// count notes with what the library has closed the connection because of err.
func (c *conn) count(err error) {
	var network net.Error
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		c.server.counts.closed.add(closeTooLarge)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
		// The client has gone without a word.
	default:
		c.server.counts.closed.add(closeProtocol)
	}
}

func (c *conn) touch() { c.lastRead.Store(time.Now().Unix()) }
