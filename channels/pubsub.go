package channels

import (
	"fmt"
	"sync"

	"rtd/sandbox/abi"
)

// Publish broadcasts to a topic: to its members, as a handler's broadcast does,
// and to those who listen. A payload is a JSON object, empty for {}, or binary. An
// error says what is wrong with it, or with a name; then nothing is sent. Publish may
// be called from any goroutine and with a handler's lock held; the payload
// is the caller's again when it returns.
func (e *Endpoint) Publish(topic, event string, payload []byte, binary bool) error {
	effect := abi.Effect{Kind: abi.EffectPublish, Flags: binaryFlag(binary), Name: event, Payload: payload, Detail: topic}
	if err := CheckEffect(&effect, ""); err != nil {
		return fmt.Errorf("publish %.100q to %.100q: %w", event, topic, err)
	}
	e.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: topic, Name: event, Payload: payload, Binary: binary}
	_ = e.Hub.Broadcast(&o, nil) // it counts members whose codec cannot write it
	return nil
}

// Listen has f called for each broadcast of a topic, by whomever and whether or
// not the topic has members, until cancel is called; when that returns, f is not
// called any more. It is called by the broadcaster, with locks held: it must not
// block, nor call back into this package. Listen and cancel may be called from
// any goroutine and with a handler's lock held, cancel also again.
func (e *Endpoint) Listen(topic string, f func(Broadcasted)) (cancel func()) {
	return e.Hub.listen(topic, f)
}

// Disconnect has all sockets with an id closed, by their Disconnect, and returns
// how many there were. It does not wait for them. It may be called from any
// goroutine and with a handler's lock held.
func (e *Endpoint) Disconnect(id string) int {
	sockets := e.names.find(id)
	for _, s := range sockets {
		if s.options.Disconnect != nil {
			s.options.Disconnect()
		}
	}
	return len(sockets)
}

// names finds sockets by their IDs. Those with the same one are linked.
type names struct {
	mu    sync.Mutex // taken after a Socket's
	first map[string]*Socket
}

func (n *names) add(s *Socket) {
	if s.options.ID == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first == nil {
		n.first = map[string]*Socket{}
	}
	if s.next = n.first[s.options.ID]; s.next != nil {
		s.next.prev = s
	}
	n.first[s.options.ID] = s
}

func (n *names) remove(s *Socket) {
	if s.options.ID == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case s.prev != nil:
		s.prev.next = s.next
	case s.next != nil:
		n.first[s.options.ID] = s.next
	default:
		delete(n.first, s.options.ID)
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
}

func (n *names) find(id string) (sockets []*Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := n.first[id]; s != nil; s = s.next {
		sockets = append(sockets, s)
	}
	return sockets
}
