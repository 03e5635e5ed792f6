package gate

import (
	"container/list"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// visitor is a connection at the gate.
type visitor struct {
	net.Conn
	gate    *Gate
	address netip.Addr

	// Guarded by the gate's mu.
	own          *address // those of its address; nil if they are not counted
	ours         int      // requests whose next step is the server's
	inAll, inOwn *list.Element
	gone         atomic.Bool // read without it
}

// await makes it the client's turn. Callers hold the gate's mu.
func (v *visitor) await() {
	v.inAll = v.gate.waiting.PushBack(v)
	if v.own != nil {
		v.inOwn = v.own.waiting.PushBack(v)
	}
}

// unlist takes it from the list of those that wait. Callers hold the gate's mu.
func (v *visitor) unlist() {
	if v.inAll == nil {
		return
	}
	v.gate.waiting.Remove(v.inAll)
	if v.own != nil {
		v.own.waiting.Remove(v.inOwn)
	}
	v.inAll, v.inOwn = nil, nil
}

// leave ends the visit. Callers hold the gate's mu.
func (v *visitor) leave() {
	if v.gone.Swap(true) {
		return
	}
	v.unlist()
	v.gate.visitors--
	if v.own == nil {
		return
	}
	if v.own.visitors--; v.own.visitors == 0 {
		delete(v.gate.addresses, v.address)
	}
}

// begin makes it the server's turn, with one request.
func (v *visitor) begin() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	if v.ours++; v.ours == 1 {
		v.unlist()
	}
}

// end is called when that request has been answered.
func (v *visitor) end() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	if v.ours--; v.ours == 0 && !v.gone.Load() {
		v.await()
	}
}

// Write implements [net.Conn]. A client that takes nothing must not hold up a handler
// for ever.
func (v *visitor) Write(b []byte) (int, error) {
	if !v.gone.Load() {
		_ = v.Conn.SetWriteDeadline(time.Now().Add(3 * v.gate.options.Patience))
	}
	return v.Conn.Write(b)
}

// CloseWrite is called by net/http, so that the last bytes written arrive.
func (v *visitor) CloseWrite() error {
	if half, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements [net.Conn].
func (v *visitor) Close() error {
	v.gate.mu.Lock()
	v.leave()
	v.gate.mu.Unlock()
	return v.Conn.Close()
}
