package channels

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"rtd/channels/history"
)

// A topic with history remembers its broadcasts, and each has a position in it:
//
//	broadcast ──► past.mu ──► offset ──► members, in this order; then into the log
//	join with "since" ──► reply ──► past.mu ──► what was missed ──► recovered ──► member
//
// The hub holds past.mu while it hands a broadcast to the outboxes, so that all members get the broadcasts of a topic in the
// order of the offsets, and while a member is added and told what it missed: nothing is lost or doubled between the two.
//
// What a client knows of its position, it has from the ref of broadcasts, which is null in topics without history. Whoever is
// left out of an offset is told of it by the event position, before the next broadcast: the sender of a broadcast_from, whose
// handler intercepts, who cannot be sent binary. A binary frame has no ref, and is followed by position. So each client
// has a position after all that it got, and none has to judge whether something is missing: the hub does, when it
// joins again.
//
// Presence diffs are no part of it. Who joins again is shown the list.

// Keep says how much is kept of a topic's broadcasts, and how much of it a client is told at a time.
type Keep struct {
	history.Bounds
	Most    history.Most
	Durable bool // it outlives the server, if there is an [Archive]
}

// The events of positions.
const (
	eventPosition  = "position"
	eventRecovered = "recovered"
)

const (
	// pastSize is about what a topic with history takes, and keptSize what a message does, besides its bytes.
	pastSize, keptSize = 400, 200
	// archivedSize is about what a topic takes besides whose history is stored as well.
	archivedSize = 600
	// forgetPast is how long a topic's offsets are known that has neither members nor messages.
	forgetPast = time.Hour
	// maxPage bounds a page of history that is asked for.
	maxPage = 1000
)

// gapIntercepted says that a shared handler intercepts some of what is missing: it tells all members, never one.
const gapIntercepted history.Gap = "intercepted"

// gapMissed says that some of what other nodes said did not come here.
const gapMissed history.Gap = "missed"

// past is what was said in a topic.
type past struct {
	mu   sync.Mutex // after the shard's
	keep Keep
	log  *history.Log[*kept]
	used time.Time // when there was something last

	archived *archived // nil: it is in memory alone
	order    *ordering // nil: it is of this node alone
}

// kept is a broadcast, with its frames.
type kept struct {
	at  time.Time
	out outMessage
	broadcast
}

// ReviewHistory has topics take over what the current versions of their owners say of history. It is to be called when
// that has changed, and takes as long as there are topics, unless no version keeps anything.
func (e *Endpoint) ReviewHistory() {
	keeps := func(p Plugin) bool { return p.Current().History != nil }
	if e.Hub.archives.archive != nil {
		e.Hub.archives.any.Store(e.Router.Owners().any(func(p Plugin) bool { return p.Current().Archives }))
		defer e.Hub.archives.archive.Review() // when the topics in use have let go
	}
	if e.Hub.keeps.Load() == nil && !e.Router.Owners().any(keeps) {
		return
	}
	e.Hub.KeepHistory(e.Limits.History, func(topic string) (k Keep, ok bool) {
		if p := e.Router.Owner(topic); p != nil && keeps(p) {
			return p.Current().History(topic)
		}
		return k, false
	})
}

// KeepsDurably reports whether a topic has a durable history. known is false if it has no owner at present, as before that has started.
func (e *Endpoint) KeepsDurably(topic string) (durable, known bool) {
	p := e.Router.Owner(topic)
	if p == nil {
		return false, false
	}
	history := p.Current().History
	if history == nil {
		return false, true
	}
	k, has := history(topic)
	return has && k.Durable, true
}

// KeepHistory says which topics have history. keep must not block. The topics that are in use take it over at once. most bounds the bytes
// of all histories together: what comes beyond that is sent, and not kept. It is to be called again when the answer changes.
func (h *Hub) KeepHistory(most int64, keep func(topic string) (Keep, bool)) {
	h.pastMost.Store(most)
	h.keeps.Store(&keep)
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.Lock()
		for topic, a := range shard.topics {
			h.reconsider(shard, topic, a)
		}
		shard.mu.Unlock()
	}
}

// reconsider gives a topic that is in use a history, or takes it.
func (h *Hub) reconsider(shard *hubShard, topic string, a audience) {
	keep, has := (*h.keeps.Load())(topic)
	switch {
	case !has && a.crowd != nil && a.crowd.past != nil:
		h.dropPast(shard, topic)
	case has && (a.crowd == nil || a.crowd.past == nil):
		h.newPast(shard, topic, keep)
	case has && h.archives.archive != nil && keep.Durable != (a.crowd.past.archived != nil):
		h.dropPast(shard, topic)
		h.newPast(shard, topic, keep)
	case has:
		p := a.crowd.past
		p.mu.Lock()
		p.keep = keep
		h.counted(p, func() { p.log.Trim(time.Now(), keep.Bounds) })
		p.mu.Unlock()
	}
}

