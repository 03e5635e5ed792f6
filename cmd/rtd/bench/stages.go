package bench

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// The stages that scenarios consist of: connect, join, load.

// mark is a moment from which costs are counted.
type mark struct {
	at, server, own  time.Duration
	switches, writes int64 // of the server
}

func (g *generator) mark() mark {
	return mark{g.now(), g.server.cpu(), process{os.Getpid()}.cpu(), g.server.switches(), g.server.writes()}
}

// stage tells what count things since m have cost.
func (g *generator) stage(m mark, count int) Stage {
	to := g.mark()
	s := Stage{Count: count, Seconds: (to.at - m.at).Seconds()}
	if s.Seconds > 0 {
		s.PerSecond = float64(count) / s.Seconds
		s.GeneratorLoad = (to.own - m.own).Seconds() / s.Seconds
		s.ServerLoad = (to.server - m.server).Seconds() / s.Seconds
	}
	if count > 0 {
		s.ServerCPU = micros(to.server-m.server) / float64(count)
		s.ServerSwitches = float64(to.switches-m.switches) / float64(count)
		s.ServerWrites = float64(to.writes-m.writes) / float64(count)
	}
	return s
}

// calm waits a moment for the server to be through with what it answered already, and
// counts that, too.
func (g *generator) calm(m mark, s *Stage) error {
	const moment = 100 * time.Millisecond
	err := g.pause(moment)
	if s.Count > 0 {
		s.ServerCPU = micros(g.server.cpu()-m.server) / float64(s.Count)
	}
	return err
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// connect opens all connections, Window of them at a time.
func (g *generator) connect() error {
	m, dialled := g.mark(), 0
	g.status = func() string { return "connecting" }
	err := g.pump(g.o.Timeout, func() int { return g.greeted }, func(time.Duration) (time.Duration, bool) {
		for dialled < len(g.conns) && dialled-g.greeted < g.o.Window && g.refused == nil {
			g.conns[dialled].phase = dialling
			if err := g.sockets.dial(dialled); err != nil {
				g.refused = err
			}
			dialled++
		}
		return never, g.greeted == len(g.conns) || g.refused != nil
	})
	g.result.Connect = g.stage(m, g.greeted)
	if err = g.failed(err); err != nil {
		return fmt.Errorf("connect: %d of %d connections are open: %w", g.open, len(g.conns), err)
	}
	return g.calm(m, &g.result.Connect)
}

// joinAll lets every connection join the topic that topicOf says, Window of them at a time.
func (g *generator) joinAll(topicOf func(i int) int) (s Stage, err error) {
	m, asked, joined := g.mark(), 0, 0
	g.status = func() string { return "joining" }
	g.heard = func(i int, m message) {
		g.noted(i, m)
		if m.kind != reply || m.ref != g.conns[i].joinRef {
			return
		}
		if !m.ok {
			g.refused = fmt.Errorf("the server refuses joins of %q: %.200s", g.topics.name(int(g.conns[i].topic)), m.payload)
			return
		}
		joined++
		g.joins++
	}
	err = g.pump(g.o.Timeout, func() int { return joined }, func(time.Duration) (time.Duration, bool) {
		for asked < len(g.conns) && asked-joined < g.o.Window {
			g.join(asked, topicOf(asked))
			asked++
		}
		return never, joined == len(g.conns) || g.refused != nil || g.result.Closed > 0
	})
	s = g.stage(m, joined)
	if err = g.failed(err); err != nil {
		return s, fmt.Errorf("join: %d of %d have joined: %w", joined, len(g.conns), err)
	}
	err = g.calm(m, &s)
	return s, err
}

// failed returns why a stage that every connection has to pass did not succeed.
func (g *generator) failed(err error) error {
	switch {
	case err != nil:
		return err
	case g.refused != nil:
		return g.refused
	case g.result.Closed > 0:
		return errors.New(g.result.ClosedCause)
	}
	return nil
}

// prepare opens all connections and lets each join its topic.
func (g *generator) prepare(topicOf func(i int) int) error {
	g.result.Memory.Before, _ = g.server.memory()
	if err := g.connect(); err != nil {
		return err
	}
	s, err := g.joinAll(topicOf)
	g.result.Join = s
	g.result.Generator = g.ownUse()
	return err
}

// own is the topic of a connection's own number.
func own(i int) int { return i }

// load calls send for Duration, whenever something has happened and when send wants it, and
// measures the server meanwhile. Count returns how many units there were so far.
// After an interrupt it returns nil, and the scenario sums up what there is.
func (g *generator) load(count func() int, send func(now time.Duration) (next time.Duration)) error {
	m, before := g.mark(), count()
	end := m.at + g.o.Duration
	err := g.pump(0, nil, func(now time.Duration) (time.Duration, bool) {
		if now >= end || g.open == 0 {
			return never, true
		}
		return min(send(now), end), false
	})
	g.result.Load = &Load{Stage: g.stage(m, count()-before)}
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// schedule says when messages are due, whatever the server does (an open loop).
type schedule struct {
	rate  float64 // per second
	begin time.Duration
	n     int // messages so far
}

func (s *schedule) due() time.Duration {
	return s.begin + time.Duration(float64(s.n)/s.rate*float64(time.Second))
}

// burst bounds what is sent before the answers are looked at again.
const burst = 256

// each calls send for every message that is due, and returns when the next one is.
func (s *schedule) each(now time.Duration, send func(n int, due time.Duration)) (next time.Duration) {
	for range burst {
		due := s.due()
		if due > now {
			return due
		}
		n := s.n
		s.n++
		send(n, due)
	}
	return now
}
