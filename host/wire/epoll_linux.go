package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// epoll is the loops, and which connection has which file descriptor.
type epoll struct {
	loops []*loop
	next  atomic.Uint32
	ended sync.WaitGroup

	mu    sync.RWMutex
	conns []*polled // by file descriptor
}

// loop waits for its share of the connections and reads what has arrived, on one
// goroutine. The epoll descriptor is itself waited for by Go's runtime, so
// that the loop blocks no thread.
type loop struct {
	epoll  *epoll
	file   *os.File // the epoll descriptor
	fd     int
	closed atomic.Bool

	// Only the goroutine touches these.
	buffer []byte // what one connection has sent
	again  []*polled
}

const (
	loopBuffer = 64 << 10
	loopEvents = 256
)

func newEpoll(o Options) (*epoll, error) {
	n := o.Loops
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	e := &epoll{}
	for range n {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			e.close()
			return nil, fmt.Errorf("create epoll: %w", err)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
			e.close()
			return nil, fmt.Errorf("make epoll non-blocking: %w", err)
		}
		l := &loop{epoll: e, file: os.NewFile(uintptr(fd), "epoll"), fd: fd, buffer: make([]byte, loopBuffer)}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		e.ended.Go(l.run)
	}
	return e, nil
}

func (e *epoll) close() {
	for _, l := range e.loops {
		l.closed.Store(true)
		l.file.Close()
	}
	e.ended.Wait()
}

// adopt returns nil if the connection has no file descriptor, as one with TLS.
func (e *epoll) adopt(raw net.Conn, arrived []byte, limit int) Conn {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	// A descriptor of our own takes the connection out of Go's runtime, and what
	// that keeps for it.
	fd := -1
	if err := rc.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || fd < 0 {
		return nil
	}
	raw.Close()
	c := newPolled(e.loops[int(e.next.Add(1))%len(e.loops)], fd, arrived, limit)
	e.add(c)
	return c
}

func (e *epoll) add(c *polled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := int(c.fd) + 1; n > len(e.conns) {
		e.conns = append(e.conns, make([]*polled, max(n, 2*len(e.conns), 64)-len(e.conns))...)
	}
	e.conns[c.fd] = c
}

// remove is called before the file descriptor is closed, so that it cannot be another's.
func (e *epoll) remove(c *polled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[c.fd] = nil
}

func (e *epoll) find(fd int32) *polled {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if int(fd) < len(e.conns) {
		return e.conns[fd]
	}
	return nil
}

// watch has the loop told of everything about c. Events are edges: each
// says that something has changed, once.
func (l *loop) watch(c *polled) error {
	return unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, int(c.fd), &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     c.fd,
	})
}

func (l *loop) run() {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return // closed
	}
	events := make([]unix.EpollEvent, loopEvents)
	_ = raw.Read(func(uintptr) bool { // its error says that it was closed
		for !l.closed.Load() {
			n, err := unix.EpollWait(l.fd, events, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 && len(l.again) == 0 {
				return false // Read waits
			}
			for _, event := range events[:max(n, 0)] {
				if c := l.epoll.find(event.Fd); c != nil {
					l.event(c, event.Events)
				}
			}
			// Those that had more than a buffer go on when all others had
			// their turn.
			again := l.again
			l.again = nil
			for _, c := range again {
				l.read(c)
			}
			runtime.Gosched() // to whom the messages are for
		}
		return true
	})
}

func (l *loop) event(c *polled, events uint32) {
	const arrived = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.flush()
	}
	if events&arrived != 0 {
		if events&^unix.EPOLLIN&arrived != 0 {
			c.ends()
		}
		l.read(c)
	}
}

// read takes a bufferful of what has arrived, and hands on what it is.
func (l *loop) read(c *polled) {
	if !c.beginRead() {
		return
	}
	n, err := c.receive(l.buffer)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		c.endRead()
		return
	case err != nil || n == 0:
		c.handOver(nil) // the library has to see the end
		return
	}
	whole := plain(l.buffer[:n], int(c.limit))
	if err := c.frames(l.buffer[:whole]); err != nil {
		c.fail(err)
		return
	}
	if whole < n {
		c.handOver(l.buffer[whole:n])
		return
	}
	if c.endRead() {
		l.again = append(l.again, c)
	}
}
