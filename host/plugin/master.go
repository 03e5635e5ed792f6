package plugin

import (
	"sync"
	"time"

	"rtd/supervisor"
)

// master is the process above a plugin's tree, OTP's application master. It hears of
// the tree's end, and is the parent of processes that were spawned without a
// supervisor, which end with the plugin.
type master struct {
	plugin  *Plugin
	process *supervisor.Process

	mu      sync.Mutex
	spawned map[*supervisor.Process]*worker
}

// spawnedPatience is how long all processes without a supervisor may take to end
// with their plugin.
const spawnedPatience = 5 * time.Second

func startMaster(pl *Plugin) *master {
	m := &master{plugin: pl, spawned: map[*supervisor.Process]*worker{}}
	m.process = pl.set.runtime.Spawn(supervisor.Spec{Actor: m, Group: pl.group})
	return m
}

// spawn starts a worker without a supervisor, linked to another process if that is
// given.
func (m *master) spawn(w *worker, link *supervisor.Process) *supervisor.Process {
	m.mu.Lock() // so that its end is not taken before it is noted
	p := m.plugin.set.runtime.Spawn(supervisor.Spec{
		Actor: w, Parent: m.process, Limit: m.plugin.current.Load().settings.Mailbox,
	})
	m.spawned[p] = w
	m.mu.Unlock()
	if link != nil {
		link.Link(p)
	}
	return p
}

// stop ends what was spawned, and the master, and waits for that.
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
	switch {
	case w == nil:
		m.plugin.ended(exited.Process, exited.Reason)
	case supervisor.IsCrash(exited.Reason):
		m.plugin.crashed(w.module, w.release(), exited.Reason, supervisor.Ends, 0)
	}
	return nil
}

// Terminate has nothing to do.
func (m *master) Terminate(*supervisor.Process, error) {}
