package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// herd is clients in topics with history that lose their connection, come back, and ask for what they missed. In each topic there
// are Members of them, and a publisher, who stays. Every message is looked for at every client.
type herd struct {
	*generator
	rooms   int
	clients []returner
	epochs  [][]byte // of each topic, as of the last message that said it
	said    []uint32 // messages in each topic
	heard   []uint32 // those that have come back to the publisher

	queue    []later // who is to come back, in this order
	waiting  int     // those of queue that still are
	dialled  int     // those that are under way
	standing int     // clients that have a position for the first time
	began    time.Duration

	deliveries, duplicated, reordered, lost int
	returns                                 *Return
	back, latency                           Histogram
}

// returner is one client.
type returner struct {
	at       position
	arrivals tracker
	since    uint32 // offset that it has asked from
	got      uint32 // messages that have come since it asked
	told     uint32 // messages that it was told are gone
	dialled  time.Duration
	state    returning
}

type returning uint8

const (
	there   returning = iota
	away              // or on the way
	joining           // has asked, and not been told yet that this was it
)

// later is a client whose turn comes at a time.
type later struct {
	client int
	at     time.Duration
}

// Return is how clients came back that had lost their connection.
type Return struct {
	Cuts     int      `json:"cuts"`     // connections that were cut
	Returned int      `json:"returned"` // that have been back since then, and were told that this was it
	Gaps     int      `json:"gaps"`     // of those, told that something is gone
	Told     int      `json:"told"`     // messages that are missing by that
	Missed   int      `json:"missed"`   // messages that came late, with a return
	Latency  *Latency `json:"latency"`  // from a client's dial to its last message
}

// publishers returns how many connections there are besides those that are counted.
func (o *Options) publishers() int {
	switch o.Scenario {
	case Fanout:
		return 1
	case Recover, Storm:
		return (o.Connections + o.Members - 1) / o.Members
	}
	return 0
}

// gather connects all, and waits until each client knows where it stands.
func (g *generator) gather() (*herd, error) {
	n := g.o.publishers()
	h := &herd{
		generator: g, rooms: n, clients: make([]returner, g.o.Connections),
		epochs: make([][]byte, n), said: make([]uint32, n), heard: make([]uint32, n), returns: &Return{},
	}
	g.result.Return = h.returns
	g.noted = h.hear
	if err := g.prepare(h.topicOf); err != nil {
		return nil, err
	}
	g.heard, g.gone = h.hear, h.leave
	g.status = func() string { return "waiting for positions" }
	err := g.pump(g.o.Timeout, func() int { return h.standing }, func(time.Duration) (time.Duration, bool) {
		return never, h.standing == len(h.clients)
	})
	if err != nil {
		return nil, fmt.Errorf("%d of %d clients were told a position; has %q a history? %w", h.standing, len(h.clients), g.topics.name(0), err)
	}
	for i := range h.clients {
		h.clients[i].state = there
	}
	g.usable, g.again = h.rejoin, h.unmade
	return h, nil
}

func (h *herd) topicOf(i int) int {
	if i >= len(h.clients) {
		return i - len(h.clients)
	}
	return i % h.rooms
}

// recover cuts all connections at once, says something meanwhile, and lets all of them come back.
func (g *generator) recover() error {
	h, err := g.gather()
	if err != nil {
		return err
	}
	if err := h.say(1); err != nil {
		return err
	}
	for i := range h.clients {
		h.cut(i, 0)
	}
	if err := h.say(g.o.Missed); err != nil {
		return err
	}
	if err := h.meanwhile(); err != nil {
		return err
	}
	m := g.mark()
	h.began = m.at
	g.status = func() string { return progress("clients back", h.returns.Returned, &h.latency) }
	err = g.pump(g.o.Timeout, func() int { return h.returns.Returned + h.deliveries }, func(now time.Duration) (time.Duration, bool) {
		return h.dial(now), h.returns.Returned == len(h.clients) || g.refused != nil
	})
	g.result.Load = &Load{Stage: g.stage(m, h.returns.Returned)}
	if err = h.patient(err); err != nil {
		return err
	}
	if g.o.Meanwhile == nil { // who may have ended the publishers, too
		if err := h.say(1); err != nil { // and live again
			return err
		}
	}
	return h.sum(&h.latency)
}