// pastOf returns the history of a topic, which it begins if need be; nil if it has none. Callers hold the shard's mu, for writing.
func (h *Hub) pastOf(shard *hubShard, topic string) *past {
	a, used := shard.topics[topic]
	if a.crowd != nil && a.crowd.past != nil {
		return a.crowd.past
	}
	keeps := h.keeps.Load()
	if used || keeps == nil {
		return nil // it was decided before
	}
	keep, has := (*keeps)(topic)
	if !has {
		return nil
	}
	return h.newPast(shard, topic, keep)
}

// BeginHistory begins the history of a topic that nobody uses, if it is to have one.
func (h *Hub) BeginHistory(topic string) {
	shard := h.shard(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	h.pastOf(shard, topic)
}

func (h *Hub) newPast(shard *hubShard, topic string, keep Keep) *past {
	size := pastSize + int64(len(topic))
	archived := keep.Durable && h.archives.archive != nil
	if archived {
		size += archivedSize
	}
	if h.pastBytes.Add(size) > h.pastMost.Load() {
		h.pastBytes.Add(-size)
		h.unkept.Add(1)
		return nil
	}
	c := shard.crowd(topic)
	c.past = &past{keep: keep, used: time.Now(), log: history.New[*kept](history.Position{Epoch: history.NewEpoch()})}
	c.topicSize = size
	if shard.pasts == nil {
		shard.pasts = map[string]*crowd{}
	}
	shard.pasts[topic] = c
	switch {
	case archived:
		h.newArchived(topic, c.past)
	case h.sequenced(keep):
		h.newOrdering(topic, c.past)
	}
	return c.past
}

func (h *Hub) dropPast(shard *hubShard, topic string) {
	c := shard.pasts[topic]
	if c.past.archived != nil {
		h.dropArchived(topic, c.past)
	}
	delete(shard.pasts, topic)
	h.pastBytes.Add(-c.topicSize - c.past.log.Bytes())
	c.past, c.topicSize = nil, 0
	shard.dropIfEmpty(topic, c)
}

// counted counts the bytes that f adds to a log or takes from it. Callers hold p's mu.
func (h *Hub) counted(p *past, f func()) {
	before := p.log.Bytes()
	f()
	h.pastBytes.Add(p.log.Bytes() - before)
}

// broadcastKept is Broadcast in a topic with history. Callers hold the shard's mu.
func (h *Hub) broadcastKept(o *Outgoing, except *Subscription, shard *hubShard, c *crowd) error {
	p := c.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.order != nil {
		if o.foreign { // a node sees no history where this one does
			b := broadcast{Outgoing: o, formsFrom: h.formsFrom}
			h.deliver(&b, except, c.members, c.listeners, nil)
			return b.failed
		}
		return h.order(o, except, c)
	}
	defer shard.relay(o)
	return h.keepAndSend(h.newKept(o, time.Now(), p.log.Next()), except, c)
}

// newKept makes a broadcast of what is to be sent, with a position.
func (h *Hub) newKept(o *Outgoing, now time.Time, at history.Position) *kept {
	k := &kept{at: now, out: outMessage{
		Broadcasted: Broadcasted{Topic: o.Topic, Event: o.Name, Binary: o.Binary}, except: o.except,
	}}
	k.out.copy = &k.out
	k.Outgoing = &Outgoing{
		Kind: Broadcast, Topic: o.Topic, Name: o.Name, Binary: o.Binary, except: o.except, from: o.from, Payload: o.Payload, Ref: quoted(at),
	}
	k.formsFrom, k.copied = h.formsFrom, &k.out
	k.own(o)
	return k
}

// keepAndSend sends a broadcast, and keeps it. Callers hold the shard's mu and the past's.
func (h *Hub) keepAndSend(k *kept, except *Subscription, c *crowd) error {
	h.deliver(&k.broadcast, except, c.members, c.listeners, c.past)
	k.diverted = nil
	c.past.used = time.Now()
	h.append(c.past, k)
	return k.failed
}

// append keeps a message. If all histories together have no room for it, older ones of its topic go.
func (h *Hub) append(p *past, k *kept) {
	size := k.size()
	for most := h.pastMost.Load(); h.pastBytes.Load()+size > most; {
		oldest := p.log.Next().Offset - uint64(p.log.Len())
		if p.log.Len() == 0 {
			size = 0 // not even the message itself is kept
			break
		}
		h.unkept.Add(1)
		h.counted(p, func() { p.log.Purge(oldest + 1) })
	}
	h.counted(p, func() { p.log.Append(k, size, k.at, p.keep.Bounds) })
	if size == 0 {
		h.unkept.Add(1)
		p.log.Purge(p.log.Next().Offset)
	}
}

// own has the payload be that of a frame of its own: what is kept is kept once.
func (k *kept) own(o *Outgoing) {
	payload := o.Payload
	if len(payload) == 0 && !o.Binary {
		payload = []byte(`{}`)
	}
	if e := k.encoding(V2); e.err != nil {
		payload = slices.Clone(payload)
	} else {
		end := len(e.frame.Data)
		if !o.Binary {
			end -= len(`]`)
		}
		payload = e.frame.Data[end-len(payload) : end : end]
	}
	k.Outgoing.Payload, k.out.Payload = payload, payload
}

// size is about what a message takes: its frame, and another form of that, for clients of version 1 or compressed.
func (k *kept) size() int64 {
	return int64(keptSize + len(k.Name) + 2*len(k.Payload))
}

// leaveOut notes that a member does not get a broadcast, if that is part of p.
func (p *past) leaveOut(s *Subscription) {
	if p != nil {
		s.behind = true
	}
}

// tell sends a member a broadcast of a topic with history, and its position as far as it does not have it.
func (b *broadcast) tell(s *Subscription, p *past) bool {
	if s.behind {
		s.behind = false
		s.Out.Send(p.position(b.Topic, s.Codec, p.log.Position()))
	}
	if !b.send(s) {
		s.behind = true
		return false
	}
	if b.Binary {
		s.Out.Send(p.position(b.Topic, s.Codec, p.log.Next()))
	}
	return true
}

// position is the event that tells members of a position.
func (p *past) position(topic string, c Codec, at history.Position) Frame {
	ref := quoted(at)
	f, _ := c.Encode(&Outgoing{Kind: Broadcast, Ref: ref, Topic: topic, Name: eventPosition, Payload: positionPayload(ref)})
	return f
}

func positionPayload(ref []byte) []byte {
	return append(append([]byte(`{"position":`), ref...), '}')
}

func quoted(p history.Position) []byte {
	return append(p.Append(append(make([]byte, 0, 40), '"')), '"')
}

// recover tells a member what it has missed, and where it stands. again says whether it comes back to its handler, which
// has not missed what it intercepts. Callers hold the shard's mu.
func (h *Hub) recover(p *past, m *member, again comeback) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.recoverLocked(p, m, again)
}

