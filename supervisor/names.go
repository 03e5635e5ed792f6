package supervisor

import (
	"fmt"
	"sync"
)

// Names is a registry of processes by name, one for each plugin. The zero value
// is empty and ready for use, from any goroutine.
//
// A process may have several names, in several registries. They are free again
// when its end is made known, be it by Done, an [Exited], an [Exit] or a [Down]:
// who starts another process then can give it the name.
type Names struct {
	// Freed, if given, is called once for each name that is free again, for those who
	// count them. It is set before the first registration. Callers hold locks: it must not
	// block, nor call a process or Names.
	Freed func(name string)

	mu        sync.RWMutex
	processes map[string]*Process
}

// TakenError says whose a name is. It may be the process's own already.
type TakenError struct {
	Name string
	By   PID
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("name %.100q is taken by process %v; choose another or unregister it first", e.Name, e.By)
}

// Register gives p a name. It fails with a [*TakenError], and with [ErrEnded] if
// p has ended.
func (n *Names) Register(name string, p *Process) error {
	t := p.lockTies()
	if t == nil {
		return ErrEnded
	}
	defer t.unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if by := n.processes[name]; by != nil {
		return &TakenError{name, by.pid}
	}
	put(&n.processes, name, p)
	t.names = append(t.names, registration{n, name})
	return nil
}

// Unregister frees a name and reports whether it was taken.
func (n *Names) Unregister(name string) bool {
	p := n.Whereis(name)
	if p == nil {
		return false
	}
	t := p.lockMadeTies()
	if t == nil {
		return false // it ends, and the name is free in a moment
	}
	defer t.unlock()
	for i, r := range t.names {
		if r == (registration{n, name}) {
			last := len(t.names) - 1
			t.names[i] = t.names[last]
			t.names[last] = registration{}
			t.names = t.names[:last]
			n.remove(name)
			return true
		}
	}
	return false
}

// Whereis returns the process that has the name, or nil.
func (n *Names) Whereis(name string) *Process {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.processes[name]
}

// Len is the number of names that are taken.
func (n *Names) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.processes)
}

func (n *Names) remove(name string) {
	n.mu.Lock()
	delete(n.processes, name)
	n.mu.Unlock()
	if n.Freed != nil {
		n.Freed(name)
	}
}

// Export lets [Runtime.Find] find p by its number, until it ends. Only what
// others address by number needs that; the rest costs nothing there.
func (p *Process) Export() PID {
	t := p.lockTies()
	if t == nil {
		return p.pid
	}
	defer t.unlock()
	if !t.exported {
		t.exported = true
		x := &p.group.rt.exports
		x.mu.Lock()
		put(&x.processes, p.pid, p)
		x.mu.Unlock()
	}
	return p.pid
}

// exports is the table of exported processes.
type exports struct {
	mu        sync.RWMutex
	processes map[PID]*Process
}

// Find returns the exported live process with that number, or nil.
func (rt *Runtime) Find(pid PID) *Process {
	rt.exports.mu.RLock()
	defer rt.exports.mu.RUnlock()
	return rt.exports.processes[pid]
}

func (rt *Runtime) unexport(pid PID) {
	rt.exports.mu.Lock()
	defer rt.exports.mu.Unlock()
	delete(rt.exports.processes, pid)
}
