package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// childSpec is a child of a plugin's tree as the guest declared it in its start event.
type childSpec struct {
	id       string
	under    string // id of a supervisor declared before; "" is the root
	kind     childKind
	module   string // of a worker
	name     string // to register a worker under; "" is none
	args     []byte
	binary   bool
	restart  supervisor.Restart
	shutdown time.Duration
	// Of a supervisor.
	strategy  supervisor.Strategy
	intensity supervisor.Intensity
}

// equal says whether two declarations make the same process.
func (c *childSpec) equal(d *childSpec) bool {
	e, f := *c, *d
	e.args, f.args = nil, nil
	return reflect.DeepEqual(e, f) && bytes.Equal(c.args, d.args)
}

type childKind int

const (
	workerChild childKind = iota
	supervisorChild
	dynamicChild
)

// maxShutdown bounds how long a child may take to end, in milliseconds.
const maxShutdown = 3_600_000

// parseChild reads a declaration. The error is for the author of the guest.
func parseChild(e *abi.Effect) (c *childSpec, err error) {
	d := struct {
		Type, Under, Module string
		Name                *string
		Restart, Strategy   string
		Shutdown            *int64
		MaxRestarts         *int `json:"max_restarts"`
		MaxSeconds          *int `json:"max_seconds"`
	}{Type: "worker", Module: e.Name, Restart: "permanent", Strategy: "one_for_one"}
	if e.Detail != "" {
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			return nil, fmt.Errorf("its specification is not the JSON that it should be: %w", err)
		}
	}
	c = &childSpec{
		id: e.Name, under: d.Under, module: d.Module, name: e.Name, args: e.Payload, binary: e.Flags&abi.Binary != 0,
		intensity: supervisor.Intensity{Max: 3, Within: 5 * time.Second},
	}
	switch d.Type {
	case "worker":
	case "supervisor":
		c.kind = supervisorChild
	case "dynamic":
		c.kind = dynamicChild
	default:
		return nil, fmt.Errorf("type %.20q: expected worker, supervisor or dynamic", d.Type)
	}
	if d.Name != nil {
		c.name = *d.Name
	}
	if c.restart, err = supervisor.ParseRestart(d.Restart); err != nil {
		return nil, err
	}
	if c.strategy, err = supervisor.ParseStrategy(d.Strategy); err != nil {
		return nil, err
	}
	if d.Shutdown != nil {
		switch ms := *d.Shutdown; {
		case ms < 0 || ms > maxShutdown:
			return nil, fmt.Errorf("shutdown %d: expected milliseconds from 0 to %d", ms, maxShutdown)
		case ms == 0:
			c.shutdown = supervisor.KillAtOnce
		default:
			c.shutdown = time.Duration(ms) * time.Millisecond
		}
	}
	if d.MaxRestarts != nil {
		c.intensity.Max = *d.MaxRestarts
	}
	if d.MaxSeconds != nil {
		c.intensity.Within = time.Duration(*d.MaxSeconds) * time.Second
	}
	if c.intensity.Max < 0 || c.intensity.Within <= 0 || c.intensity.Within > 24*time.Hour {
		return nil, errors.New("max_restarts and max_seconds: expected 0 or more, and 1 to 86400")
	}
	return c, nil
}

// parseChildren reads the declarations of a start event.
func parseChildren(declared []abi.Effect) (children []*childSpec, err error) {
	kinds := map[string]childKind{"": supervisorChild}
	for i := range declared {
		if declared[i].Kind != abi.EffectChild {
			continue
		}
		c, err := parseChild(&declared[i])
		if err != nil {
			return nil, fmt.Errorf("declares child %.80q: %w", declared[i].Name, err)
		}
		if _, twice := kinds[c.id]; twice || c.id == channelsID {
			return nil, fmt.Errorf("declares child %.80q twice, or without or with a reserved id", c.id)
		}
		if kind, known := kinds[c.under]; !known || kind != supervisorChild {
			return nil, fmt.Errorf("declares child %.80q under %.80q, which is no supervisor declared before", c.id, c.under)
		}
		kinds[c.id] = c.kind
		children = append(children, c)
	}
	return children, nil
}

// channelsID is the last child of every plugin: the supervisor of its channel
// handlers.
const channelsID = "channels"

