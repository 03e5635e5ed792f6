package host

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"rtd/channels"
)

// conn is one WebSocket connection: it reads frames for a [channels.Socket] and
// writes those of its outbox. It reads on the goroutine that serves it and writes on
// one that lives as long as there is something to write.
type conn struct {
	server *Server
	ws     *websocket.Conn
	raw    net.Conn // below ws; closing it ends everything at once
	remote string   // the client's address

	lastRead atomic.Int64 // when something came in last, Unix seconds

	taking sync.Mutex // held while a frame is taken; see Server.takeNothing

	mu      sync.Mutex
	queue   []channels.Frame
	bytes   int
	writing bool
	closing *closeFrame // to send behind the queue
}

type closeFrame struct {
	code   websocket.StatusCode
	reason string
}

// Close frames that rtd sends. doc.go has the table of what they mean.
var (
	closeProtocol  = closeFrame{websocket.StatusProtocolError, "protocol error"}
	closeIdle      = closeFrame{websocket.StatusProtocolError, "idle timeout"}
	closeUTF8      = closeFrame{websocket.StatusInvalidFramePayloadData, "invalid UTF-8"}
	closeMalformed = closeFrame{websocket.StatusInternalError, "malformed frame"}
	closeDrain     = closeFrame{websocket.StatusServiceRestart, "server restarts"}
	closeSlow      = closeFrame{closeCodeSlow, "slow consumer"}
)

const (
	closeCodeSlow websocket.StatusCode = 4001

	// closePatience is how long a client has to take what is queued for it and
	// to answer a close frame.
	closePatience = 5 * time.Second
)

// serve reads until the connection ends.
func (c *conn) serve(codec channels.Codec) {
	socket := c.server.endpoint.NewSocket(codec, c)
	err := c.read(socket)
	socket.Close()
	c.end(err)
}

func (c *conn) read(socket *channels.Socket) error {
	for {
		kind, data, err := c.ws.Read(context.Background())
		if err != nil {
			return err
		}
		c.touch()
		if err := c.take(socket, data, kind == websocket.MessageBinary); err != nil {
			c.server.log.Debug("closing connection", "remote", c.remote, "cause", err)
			socket.Close()
			if errors.Is(err, channels.ErrUTF8) {
				c.close(closeUTF8)
			} else {
				c.close(closeMalformed)
			}
		}
	}
}

// take gives a frame to the socket, but not in a drain: the frame is never
// answered then, and the client asks again elsewhere.
func (c *conn) take(socket *channels.Socket, frame []byte, binary bool) error {
	c.taking.Lock()
	defer c.taking.Unlock()
	if c.server.draining.Load() {
		return nil
	}
	return socket.Receive(frame, binary)
}

// Send implements [channels.Outbox].
func (c *conn) Send(f channels.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	limits := &c.server.config.Server
	if len(c.queue) >= limits.MaxOutboxMessages || c.bytes+len(f.Data) > limits.MaxOutboxBytes && len(c.queue) > 0 {
		c.server.counts.slow.Add(1)
		c.queue, c.bytes = nil, 0
		c.closeLocked(closeSlow)
		return
	}
	c.queue = append(c.queue, f)
	c.bytes += len(f.Data)
	c.startWriter()
}

// close sends what is queued, then a close frame, and waits for the client's in the
// background. The first close wins.
func (c *conn) close(f closeFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closeLocked(f)
	}
}

func (c *conn) closeLocked(f closeFrame) {
	c.closing = &f
	c.startWriter()
	// A client that does not read holds up the writer, and one that does not
	// answer the close frame holds up the end.
	time.AfterFunc(closePatience, func() { c.raw.Close() })
}

func (c *conn) startWriter() {
	if !c.writing {
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

// abandon drops what is queued and takes no more.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue, c.bytes = nil, 0
	if c.closing == nil {
		c.closing = &closeProtocol
	}
}

// end frees the connection after its last read, which ended with err.
func (c *conn) end(err error) {
	c.server.log.Debug("disconnected", "remote", c.remote, "cause", err)
	c.abandon()
	if websocket.CloseStatus(err) < 0 {
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

func (c *conn) touch() { c.lastRead.Store(time.Now().Unix()) }
