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

// Conn is a connection below the WebSocket library, which reads and writes it as
// the [net.Conn] that it is. Its deadlines are not supported; nothing here waits for
// ever but what Close ends. Methods may be called from any goroutine unless
// they say otherwise.
type Conn interface {
	net.Conn

	// Buffers are for the library, to be used with this connection alone.
	Buffers() *bufio.ReadWriter

	// Start has r read what arrives. It is called once.
	Start(r Reader)

	// Park is called by ReadFrames between two messages. If it returns true,
	// ReadFrames has to return: it, or ReadFrame, is called when there is more.
	// If it returns false, ReadFrames reads on.
	Park() bool

	// Hold makes the caller one that may wait for what arrives, as a closing
	// handshake does. If it returns true, nobody else reads any more, nor will.
	// If it returns false, ReadFrames is running, and learns of the end.
	Hold() bool

	// Batch writes whole frames. If not all could be written, the rest is kept, and
	// pending is true: then Writable is called once when it has been. Until
	// then Batch must not be called again. It does not keep b.
	Batch(b []byte) (pending bool, err error)

	// Blocks says that Batch may wait for the client, and never is pending.
	Blocks() bool
}

// Reader is whoever reads a [Conn], through the library.
type Reader interface {
	// ReadFrame reads one message, of which every byte has arrived. It must not
	// block. After an error, Failed is called next.
	ReadFrame() error

	// ReadFrames reads messages until Park tells it to stop, or reading fails,
	// which ends the connection. It is called on a goroutine of its own.
	ReadFrames()

	// Failed ends the connection after an error of ReadFrame. It is called on a
	// goroutine of its own.
	Failed(err error)

	// Writable says that what was pending has been written, or never will be. It
	// must not block.
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
	limit int
	epoll *epoll // nil if there is none
}

// Options of a [Poller].
type Options struct {
	Kind string // Auto or Goroutines; default Auto
	// Limit is the longest message in bytes that is read without a goroutine of
	// its connection's own. Longer ones, which the library may refuse, have
	// one meanwhile. Default 64 KiB.
	Limit int
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
	p := &Poller{limit: o.Limit}
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

// Adopt takes over a connection, of which some bytes have been read already. The
// original must not be used any more.
func (p *Poller) Adopt(raw net.Conn, arrived []byte) Conn {
	if p.epoll != nil {
		if c := p.epoll.adopt(raw, arrived, p.limit); c != nil {
			return c
		}
	}
	return adoptBlocking(raw, arrived)
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
	buffers *bufio.ReadWriter
	writing sync.Mutex // frames do not tear each other
}

func adoptBlocking(raw net.Conn, arrived []byte) *blocking {
	c := &blocking{Conn: raw}
	c.buffers = bufio.NewReadWriter(readerWith(arrived, raw, readBuffer), bufio.NewWriterSize(c, writeBuffer))
	return c
}

const (
	// readBuffer of a blocking connection has room for common frames, so that each takes
	// one system call.
	readBuffer = 512
	// smallestBuffer is for a connection that is read from memory. The library reads
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

func (c *blocking) Buffers() *bufio.ReadWriter { return c.buffers }
func (c *blocking) Start(r Reader)             { go r.ReadFrames() }
func (c *blocking) Park() bool                 { return false }
func (c *blocking) Hold() bool                 { return false }
func (c *blocking) Blocks() bool               { return true }

func (c *blocking) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.Conn.Write(b)
}

func (c *blocking) Batch(b []byte) (bool, error) {
	_, err := c.Write(b)
	return false, err
}
