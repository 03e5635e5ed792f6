package app

import (
	"sync"
	"time"

	"rtd/host/process"
	"rtd/supervisor"
)

// master is the process above a plugin's tree, OTP's application master. It hears of
// the tree's end, and is the parent of processes that were spawned without a
// supervisor, which end with the plugin.
type master struct {
	app     *App
	process *supervisor.Process

	mu      sync.Mutex
	spawned map[*supervisor.Process]*process.Worker
}

// spawnedPatience is how long all processes without a supervisor may take to end
// with their plugin.
const spawnedPatience = 5 * time.Second

func startMaster(a *App) *master {
	m := &master{app: a, spawned: map[*supervisor.Process]*process.Worker{}}
	m.process = a.node.Runtime.Spawn(supervisor.Spec{Actor: m, Group: a.home.Group})
	return m
}

// spawn starts a worker without a supervisor, linked to another process if one is given.
func (m *master) spawn(w *process.Worker, link *supervisor.Process) *supervisor.Process {
	m.mu.Lock() // so that its end is not taken before it is noted
	p := m.app.node.Runtime.Spawn(supervisor.Spec{
		Actor: w, Parent: m.process, Limit: m.app.current.Load().Settings.Mailbox,
	})
	m.spawned[p] = w
	m.mu.Unlock()
	if link != nil {
		link.Link(p)
	}
	return p
}

// stop ends the spawned processes and the master, and waits for that.
func (m *master) stop() {
	m.mu.Lock()
	var all []*supervisor.Process
	for p := range m.spawned {
		p.Stop(supervisor.Shutdown)
		all = append(all, p)
	}
	m.mu.Unlock()
	late := time.After(spawnedPatience)
	for _, p := range all {
		select {
		case <-p.Done():
			continue
		case <-late:
		}
		for _, p := range all {
			p.Kill()
		}
		break
	}
	m.process.Stop(supervisor.Shutdown)
	<-m.process.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.spawned { // whose ends it has not taken
		w.Gone()
	}
}

// Init begins without processes.
func (m *master) Init(*supervisor.Process) error { return nil }

// Handle takes the ends of processes.
func (m *master) Handle(_ *supervisor.Process, msg any) error {
	exited, ok := msg.(supervisor.Exited)
	if !ok {
		return nil
	}
	m.mu.Lock()
	w := m.spawned[exited.Process]
	delete(m.spawned, exited.Process)
	m.mu.Unlock()
	if w != nil {
		w.Gone()
	}
	switch {
	case w == nil:
		m.app.ended(exited.Process, exited.Reason)
	case supervisor.IsCrash(exited.Reason):
		m.app.Crashed(w.Module(), w.Release(), exited.Reason, supervisor.Ends, 0)
	}
	return nil
}

// Terminate has nothing to do.
func (m *master) Terminate(*supervisor.Process, error) {}
