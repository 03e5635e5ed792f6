package supervisor

import (
	"errors"
	"sync"
)

// Errors of a send.
var (
	ErrFull  = errors.New("mailbox full")
	ErrEnded = errors.New("process has ended")
)

// defaultLimit is how many messages may wait in a mailbox.
const defaultLimit = 1000

// Mailbox is a bounded queue of messages with at most one process that empties
// it, its owner. It may outlive its owner: messages sent meanwhile wait for the
// next one. Its methods may be called from any goroutine and never block.
type Mailbox struct {
	mu        sync.Mutex
	limit     int
	queue     fifo[any]
	owner     *Process // nil between owners
	next      *Process // waits until the code of owner, which was killed, returns
	scheduled bool     // owner is in the run queue or runs
	closed    bool
}

// NewMailbox returns a mailbox for at most limit waiting messages (default
// 1,000).
func NewMailbox(limit int) *Mailbox {
	if limit <= 0 {
		limit = defaultLimit
	}
	return &Mailbox{limit: limit}
}

// Send appends a message and wakes the owner. It fails with [ErrFull] if limit
// messages wait, and with [ErrEnded] after Close.
func (m *Mailbox) Send(msg any) error {
	m.mu.Lock()
	if !m.closed && m.queue.len() >= m.limit {
		m.mu.Unlock()
		return ErrFull
	}
	return m.appendAndUnlock(msg)
}

// Post is Send without the bound, for messages whose number is bounded by
// something else: one for each child that ends, one for each deploy.
func (m *Mailbox) Post(msg any) error {
	m.mu.Lock()
	return m.appendAndUnlock(msg)
}

func (m *Mailbox) appendAndUnlock(msg any) error {
	if m.closed {
		m.mu.Unlock()
		return ErrEnded
	}
	m.queue.push(msg)
	m.wakeAndUnlock()
	return nil
}

// wakeAndUnlock puts the owner into the run queue unless it is there.
func (m *Mailbox) wakeAndUnlock() {
	owner := m.owner
	wake := owner != nil && !m.scheduled
	if wake {
		m.scheduled = true
	}
	m.mu.Unlock()
	if wake {
		owner.rt.schedule(owner)
	}
}

// Len is the number of waiting messages.
func (m *Mailbox) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue.len()
}

// Close drops the waiting messages and refuses further ones. It returns what was
// dropped, oldest first, so that whoever owes somebody an answer can give it.
func (m *Mailbox) Close() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	dropped := make([]any, 0, m.queue.len())
	for m.queue.len() > 0 {
		dropped = append(dropped, m.queue.pop())
	}
	m.queue = fifo[any]{}
	return dropped
}

// adopt makes p the owner. If the one before was killed and its code still
// runs, p waits for that, so that two lives never share a mailbox.
func (m *Mailbox) adopt(p *Process) {
	m.mu.Lock()
	switch {
	case m.owner == nil:
		m.owner = p
		m.wakeAndUnlock()
	case m.owner.phase == ended && m.next == nil:
		m.next = p
		m.mu.Unlock()
	default:
		m.mu.Unlock()
		panic("supervisor: a process was spawned with the mailbox of a live one")
	}
}

// release gives the mailbox to the next owner, if there is one. Callers hold mu
// and then wake it.
func (m *Mailbox) release() {
	m.owner, m.next, m.scheduled = m.next, nil, false
}

// keptRing is the largest ring, in elements, that an empty queue keeps.
const keptRing = 16

// fifo is a queue in a ring that grows by doubling and is freed when empty and
// large, so that a burst leaves nothing behind.
type fifo[T any] struct {
	ring []T // length is a power of two, or zero
	head int
	n    int
}

func (f *fifo[T]) len() int { return f.n }

func (f *fifo[T]) push(v T) {
	if f.n == len(f.ring) {
		grown := make([]T, max(4, 2*f.n))
		for i := range f.n {
			grown[i] = f.ring[(f.head+i)&(len(f.ring)-1)]
		}
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.n)&(len(f.ring)-1)] = v
	f.n++
}

// pop removes the oldest element; there must be one.
func (f *fifo[T]) pop() T {
	var zero T
	v := f.ring[f.head]
	f.ring[f.head] = zero
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	if f.n == 0 && len(f.ring) > keptRing {
		f.ring, f.head = nil, 0
	}
	return v
}
