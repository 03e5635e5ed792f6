package supervisor

import "sync/atomic"

// Group has the processes of one plugin in the run queue. Groups are served in turn:
// however many processes of one are ready, a process of another waits for one turn of
// each group and no more. Children are of their parent's group unless their [Spec] says
// otherwise.
type Group struct {
	rt        *Runtime
	processes atomic.Int64
	timers    atomic.Int64
	lost      atomic.Uint64

	// Guarded by rt.mu.
	ready    fifo[*Process] // those at the begin of a turn
	late     fifo[*Process] // those within one, in [Process.Yield]
	lateNext bool           // one of late has the next turn, if there is one
	turns    uint64
}

// GroupStats is a snapshot of a [Group]. Limits on the number of processes, names and
// timers are checked against it.
type GroupStats struct {
	Processes int    // live ones
	Queued    int    // ready, waiting for a scheduler
	Timers    int    // that have yet to fire
	Lost      uint64 // messages of timers that found a mailbox full
	Turns     uint64 // that its processes had
}

// NewGroup returns a group without processes. It needs no end.
func (rt *Runtime) NewGroup() *Group { return &Group{rt: rt} }

// Stats returns the figures of this moment.
func (g *Group) Stats() GroupStats {
	g.rt.mu.Lock()
	defer g.rt.mu.Unlock()
	return GroupStats{
		Processes: int(g.processes.Load()),
		Queued:    g.queued(),
		Timers:    int(g.timers.Load()),
		Lost:      g.lost.Load(),
		Turns:     g.turns,
	}
}

func (rt *Runtime) groupOf(spec Spec) *Group {
	switch {
	case spec.Group != nil:
		return spec.Group
	case spec.Parent != nil:
		return spec.Parent.group
	}
	return rt.others
}

func (g *Group) queued() int { return g.ready.len() + g.late.len() }

// pop removes the next process; there must be one. Processes that have had more than
// their share within one message get every second turn. So they do not hold up the quick
// ones, and the quick ones, however many there are, do not hold them up.
func (g *Group) pop() *Process {
	if g.late.len() > 0 && (g.lateNext || g.ready.len() == 0) {
		g.lateNext = false
		return g.late.pop()
	}
	g.lateNext = true
	return g.ready.pop()
}

// runQueue has the ready processes. Groups take turns.
type runQueue struct {
	groups fifo[*Group] // those with a process in their queue
	n      atomic.Int64 // of processes
	late   atomic.Int64 // of them
}

func (q *runQueue) len() int { return int(q.n.Load()) }

func (q *runQueue) push(p *Process) {
	g := p.group
	if g.queued() == 0 {
		q.groups.push(g)
	}
	if p.isLate() {
		g.late.push(p)
		q.late.Add(1)
	} else {
		g.ready.push(p)
	}
	q.n.Add(1)
}

// pop removes the next process; there must be one.
func (q *runQueue) pop() *Process {
	g := q.groups.pop()
	p := g.pop()
	if g.queued() > 0 {
		q.groups.push(g)
	}
	q.forget(p)
	return p
}

// remove takes a process out that is in Yield.
func (q *runQueue) remove(p *Process) {
	g := p.group
	g.late.removeLast(func(other *Process) bool { return other == p })
	if g.queued() == 0 {
		q.groups.removeLast(func(other *Group) bool { return other == g })
	}
	q.forget(p)
}

func (q *runQueue) forget(p *Process) {
	if p.isLate() {
		q.late.Add(-1)
	}
	q.n.Add(-1)
}

// isLate says that the process is in the queue within a turn. rt.mu is held.
func (p *Process) isLate() bool { return p.stands.Load() == standsQueued }