// storm cuts each connection at random, while messages are said at a rate.
func (g *generator) storm() error {
	h, err := g.gather()
	if err != nil {
		return err
	}
	s := schedule{rate: g.o.Rate, begin: g.now()}
	next := g.now()
	const step = 10 * time.Millisecond
	g.status = func() string { return progress("deliveries", h.deliveries, &h.latency) }
	err = g.load(func() int { return h.deliveries }, func(now time.Duration) time.Duration {
		for ; next <= now; next += step {
			for i := range h.clients {
				if h.clients[i].state != away && rand.Float64() < step.Seconds()/g.o.Cut.Seconds() {
					h.cut(i, now+time.Duration(rand.Int64N(int64(100*time.Millisecond))))
				}
			}
		}
		due := s.each(now, func(n int, due time.Duration) { h.publish(n%h.rooms, due) })
		return min(due, next, h.dial(now))
	})
	if err != nil {
		return err
	}
	if err := h.kept(); err != nil {
		return err
	}
	for i := range h.clients { // nobody is spared, and the last ones have to be recovered, too
		h.cut(i, 0)
	}
	g.ending = true
	defer func() { g.ending = false }()
	err = g.pump(g.o.Timeout, func() int { return h.returns.Returned + h.deliveries }, func(now time.Duration) (time.Duration, bool) {
		return h.dial(now), h.waiting+h.dialled == 0 || g.refused != nil
	})
	if err = h.patient(err); err != nil {
		return err
	}
	return h.sum(&h.latency)
}

// patient lets a run that ended early be summed up: who is not back has lost what it missed.
func (h *herd) patient(err error) error {
	if errors.Is(err, errInterrupted) || errors.Is(err, errSilent) {
		return nil
	}
	if err == nil {
		err = h.refused
	}
	return err
}

// say has each publisher say n messages, and waits until those have come back to it: they are in the history then.
func (h *herd) say(n int) error {
	for topic := range h.rooms {
		for range n {
			h.publish(topic, h.now())
		}
	}
	h.status = func() string { return "saying what will be missed" }
	if err := h.kept(); err != nil {
		return err
	}
	return h.drain(func() (left int) { // those who are there have it, too
		for i := range h.clients {
			if r := &h.clients[i]; r.state == there && h.conns[i].phase == usable {
				left += int(h.said[h.topicOf(i)] - r.arrivals.received - r.told)
			}
		}
		return left
	})
}

// kept waits until all that was said is in the history.
func (h *herd) kept() error {
	err := h.drain(func() (left int) {
		for topic := range h.rooms {
			left += int(h.said[topic] - h.heard[topic])
		}
		return left
	})
	if err != nil {
		return err
	}
	for topic := range h.rooms {
		if h.said[topic] != h.heard[topic] && !h.result.Interrupted {
			return fmt.Errorf("publisher %d has heard %d of its %d messages", topic, h.heard[topic], h.said[topic])
		}
	}
	return nil
}

func (h *herd) publish(topic int, due time.Duration) {
	i := len(h.clients) + topic
	if h.conns[i].phase != usable {
		return
	}
	h.push(i, h.o.Event, stamp{uint32(i), h.said[topic], due})
	h.said[topic]++
}

// meanwhile waits for what is to be done while all are away.
func (h *herd) meanwhile() error {
	if h.o.Meanwhile == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- h.o.Meanwhile(h.ctx) }()
	h.status = func() string { return "waiting for the command" }
	var failed error
	err := h.pump(0, nil, func(now time.Duration) (time.Duration, bool) {
		select {
		case failed = <-done:
			return never, true
		default:
			return now + 10*time.Millisecond, false
		}
	})
	if err != nil {
		return err
	}
	h.result.Closed, h.result.ClosedCause = 0, "" // publishers, if the server was restarted
	if h.server.check() != nil {
		h.server = nil
	}
	return failed
}

// cut breaks a connection. Its client comes back at a time.
func (h *herd) cut(i int, at time.Duration) {
	r := &h.clients[i]
	if r.state == away {
		return
	}
	h.sockets.cut(i)
	h.open--
	h.returns.Cuts++
	h.absent(i, at)
}

func (h *herd) absent(i int, at time.Duration) {
	if h.clients[i].state == joining {
		h.dialled--
	}
	h.clients[i].state = away
	h.conns[i] = conn{phase: dead}
	h.queue = append(h.queue, later{i, at})
	h.waiting++
}

// dial begins to bring those back whose turn it is, Window of them at a time, and returns when it is somebody's.
func (h *herd) dial(now time.Duration) (next time.Duration) {
	next = never
	kept := h.queue[:0]
	for n, l := range h.queue {
		if h.dialled >= h.o.Window {
			kept = append(kept, h.queue[n:]...)
			break
		}
		if l.at > now {
			next = min(next, l.at)
			kept = append(kept, l)
			continue
		}
		h.waiting--
		h.dialled++
		h.clients[l.client].dialled = now
		h.conns[l.client].phase = dialling
		if err := h.sockets.dial(l.client); err != nil {
			h.refused = err
		}
	}
	h.queue = kept
	return next
}