// tree declares the root supervisor of a release:
//
//	NAME            strategy and intensity from the settings
//	├─ child …      as the guest declared them
//	└─ channels     its channel handlers, in groups by topic
func (pl *Plugin) tree(r *release) supervisor.Config {
	c := pl.supervised(r.children, "", r.settings.Strategy, r.settings.Intensity)
	c.Children = append(c.Children, supervisor.ChildSpec{
		ID:       channelsID,
		Start:    pl.Supervisor().Spec,
		Restart:  supervisor.Permanent,
		Shutdown: r.shutdown() + 5*time.Second,
	})
	return c
}

// shutdown is how long channels may take to end. A guest ends with its deadline;
// nothing has to be killed.
func (r *release) shutdown() time.Duration { return 2*r.settings.Limits.Deadline + 5*time.Second }

// supervised declares the supervisor with an id. The tree may outlive the release
// that has begun it.
func (pl *Plugin) supervised(all []*childSpec, id string, s supervisor.Strategy, i supervisor.Intensity) supervisor.Config {
	c := supervisor.Config{Strategy: s, Intensity: i, Report: func(report supervisor.Report) {
		if supervisor.IsCrash(report.Reason) || report.Decision == supervisor.GivesUp {
			pl.crashed(report.Child, pl.ranBy(report.Child), report.Reason, report.Decision, 0)
		}
	}}
	for _, child := range all {
		if child.under == id {
			c.Children = append(c.Children, pl.child(all, child))
		}
	}
	return c
}

func (pl *Plugin) child(all []*childSpec, c *childSpec) supervisor.ChildSpec {
	spec := supervisor.ChildSpec{ID: c.id, Restart: c.restart, Shutdown: c.shutdown}
	switch c.kind {
	case supervisorChild:
		spec.Start = func() supervisor.Spec {
			return supervisor.Spec{Actor: supervisor.NewSupervisor(pl.supervised(all, c.id, c.strategy, c.intensity))}
		}
	case dynamicChild:
		// It itself is permanent; the restart type is its children's.
		spec.Restart = supervisor.Permanent
		spec.Start = func() supervisor.Spec {
			d := &dynamic{id: c.id, restart: c.restart, lives: map[*supervisor.Process]*worker{}}
			d.Dynamic = supervisor.NewDynamic(supervisor.DynamicConfig{Intensity: c.intensity, Shutdown: c.shutdown})
			if old, was := pl.dynamics.Swap(c.id, d); was {
				old.(*dynamic).Close(supervisor.Shutdown) // its processes do not outlive it
			}
			return d.Spec()
		}
	default:
		spec.Start = func() supervisor.Spec {
			return supervisor.Spec{
				Actor: &worker{
					plugin: pl, id: c.id, module: c.module, args: c.args, binary: c.binary, name: c.name,
					again: c.restart != supervisor.Temporary,
				},
				Limit: pl.current.Load().settings.Mailbox,
			}
		}
	}
	return spec
}

// ranBy returns the release that a child's last guest was of, or the current one.
func (pl *Plugin) ranBy(id string) *release {
	if r, ok := pl.ran.Load(id); ok {
		return r.(*release)
	}
	return pl.current.Load()
}

// dynamic is a dynamic supervisor that the guest declared.
type dynamic struct {
	*supervisor.Dynamic
	id      string
	restart supervisor.Restart // of each child

	mu    sync.Mutex
	lives map[*supervisor.Process]*worker // those whose Init has succeeded
}

func (d *dynamic) add(p *supervisor.Process, w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lives[p] = w
}

func (d *dynamic) remove(p *supervisor.Process) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.lives, p)
}

func (d *dynamic) get(p *supervisor.Process) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lives[p]
}

func (d *dynamic) processes() []*supervisor.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.lives))
}

// dynamic returns the dynamic supervisor with an id, or nil.
func (pl *Plugin) dynamic(id string) *dynamic {
	d, _ := pl.dynamics.Load(id)
	found, _ := d.(*dynamic)
	return found
}

// stopChild ends the process for good, if it is under a dynamic supervisor.
func (pl *Plugin) stopChild(p *supervisor.Process) bool {
	for _, d := range pl.dynamics.Range {
		if w := d.(*dynamic).get(p); w != nil {
			d.(*dynamic).Stop(w, supervisor.Shutdown)
			return true
		}
	}
	return false
}
