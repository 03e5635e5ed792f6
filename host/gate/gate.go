package gate

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Options configure a [Gate].
type Options struct {
	// Room returns how many visitors there may be now: in all, and from one address. It
	// must be quick and use no method of the gate. Required.
	Room func(address netip.Addr) (all, own int)

	// Address returns the key by which a visitor is counted; the zero Addr is not
	// counted. Default: none is counted.
	Address func(peer net.Addr) netip.Addr

	// Silent refuses without an answer: the protocol is not plain HTTP.
	Silent bool

	// Patience is how long a body may take before it has to come at Rate bytes a
	// second, and Most how long it may take in all. Defaults: 10 s, 16 KiB, 5 min.
	Patience time.Duration
	Rate     int
	Most     time.Duration

	// Refused is called for visitors that were refused or closed, with one of the causes
	// below. It is called from any goroutine and must not block. Default: none.
	Refused func(peer net.Addr, cause string)

	// Failed is called for errors of accept that are temporary, likewise.
	Failed func(err error)
}

// Why visitors are refused.
const (
	Full        = "max_connections" // there are too many in all
	AddressFull = "max_per_address" // or from that address
	Slow        = "slow"            // closed to make room: nobody kept the server waiting for longer
)

// Gate has the visitors of a server. Its methods may be called from any goroutine.
type Gate struct {
	options Options

	mu        sync.Mutex
	visitors  int
	waiting   list.List               // of *visitor, who has waited for longest first
	addresses map[netip.Addr]*address // that visitors come from

	leaving  sync.WaitGroup // those refused, while they get their answer
	refusing chan struct{}  // has an entry for each
}

// address has the visitors of one address.
type address struct {
	visitors int
	waiting  list.List
}

// atOnce is how many get an answer at the same time when they are refused. Others are
// closed without one.
const (
	atOnce    = 16
	lingering = 500 * time.Millisecond // for how long the answer is there to be read
)

// New returns a gate without listeners.
func New(o Options) *Gate {
	o.Patience = cmp.Or(o.Patience, 10*time.Second)
	o.Rate = cmp.Or(o.Rate, 16<<10)
	o.Most = cmp.Or(o.Most, 5*time.Minute)
	if o.Address == nil {
		o.Address = func(net.Addr) netip.Addr { return netip.Addr{} }
	}
	if o.Refused == nil {
		o.Refused = func(net.Addr, string) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return &Gate{options: o, addresses: map[netip.Addr]*address{}, refusing: make(chan struct{}, atOnce)}
}

// Len returns how many visitors there are.
func (g *Gate) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.visitors
}

// CloseWaiting closes the visitors that keep the server waiting, and says how many they were.
func (g *Gate) CloseWaiting() (n int) {
	for g.makeRoom("") {
		n++
	}
	return n
}

// Wait returns when all refused visitors are gone, which takes half a second at the most.
// The listeners must be closed.
func (g *Gate) Wait() { g.leaving.Wait() }

// Listen returns a listener of visitors. Close closes l.
func (g *Gate) Listen(l net.Listener) net.Listener { return &listener{l, g} }

type listener struct {
	net.Listener
	gate *Gate
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if passing, ok := errors.AsType[net.Error](err); ok && passing.Temporary() { //nolint:staticcheck // as net/http does, which tries again
				l.gate.makeRoom(Slow) // there may be no file descriptor left
				l.gate.options.Failed(err)
			}
			return nil, err
		}
		v, cause := l.gate.enter(c)
		if v != nil {
			return v, nil
		}
		l.gate.options.Refused(c.RemoteAddr(), cause)
		l.gate.turnAway(c, cause)
	}
}

// enter makes a connection a visitor, or says why not.
func (g *Gate) enter(c net.Conn) (*visitor, string) {
	v := &visitor{Conn: c, gate: g, address: g.options.Address(c.RemoteAddr())}
	slow, cause := g.admit(v)
	for _, other := range slow {
		g.options.Refused(other.RemoteAddr(), Slow)
		other.Conn.Close()
	}
	if cause != "" {
		return nil, cause
	}
	return v, ""
}

// admit lets a visitor in, and returns the visitors that have to be closed to make room.
func (g *Gate) admit(v *visitor) (slow []*visitor, refused string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all, own := g.options.Room(v.address)
	a := g.addresses[v.address]
	if a != nil && a.visitors >= own {
		other := longest(&a.waiting)
		if other == nil {
			return nil, AddressFull
		}
		slow = append(slow, other)
	}
	if g.visitors >= all {
		other := longest(&g.waiting)
		if other == nil {
			return slow, Full
		}
		slow = append(slow, other)
	}
	g.visitors++
	if v.address.IsValid() {
		if a = g.addresses[v.address]; a == nil { // also if the last of them has just been taken out
			a = &address{}
			g.addresses[v.address] = a
		}
		a.visitors++
		v.own = a
	}
	v.await()
	return slow, ""
}

// longest takes out the first of a list, or returns nil. Callers hold mu.
func longest(of *list.List) *visitor {
	first := of.Front()
	if first == nil {
		return nil
	}
	v := first.Value.(*visitor)
	v.leave()
	return v
}

// makeRoom closes the visitor that has waited for the longest, if any waits, and reports
// it with a cause.
func (g *Gate) makeRoom(cause string) bool {
	g.mu.Lock()
	v := longest(&g.waiting)
	g.mu.Unlock()
	if v == nil {
		return false
	}
	if cause != "" {
		g.options.Refused(v.RemoteAddr(), cause)
	}
	v.Conn.Close()
	return true
}

// turnAway answers a connection that is refused, and ends it.
func (g *Gate) turnAway(c net.Conn, cause string) {
	if g.options.Silent {
		c.Close()
		return
	}
	select {
	case g.refusing <- struct{}{}:
	default:
		c.Close()
		return
	}
	g.leaving.Go(func() {
		defer func() { <-g.refusing }()
		defer c.Close()
		status := http.StatusServiceUnavailable
		if cause == AddressFull {
			status = http.StatusTooManyRequests
		}
		_ = c.SetDeadline(time.Now().Add(lingering))
		_, err := fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status, http.StatusText(status))
		half, ok := c.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			return
		}
		// Closed with bytes unread, the connection would be reset, and the answer lost.
		_, _ = io.CopyN(io.Discard, c, 64<<10)
	})
}

// key is the key of a visitor in the context of its requests.
type key struct{}

// ConnContext is for [http.Server].
func (g *Gate) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if v := find(c); v != nil {
		return context.WithValue(ctx, key{}, v)
	}
	return ctx
}

// find returns the visitor below a connection, or nil.
func find(c net.Conn) *visitor {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	v, _ := c.(*visitor)
	return v
}

// Below returns the accepted connection below any wrappers.
func Below(c net.Conn) net.Conn {
	if v := find(c); v != nil {
		return v.Conn
	}
	return c
}

// Take takes a connection away from the gate that was hijacked from HTTP, and returns it
// without the gate's wrapper. It is no visitor any more.
func Take(c net.Conn) net.Conn {
	v := find(c)
	if v == nil {
		return c
	}
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.leave()
	if v == c {
		return v.Conn
	}
	return c // TLS is above it
}
