package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// polled is a connection that only its loop waits for. It is read in one of three ways:
//
//	idle ──────► inline ──────► idle       whole messages, on the loop's goroutine
//	                │
//	                ▼
//	               held ──────► idle       anything else, on a goroutine that may
//	                                       wait, until it parks between two messages;
//	                                       never again once somebody closes (Hold)
//
// It is small, as there may be a million.
type polled struct {
	loop   *loop
	reader Reader

	mu     sync.Mutex
	fd     int32
	state  readState
	kept   bool  // somebody closes: it stays held
	more   bool  // something may be there, of which no event will tell
	ended  bool  // the client has sent all that it will: so there is
	closed bool  // no more system calls
	owed   bool  // Writable, when nothing is stuck
	packed bool  // messages may be compressed; set by Start
	busy   *busy // nil for most
}

// busy has the state of a connection that is held, or has bytes stuck.
type busy struct {
	br      *bufio.Reader // the library's, above Read
	input   []byte        // received, and not yet read
	chunk   []byte        // of a held one: where input is received
	frame   []byte        // of the library, not yet whole
	stuck   []byte        // written, and not yet sent
	added   int           // bytes of it that the library wrote
	change  sync.Cond     // of state, more and closed
	waiting int           // how many wait for a change
}

type readState uint8

const (
	idle readState = iota
	inline
	held
)

const (
	// heldChunk is what a held connection receives at once.
	heldChunk = 2 << 10
	// maxAdded bounds the library's writes to a client that takes nothing: pongs.
	maxAdded = 16 << 10
)

var (
	errSlow     = errors.New("client takes no control frames")
	errUnheld   = errors.New("read without a goroutine that may wait")
	errDeadline = errors.New("deadlines are not supported")
)

func newPolled(l *loop, fd int, arrived []byte) *polled {
	c := &polled{loop: l, fd: int32(fd)}
	if len(arrived) > 0 {
		c.needs().input = bytes.Clone(arrived)
	}
	return c
}

func (c *polled) Buffers() *bufio.ReadWriter {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.needs().br = bufio.NewReaderSize(c, smallestBuffer)
	return bufio.NewReadWriter(c.busy.br, bufio.NewWriterSize(c, smallestBuffer))
}

func (c *polled) Blocks() bool { return false }

func (c *polled) Start(r Reader, packed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader, c.packed = r, packed
	silent := !c.closed && c.loop.watch(c) == nil && !c.hasInput()
	switch {
	case c.state == held: // whoever closes it already reads
		c.more = true
		c.changed()
	case !silent:
		c.more = true
		c.hold()
	}
}

// hold lets a goroutine of its own read on; it also sees an end. Callers hold mu.
func (c *polled) hold() {
	c.state = held
	go c.reader.ReadFrames()
}

// beginRead makes the loop the reader. If a goroutine reads already, it is told that
// there is more.
func (c *polled) beginRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != idle || c.closed {
		c.more = true
		c.changed()
		return false
	}
	c.state = inline
	return true
}

// endRead is the end of the loop's turn. It reports whether there may be more.
func (c *polled) endRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed()
	if c.closed {
		c.hold()
		return false
	}
	c.state = idle
	return c.more
}

// ends says that the client has sent its last byte, or is gone.
func (c *polled) ends() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// receive is one system call; n is 0 when the client has ended its side.
func (c *polled) receive(b []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.receiveLocked(b)
}

func (c *polled) receiveLocked(b []byte) (n int, err error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	for {
		n, err = rawRead(int(c.fd), b)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	c.more = n == len(b) || c.ended
	return n, err
}

// handOver lets a goroutine of its own read on, beginning with b.
func (c *polled) handOver(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b) > 0 {
		c.needs().input = bytes.Clone(b)
	}
	c.changed()
	c.hold()
}

// Park implements [Conn]. Once somebody closes, the library may be reading there: the
// answer must not be left to the loop then.
func (c *polled) Park(leave func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept || c.more || c.closed || c.hasInput() || c.isBuffered() {
		return false
	}
	leave()
	c.state = idle
	if c.busy != nil {
		c.busy.input, c.busy.chunk, c.busy.br = nil, nil, nil
		c.calm()
	}
	return true
}

// Hold implements [Conn].
func (c *polled) Hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = true
	for c.state == inline {
		c.wait()
	}
	if c.state == held {
		return false
	}
	c.state, c.more = held, true
	return true
}

// Read implements [net.Conn]. While the connection is held, it waits for bytes.
func (c *polled) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.hasInput() {
		if c.state == inline {
			return 0, errUnheld
		}
		into := b
		if len(b) < heldChunk {
			if c.needs().chunk == nil {
				c.busy.chunk = make([]byte, heldChunk)
			}
			into = c.busy.chunk
		}
		n, err := c.receiveLocked(into)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			for !c.more && !c.closed {
				c.wait()
			}
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case n == 0:
			return 0, io.EOF
		case len(b) >= heldChunk:
			return n, nil
		default:
			c.busy.input = c.busy.chunk[:n]
		}
	}
	n := copy(b, c.busy.input)
	c.busy.input = c.busy.input[n:]
	return n, nil
}

