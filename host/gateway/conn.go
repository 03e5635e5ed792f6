package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/gateway/handshake"
	"rtd/host/gateway/wire"
	"rtd/host/process"
)

// conn is one WebSocket connection: it reads frames for a [channels.Socket] and
// writes those of its outbox. It has no goroutine as long as neither moves: package
// wire calls it when something has arrived (it implements [wire.Reader]), a writer
// when something is to be written.
type conn struct {
	gateway *Gateway
	client  netip.Addr

	// Set by adopt and open; before, it is a client that is about to connect.
	wire     wire.Conn
	socket   *channels.Socket
	writer   *writer                        // nil if writing may have to wait
	library  atomic.Pointer[websocket.Conn] // nil while it is not needed, see borrow
	lastRead atomic.Uint32                  // when something came in last, Unix seconds

	packs packs // set before it is open

	deaf   bool       // guarded by taking: no more frames are taken
	taking sync.Mutex // held while a frame is taken

	mu      sync.Mutex
	opened  bool        // there is something to write to
	writing bool        // a writer has it, or will when the client has room
	raw     net.Conn    // closing it ends everything at once
	queue   *outbox     // nil if nothing waits
	closing *CloseFrame // to send behind the queue

	token *heldToken // that it lives by, or nil; set before it is open
}

// CloseFrame is how rtd closes a connection.
type CloseFrame struct {
	Code   int
	Reason string
}

// Close frames that rtd sends. The doc of package host has the table of what they mean. The
// library sends closeTooLarge itself.
var (
	closeProtocol  = CloseFrame{1002, "protocol error"}
	closeIdle      = CloseFrame{1002, "idle timeout"}
	closeUTF8      = CloseFrame{1007, "invalid UTF-8"}
	closeMalformed = CloseFrame{1011, "malformed frame"}
	closeDrain     = CloseFrame{1012, "server restarts"}
	closeTooLarge  = CloseFrame{1009, "frame too large"}
	closeRate      = CloseFrame{1008, "too many messages"}
	closeGone      = CloseFrame{1001, "disconnected"}
	closeSlow      = CloseFrame{4001, "slow consumer"}
	closeToken     = CloseFrame{4003, "token expired"}
)

// closePatience is how long a client has to take what is queued for it and
// to answer a close frame.
const closePatience = 5 * time.Second

