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
	"time"

	"golang.org/x/sys/unix"
)

// epoll has the loops, and the connections by file descriptor.
type epoll struct {
	limit   int // bytes of a message that a loop takes
	inflate func(payload []byte, limit int) ([]byte, error)
	loops   []*loop
	next    atomic.Uint32
	ended   sync.WaitGroup

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

	mu     sync.Mutex // held while somebody looks, mostly the loop's goroutine
	events []unix.EpollEvent
	buffer []byte // what one connection has sent
	again  []*polled
}

const (
	loopBuffer = 64 << 10
	loopEvents = 256
	// busyRounds is how often a loop looks before it tells Go's runtime that it is busy.
	busyRounds = 16
	// calm is how long all others take at the most, after a frame that came alone, when little is
	// going on. A loop that waits is told of the next frame when no goroutine can run, or after
	// 10 ms; so one beside busy goroutines looks again instead.
	calm = 100 * time.Microsecond
)

func newEpoll(o Options) (*epoll, error) {
	n := o.Loops
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	e := &epoll{limit: o.Limit, inflate: o.Inflate}
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
		l := &loop{epoll: e, file: os.NewFile(uintptr(fd), "epoll"), fd: fd,
			events: make([]unix.EpollEvent, loopEvents), buffer: make([]byte, loopBuffer)}
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
func (e *epoll) adopt(raw net.Conn, arrived []byte) Conn {
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
	c := newPolled(e.loops[int(e.next.Add(1))%len(e.loops)], fd, arrived)
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
func (l *loop) watch(c *polled) error { return l.control(unix.EPOLL_CTL_ADD, c) }

func (l *loop) control(operation int, c *polled) error {
	return unix.EpollCtl(l.fd, operation, int(c.fd), &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     c.fd,
	})
}

func (l *loop) run() {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Read(func(uintptr) bool { // its error says that it was closed
		for round := 0; !l.closed.Load(); round++ {
			if round == busyRounds {
				round = 0
				wakeMonitor()
			}
			l.mu.Lock()
			found := l.look()
			alone := found == 1 && len(l.again) == 0
			l.mu.Unlock()
			if found == 0 {
				return false // Read waits
			}
			begin := time.Now()
			runtime.Gosched() // to whom the messages are for
			if alone && time.Since(begin) < calm {
				return false // most likely nothing more is there; if it is, Read knows
			}
		}
		return true
	})
}

// look reads once what has arrived, and returns how many connections had something. Callers
// hold mu.
func (l *loop) look() (found int) {
	n, _ := rawEpoll(l.fd, l.events) // which fails only if it was closed
	for _, event := range l.events[:n] {
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
	return n + len(again)
}

// lookAll has every loop look that does not look just now.
func (e *epoll) lookAll() {
	for _, l := range e.loops {
		if l.mu.TryLock() {
			l.look()
			l.tellAgain()
			l.mu.Unlock()
		}
	}
}

// tellAgain has the loop's goroutine, which may wait, told of those that had more than a buffer: who asks
// for events anew is told anew of what is there. Callers hold mu.
func (l *loop) tellAgain() {
	again := l.again
	l.again = nil
	for _, c := range again {
		c.mu.Lock()
		if !c.closed {
			_ = l.control(unix.EPOLL_CTL_MOD, c) // it has been added
		}
		c.mu.Unlock()
	}
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

// read reads a bufferful of bytes, and hands on the frames in it.
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
	in := inflater{left: inflateAtOnce}
	if c.packed {
		in.inflate = l.epoll.inflate
	}
	whole := plain(l.buffer[:n], l.epoll.limit, in, c.reader.Message)
	if whole < n {
		c.handOver(l.buffer[whole:n])
		return
	}
	if c.endRead() {
		l.again = append(l.again, c)
	}
}
