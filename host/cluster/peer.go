package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peer is another node, in one life.
//
//	heard of ──► it hears us ──► linked: a stream goes there ──► synced: one has come, and what it was told since it began
//	                │                                               │
//	                └──────────── silent for DownAfter ◄────────────┘ ──► down ──► gone
type peer struct {
	node *Node
	name string
	life uint64
	slot int // its bit in the interests
	place

	wake chan struct{} // its writer has something to do
	ctx  context.Context
	end  context.CancelFunc // when it is down

	answering  atomic.Int32 // questions of it
	waits      atomic.Int32 // and those whose answers wait
	cancels    sync.Map     // of the context of a question, by its number
	complained time.Time    // about what it sends; guarded by the node's turn, as late is
	late       bool         // it orders nothing: not yet, or not any more

	mu     sync.Mutex
	out    *outgoing // nil before it is linked, and when it is down
	over   bool      // out holds too much: another stream is to begin
	begun  time.Time // of out
	in     incoming
	linked bool // it hears this node: streams may come and go

	version string
	load    Load
	heardAt time.Time // its last beat
	hearsAt time.Time // the last that said that it hears this node
	hears   []string  // whom its beats name; not changed in place
	up      int64     // as in its last beat
	trip    time.Duration
	since   time.Time // of what State says
}

// complainEvery is the least time between two lines about what a peer sends.
const complainEvery = 10 * time.Second

func (n *Node) newPeer(name string, life uint64, slot int, now time.Time) *peer {
	p := &peer{node: n, name: name, life: life, slot: slot, wake: make(chan struct{}, 1), hearsAt: now, since: now}
	p.place = placeOf(p, name, life)
	p.ctx, p.end = context.WithCancel(n.ctx)
	return p
}

// say puts a message of about size bytes into the stream to the peer. It returns false if there is none. It may be called with the hub's locks held.
func (p *peer) say(kind byte, size int, write func([]byte) []byte) bool {
	p.mu.Lock()
	said := p.out != nil && !p.over
	if said && !p.out.put(kind, size, write) {
		p.over = true
	}
	p.mu.Unlock()
	if said {
		p.rouse()
	}
	return said
}

func (p *peer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// open begins a stream to the peer, and tells it all that it has to know. It is called by the peer's writer alone.
func (p *peer) open() {
	p.mu.Lock()
	if !p.linked { // it is down
		p.mu.Unlock()
		return
	}
	p.out = newOutgoing(header{from: p.node.options.Name, life: p.node.life, to: p.life, stream: p.node.opened.Add(1)})
	p.out.most = 1 << 40 // what follows has to be said, and is bounded by what this node has
	p.over, p.begun = false, time.Now()
	p.mu.Unlock()
	p.node.tellAll(p)
	p.say(messageSynced, 0, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		p.out.most = p.out.bytes + backlog
	}
}

// write sends what is said to the peer, until it is down.
func (p *peer) write() {
	p.open()
	p.node.turn.Lock()
	p.node.turnRing() // if all that it has to say came before
	p.node.turn.Unlock()
	for {
		p.flush()
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		p.mu.Lock()
		over, wait := p.over, time.Until(p.begun.Add(time.Second))
		p.mu.Unlock()
		if !over {
			continue
		}
		p.node.counts.overflows.Add(1)
		p.node.log.Warn("node does not keep up: what waited for it is lost to it; it is told anew", "peer", p.name, "bytes", backlog)
		if !rest(p.ctx, wait) {
			return
		}
		p.open()
	}
}

// flush publishes the frames that may be sent.
func (p *peer) flush() {
	for {
		p.mu.Lock()
		var f []byte
		if p.out != nil {
			f = p.out.next()
		}
		p.mu.Unlock()
		if f == nil {
			return
		}
		p.node.publish(subjectNode+p.name, f) // what is lost is asked for again
	}
}

// frame takes a data frame, by the reader of the node alone.
func (p *peer) frame(h header, rest []byte) {
	now := time.Now()
	p.mu.Lock()
	if !p.linked {
		p.mu.Unlock()
		return // it comes again when both hear each other
	}
	v := p.in.judge(h.stream, h.number)
	waits := p.in
	var lost bool
	switch v {
	case begin:
		lost = p.in.number > 0
		p.in = incoming{number: h.stream, asked: p.in.asked}
	case ask:
		if h.stream > p.in.number {
			waits.number, waits.next = h.stream, 0
		}
		if !p.in.mayAsk(now) {
			v = ignore
		}
	}
	tell := (v == begin || v == take) && p.in.took(len(rest))
	if tell {
		p.in.told()
		waits = p.in
	}
	p.mu.Unlock()
	switch v {
	case ignore:
		return
	case ask:
		p.node.counts.asked.Add(1)
		p.state(waits.number, waits.next, true)
		return
	case begin:
		p.node.heard.void(p.slot)
		if lost {
			p.node.counts.gaps.Add(1)
			p.node.log.Warn("messages of a node are lost: it could not keep what was not delivered", "peer", p.name)
			p.node.options.Hub.Doubt(p.number)
			p.node.options.Hub.Missed()
		}
	}
	if tell {
		p.state(waits.number, waits.next, false)
	}
	if err := eachMessage(rest, p.message); err != nil {
		p.node.counts.malformed.Add(1)
		if now.Sub(p.complained) > complainEvery {
			p.complained = now
			p.node.log.Warn("message of a node is left out, or a part of it", "peer", p.name, "version", p.versionNow(), "cause", err)
		}
	}
}

func (p *peer) versionNow() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.version
}