// Write implements [net.Conn]. It does not wait: bytes that the kernel has no room for
// are kept for later, within bounds. The library's buffer is too small for some frames,
// which then come in parts; they are sent as a whole, between those of Batch.
func (c *polled) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := b
	if c.busy != nil && len(c.busy.frame) > 0 || !isFrame(b) {
		c.needs().frame = append(c.busy.frame, b...)
		if frame = c.busy.frame; !isFrame(frame) && len(frame) < maxControl {
			return len(b), nil
		}
		c.busy.frame = nil
	}
	if c.isStuck() {
		if c.busy.added += len(frame); c.busy.added > maxAdded {
			return 0, errSlow
		}
	}
	if err := c.send(frame); err != nil {
		return 0, err
	}
	return len(b), nil
}

// isFrame reports whether b is a whole control frame.
func isFrame(b []byte) bool { return len(b) >= 2 && len(b) == 2+int(b[1]) }

// Batch implements [Conn].
func (c *polled) Batch(b []byte) (pending bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.send(b); err != nil {
		return false, err
	}
	c.owed = c.isStuck()
	return c.owed, nil
}

// send writes b behind the stuck bytes, and keeps the rest that the kernel does not take.
// Callers hold mu.
func (c *polled) send(b []byte) error {
	if c.closed {
		return net.ErrClosed
	}
	if c.isStuck() {
		c.busy.stuck = append(c.busy.stuck, b...)
		return nil
	}
	n, err := c.transmit(b)
	if err == nil && n < len(b) {
		c.needs().stuck = bytes.Clone(b[n:])
		c.busy.added = 0
	}
	return err
}

// transmit writes as much as the kernel takes. Callers hold mu.
func (c *polled) transmit(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := rawWrite(int(c.fd), b[n:])
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return n, nil
		case err != nil:
			return n, fmt.Errorf("write: %w", err)
		default:
			n += m
		}
	}
	return n, nil
}

// flush sends the stuck bytes, as there is room again. The next read or write returns an
// error.
func (c *polled) flush() {
	c.mu.Lock()
	if !c.closed && c.isStuck() {
		n, err := c.transmit(c.busy.stuck)
		if c.busy.stuck = c.busy.stuck[n:]; len(c.busy.stuck) == 0 || err != nil {
			c.busy.stuck = nil
			c.calm()
		}
	}
	tell := c.owed && !c.isStuck()
	c.owed = c.owed && !tell
	c.mu.Unlock()
	if tell {
		c.reader.Writable()
	}
}

// Close implements [net.Conn]. A goroutine that reads learns of it; if there is none,
// ReadFrames is called.
func (c *polled) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.loop.epoll.remove(c)
	err := unix.Close(int(c.fd))
	if c.busy != nil {
		c.busy.stuck = nil
	}
	tell := c.owed && c.reader != nil // else Start has not been called yet, and nobody would be told
	c.owed = false
	if c.state == idle && c.reader != nil {
		c.hold()
	}
	c.changed()
	c.mu.Unlock()
	if tell {
		c.reader.Writable()
	}
	return err
}

// needs returns busy, which is made if there is none. Callers hold mu.
func (c *polled) needs() *busy {
	if c.busy == nil {
		c.busy = &busy{}
		c.busy.change.L = &c.mu
	}
	return c.busy
}

// calm drops busy if nothing is in it, and nobody waits. Callers hold mu.
func (c *polled) calm() {
	if b := c.busy; c.state != held && b.waiting == 0 && b.br == nil && b.input == nil && b.chunk == nil && b.frame == nil && b.stuck == nil {
		c.busy = nil
	}
}

func (c *polled) isStuck() bool { return c.busy != nil && len(c.busy.stuck) > 0 }

func (c *polled) isBuffered() bool {
	return c.busy != nil && c.busy.br != nil && c.busy.br.Buffered() > 0
}

func (c *polled) hasInput() bool { return c.busy != nil && len(c.busy.input) > 0 }

// wait returns when something has changed. Callers hold mu.
func (c *polled) wait() {
	b := c.needs()
	b.waiting++
	b.change.Wait()
	b.waiting--
}

// changed wakes those who wait. Callers hold mu.
func (c *polled) changed() {
	if c.busy != nil {
		c.busy.change.Broadcast()
	}
}

// LocalAddr implements [net.Conn]. It is nil if the connection is closed.
func (c *polled) LocalAddr() net.Addr { return c.addr(unix.Getsockname) }

// RemoteAddr implements [net.Conn]. It is nil if the connection is closed.
func (c *polled) RemoteAddr() net.Addr { return c.addr(unix.Getpeername) }

// addr asks the kernel: to keep addresses would take more than all else.
func (c *polled) addr(of func(int) (unix.Sockaddr, error)) net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	switch a, _ := of(int(c.fd)); a := a.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return nil
}

// Deadlines are not supported: whoever has one calls Close.

func (c *polled) SetDeadline(time.Time) error      { return errDeadline }
func (c *polled) SetReadDeadline(time.Time) error  { return errDeadline }
func (c *polled) SetWriteDeadline(time.Time) error { return errDeadline }
