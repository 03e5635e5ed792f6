package channels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels/history"
)

// The history of a topic can be stored as well, by an [Archive], so that it outlives the server. Its broadcasts are stored before anybody gets them:
//
//	Prepare ──► archive ──► stored: it has an offset ──► queue of the topic ──► Release ──► members, in this order; log
//	  │           │                                          ▲
//	  │           └ an error: nobody gets it                 └ one that is not released yet has those behind it wait
//	  └ waits until the archive has told what it has of the topic
//
// Whoever prepares a broadcast releases it when its turn has come: a handler, among its other effects. It is released by the guest's end at the latest.
//
// What is replayed comes from memory as ever. The log of a topic is read from the archive when the topic comes into use, by the one loader, and
// dropped some time after. Members that join before it is there are told where they stand as soon as it is. As the topic's broadcasts
// wait for it, or fail, none of them misses anything.

// Archive stores histories of topics. Its methods may be called from any goroutine; but for Open, Store and Purge, with locks held, and must not
// block.
type Archive interface {
	// Open returns what is stored of a topic, whose messages are of use as long as keep says. It waits until that can be known, or ctx ends.
	Open(ctx context.Context, topic string, keep Keep) (Archived, error)
	// Store stores broadcasts of topics that are open, all or none, and returns then. Said.Stored is called before. The error wraps
	// [ErrSaidTooLarge] if they are too large, whenever they come.
	Store(ctx context.Context, said []*Said) error
	// Purge removes what was said in an open topic before an offset, for good.
	Purge(ctx context.Context, topic string, before uint64) error
	// Trim says that what was said before an offset is of no use any more.
	Trim(topic string, oldest uint64)
	// Close says that a topic is not in use any more.
	Close(topic string)
	// Review says that other topics may have a durable history than before, see [Endpoint.KeepsDurably]. What is stored of one that has none goes on
	// with another epoch, should it have one again: nobody stores what is said there meanwhile.
	Review()
}

// Archived is what an [Archive] has of a topic.
type Archived struct {
	Epoch    string
	Last     uint64        // offset of the newest broadcast there ever was
	Messages []PastMessage // dense, up to Last, the oldest first
}

// Said is a broadcast on its way into an archive. Its exported fields must not be changed.
type Said struct {
	Topic   string
	Event   string
	Payload []byte
	Binary  bool
	At      time.Time

	hub     *Hub
	past    *past
	foreign bool // another node made it

	// Guarded by the lock of the past's queue.
	out      Outgoing
	except   *Subscription
	at       history.Position // once it is stored
	released bool
}

// saidQueue has the broadcasts of a topic that are stored and not delivered.
type saidQueue struct {
	mu   sync.Mutex // after all others
	list []*Said
}

// ErrNoArchive says that a broadcast of a durable history was refused, as it cannot be stored at present: nobody got it.
var ErrNoArchive = errors.New("the topic's history cannot be stored at present")

// ErrSaidTooLarge says that a broadcast is larger than an archive ever stores: nobody got it.
var ErrSaidTooLarge = errors.New("the durable history of the topic does not take it")

// openPatience is how long a broadcast waits for the history of its topic to be read.
const openPatience = 5 * time.Second

// archived is what a past needs that is stored as well.
type archived struct {
	opened  chan struct{} // closed when its log is what the archive has
	missed  chan struct{} // closed when that could not be read for the first time
	failure atomic.Pointer[error]
	ready   bool    // opened is closed; guarded by past.mu
	dropped bool    // it is out of use; guarded by past.mu
	waiting []comer // those that have to be told where they stand; guarded by past.mu
	users   atomic.Int32
	queue   saidQueue

	// The epoch that the archive has. That of positions is another one if there are other nodes; guarded by past.mu.
	epoch string
	lost  atomic.Bool // some of what other nodes said is missing, and members have yet to be told
}

// comer is a member that has to be told where it stands.
type comer struct {
	*member
	again comeback
}

