package channels

import "sync"

// Disconnect calls [SocketOptions].Disconnect of all sockets with an id, and returns how
// many there were on this node. Handlers that linger for one end as well. It does not wait for their end. It may be called from any goroutine and
// with a handler's lock held.
func (e *Endpoint) Disconnect(id string) int {
	if e.elsewhere != nil {
		e.elsewhere(id)
	}
	return e.DisconnectHere(id)
}

// OnDisconnect has f called when sockets with an id are to be disconnected, so that those of other nodes are as well. It must not
// block, and is to be set before the first socket.
func (e *Endpoint) OnDisconnect(f func(id string)) { e.elsewhere = f }

// DisconnectHere is [Endpoint.Disconnect] on this node alone.
func (e *Endpoint) DisconnectHere(id string) int {
	sockets := e.sockets.find(id)
	for _, s := range sockets {
		s.refused.Store(true)
		if s.disconnect != nil {
			s.disconnect()
		}
	}
	e.lingers.expel(id)
	return len(sockets)
}

// socketsByID finds sockets by their IDs. Those with the same one are linked.
type socketsByID struct {
	mu    sync.Mutex // taken after a Socket's
	first map[string]*namedSocket
}

// namedSocket is a socket with an ID.
type namedSocket struct {
	socket     *Socket
	id         string
	next, prev *namedSocket // with the same ID; guarded by socketsByID
}

func (b *socketsByID) add(s *Socket, id string) {
	if id == "" {
		return
	}
	n := &namedSocket{socket: s, id: id}
	s.named = n
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		b.first = map[string]*namedSocket{}
	}
	if n.next = b.first[id]; n.next != nil {
		n.next.prev = n
	}
	b.first[id] = n
}

func (b *socketsByID) remove(s *Socket) {
	n := s.named
	if n == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case n.prev != nil:
		n.prev.next = n.next
	case n.next != nil:
		b.first[n.id] = n.next
	default:
		delete(b.first, n.id)
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.next, n.prev = nil, nil
}

func (b *socketsByID) find(id string) (sockets []*Socket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := b.first[id]; n != nil; n = n.next {
		sockets = append(sockets, n.socket)
	}
	return sockets
}
