package bench

import (
	"fmt"
	"time"
)

// crash lets some channels crash, one after the other at Rate, and asks each for an
// echo right behind, until it answers. Where the server ends a crashed channel, as
// Phoenix does, it is joined again first, as Phoenix's clients do, but at once. The
// other channels are asked for echoes meanwhile and should notice nothing.
type crash struct {
	*generator
	crashing int // connections 0 to crashing-1 crash
	patients []patient
	watched  []flight // of the others
	turn     int      // whose turn it is to be watched
	under    int      // crashes and echoes without an answer

	crashes, recovered, asked, answered int
	disturbed                           int // other channels that noticed something
	schedule, watch                     schedule
	recovery, latency                   Histogram
}

// patient is a channel that crashes.
type patient struct {
	since  time.Duration // when it was to crash; 0: it is well
	ask    uint32        // ref of the echo that is to tell that it is back
	rejoin uint32        // ref of the join, if it has to join again
	retry  time.Duration // when to ask again; 0: an answer is to come
	gone   bool          // the channel has ended for good
}

const (
	probe      = "echo"
	retryAfter = time.Millisecond
)

func (g *generator) crash() error {
	if err := g.prepare(own); err != nil {
		return err
	}
	n := max(int(float64(len(g.conns))*g.o.Share), 1)
	c := &crash{generator: g, crashing: n, patients: make([]patient, n), watched: make([]flight, len(g.conns)-n)}
	c.schedule = schedule{rate: g.o.Rate, begin: g.now()}
	c.watch = schedule{rate: g.o.Watch, begin: g.now()}
	g.heard, g.gone = c.hear, c.lose
	g.status = func() string { return progress("crashes", c.crashes, &c.recovery) }
	if err := g.load(func() int { return c.crashes }, c.step); err != nil {
		return err
	}
	if err := g.drain(func() int { c.retry(g.now()); return c.under }); err != nil {
		return err
	}
	load := g.result.Load
	load.Sent, load.Received, load.Lost = c.asked, c.answered, c.asked-c.answered
	load.Latency = latencyOf(&c.latency)
	g.result.Recovery = &Recovery{
		Crashes: c.crashes, Recovered: c.recovered, Disturbed: c.disturbed, Latency: latencyOf(&c.recovery),
	}
	return nil
}

func (c *crash) step(now time.Duration) (next time.Duration) {
	next = c.schedule.each(now, func(n int, due time.Duration) { c.kill(n%c.crashing, due) })
	if len(c.watched) > 0 && c.o.Watch > 0 {
		next = min(next, c.watch.each(now, func(_ int, due time.Duration) { c.look(due) }))
	}
	return min(next, c.retry(now))
}

// kill crashes a channel that is well.
func (c *crash) kill(i int, due time.Duration) {
	p := &c.patients[i]
	if p.since != 0 || p.gone || c.conns[i].phase != usable {
		return
	}
	c.crashes++
	c.under++
	*p = patient{since: max(due, 1)}
	c.push(i, c.o.Event, stamp{uint32(i), uint32(c.crashes), due})
	p.ask = c.push(i, probe, stamp{uint32(i), uint32(c.crashes), due})
}

// look asks the next of the other channels that is idle.
func (c *crash) look(due time.Duration) {
	for range c.watched {
		w := c.turn
		c.turn = (c.turn + 1) % len(c.watched)
		i := c.crashing + w
		if c.watched[w].ref == 0 && c.conns[i].phase == usable {
			c.watched[w] = flight{c.push(i, probe, stamp{uint32(i), uint32(c.asked), due}), due}
			c.asked++
			c.under++
			return
		}
	}
}

// retry asks those again that were not back yet.
func (c *crash) retry(now time.Duration) (next time.Duration) {
	next = never
	for i := range c.patients {
		p := &c.patients[i]
		switch {
		case p.retry == 0:
		case p.retry <= now:
			p.retry = 0
			p.ask = c.push(i, probe, stamp{uint32(i), 0, now})
		default:
			next = min(next, p.retry)
		}
	}
	return next
}

func (c *crash) hear(i int, m message) {
	if i >= c.crashing {
		c.hearOther(i, m)
		return
	}
	p := &c.patients[i]
	switch {
	case p.since == 0:
	case m.kind == crashed: // it ended, and may come back
		p.ask, p.retry = 0, 0
		p.rejoin = c.join(i, i)
	case m.kind == closed:
		c.giveUp(p)
	case m.kind == reply && m.ref == 0:
	case m.kind == reply && m.ref == p.rejoin:
		if !m.ok {
			c.giveUp(p)
			return
		}
		p.rejoin = 0
		p.ask = c.push(i, probe, stamp{uint32(i), 0, c.now()})
	case m.kind == reply && m.ref == p.ask && m.ok:
		c.recovery.Add(c.now() - p.since)
		c.recovered++
		c.under--
		*p = patient{}
	case m.kind == reply && m.ref == p.ask:
		p.ask, p.retry = 0, c.now()+retryAfter
	}
}

func (c *crash) giveUp(p *patient) {
	c.under--
	*p = patient{gone: true}
}

func (c *crash) hearOther(i int, m message) {
	w := &c.watched[i-c.crashing]
	switch {
	case m.kind == crashed || m.kind == closed:
		c.disturbed++
		c.fail([]byte(fmt.Sprintf("channel %d, which did not crash, has ended", i)))
	case m.kind == reply && m.ref != 0 && m.ref == w.ref:
		c.latency.Add(c.now() - w.due)
		*w = flight{}
		c.answered++
		c.under--
		if !m.ok {
			c.disturbed++
			c.fail(m.payload)
		}
	}
}

func (c *crash) lose(i int) {
	if i >= c.crashing {
		c.disturbed++
		if c.watched[i-c.crashing].ref != 0 {
			c.under--
		}
	} else if p := &c.patients[i]; p.since != 0 {
		c.giveUp(p)
	}
}