// archives is the part of a hub that knows of its archive.
type archives struct {
	archive Archive     // set before the first socket; nil: there is none
	any     atomic.Bool // there may be durable histories
	refused atomic.Uint64

	mu    sync.Mutex
	loads []load
	wake  chan struct{}

	foreign foreigners
}

// load is a history to be read.
type load struct {
	topic string
	past  *past
}

// Archive has the hub store histories that are to be durable. It is to be called before the first socket.
func (h *Hub) Archive(a Archive) {
	h.archives.archive, h.archives.wake = a, make(chan struct{}, 1)
	h.archives.foreign.wake = make(chan struct{}, 1)
}

// Archives reports whether there may be topics whose history is durable.
func (h *Hub) Archives() bool { return h.archives.any.Load() }

// RunArchive reads what is stored of topics that come into use, and stores what other nodes said, until ctx ends.
func (h *Hub) RunArchive(ctx context.Context) {
	var others sync.WaitGroup
	others.Go(func() { h.runForeign(ctx) })
	defer others.Wait()
	a := &h.archives
	for {
		a.mu.Lock()
		list := a.loads
		a.loads = nil
		a.mu.Unlock()
		if len(list) == 0 {
			select {
			case <-a.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for i, l := range list {
			if err := h.open(ctx, l); err != nil {
				h.failed(ctx, list[i:], err)
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		default:
		}
	}
}

// failed notes that histories could not be read, and has that tried again soon.
func (h *Hub) failed(ctx context.Context, list []load, err error) {
	for _, l := range list {
		if l.past.archived.failure.Swap(&err) == nil {
			close(l.past.archived.missed)
		}
	}
	select {
	case <-time.After(loadAgain):
	case <-ctx.Done():
	}
	a := &h.archives
	a.mu.Lock()
	a.loads = append(a.loads, list...)
	a.mu.Unlock()
}

// loadAgain is how long the loader waits after a failure.
const loadAgain = 250 * time.Millisecond

// open reads one history.
func (h *Hub) open(ctx context.Context, l load) error {
	p := l.past
	p.mu.Lock()
	dropped, keep := p.archived.dropped, p.keep
	p.mu.Unlock()
	if dropped {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	stored, err := h.archives.archive.Open(ctx, l.topic, keep)
	if err != nil {
		return err
	}
	epoch := h.shownEpoch(l.topic, stored.Epoch)
	old := make([]*kept, 0, len(stored.Messages))
	for i := range stored.Messages {
		m := &stored.Messages[i]
		o := Outgoing{Topic: l.topic, Name: m.Event, Payload: m.Payload, Binary: m.Binary}
		old = append(old, h.newKept(&o, m.At, history.Position{Epoch: stored.Epoch, Offset: m.Offset}))
	}
	shard := h.shard(l.topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	p.mu.Lock()
	if p.archived.dropped {
		p.mu.Unlock()
		h.archives.archive.Close(l.topic)
		return nil
	}
	p.log = history.New[*kept](history.Position{Epoch: epoch, Offset: stored.Last - uint64(len(old))})
	p.archived.epoch = stored.Epoch
	for _, k := range old {
		h.append(p, k)
	}
	waiting := p.archived.waiting
	p.archived.waiting, p.archived.ready = nil, true
	p.archived.failure.Store(nil)
	close(p.archived.opened)
	p.mu.Unlock()
	for _, c := range waiting {
		if c.Subscription.place >= 0 {
			h.recover(p, c.member, c.again)
		}
	}
	return nil
}

// newArchived has the history of a topic read.
func (h *Hub) newArchived(topic string, p *past) {
	p.archived = &archived{opened: make(chan struct{}), missed: make(chan struct{})}
	a := &h.archives
	a.mu.Lock()
	a.loads = append(a.loads, load{topic, p})
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// dropArchived ends the use of a history. Callers hold the shard's mu.
func (h *Hub) dropArchived(topic string, p *past) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.archived.dropped = true
	if p.archived.ready {
		h.archives.archive.Close(topic)
	}
}

// AwaitHistory waits until the history of a topic is in memory, if it is a durable one. The error wraps [ErrNoArchive].
func (h *Hub) AwaitHistory(ctx context.Context, topic string) error {
	p, err := h.lasting(topic)
	if p == nil {
		return err
	}
	defer p.archived.users.Add(-1)
	return p.archived.await(ctx)
}

func (a *archived) await(ctx context.Context) error {
	select {
	case <-a.opened:
		return nil
	default:
	}
	select {
	case <-a.opened:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	select {
	case <-a.opened:
		return nil
	case <-a.missed:
		if err := a.failure.Load(); err != nil {
			return fmt.Errorf("%w: %w", ErrNoArchive, *err)
		}
		return nil // it has been read since
	case <-ctx.Done():
		return fmt.Errorf("%w: it is being read: %w", ErrNoArchive, ctx.Err())
	}
}

// lasting returns the history of a topic if it is durable, and keeps it in memory until the caller takes one from its users; nil if it is not.
func (h *Hub) lasting(topic string) (*past, error) {
	if !h.archives.any.Load() {
		return nil, nil
	}
	shard := h.shard(topic)
	shard.mu.RLock()
	a := shard.topics[topic]
	p, known := (*past)(nil), a.crowd != nil && a.crowd.past != nil
	if known && a.crowd.past.archived != nil {
		p = a.crowd.past
		p.archived.users.Add(1)
	}
	shard.mu.RUnlock()
	if known {
		return p, nil
	}
	keeps := h.keeps.Load()
	if keeps == nil {
		return nil, nil
	}
	keep, has := (*keeps)(topic)
	if !has || !keep.Durable {
		return nil, nil
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if a = shard.topics[topic]; a.crowd != nil && a.crowd.past != nil {
		p = a.crowd.past
	} else if p = h.newPast(shard, topic, keep); p == nil {
		h.archives.refused.Add(1)
		return nil, fmt.Errorf("%w: histories have no room for another topic: raise max_history_bytes", ErrNoArchive)
	}
	if p.archived == nil {
		return nil, nil
	}
	p.archived.users.Add(1)
	return p, nil
}

// Prepare makes a broadcast that is to be stored before it is sent, if its topic has a durable history; else it returns nil. The error wraps
// [ErrNoArchive]: it must not be sent. Prepare may wait, and copies the payload. Whoever calls it calls Release or Drop then.
func (h *Hub) Prepare(ctx context.Context, topic, event string, payload []byte, binary bool) (*Said, error) {
	s, err := h.prepare(ctx, topic, event, binary)
	if s != nil {
		s.Payload = bytes.Clone(payload)
	}
	return s, err
}

// prepare is Prepare without the payload.
func (h *Hub) prepare(ctx context.Context, topic, event string, binary bool) (*Said, error) {
	p, err := h.lasting(topic)
	if p == nil {
		return nil, err
	}
	if err := p.archived.await(ctx); err != nil {
		p.archived.users.Add(-1)
		h.archives.refused.Add(1)
		return nil, err
	}
	return &Said{Topic: topic, Event: event, Binary: binary, At: time.Now(), hub: h, past: p}, nil
}

// Stored is called by the archive when a broadcast is stored, in the order of the offsets of its topic. It does not block.
func (s *Said) Stored(epoch string, offset uint64) {
	q := &s.past.archived.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	s.at = history.Position{Epoch: epoch, Offset: offset}
	q.list = append(q.list, s)
	if s.released { // nobody waits for it any more
		go s.hub.drain(s.Topic, s.past)
	}
}

// Release sends a broadcast that is stored, when its turn has come.
func (s *Said) Release() { s.release(&Outgoing{}, nil) }

// release is Release of what goes to all but one, as o says.
func (s *Said) release(o *Outgoing, except *Subscription) {
	q := &s.past.archived.queue
	q.mu.Lock()
	s.out = Outgoing{
		Kind: Broadcast, Topic: s.Topic, Name: s.Event, Payload: s.Payload, Binary: s.Binary, except: o.except, from: o.from,
		foreign: s.foreign,
	}
	s.except, s.released = except, true
	q.mu.Unlock()
	s.hub.drain(s.Topic, s.past)
	s.past.archived.users.Add(-1)
}

// Drop gives up a broadcast that was not stored. Should it turn out that it was, it is sent then.
func (s *Said) Drop() {
	s.hub.archives.refused.Add(1)
	s.Release()
}

// drain sends what is stored of a topic, up to what is not released.
func (h *Hub) drain(topic string, p *past) {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	a := shard.topics[topic]
	for s := p.archived.queue.next(); s != nil; s = p.archived.queue.next() {
		if a.crowd != nil && a.crowd.past == p {
			h.sendSaid(s, a.crowd)
			shard.relay(&s.out)
			continue
		}
		h.unkept.Add(1) // the history is another, or was dropped
		b := broadcast{Outgoing: &s.out, formsFrom: h.formsFrom}
		switch {
		case a.crowd != nil:
			h.deliver(&b, s.except, a.crowd.members, a.crowd.listeners, nil)
		case a.only != nil:
			h.deliver(&b, s.except, []*Subscription{a.only}, nil, nil)
		}
		shard.relay(&s.out)
	}
}

func (q *saidQueue) next() *Said {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 || !q.list[0].released {
		return nil
	}
	s := q.list[0]
	q.list[0] = nil
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return s
}

// sendSaid sends one that is stored. Callers hold the shard's mu and the past's.
func (h *Hub) sendSaid(s *Said, c *crowd) {
	p := c.past
	a := p.archived
	if a.lost.Load() {
		h.tellMissed(s.Topic, c)
	}
	if a.epoch != s.at.Epoch || p.log.Next().Offset != s.at.Offset { // the archive has begun anew: what was before cannot be told any more
		epoch := s.at.Epoch
		if p.log.Position().Epoch != a.epoch {
			epoch = history.NewEpoch()
		}
		a.epoch = s.at.Epoch
		h.counted(p, func() {
			p.log = history.New[*kept](history.Position{Epoch: epoch, Offset: s.at.Offset - 1})
		})
	}
	_ = h.keepAndSend(h.newKept(&s.out, s.At, p.log.Next()), s.except, c) // it counts members whose codec cannot write it
}

// Publication is a broadcast by a back end.
type Publication struct {
	Topic, Event string
	Payload      []byte
}

// PublishAll is [Endpoint.PublishChecked] for several broadcasts, in order. Those of topics with a durable history are stored before they are sent, and it
// waits for that. It returns how many it has sent; with the error, which wraps [ErrNoArchive] or [ErrSaidTooLarge], nobody has got the others.
func (e *Endpoint) PublishAll(ctx context.Context, list []Publication) (sent int, err error) {
	for sent < len(list) {
		batch, err := e.prepareSome(ctx, list[sent:])
		if err == nil && len(batch) > 0 {
			if err = e.Hub.archives.archive.Store(ctx, batch); err != nil && !errors.Is(err, ErrSaidTooLarge) {
				err = fmt.Errorf("%w: %w", ErrNoArchive, err)
			}
		}
		for _, s := range batch {
			if err != nil {
				s.Drop()
				continue
			}
			e.counts.broadcasts.Add(1)
			s.Release()
		}
		if err != nil {
			return sent, err
		}
		if sent += len(batch); len(batch) == 0 {
			p := &list[sent]
			e.PublishChecked(p.Topic, p.Event, p.Payload, false)
			sent++
		}
	}
	return sent, nil
}

// prepareSome prepares the first broadcasts of a list, up to one that need not be stored. With an error there are those before it.
func (e *Endpoint) prepareSome(ctx context.Context, list []Publication) (batch []*Said, err error) {
	size := 0
	for i := range list {
		p := &list[i]
		if size += len(p.Payload) + keptSize; size > maxSay && len(batch) > 0 {
			break
		}
		s, err := e.Hub.Prepare(ctx, p.Topic, p.Event, p.Payload, false)
		if err != nil || s == nil {
			return batch, err
		}
		batch = append(batch, s)
	}
	return batch, nil
}

// maxSay is how many bytes are stored at a time, unless one broadcast alone has more.
const maxSay = 256 << 10