// state tells the peer how far this node is with its stream.
func (p *peer) state(stream, next uint64, again bool) {
	h := header{kind: frameState, from: p.node.options.Name, life: p.node.life, to: p.life, stream: stream, number: next, again: again}
	f, _ := h.append(nil)
	p.node.publish(subjectNode+p.name, f)
}

// told takes what the peer says of the stream to it.
func (p *peer) told(h header) {
	p.mu.Lock()
	if p.out != nil && h.stream == p.out.number && p.out.has(h.number) && h.again {
		p.out.again()
		p.node.counts.repeated.Add(1)
	}
	p.mu.Unlock()
	p.rouse()
}

// message takes one of the peer's messages. An error is about the frame.
func (p *peer) message(kind byte, body []byte) error {
	n := p.node
	n.counts.received.Add(1)
	switch kind {
	case messageBegun, messageCeased:
		n.heard.set(body, p.slot, kind == messageBegun)
	case messageBroadcast:
		s, err := parseSaid(body)
		if err != nil {
			return err
		}
		if err := n.options.Hub.Deliver(s.topic, s.event, s.payload, s.binary); err != nil {
			return err
		}
	case messageOrder, messageOrdered:
		return n.ordered(p, kind, body)
	case messageExpel:
		if n.options.Disconnect != nil {
			n.options.Disconnect(string(body))
		}
	case messageHand:
		return n.handed(body)
	case messagePresence:
		if n.options.Presence == nil {
			return nil
		}
		if err := n.options.Presence.Merge(p.name, body); err != nil {
			return fmt.Errorf("presences: %w", err)
		}
	case messageOrders:
		p.late = len(body) == 1 && body[0] == 0
		n.turnRing()
	case messageSynced:
		p.mu.Lock()
		p.in.synced = true
		p.since = time.Now()
		p.mu.Unlock()
		n.synced(p)
	case messageQuestion:
		q, err := parseAsked(body)
		if err != nil {
			return err
		}
		n.answer(p, q)
	case messageCancel:
		r := reader{rest: body}
		if cancel, found := p.cancels.Load(r.uvarint()); found {
			cancel.(context.CancelFunc)()
		}
	case messageAnswer:
		a, err := parseAnswered(body)
		if err != nil {
			return err
		}
		n.asks.answered(p, a)
	}
	return nil
}

// beat takes a beat of the peer, and reports whether that hears this node.
func (p *peer) beat(b *beat, now time.Time) (hears bool) {
	p.mu.Lock()
	p.version, p.load, p.heardAt, p.up = b.Version, b.Load, now, b.Up
	h, hears := b.Peers[p.node.options.Name]
	hears = hears && h.Life == p.node.life
	if len(p.hears) != len(b.Peers) { // while a node comes they grow, which is when it matters
		p.hears = slices.Collect(maps.Keys(b.Peers))
	}
	var missing *header
	if hears {
		p.hearsAt = now
		if trip, ok := h.roundTrip(p.node.uptime(now)); ok {
			p.trip = trip
		}
		if p.out != nil {
			p.reviewOut(&h, now)
			missing = p.reviewIn(&h, now)
		}
	}
	p.mu.Unlock()
	if missing != nil {
		p.node.counts.asked.Add(1)
		p.state(missing.stream, missing.number, true)
	}
	return hears
}

// reviewOut compares what the peer has with what was sent to it.
func (p *peer) reviewOut(h *heard, now time.Time) {
	o := p.out
	if p.over || now.Sub(p.begun) < 2*beatEvery {
		return
	}
	if h.In != o.number || !o.has(h.Next) {
		if o.first == 0 {
			o.again() // it has missed the first frame
			p.node.counts.repeated.Add(1)
			p.rouse()
			return
		}
		p.over = true // it had begun with this stream, and does not know it any more
		p.rouse()
		return
	}
	if o.first < o.mark { // what was sent before its last beat has not come there
		o.again()
		p.node.counts.repeated.Add(1)
	}
	o.mark = o.upTo()
	p.rouse()
}

// reviewIn returns what to ask the peer for: what it had sent before its last beat has to be here.
func (p *peer) reviewIn(h *heard, now time.Time) (missing *header) {
	if (h.Out > p.in.number && p.in.promised > 0 || h.Out == p.in.number && p.in.next < p.in.promised) && p.in.mayAsk(now) {
		missing = &header{stream: h.Out}
		if h.Out == p.in.number {
			missing.number = p.in.next
		}
	}
	p.in.promised = h.Sent
	return missing
}

// heardNow is what this node says of the peer.
func (p *peer) heardNow(now time.Time) heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := heard{Life: p.life, In: p.in.number, Next: p.in.next, Synced: p.in.synced, Echo: p.up, Held: now.Sub(p.heardAt).Nanoseconds()}
	if p.out != nil {
		h.Out, h.Sent = p.out.number, p.out.upTo()
	}
	p.in.told()
	return h
}