// attach gives the client its place in the protocol, with what the plugin has said
// about it, through mount m. From the first byte that it gets it can be found. It is
// called before open, and followed by it or by Close of the socket.
func (c *conn) attach(codec channels.Codec, said process.Connection, m *mount) {
	socket := c.gateway.endpoint.NewSocket(channels.SocketOptions{
		Codec: codec, Out: c, ID: said.ID, Assigns: said.Assigns, Closed: said.Closed, Serves: m.serves,
		Disconnect: func() { c.close(closeGone) }, Control: c.token.controls(),
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = socket
}

// open makes a client that was about to connect a connection.
func (c *conn) open() {
	c.touch()
	if !c.wire.Blocks() {
		c.writer = c.gateway.writers.shard()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = true
	if c.closing != nil || c.queue != nil { // already
		c.startWriter()
	}
}

// adopt takes over the connection below HTTP.
func (c *conn) adopt(raw net.Conn, arrived []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wire = c.gateway.poller.Adopt(raw, arrived)
	c.raw = c.wire
}

// Address tells handlers that linger which clients have the same.
func (c *conn) Address() string { return c.address().String() }

// address is what connections are counted by.
func (c *conn) address() netip.Addr { return handshake.Group(c.client) }

// cut ends everything at once.
func (c *conn) cut() {
	c.mu.Lock()
	raw := c.raw
	c.mu.Unlock()
	raw.Close()
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

// Message implements [wire.Reader].
func (c *conn) Message(frame []byte, binary bool) {
	c.touch()
	if err := c.take(frame, binary); err != nil {
		c.gateway.log.Debug("closing connection", "remote", c.client, "cause", err)
		c.close(closeFor(err))
	}
}

// ReadFrames implements [wire.Reader].
func (c *conn) ReadFrames() {
	ws := c.borrow()
	for {
		kind, r, err := ws.Reader(context.Background())
		var frame []byte
		if err == nil {
			frame, err = readFrame(r)
		}
		if err != nil {
			c.failed(err)
			return
		}
		c.Message(frame, kind == websocket.MessageBinary)
		if c.wire.Park(c.giveBack) {
			return
		}
	}
}

// failed ends the connection, since its reader has.
func (c *conn) failed(err error) {
	c.token.release()
	c.socket.Close()
	c.end(err)
	c.gateway.conns.remove(c)
}

// Writable implements [wire.Reader].
func (c *conn) Writable() { c.writer.add(c) }

// readFrame returns what r has, in memory of its own that is no larger. Where frames
// are read is shared by all.
func readFrame(r io.Reader) ([]byte, error) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	b := (*scratch)[:0]
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, cap(b)) // of a large frame alone
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return bytes.Clone(b), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

var scratches = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

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
// taken is in a mailbox, so that Gateway.settle waits for it.
func (c *conn) takeNothing() {
	c.taking.Lock() // taking waits for no handler
	defer c.taking.Unlock()
	c.deaf = true
}

// closeFor returns how a connection is closed whose frame was not accepted for err.
func closeFor(err error) CloseFrame {
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
	if c.queue == nil {
		c.queue = outboxes.Get().(*outbox)
	}
	q, limits := c.queue, &c.gateway.config.Server
	bytes := limits.Room(limits.MaxOutboxBytes)
	if len(q.frames) >= limits.MaxOutboxMessages || q.bytes+len(f.Data) > bytes && len(q.frames) > 0 {
		c.drop()
		c.closeLocked(closeSlow)
		return
	}
	q.frames = append(q.frames, f)
	q.bytes += len(f.Data)
	c.startWriter()
}

// drop forgets what is queued. Callers hold mu.
func (c *conn) drop() {
	if c.queue != nil {
		c.queue.free()
		c.queue = nil
	}
}

// close sends what is queued, then a close frame, and waits for the client's in the
// background. The channels end with the close frame. The first close wins.
func (c *conn) close(f CloseFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closeLocked(f)
	}
}

func (c *conn) closeLocked(f CloseFrame) {
	c.closing = &f
	c.gateway.closed.add(f)
	c.startWriter()
	// A client that does not read holds up the writer, and one that does not
	// answer the close frame holds up the end.
	time.AfterFunc(closePatience, c.cut)
}

// startWriter has the queue written, and then the close frame. Callers hold mu.
func (c *conn) startWriter() {
	if !c.opened || c.writing {
		return
	}
	c.writing = true
	if c.writer != nil {
		c.writer.add(c)
	} else {
		c.gateway.writers.wait(c)
	}
}

// write writes what is queued, and says whether it is to be called again: always,
// until nothing is queued, but when the client has no room: then Writable is called.
func (c *conn) write(buffer []byte) (again bool) {
	c.mu.Lock()
	q := c.queue
	c.queue = nil
	if q == nil {
		c.writing = false
		closing := c.closing
		c.mu.Unlock()
		if closing != nil {
			c.gateway.running.Go(func() { c.shut(*closing) })
		}
		return false
	}
	c.mu.Unlock()

	sent, pending, err := c.writeFrames(q.frames, buffer)
	c.gateway.framesOut.Add(uint64(sent))
	if err != nil {
		c.wire.Close() // which the reader notices
		c.abandon()
	} else if sent < len(q.frames) {
		c.putBack(q, sent)
		return !pending
	}
	q.free()
	return !pending
}

// writeFrames writes as many frames at once as fit into the buffer. It returns how
// many are on their way before something is pending.
func (c *conn) writeFrames(frames []channels.Frame, buffer []byte) (sent int, pending bool, err error) {
	b := buffer[:0]
	for i, f := range frames {
		data, packed := c.packs.pack(f)
		if len(b) > 0 && len(b)+wire.HeaderSize+len(data) > cap(buffer) {
			if pending, err = c.wire.Batch(b); pending || err != nil {
				return i, pending, err
			}
			b = b[:0]
		}
		b = append(wire.AppendHeader(b, f.Binary, packed, len(data)), data...)
	}
	pending, err = c.wire.Batch(b)
	return len(frames), pending, err
}

// putBack queues the frames of q that were not sent in front of those that have come
// since.
func (c *conn) putBack(q *outbox, sent int) {
	for _, f := range q.frames[:sent] {
		q.bytes -= len(f.Data)
	}
	q.frames = slices.Delete(q.frames, 0, sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil {
		q.frames = append(q.frames, c.queue.frames...)
		q.bytes += c.queue.bytes
		c.queue.free()
	}
	c.queue = q
}

// shut closes the connection with a close frame, now that all else has been written.
func (c *conn) shut(f CloseFrame) {
	c.socket.Close()
	alone := c.wire.Hold()
	c.borrow().Close(websocket.StatusCode(f.Code), f.Reason) // its error says what the reader learns anyway
	if alone {
		c.failed(net.ErrClosed)
	}
}

// abandon drops what is queued and takes no more. It reports whether the connection
// was open until then.
func (c *conn) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	if c.closing != nil {
		return false
	}
	c.closing = &closeProtocol
	return true
}

// end frees the connection after its last read, which ended with err.
func (c *conn) end(err error) {
	c.gateway.log.Debug("disconnected", "remote", c.client, "cause", err)
	wasOpen := c.abandon()
	ws := c.borrow()
	if websocket.CloseStatus(err) < 0 {
		if wasOpen {
			c.count(err)
		}
		// Not closed by the client: it broke the protocol, or is gone and will
		// not mind. Close also takes in what a client is still sending of an
		// oversized frame, so that it can see the code.
		force := time.AfterFunc(closePatience, c.cut)
		ws.Close(websocket.StatusCode(closeProtocol.Code), closeProtocol.Reason)
		force.Stop()
	}
	ws.CloseNow()
	c.cut()
}

// count notes with what the library has closed the connection because of err.
func (c *conn) count(err error) {
	var network net.Error
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		c.gateway.closed.add(closeTooLarge)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
		// The client has gone without a word.
	default:
		c.gateway.closed.add(closeProtocol)
	}
}

func (c *conn) touch() { c.lastRead.Store(uint32(time.Now().Unix())) }