// recoverLocked is recover. Callers hold the past's mu as well.
func (h *Hub) recoverLocked(p *past, m *member, again comeback) {
	p.used = time.Now()
	if p.archived != nil && !p.archived.ready {
		p.archived.waiting = append(p.archived.waiting, comer{m, again})
		return
	}
	if p.archived != nil && p.archived.lost.Load() {
		h.tellMissed(m.Topic, h.shard(m.Topic).topics[m.Topic].crowd)
	}
	if r := p.order; r != nil {
		if !r.known {
			r.waiting = append(r.waiting, comer{m, again})
			return
		}
		r.told = true
	}
	h.counted(p, func() { p.log.Trim(p.used, p.keep.Bounds) })
	s, ref := &m.Subscription, quoted(p.log.Position())
	since, asks := m.since()
	if !asks {
		s.Out.Send(m.stands(eventPosition, ref, positionPayload(ref)))
		return
	}
	missed, _, gap := p.log.After(since, p.keep.Most)
	count := uint64(0)
	for offset, k := range missed {
		switch {
		case again.ok && (k.from != 0 && k.from == again.number || s.before != nil && s.before.intercepts(k.Name)):
			continue
		case s.before != nil && s.before.intercepts(k.Name):
			if s.before.forAll() {
				gap = cmp.Or(gap, gapIntercepted)
				continue
			}
			s.before.intercept(&k.out)
		case !k.send(s):
			h.undelivered.Add(1)
			continue
		case k.Binary:
			s.Out.Send(p.position(k.Topic, s.Codec, history.Position{Epoch: p.log.Position().Epoch, Offset: offset}))
		}
		count++
	}
	h.recovered.Add(count)
	s.Out.Send(m.stands(eventRecovered, ref, recoveredPayload(gap, ref, count)))
}

func recoveredPayload(gap history.Gap, ref []byte, count uint64) []byte {
	b := []byte(`{"complete":true,"position":`)
	if gap != "" {
		b = append(append([]byte(`{"complete":false,"reason":"`), gap...), `","position":`...)
	}
	b = append(append(b, ref...), `,"count":`...)
	return append(strconv.AppendUint(b, count, 10), '}')
}

