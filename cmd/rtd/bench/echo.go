package bench

import "time"

// echo has at most one push under way on each connection, and sends the next as soon as
// it is answered, or, with a rate, when the next is due. One that finds no idle
// connection then waits for one; its latency counts from when it was due.
type echo struct {
	*generator
	flights  []flight
	idle     []int32 // connections without a push under way, by since when: with a rate, all have their turn
	sent     int
	answered int
	until    time.Duration // send nothing from then on
	schedule schedule
	latency  Histogram
}

// flight is a push under way.
type flight struct {
	ref uint32 // 0: none
	due time.Duration
}

func (g *generator) echo() error {
	if err := g.prepare(own); err != nil {
		return err
	}
	e := &echo{generator: g, flights: make([]flight, len(g.conns)), until: g.now() + g.o.Duration}
	for i := range g.conns {
		e.idle = append(e.idle, int32(i))
	}
	e.schedule = schedule{rate: g.o.Rate, begin: g.now()}
	g.heard, g.gone = e.hear, func(int) {}
	g.status = func() string { return progress("answers", e.answered, &e.latency) }
	if err := g.load(func() int { return e.answered }, e.step); err != nil {
		return err
	}
	e.until = 0
	if err := g.drain(func() int { return e.sent - e.answered }); err != nil {
		return err
	}
	load := g.result.Load
	load.Sent, load.Received, load.Lost = e.sent, e.answered, e.sent-e.answered
	load.Latency = latencyOf(&e.latency)
	return nil
}

func (e *echo) step(now time.Duration) (next time.Duration) {
	for len(e.idle) > 0 {
		due := now
		if e.o.Rate > 0 {
			if due = e.schedule.due(); due > now {
				return due
			}
			e.schedule.n++
		}
		i := e.idle[0]
		e.idle = e.idle[1:]
		e.ask(int(i), due)
	}
	return never
}

func (e *echo) ask(i int, due time.Duration) {
	if e.conns[i].phase != usable {
		return
	}
	e.flights[i] = flight{e.push(i, e.o.Event, stamp{uint32(i), uint32(e.sent), due}), due}
	e.sent++
}

func (e *echo) hear(i int, m message) {
	if m.kind != reply || m.ref == 0 || m.ref != e.flights[i].ref {
		if m.kind == crashed || m.kind == closed {
			e.fail([]byte("a channel has ended"))
		}
		return
	}
	now := e.now()
	e.latency.Add(now - e.flights[i].due)
	e.flights[i] = flight{}
	e.answered++
	if !m.ok {
		e.fail(m.payload)
	}
	if e.o.Rate == 0 && now < e.until {
		e.ask(i, now)
		return
	}
	e.idle = append(e.idle, int32(i))
}
