package bench

import "time"

// rooms has connections in groups of Members, each in a topic of its own. Messages
// are due one after the other at Rate, from each member in turn, and their latency
// counts from then, so that a server which holds up the generator does not
// look faster for it.
type rooms struct {
	*generator
	rooms    int
	sent     []uint32  // by connection: messages
	arrivals []tracker // by receiver and sender: of receiver i and member m, at i*Members+m
	missing  int       // messages that members lost by being closed

	wanted, deliveries, duplicated, reordered int
	schedule                                  schedule
	latency                                   Histogram
}

func (g *generator) rooms() error {
	members, n := g.o.Members, len(g.conns)
	if err := g.prepare(func(i int) int { return i / members }); err != nil {
		return err
	}
	r := &rooms{
		generator: g, rooms: (n + members - 1) / members,
		sent: make([]uint32, n), arrivals: make([]tracker, n*members),
		schedule: schedule{rate: g.o.Rate, begin: g.now()},
	}
	g.heard, g.gone = r.hear, r.lose
	g.status = func() string { return progress("deliveries", r.deliveries, &r.latency) }
	err := g.load(func() int { return r.deliveries }, func(now time.Duration) time.Duration {
		return r.schedule.each(now, r.send)
	})
	if err != nil {
		return err
	}
	if err := g.drain(func() int { return r.wanted - r.deliveries }); err != nil {
		return err
	}
	load := g.result.Load
	load.Received, load.Duplicated, load.Reordered = r.deliveries, r.duplicated, r.reordered
	load.Lost = r.missing
	for _, sent := range r.sent {
		load.Sent += int(sent)
	}
	for i := range g.conns {
		if g.conns[i].phase == usable {
			load.Lost += r.missed(i)
		}
	}
	load.Latency = latencyOf(&r.latency)
	return nil
}

// send sends message n: the first member of every room begins, then all second ones.
func (r *rooms) send(n int, due time.Duration) {
	i := n%r.rooms*r.o.Members + n/r.rooms%r.o.Members
	if i >= len(r.conns) || r.conns[i].phase != usable {
		return // the last room is smaller
	}
	r.push(i, r.o.Event, stamp{uint32(i), r.sent[i], due})
	r.sent[i]++
	for _, other := range r.room(i) {
		if other != i && r.conns[other].phase == usable {
			r.wanted++
		}
	}
}

// room returns the connections in the room of connection i.
func (r *rooms) room(i int) []int {
	first := i / r.o.Members * r.o.Members
	var all []int
	for m := first; m < min(first+r.o.Members, len(r.conns)); m++ {
		all = append(all, m)
	}
	return all
}

func (r *rooms) hear(i int, m message) {
	if m.kind == reply && !m.ok && m.ref != 0 {
		r.fail(m.payload)
	}
	if m.kind != broadcast {
		return
	}
	s, ok := r.bodies.find(m.payload)
	sender := int(s.sender)
	if !ok || sender == i || sender >= len(r.conns) || sender/r.o.Members != i/r.o.Members || s.number >= r.sent[sender] {
		return
	}
	switch r.arrivals[i*r.o.Members+sender%r.o.Members].take(s.number) {
	case again:
		r.duplicated++
		return
	case outOfOrder:
		r.reordered++
	}
	r.deliveries++
	r.latency.Add(r.now() - s.due)
}

// missed is how many messages of the others connection i did not get.
func (r *rooms) missed(i int) int {
	n := 0
	for _, other := range r.room(i) {
		if other != i {
			n += int(r.sent[other] - r.arrivals[i*r.o.Members+other%r.o.Members].received)
		}
	}
	return n
}

func (r *rooms) lose(i int) {
	missed := r.missed(i)
	r.missing += missed
	r.wanted -= missed
}