// stands is a push that says where the member stands.
func (m *member) stands(event string, ref, payload []byte) Frame {
	return m.socket.encode(&Outgoing{Kind: Push, JoinRef: m.outRef(), Ref: ref, Topic: m.Topic, Name: event, Payload: payload})
}

// since reads from the payload of the join where the client left off. Everything that is not exactly a position is the application's
// own.
func (m *member) since() (p history.Position, ok bool) {
	if m.join.binary {
		return p, false
	}
	for rest, more := openObject(m.params()); more; {
		var key, value []byte
		if key, value, rest, more = cutMember(rest); !more || string(key) != `"since"` {
			continue
		}
		text, _ := unquote(value) // of a key that comes twice the last one counts
		p, ok = history.Parse(text)
	}
	return p, ok
}

// HistoryPage is a part of what was said in a topic.
type HistoryPage struct {
	Position history.Position // of the newest broadcast
	Oldest   uint64           // offset of the oldest that is kept; one more than that of Position if there is none
	Messages []PastMessage    // oldest first
	Durable  bool             // it outlives the server
}

// PastMessage is a broadcast that was. Its payload must not be changed.
type PastMessage struct {
	Offset  uint64
	At      time.Time
	Event   string
	Payload []byte
	Binary  bool
}

// History returns at most limit broadcasts of a topic behind an offset, or with limit 0 only where it stands. ok is false if the topic has no history.
func (h *Hub) History(topic string, after uint64, limit int) (page HistoryPage, ok bool) {
	ok = h.withPast(topic, func(p *past) {
		h.counted(p, func() { p.log.Trim(time.Now(), p.keep.Bounds) })
		page.Durable, page.Position = p.archived != nil, p.log.Position()
		page.Oldest = p.log.Next().Offset - uint64(p.log.Len())
		for offset, k := range p.log.Page(after, min(limit, maxPage)) {
			page.Messages = append(page.Messages, PastMessage{offset, k.at, k.Name, k.Payload, k.Binary})
		}
	})
	return page, ok
}

// PurgeHistory lets go of what was said in a topic before an offset, in the archive as well. Whoever missed it is told of a gap. ok is false if
// the topic has no history; the error wraps [ErrNoArchive].
func (h *Hub) PurgeHistory(ctx context.Context, topic string, before uint64) (ok bool, err error) {
	p, err := h.lasting(topic)
	if p != nil {
		defer p.archived.users.Add(-1)
		err = p.archived.await(ctx)
		if err == nil {
			if err = h.archives.archive.Purge(ctx, topic, before); err != nil {
				err = fmt.Errorf("%w: %w", ErrNoArchive, err)
			}
		}
	}
	if err != nil {
		return true, err
	}
	return h.withPast(topic, func(p *past) {
		h.counted(p, func() { p.log.Purge(before) })
	}), nil
}

// withPast calls f with the history of a topic that has been used lately, if it has one.
func (h *Hub) withPast(topic string, f func(p *past)) bool {
	shard := h.shard(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	a := shard.topics[topic]
	if a.crowd == nil || a.crowd.past == nil {
		return false
	}
	p := a.crowd.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.archived != nil && !p.archived.ready || p.order != nil && !p.order.known {
		return false
	}
	f(p)
	return true
}

// TidyHistory lets go of messages that are too old, and of topics that nobody has needed for long. It is to be called now and then.
func (h *Hub) TidyHistory(now time.Time) {
	tight := h.pastBytes.Load() > h.pastMost.Load()/4*3
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.Lock()
		for topic, c := range shard.pasts {
			p := c.past
			idle := now.Sub(p.used)
			h.counted(p, func() { p.log.Trim(now, p.keep.Bounds) })
			unused := p.log.Len() == 0 && idle > forgetPast && !(p.order != nil && h.orderer.Wanted(topic))
			if p.order != nil && p.order.owner != 0 && !p.order.giving {
				unused = true
			}
			if a := p.archived; a != nil {
				p.mu.Lock()
				if a.ready {
					h.archives.archive.Trim(topic, p.log.Next().Offset-uint64(p.log.Len()))
				}
				p.mu.Unlock()
				unused = a.users.Load() == 0 && (idle > forgetArchived || tight && idle > forgetTight) // it is read again
			}
			if len(c.members)+len(c.listeners) == 0 && unused {
				h.dropPast(shard, topic)
			}
		}
		shard.mu.Unlock()
	}
}

// How long what is stored of a topic stays in memory that nobody uses, and if memory is tight.
const (
	forgetArchived = 10 * time.Minute
	forgetTight    = 10 * time.Second
)
