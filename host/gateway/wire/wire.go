package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
)

// Conn is a connection below the WebSocket library, which reads and writes it as a
// [net.Conn]. Deadlines are not supported; Close ends all that waits here. Methods may be
// called from any goroutine unless they say otherwise.
type Conn interface {
	net.Conn

	// Buffers are for the library, to be used with this connection alone, until Park. They
	// are new with each call.
	Buffers() *bufio.ReadWriter

	// Start has r read the bytes that arrive. It is called once. With packed, messages may come
	// compressed.
	Start(r Reader, packed bool)

	// Park is called by ReadFrames between two messages. If it returns true,
	// ReadFrames has to return: it, or Message, is called when there is more.
	// If it returns false, ReadFrames reads on. Before anybody else can read or hold
	// the connection, it calls leave, which must not block: nothing is left in the buffers, and
	// neither they nor the library above them are used any more.
	Park(leave func()) bool

	// Hold lets the caller wait for bytes, as a closing handshake does. If it returns
	// true, only the caller reads from now on. If it returns false, ReadFrames is
	// running, and learns of the end: from then on Park returns false.
	Hold() bool

	// Batch writes whole frames. If not all could be written, the rest is kept, and
	// pending is true: then Writable is called once when it has been. Until
	// then Batch must not be called again. It does not keep b.
	Batch(b []byte) (pending bool, err error)

	// Blocks says that Batch may wait for the client, and never is pending.
	Blocks() bool
}

// Reader takes what a client sends.
type Reader interface {
	// Message takes a whole message, whose memory is its own from now on. It must not
	// block.
	Message(payload []byte, binary bool)

	// ReadFrames reads messages, through the library, until Park tells it to stop, or
	// reading fails, which ends the connection. It is called on a goroutine of its own.
	ReadFrames()

	// Writable says that the pending bytes have been written, or never will be. It must
	// not block.
	Writable()
}

// Kinds of waiting, as the config has them.
const (
	Auto       = "auto"       // epoll where it can be, else goroutines
	Goroutines = "goroutines" // one for each connection
	Epoll      = "epoll"      // what Auto is on Linux, for connections without TLS
)

// Poller waits for all connections of a server. Its methods may be called from any
// goroutine.
type Poller struct {
	epoll *epoll // nil if there is none
}

// Options of a [Poller].
type Options struct {
	Kind string // Auto or Goroutines; default Auto
	// Limit is the longest message in bytes that is read without a goroutine of
	// its connection's own. Longer ones, which the library may refuse, have
	// one meanwhile. Default 64 KiB.
	Limit int
	// Inflate returns the message of a frame's payload that is compressed, in memory of its own, or
	// an error if it has more than limit bytes or is not well-formed. Default: such frames are
	// for the library.
	Inflate func(payload []byte, limit int) ([]byte, error)
	// Loops is how many goroutines wait and read. Default: GOMAXPROCS.
	Loops int
	Log   *slog.Logger // default: slog.Default()
}

// New returns a poller. Close it when its connections have ended.
func New(o Options) *Poller {
	if o.Limit <= 0 {
		o.Limit = 64 << 10
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	p := &Poller{}
	if o.Kind != Goroutines {
		var err error
		if p.epoll, err = newEpoll(o); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			o.Log.Warn("no epoll; every connection gets a goroutine", "cause", err)
		}
	}
	return p
}

// Kind says how the poller waits for connections without TLS.
func (p *Poller) Kind() string {
	if p.epoll == nil {
		return Goroutines
	}
	return Epoll
}

// Adopt takes over a connection of which the bytes in arrived have been read already. The
// original must not be used any more.
func (p *Poller) Adopt(raw net.Conn, arrived []byte) Conn {
	if p.epoll != nil {
		if c := p.epoll.adopt(raw, arrived); c != nil {
			return c
		}
	}
	return adoptBlocking(raw, arrived)
}

// Look reads what has arrived, as the poller's own goroutines do. It is for a goroutine that is
// busy for long and never waits: beside it, Go's runtime looks at the network every 10 ms.
// It must not be called from a [Reader], nor once Close is.
func (p *Poller) Look() {
	if p.epoll != nil {
		p.epoll.lookAll()
	}
}

// Close ends the poller's goroutines and waits for them.
func (p *Poller) Close() {
	if p.epoll != nil {
		p.epoll.close()
	}
}

// blocking is a connection with a goroutine of its own that reads.
type blocking struct {
	net.Conn
	arrived []byte     // before it was adopted, until Buffers
	writing sync.Mutex // frames do not tear each other
}

func adoptBlocking(raw net.Conn, arrived []byte) *blocking {
	return &blocking{Conn: raw, arrived: bytes.Clone(arrived)}
}

const (
	// readBuffer of a blocking connection has room for common frames, so that each takes
	// one system call.
	readBuffer = 512
	// smallestBuffer is for a connection that receives by itself. The library reads
	// headers by the buffer, and larger things around it.
	smallestBuffer = 16
	// maxControl is the largest control frame, which is all that the library writes.
	// With writeBuffer it comes as one Write.
	maxControl  = 2 + 125
	writeBuffer = maxControl + 1
)

// readerWith returns a reader with a small buffer which already holds some bytes.
func readerWith(arrived []byte, c net.Conn, size int) *bufio.Reader {
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(arrived), c), max(size, len(arrived)))
	_, _ = r.Peek(len(arrived)) // the library takes over what is buffered
	return r
}

// Buffers implements [Conn]. It is called once, as there is no Park.
func (c *blocking) Buffers() *bufio.ReadWriter {
	r := readerWith(c.arrived, c.Conn, readBuffer)
	c.arrived = nil
	return bufio.NewReadWriter(r, bufio.NewWriterSize(c, writeBuffer))
}

func (c *blocking) Start(r Reader, _ bool) { go r.ReadFrames() }
func (c *blocking) Park(func()) bool       { return false }
func (c *blocking) Hold() bool             { return false }
func (c *blocking) Blocks() bool           { return true }

func (c *blocking) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.Conn.Write(b)
}

func (c *blocking) Batch(b []byte) (bool, error) {
	_, err := c.Write(b)
	return false, err
}
