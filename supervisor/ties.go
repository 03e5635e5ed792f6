package supervisor

import (
	"slices"
	"sync"
)

// ties are the links, monitors, names and timers of a process, which have to be undone at
// its end. Most processes have none.
//
// A link or a monitor is an entry at both ends. Both are made under both locks; the lock
// of the lower PID is taken first. An end takes one lock at a time: it closes its own
// ties first, after which nobody adds to them.
type ties struct {
	mu       sync.Mutex // a mailbox, Names and the runtime may be locked under it
	closed   bool
	trap     trap
	exported bool
	links    map[*Process]bool // whether this process asked for the link
	monitors map[Ref]*Process  // whom it watches
	watchers map[Ref]*Process  // who watches it
	names    []registration
	timers   map[*Timer]struct{}
}

// trap is how a process takes exit signals.
type trap uint8

const (
	noTrap     trap = iota // it ends
	trapAll                // it gets an Exit
	parentOnly             // as supervisors: it ends with its parent, and ignores others
)

type registration struct {
	in   *Names
	name string
}

// noTies are the ties of a process after its end.
var noTies = &ties{closed: true}

// lockTies locks the process's ties, which are made if need be. Without any,
// because it has ended, it returns nil.
func (p *Process) lockTies() *ties {
	t := p.ties.Load()
	for t == nil {
		p.ties.CompareAndSwap(nil, &ties{})
		t = p.ties.Load()
	}
	return t.lock()
}

// lockMadeTies is lockTies, but returns nil also for a process that has never
// had any.
func (p *Process) lockMadeTies() *ties {
	if t := p.ties.Load(); t != nil {
		return t.lock()
	}
	return nil
}

func (t *ties) lock() *ties {
	if t == noTies {
		return nil
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	return t
}

func (t *ties) unlock() {
	if t != nil {
		t.mu.Unlock()
	}
}

// lockBoth locks the ties of two different processes.
func lockBoth(p, q *Process) (tp, tq *ties) {
	if p.pid < q.pid {
		tp = p.lockTies()
		return tp, q.lockTies()
	}
	tq = q.lockTies()
	return p.lockTies(), tq
}

// release closes the ties of p, which ends: names and timers are free.
func (t *ties) release(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.names {
		r.in.remove(r.name)
	}
	if t.exported {
		p.group.rt.unexport(p.pid)
	}
	for timer := range t.timers {
		timer.forget()
	}
	t.names, t.timers = nil, nil
}

// tell lets the others know of p's end. The ties are closed, so that nobody
// else changes them.
func (t *ties) tell(p *Process, reason error) {
	for q := range t.links {
		q.linkEnded(p, reason)
	}
	for ref, q := range t.watchers {
		q.watchedEnded(ref, p, reason)
	}
	for ref, q := range t.monitors {
		if tq := q.lockMadeTies(); tq != nil {
			delete(tq.watchers, ref)
			tq.unlock()
		}
	}
}

// put adds to a map that is made on demand.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// allNames are the process's names in all registries, sorted.
func (t *ties) allNames() []string {
	var names []string
	for _, r := range t.names {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}
