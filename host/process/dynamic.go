package process

import (
	"maps"
	"slices"
	"sync"

	"rtd/host/release"
	"rtd/supervisor"
)

// Dynamic is a dynamic supervisor that the guest declared.
type Dynamic struct {
	*supervisor.Dynamic
	id      string
	restart supervisor.Restart // of each child

	mu    sync.Mutex
	lives map[*supervisor.Process]*Worker // those whose Init has succeeded
}

// NewDynamic makes the dynamic supervisor that a child is, in place of the one before.
func (h *Home) NewDynamic(c *release.Child) *Dynamic {
	d := &Dynamic{id: c.ID, restart: c.Restart, lives: map[*supervisor.Process]*Worker{}}
	d.Dynamic = supervisor.NewDynamic(supervisor.DynamicConfig{Intensity: c.Intensity, Shutdown: c.Shutdown})
	if old, was := h.dynamics.Swap(c.ID, d); was {
		old.(*Dynamic).Close(supervisor.Shutdown) // its processes do not outlive it
	}
	return d
}

// CloseDynamics closes all of them, whose tree has ended.
func (h *Home) CloseDynamics() {
	for id, d := range h.dynamics.Range {
		h.dynamics.Delete(id)
		d.(*Dynamic).Close(supervisor.Shutdown)
	}
}

func (d *Dynamic) add(p *supervisor.Process, w *Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lives[p] = w
}

func (d *Dynamic) remove(p *supervisor.Process) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.lives, p)
}

func (d *Dynamic) get(p *supervisor.Process) *Worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lives[p]
}

func (d *Dynamic) processes() []*supervisor.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.lives))
}

// dynamic returns the dynamic supervisor with an id, or nil.
func (h *Home) dynamic(id string) *Dynamic {
	d, _ := h.dynamics.Load(id)
	found, _ := d.(*Dynamic)
	return found
}

// stopChild ends the process for good, if it is under a dynamic supervisor.
func (h *Home) stopChild(p *supervisor.Process) bool {
	for _, d := range h.dynamics.Range {
		if w := d.(*Dynamic).get(p); w != nil {
			d.(*Dynamic).Stop(w, supervisor.Shutdown)
			return true
		}
	}
	return false
}
