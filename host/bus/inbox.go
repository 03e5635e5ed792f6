package bus

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// Message is what was published. Data is shared by all who got it here: read only.
type Message struct {
	Subject string
	Data    []byte
}

// Inbox collects the messages of any number of subjects, in one bounded queue: those of one
// node in order. A subject costs about 1 KB, and no goroutine.
type Inbox struct {
	mesh   *Mesh
	queue  chan *nats.Msg
	lost   chan struct{} // has an entry if messages were lost that nobody was told of
	ended  chan struct{}
	ending sync.Once

	mu       sync.Mutex
	subjects map[string]*nats.Subscription
	closed   bool
}

// Inbox returns one in which up to limit messages may wait, of up to [MaxData] bytes each. Close ends it.
func (m *Mesh) Inbox(limit int) *Inbox {
	return &Inbox{mesh: m, queue: make(chan *nats.Msg, max(limit, 1)), lost: make(chan struct{}, 1), ended: make(chan struct{}),
		subjects: map[string]*nats.Subscription{}}
}

// Subscribe adds a subject: tokens with dots between, of which one may be "*", any one, and the last ">", any
// that follow. All that this mesh publishes from its return on comes, and that of another node as soon as it has heard of the
// subject. It may be said again.
func (i *Inbox) Subscribe(ctx context.Context, subject string) error {
	if err := checkPattern(subject); err != nil {
		return err
	}
	ctx, done, err := i.mesh.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := i.add(subject); err != nil {
		return err
	}
	if err := i.mesh.conn.FlushWithContext(ctx); err != nil {
		i.Unsubscribe(subject)
		return because(ErrDown, err)
	}
	return nil
}

func (i *Inbox) add(subject string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return ErrClosed
	}
	if i.subjects[subject] != nil {
		return nil
	}
	s, err := i.mesh.conn.ChanSubscribe(i.mesh.messages(subject), i.queue)
	if err != nil {
		return because(ErrDown, err)
	}
	i.subjects[subject] = s
	i.mesh.mu.Lock()
	i.mesh.inboxes[s] = i
	i.mesh.mu.Unlock()
	return nil
}

// Unsubscribe takes a subject away. What is in the queue comes all the same.
func (i *Inbox) Unsubscribe(subject string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s := i.subjects[subject]; s != nil {
		delete(i.subjects, subject)
		i.forget(s)
	}
}

func (i *Inbox) forget(s *nats.Subscription) {
	i.mesh.mu.Lock()
	delete(i.mesh.inboxes, s)
	i.mesh.mu.Unlock()
	_ = s.Unsubscribe() // of a connection that is closed, perhaps
}

// Next returns the next message, or waits for one. [ErrLost] says once that some were lost since it was last said: the queue was
// full, or the connection was away; those that still wait may be from before or after. Then it goes on.
func (i *Inbox) Next(ctx context.Context) (Message, error) {
	select {
	case <-i.lost:
		return Message{}, ErrLost
	default:
	}
	for {
		select {
		case m := <-i.queue:
			if i.mesh.muted.Load() {
				continue
			}
			i.mesh.counts.received.Add(1)
			return Message{m.Subject[len(i.mesh.root)+len("m."):], m.Data}, nil
		case <-i.lost:
			return Message{}, ErrLost
		case <-i.ended:
			return Message{}, ErrClosed
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Close ends the inbox, and all waits for messages.
func (i *Inbox) Close() {
	i.mu.Lock()
	i.closed = true
	for subject, s := range i.subjects {
		delete(i.subjects, subject)
		i.forget(s)
	}
	i.mu.Unlock()
	i.shut()
}

func (i *Inbox) shut() { i.ending.Do(func() { close(i.ended) }) }

func (i *Inbox) tellLost() {
	i.mesh.counts.losses.Add(1)
	select {
	case i.lost <- struct{}{}:
	default:
	}
}

// lostAll tells all inboxes that messages may have been lost.
func (m *Mesh) lostAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := map[*Inbox]bool{}
	for _, i := range m.inboxes {
		if !told[i] {
			told[i] = true
			i.tellLost()
		}
	}
}

// failed takes errors of the connection that no call returns.
func (m *Mesh) failed(s *nats.Subscription, err error) {
	if s == nil || !errors.Is(err, nats.ErrSlowConsumer) {
		m.log.Debug("mesh connection", "cause", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.inboxes[s]; i != nil {
		i.tellLost()
	}
}
