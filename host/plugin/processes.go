package plugin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rtd/supervisor"
)

// Process describes a process of a plugin, and those below it.
type Process struct {
	Kind     ProcessKind
	Name     string           // of the plugin, "root", id of a child, topic, or what a guest called it
	Life     *supervisor.Info // nil between two lives
	Restarts int              // lives after the first
	Children []Process
	More     int // children that are not listed
}

// ProcessKind says what a process is.
type ProcessKind string

// The kinds of processes.
const (
	KindPlugin     ProcessKind = "plugin"     // above its tree
	KindSupervisor ProcessKind = "supervisor" // with children that were declared
	KindDynamic    ProcessKind = "dynamic"    // a supervisor of children that come and go
	KindWorker     ProcessKind = "worker"     // a guest under a supervisor
	KindTask       ProcessKind = "task"       // a guest under none
	KindChannel    ProcessKind = "channel"    // a guest that handles a topic
)

// PID is the number of a process as guests have it; "" between two lives.
func (p Process) PID() string {
	if p.Life == nil {
		return ""
	}
	return pidText(p.Life.PID)
}

// answerTime bounds the wait for a supervisor that is asked for its children.
const answerTime = time.Second

// Processes returns the tree of a plugin, with no more than limit children under
// each supervisor of those that come and go. It is false if there is no such plugin.
func (s *Set) Processes(ctx context.Context, name string, limit int) (tree Process, ok bool) {
	pl := s.get(name)
	if pl == nil {
		return Process{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	tree = describe(KindPlugin, name, pl.master.process)
	if root := pl.up.Load(); root != nil {
		top := describe(KindSupervisor, "root", root)
		if actor, is := root.Actor().(*supervisor.Supervisor); is {
			top.Children = pl.children(ctx, actor.Children(), limit)
		}
		tree.Children = append(tree.Children, top)
	}
	tasks := pl.master.tasks()
	tree.More = max(0, len(tasks)-limit)
	tree.Children = append(tree.Children, tasks[:len(tasks)-tree.More]...)
	return tree, true
}

func (pl *Plugin) children(ctx context.Context, infos []supervisor.ChildInfo, limit int) (list []Process) {
	for _, info := range infos {
		p := describe(KindWorker, info.ID, info.Process)
		p.Restarts = info.Restarts
		if info.Process != nil {
			switch actor := info.Process.Actor().(type) {
			case *supervisor.Supervisor:
				p.Kind = KindSupervisor
				p.Children = pl.children(ctx, info.Children, limit)
			case *supervisor.Dynamic:
				p.Kind = KindDynamic
				p.Children = members(ctx, actor, limit)
				p.More = max(0, info.Members-len(p.Children))
			}
		}
		list = append(list, p)
	}
	return list
}

// members lists the children of a dynamic supervisor; none if it does not answer.
func members(ctx context.Context, d *supervisor.Dynamic, limit int) (list []Process) {
	found, _ := d.Members(ctx, limit) // an error leaves them all to More
	for _, m := range found {
		p := describe(KindChannel, m.Group, m.Process)
		if w, is := m.Child.(*worker); is {
			p = describe(KindWorker, w.label(), m.Process)
		}
		p.Restarts = m.Restarts
		list = append(list, p)
	}
	return list
}

// tasks describes what was spawned without a supervisor, by age.
func (m *master) tasks() (list []Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, w := range m.spawned {
		list = append(list, describe(KindTask, w.label(), p))
	}
	slices.SortFunc(list, func(a, b Process) int { return cmp.Compare(a.Life.PID, b.Life.PID) })
	return list
}

func describe(kind ProcessKind, name string, p *supervisor.Process) Process {
	d := Process{Kind: kind, Name: name}
	if p != nil {
		info := p.Info()
		d.Life, d.Restarts = &info, info.Restarts
	}
	return d
}
