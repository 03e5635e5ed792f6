package supervisor

import (
	"cmp"
	"errors"
	"math"
	"sync"
)

// Errors of a send.
var (
	ErrFull  = errors.New("mailbox full")
	ErrEnded = errors.New("process has ended")
)

// defaultLimit is how many messages may wait in a mailbox.
const defaultLimit uint32 = 1000

// Mailbox is a bounded queue of messages with at most one process that empties
// it, its owner. It may outlive its owner: messages sent meanwhile wait for the
// next one. Its methods may be called from any goroutine and never block. The zero value
// is ready for use; it must not be copied then.
type Mailbox struct {
	mu        sync.Mutex
	limit     uint32 // 0 stands for defaultLimit
	scheduled bool   // owner is in the run queue or runs
	closed    bool
	queue     fifo[any] // of messages, and of *signal
	owner     *Process  // nil between owners
	next      *Process  // waits until the code of owner, which was killed, returns
}

// Dropper is a message that is told if no process will handle it, because it waited in a
// mailbox that ended with its process, or was sent by a timer of one. Then a sender who
// waits for an answer can be told. Dropped is called once, from any goroutine, and must
// not block. It is not called by [Mailbox.Close], which returns the messages, nor if a
// send fails.
type Dropper interface{ Dropped() }

// dropAll tells those messages of a queue that want to know.
func dropAll(queue fifo[any]) {
	for queue.len() > 0 {
		drop(queue.pop())
	}
}

func drop(msg any) {
	if s, ok := msg.(*signal); ok {
		msg = s.msg
	}
	if d, ok := msg.(Dropper); ok {
		d.Dropped()
	}
}

// signal is a message to one life and no other: news of an end, or the message of a
// timer. In a mailbox that outlives the process they are dropped with the life, as with a
// mailbox that ends with it.
type signal struct {
	to  *Process
	msg any
}

// NewMailbox returns a mailbox for at most limit waiting messages (default
// 1,000).
func NewMailbox(limit int) *Mailbox {
	m := &Mailbox{}
	m.Bound(limit)
	return m
}

// Bound sets how many messages may wait (default 1,000), before the mailbox is used.
func (m *Mailbox) Bound(limit int) { m.limit = uint32(min(max(limit, 0), math.MaxInt32)) }

// Send appends a message and wakes the owner. It fails with [ErrFull] if limit
// messages wait, and with [ErrEnded] after Close.
func (m *Mailbox) Send(msg any) error {
	m.mu.Lock()
	return m.appendAndUnlock(msg, m.bound())
}

// Post is Send without the bound, for messages whose number is bounded by
// something else: one for each child that ends, one for each deploy.
func (m *Mailbox) Post(msg any) error {
	m.mu.Lock()
	return m.appendAndUnlock(msg, noLimit)
}

func (m *Mailbox) bound() int { return int(cmp.Or(m.limit, defaultLimit)) }

// noLimit lets a message go past the mailbox's bound.
const noLimit = math.MaxInt32

func (m *Mailbox) appendAndUnlock(msg any, limit int) error {
	switch {
	case m.closed:
		m.mu.Unlock()
		return ErrEnded
	case m.queue.len() >= limit:
		m.mu.Unlock()
		return ErrFull
	}
	m.queue.push(msg)
	m.wakeAndUnlock()
	return nil
}

// deliver appends a message that is for this life of the process only.
func (p *Process) deliver(msg any, limit int) error {
	p.box.mu.Lock()
	if p.phase >= ended {
		p.box.mu.Unlock()
		return ErrEnded
	}
	return p.box.appendAndUnlock(&signal{p, msg}, limit)
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
		owner.group.rt.schedule(owner)
	}
}

// Rest gives back the memory that an empty mailbox keeps for its next messages. It is for an owner that expects none for long.
func (m *Mailbox) Rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queue.len() == 0 {
		m.queue = fifo[any]{}
	}
}

// Len is the number of waiting messages.
func (m *Mailbox) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue.len()
}

// Close drops the waiting messages and refuses further ones. It returns the dropped
// messages, oldest first, so that the caller can answer their senders. News of ended
// processes and messages of timers are not among them.
func (m *Mailbox) Close() []any {
	m.mu.Lock()
	queue := m.queue
	m.closed, m.queue = true, fifo[any]{}
	m.mu.Unlock()
	dropped := make([]any, 0, queue.len())
	for queue.len() > 0 {
		switch msg := queue.pop().(type) {
		case *signal:
			drop(msg)
		default:
			dropped = append(dropped, msg)
		}
	}
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
	case m.owner.phase >= ended && m.next == nil:
		m.next = p
		m.mu.Unlock()
	default:
		m.mu.Unlock()
		panic("supervisor: a process was spawned with the mailbox of a live one")
	}
}

// adoptAfter is adopt, but p also waits for the code of before, which has
// ended with another mailbox.
func (m *Mailbox) adoptAfter(p, before *Process) {
	b := before.box
	b.mu.Lock()
	if before.running {
		b.next = p
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	m.adopt(p)
}

// releaseAndUnlock ends the ownership of a process whose code has returned. The next
// owner, if one waits, begins.
func (m *Mailbox) releaseAndUnlock() {
	next := m.next
	m.owner, m.next, m.scheduled = nil, nil, false
	if next != nil && next.box == m {
		m.owner = next
	}
	m.wakeAndUnlock()
	if next != nil && next.box != m {
		next.box.mu.Lock()
		if next.phase < ended { // it may have been stopped meanwhile
			next.box.owner = next
		}
		next.box.wakeAndUnlock()
	}
}
