package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
)

// connSet holds all connections, those about to connect included, and bounds them.
type connSet struct {
	limit      int // connections in all
	perAddress int // and from one address
	spare      int // visitors besides, when the limits are reached

	mu        sync.Mutex
	all       map[*conn]struct{}
	addresses map[netip.Addr]int // how many of them come from an address
	closed    bool               // no more are taken
	empty     chan struct{}      // closed when closed and the last one is gone
}

var (
	errDraining    = errors.New("rtd is about to stop")
	errFull        = errors.New("too many connections; see max_connections in config.toml")
	errAddressFull = errors.New("too many connections from this address; see max_per_address in config.toml")
)

func newConnSet(limit, perAddress int) *connSet {
	return &connSet{
		limit: limit, perAddress: perAddress, spare: spareInAll,
		all: map[*conn]struct{}{}, addresses: map[netip.Addr]int{}, empty: make(chan struct{}),
	}
}

// add takes a connection in, unless there are too many or close was called. The
// error says with which status it is refused.
func (cs *connSet) add(c *conn) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case cs.closed:
		return refuse(http.StatusServiceUnavailable, "draining", errDraining)
	case len(cs.all) >= cs.limit:
		return refuse(http.StatusServiceUnavailable, "max_connections", errFull)
	case cs.addresses[c.address()] >= cs.perAddress:
		return refuse(http.StatusTooManyRequests, "max_per_address", errAddressFull)
	}
	cs.all[c] = struct{}{}
	cs.addresses[c.address()]++
	return nil
}

func (cs *connSet) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.all, c)
	address := c.address()
	if cs.addresses[address]--; cs.addresses[address] == 0 {
		delete(cs.addresses, address)
	}
	if cs.closed && len(cs.all) == 0 {
		close(cs.empty)
	}
}

func (cs *connSet) len() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.all)
}

// A server that is full has still room for a few who ask why, or how it is: in all, and
// from an address that has its share.
const (
	spareInAll = 64
	spareOfOne = 8
)

// room returns how many visitors there may be besides the connections: in all, and from
// one address. A [gate.Gate] asks for it.
func (cs *connSet) room(address netip.Addr) (all, own int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return max(cs.limit-len(cs.all), min(cs.spare, spareInAll)), max(cs.perAddress-cs.addresses[address], min(cs.spare, spareOfOne))
}

// fit lowers the limits to what so many file descriptors allow: besides those of
// connections there are files, plugins' builds and the admin socket, fewer than a
// hundred in all. One address, which may be that of a proxy, leaves some to others.
func (cs *connSet) fit(descriptors int) {
	own := min(max(descriptors/64, 64), 1024, descriptors/2)
	cs.spare = min(spareInAll, (descriptors-own)/4)
	if most := max(descriptors-own-cs.spare, 1); cs.limit > most {
		cs.limit = most
		cs.perAddress = min(cs.perAddress, max(most-cs.spare, 1))
	}
}

// each calls f, which must not block, for every connection.
func (cs *connSet) each(f func(*conn)) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.all {
		f(c)
	}
}

// close takes no more connections and returns those there are. It is called once.
func (cs *connSet) close() []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	if len(cs.all) == 0 {
		close(cs.empty)
	}
	all := make([]*conn, 0, len(cs.all))
	for c := range cs.all {
		all = append(all, c)
	}
	return all
}

// wait returns when all connections are gone, or with ctx.
func (cs *connSet) wait(ctx context.Context) {
	select {
	case <-cs.empty:
	case <-ctx.Done():
	}
}

// kill cuts the connections that are left, and waits for their end.
func (cs *connSet) kill() {
	cs.each((*conn).cut)
	<-cs.empty
}
