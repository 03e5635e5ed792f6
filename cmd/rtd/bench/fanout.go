package bench

import "time"

// fanout is one publisher and many subscribers in one topic. A message is done when
// every subscriber has it; the publisher's own copies do not count.
type fanout struct {
	*generator
	publisher int // the last connection

	arrivals []tracker // by subscriber
	alive    int       // subscribers
	missing  int       // messages that subscribers lost by being closed

	// Messages oldest to next-1 may be under way.
	oldest, next uint32
	underWay     int
	window       []underWay // by number, modulo windowSize

	deliveries, duplicated, reordered int
	schedule                          schedule
	latency                           Histogram
}

type underWay struct {
	left int           // subscribers who do not have it
	sent time.Duration // when it was really sent
}

// windowSize bounds the messages under way.
const windowSize = 1 << 16

func (g *generator) fanout() error {
	if err := g.prepare(func(int) int { return 0 }); err != nil {
		return err
	}
	f := &fanout{
		generator: g, publisher: g.o.Connections, alive: g.o.Connections,
		arrivals: make([]tracker, g.o.Connections), window: make([]underWay, windowSize),
		schedule: schedule{rate: g.o.Rate, begin: g.now()},
	}
	g.heard, g.gone = f.hear, f.lose
	g.status = func() string { return progress("deliveries", f.deliveries, &f.latency) }
	if err := g.load(func() int { return f.deliveries }, f.step); err != nil {
		return err
	}
	if err := g.drain(f.left); err != nil {
		return err
	}
	load := g.result.Load
	load.Sent, load.Received, load.Duplicated, load.Reordered = int(f.next), f.deliveries, f.duplicated, f.reordered
	load.Lost = f.missing
	for i := range f.arrivals {
		if g.conns[i].phase == usable {
			load.Lost += int(f.next - f.arrivals[i].received)
		}
	}
	load.Latency = latencyOf(&f.latency)
	return nil
}

func (f *fanout) step(now time.Duration) (next time.Duration) {
	f.expire(now)
	if f.conns[f.publisher].phase != usable {
		return never
	}
	if f.o.Rate > 0 {
		if f.next-f.oldest > windowSize-burst {
			return now + time.Millisecond // the server is far behind; what is due stays due
		}
		return f.schedule.each(now, func(_ int, due time.Duration) { f.publish(due, now) })
	}
	for f.underWay < f.o.InFlight && f.next-f.oldest < windowSize {
		f.publish(f.now(), now)
	}
	return now + f.o.Timeout
}

func (f *fanout) publish(due, now time.Duration) {
	f.push(f.publisher, f.o.Event, stamp{uint32(f.publisher), f.next, due})
	f.window[f.next%windowSize] = underWay{f.alive, now}
	f.next++
	f.underWay++
}

func (f *fanout) hear(i int, m message) {
	if m.kind != broadcast || i == f.publisher {
		if m.kind == reply && !m.ok && m.ref != 0 {
			f.fail(m.payload)
		}
		return
	}
	s, ok := f.bodies.find(m.payload)
	if !ok || s.sender != uint32(f.publisher) || s.number >= f.next {
		return
	}
	switch f.arrivals[i].take(s.number) {
	case again:
		f.duplicated++
		return
	case outOfOrder:
		f.reordered++
	}
	f.deliveries++
	f.latency.Add(f.now() - s.due)
	f.done(s.number)
}

// done notes that one subscriber more has a message.
func (f *fanout) done(number uint32) {
	if number < f.oldest {
		return // given up
	}
	w := &f.window[number%windowSize]
	if w.left--; w.left == 0 {
		f.underWay--
		f.retire()
	}
}

// retire moves oldest behind what every subscriber has.
func (f *fanout) retire() {
	for f.oldest < f.next && f.window[f.oldest%windowSize].left <= 0 {
		f.oldest++
	}
}

// left is how many deliveries are under way.
func (f *fanout) left() int {
	n := 0
	for number := f.oldest; number < f.next; number++ {
		n += max(f.window[number%windowSize].left, 0)
	}
	return n
}

// expire gives up what has been under way for too long.
func (f *fanout) expire(now time.Duration) {
	for f.oldest < f.next && now-f.window[f.oldest%windowSize].sent > f.o.Timeout {
		if f.window[f.oldest%windowSize].left > 0 {
			f.underWay--
		}
		f.oldest++
	}
}

// lose handles the end of a connection.
func (f *fanout) lose(i int) {
	if i == f.publisher {
		return // nobody waits for what it did not send
	}
	f.alive--
	f.missing += int(f.next - f.arrivals[i].received)
	for number := f.oldest; number < f.next; number++ {
		if !f.arrivals[i].has(number) {
			f.done(number)
		}
	}
}
