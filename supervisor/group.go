package supervisor

import "sync/atomic"

// Group is the processes of one plugin to the run queue: groups are served in
// turn, so that however many processes of one are ready, one of another waits
// for one turn of each group and no more. Children are of their parent's group
// unless their [Spec] says otherwise.
type Group struct {
	rt        *Runtime
	processes atomic.Int64
	timers    atomic.Int64
	lost      atomic.Uint64

	// Guarded by rt.mu.
	queue fifo[*Process] // those ready, in order
	turns uint64
}

// GroupStats is a snapshot of a [Group]. Limits for what its processes may start
// are checked against it.
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
		Queued:    g.queue.len(),
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

// runQueue is the ready processes. Groups take turns, processes of one group are
// served in order.
type runQueue struct {
	groups fifo[*Group] // those with a process in their queue
	n      atomic.Int64 // of processes
}

func (q *runQueue) len() int { return int(q.n.Load()) }

func (q *runQueue) push(p *Process) {
	g := p.group
	g.queue.push(p)
	if g.queue.len() == 1 {
		q.groups.push(g)
	}
	q.n.Add(1)
}

// pop removes the next process; there must be one.
func (q *runQueue) pop() *Process {
	g := q.groups.pop()
	p := g.queue.pop()
	if g.queue.len() > 0 {
		q.groups.push(g)
	}
	q.n.Add(-1)
	return p
}
