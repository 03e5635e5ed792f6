package bench

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// epoll is [sockets] without a goroutine or buffer per connection: an idle one is
// its record here and what the kernel has.
type epoll struct {
	fd      int
	servers []netip.AddrPort
	on      socketEvents
	all     []socket
	buffer  []byte // of all reads
	events  []syscall.EpollEvent
	failing []int // have failed in write, and are told about by the next wait
}

type socket struct {
	fd         int32 // 0: not open
	connecting bool
	unsent     []byte // what there was no room for
}

func newSockets(servers []netip.AddrPort, n int, on socketEvents) (sockets, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &epoll{
		fd: fd, servers: servers, on: on, all: make([]socket, n),
		buffer: make([]byte, 256<<10), events: make([]syscall.EpollEvent, 1024),
	}, nil
}

// server is where connection i goes.
func (e *epoll) server(i int) netip.AddrPort { return e.servers[i%len(e.servers)] }

func (e *epoll) dial(i int) error {
	family := syscall.AF_INET6
	if e.server(i).Addr().Is4() {
		family = syscall.AF_INET
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.IPPROTO_TCP)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := e.connect(i, fd); err != nil {
		syscall.Close(fd)
		return err
	}
	e.all[i] = socket{fd: int32(fd), connecting: true}
	return nil
}

func (e *epoll) connect(i, fd int) error {
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if source := sourceFor(i, e.server(i).Addr()); source.IsValid() {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		if err := syscall.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0))); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := syscall.Connect(fd, sockaddr(e.server(i))); err != nil && err != syscall.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(i)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(e.fd, syscall.EPOLL_CTL_ADD, fd, &event))
}

const (
	// portsPerSource is how many connections one source address gets. Linux has about
	// 28,000 ports for them, and prefers one half: from 14,000 on it takes longer and
	// longer to find one that is free.
	portsPerSource = 5_000

	// ipBindAddressNoPort leaves the choice of a port to connect, which can use one
	// for several servers.
	ipBindAddressNoPort = 24
)

// sourceFor returns the address from which connection i is made, if it matters: of
// 127.0.0.0/8 we own more than one address, each with ports of its own.
func sourceFor(i int, server netip.Addr) netip.Addr {
	n := i / portsPerSource
	if n == 0 || n > 250 || !server.Is4() || !server.IsLoopback() {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + n)})
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	if a.Addr().Is4() {
		return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func (e *epoll) write(i int, data []byte) {
	s := &e.all[i]
	if s.fd == 0 {
		return
	}
	if len(s.unsent) > 0 {
		if len(s.unsent)+len(data) > maxUnsent {
			e.failing = append(e.failing, i)
			return
		}
		s.unsent = append(s.unsent, data...)
		return
	}
	rest := e.send(s, data)
	if len(rest) > 0 {
		s.unsent = append([]byte(nil), rest...)
		e.want(i, syscall.EPOLLIN|syscall.EPOLLOUT)
	}
}

// send writes what there is room for and returns the rest. After an error there is
// none: reading gives the same error.
func (e *epoll) send(s *socket, data []byte) (rest []byte) {
	for len(data) > 0 {
		n, err := syscall.Write(int(s.fd), data)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return data
		case err != nil:
			return nil
		default:
			data = data[n:]
		}
	}
	return nil
}

func (e *epoll) want(i int, events uint32) {
	event := syscall.EpollEvent{Events: events, Fd: int32(i)}
	syscall.EpollCtl(e.fd, syscall.EPOLL_CTL_MOD, int(e.all[i].fd), &event) // can only fail for want of memory
}

func (e *epoll) close(i int) {
	if s := &e.all[i]; s.fd != 0 {
		syscall.Close(int(s.fd)) // which takes it out of epoll
		*s = socket{}
	}
}

func (e *epoll) cut(i int) {
	if s := &e.all[i]; s.fd != 0 {
		syscall.SetsockoptLinger(int(s.fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}) // else close says goodbye, which ends it, too
		e.close(i)
	}
}

func (e *epoll) release() {
	for i := range e.all {
		e.close(i)
	}
	syscall.Close(e.fd)
}

func (e *epoll) wait(d time.Duration) error {
	for _, i := range e.failing {
		e.fail(i, errUnsent)
	}
	e.failing = e.failing[:0]
	n, err := syscall.EpollWait(e.fd, e.events, 0)
	if n == 0 && d > 0 {
		e.sleep(d)
		n, err = syscall.EpollWait(e.fd, e.events, 0)
	}
	if err == syscall.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	for _, event := range e.events[:n] {
		i := int(event.Fd)
		if event.Events&syscall.EPOLLOUT != 0 {
			e.writable(i)
		}
		if event.Events&^syscall.EPOLLOUT != 0 {
			e.read(i)
		}
	}
	return nil
}

// sleep waits until something has happened. The timeouts of epoll_wait have
// milliseconds, which is too coarse for a message that is due; those of select have
// microseconds, and to select an epoll is a file like any other.
func (e *epoll) sleep(d time.Duration) {
	var set syscall.FdSet
	width := int(unsafe.Sizeof(set.Bits[0])) * 8
	if e.fd >= width*len(set.Bits) {
		time.Sleep(min(d, time.Millisecond)) // somebody opened 1,000 files before us
		return
	}
	set.Bits[e.fd/width] |= 1 << (e.fd % width)
	timeout := syscall.NsecToTimeval(max(d, time.Microsecond).Nanoseconds())
	syscall.Select(e.fd+1, &set, nil, nil, &timeout) // whatever its error, there is nothing else to do
}

func (e *epoll) writable(i int) {
	s := &e.all[i]
	if s.fd == 0 {
		return
	}
	if s.connecting {
		s.connecting = false
		if code, err := syscall.GetsockoptInt(int(s.fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil || code != 0 {
			e.fail(i, os.NewSyscallError("connect", syscall.Errno(code)))
			return
		}
		e.want(i, syscall.EPOLLIN)
		e.on.opened(i)
		return
	}
	s.unsent = e.send(s, s.unsent)
	if len(s.unsent) == 0 {
		s.unsent = nil
		e.want(i, syscall.EPOLLIN)
	}
}

func (e *epoll) read(i int) {
	s := &e.all[i]
	if s.fd == 0 {
		return
	}
	n, err := syscall.Read(int(s.fd), e.buffer)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
	case err != nil:
		e.fail(i, os.NewSyscallError("read", err))
	case n == 0:
		e.fail(i, errClosedByServer)
	default:
		e.on.received(i, e.buffer[:n])
	}
}

func (e *epoll) fail(i int, err error) {
	if e.all[i].fd != 0 {
		e.close(i)
		e.on.closed(i, err)
	}
}