// unmade handles a connection that was not to be had: the server may be about to start.
func (h *herd) unmade(i int, _ error) {
	if i < len(h.clients) {
		h.dialled--
		h.absent(i, h.now()+100*time.Millisecond)
	}
}

// rejoin joins again with a connection that is there.
func (h *herd) rejoin(i int) {
	r, c, topic := &h.clients[i], &h.conns[i], h.topicOf(i)
	c.ref++
	c.joinRef, c.topic = c.ref, int32(topic)
	r.state, r.since, r.got = joining, r.at.offset, 0
	name := h.topics.name(topic)
	if h.o.Forget {
		h.send(i, h.protocol.join(h.text[:0], c.ref, name, []byte(h.o.Params)))
		return
	}
	h.send(i, h.protocol.rejoin(h.text[:0], c.ref, name, []byte(h.o.Params), r.at))
}

func (h *herd) hear(i int, m message) {
	if m.kind == reply && !m.ok && m.ref != 0 {
		h.fail(m.payload)
		if m.ref == h.conns[i].joinRef {
			h.refused = fmt.Errorf("the server refuses joins of who comes back: %.200s", m.payload)
		}
		return
	}
	topic := h.topicOf(i)
	if i >= len(h.clients) {
		if s, ok := h.bodies.find(m.payload); ok && m.kind == broadcast && s.sender == uint32(i) {
			h.heard[topic]++
		}
		return
	}
	r := &h.clients[i]
	if m.kind == reply && m.ref != h.conns[i].joinRef {
		return
	}
	h.messages(r, len(h.clients)+topic, m.payload)
	at, stands := h.protocol.stands(m)
	if complete, ok := h.protocol.recovered(m); ok {
		if r.state == joining {
			h.returned(r, topic, at, complete)
		}
	} else if r.state == joining && h.o.Forget && stands {
		h.returned(r, topic, at, true)
	}
	if !stands {
		return
	}
	if r.at.epoch == nil {
		h.standing++
	}
	r.at.offset = at.offset
	if at.epoch != nil {
		if string(h.epochs[topic]) != string(at.epoch) {
			h.epochs[topic] = append([]byte(nil), at.epoch...)
		}
		r.at.epoch = h.epochs[topic] // one for all
	}
}

// messages takes what was published out of a message: one, none, or all that was missed.
func (h *herd) messages(r *returner, publisher int, payload []byte) {
	for {
		s, rest, ok := h.bodies.cut(payload)
		if !ok {
			return
		}
		payload = rest
		if s.sender != uint32(publisher) {
			continue
		}
		switch r.arrivals.take(s.number) {
		case again:
			h.duplicated++
			continue
		case outOfOrder:
			h.reordered++
		}
		h.deliveries++
		if r.state == joining {
			r.got++
			h.returns.Missed++
		}
		if h.o.Scenario == Storm {
			h.latency.Add(h.now() - s.due)
		}
	}
}

// returned notes that a client is back. Of what it did not get by then, a gap is told, or it is lost.
func (h *herd) returned(r *returner, topic int, at position, complete bool) {
	r.state = there
	h.dialled--
	h.returns.Returned++
	now := h.now()
	h.back.Add(now - r.dialled)
	if h.o.Scenario == Recover {
		h.latency.Add(now - h.began)
	}
	if complete {
		return
	}
	h.returns.Gaps++
	if missing := int(at.offset) - int(r.since) - int(r.got); string(at.epoch) == string(r.at.epoch) && missing > 0 {
		r.told += uint32(missing)
	} else if string(at.epoch) != string(r.at.epoch) {
		r.told = h.said[topic] - r.arrivals.received
	}
}

// leave handles the end of a connection that nobody cut.
func (h *herd) leave(i int) {
	if i >= len(h.clients) {
		return
	}
	if h.o.Scenario == Storm {
		h.absent(i, h.now())
		return
	}
	if h.clients[i].state == joining {
		h.dialled--
	}
	h.clients[i].state = away
}

// sum compares what each client has with what was said.
func (h *herd) sum(latency *Histogram) error {
	l := h.result.Load
	for topic := range h.rooms {
		l.Sent += int(h.said[topic])
	}
	l.Received, l.Duplicated, l.Reordered = h.deliveries, h.duplicated, h.reordered
	for i := range h.clients {
		r := &h.clients[i]
		missing := int(h.said[h.topicOf(i)]) - int(r.arrivals.received)
		told := min(missing, int(r.told))
		l.Lost += missing - told
		h.returns.Told += told
	}
	l.Latency, h.returns.Latency = latencyOf(latency), latencyOf(&h.back)
	return nil
}
