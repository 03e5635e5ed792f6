//go:build !linux

package bench

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// dialer is [sockets] from what Go has everywhere: a goroutine and a buffer for each
// connection. It tells the same, but is not light.
type dialer struct {
	servers []netip.AddrPort
	on      socketEvents
	conns   []net.Conn // nil: not open
	events  chan event
	ended   chan struct{} // closed by release
	all     sync.WaitGroup
}

type event struct {
	i      int
	of     net.Conn // whose event it is; nil: it never opened
	opened bool
	data   []byte // received
	err    error  // closed
}

func newSockets(servers []netip.AddrPort, n int, on socketEvents) (sockets, error) {
	return &dialer{
		servers: servers, on: on, conns: make([]net.Conn, n),
		events: make(chan event, 1024), ended: make(chan struct{}),
	}, nil
}

func (d *dialer) dial(i int) error {
	d.all.Go(func() {
		conn, err := net.DialTimeout("tcp", d.servers[i%len(d.servers)].String(), 10*time.Second)
		if err != nil {
			d.tell(event{i: i, err: err})
			return
		}
		if !d.tell(event{i: i, of: conn, opened: true}) {
			conn.Close()
			return
		}
		for {
			buffer := make([]byte, 4<<10)
			n, err := conn.Read(buffer)
			if n > 0 && !d.tell(event{i: i, of: conn, data: buffer[:n]}) {
				return
			}
			if errors.Is(err, io.EOF) {
				err = errClosedByServer
			}
			if err != nil {
				d.tell(event{i: i, of: conn, err: err})
				return
			}
		}
	})
	return nil
}

// tell reports whether somebody still listens.
func (d *dialer) tell(e event) bool {
	select {
	case d.events <- e:
		return true
	case <-d.ended:
		return false
	}
}

func (d *dialer) write(i int, data []byte) {
	if conn := d.conns[i]; conn != nil {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write(data); err != nil {
			conn.Close() // which its reader tells
		}
	}
}

func (d *dialer) close(i int) {
	if d.conns[i] != nil {
		d.conns[i].Close()
		d.conns[i] = nil
	}
}

func (d *dialer) cut(i int) {
	if conn, ok := d.conns[i].(*net.TCPConn); ok {
		conn.SetLinger(0)
	}
	d.close(i)
}

func (d *dialer) wait(atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case e := <-d.events:
		d.pass(e)
	case <-timer.C:
	}
	for range 1024 { // what has happened meanwhile
		select {
		case e := <-d.events:
			d.pass(e)
		default:
			return nil
		}
	}
	return nil
}

func (d *dialer) pass(e event) {
	switch {
	case e.opened:
		d.conns[e.i] = e.of
		d.on.opened(e.i)
	case d.conns[e.i] != e.of: // closed by us meanwhile
	case e.err != nil:
		d.close(e.i)
		d.on.closed(e.i, e.err)
	default:
		d.on.received(e.i, e.data)
	}
}

func (d *dialer) release() {
	close(d.ended)
	for i := range d.conns {
		d.close(i)
	}
	for {
		select {
		case e := <-d.events:
			if e.opened {
				e.of.Close()
			}
		default:
			d.all.Wait()
			return
		}
	}
}
