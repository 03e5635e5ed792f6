package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rtd/host/ask"
	"rtd/host/process"
	"rtd/supervisor"
)

// Tree describes a process of a plugin, and those below it.
type Tree struct {
	Kind     Kind
	Name     string           // of the plugin, "root", id of a child, topic, or what a guest called it
	Life     *supervisor.Info // nil between two lives
	Restarts int              // lives after the first
	Children []Tree
	More     int // children that are not listed

	pid string
}

// Kind says what a process is.
type Kind string

// The kinds of processes.
const (
	KindPlugin     Kind = "plugin"     // above its tree
	KindSupervisor Kind = "supervisor" // with children that were declared
	KindDynamic    Kind = "dynamic"    // a supervisor of children that come and go
	KindWorker     Kind = "worker"     // a guest under a supervisor
	KindTask       Kind = "task"       // a guest under none
	KindChannel    Kind = "channel"    // a guest that handles a topic
	KindHost       Kind = "host"       // the supervisor of the host's services
	KindService    Kind = "service"    // one of them, see [ask.Service]
)

// PID returns the pid of a process as guests have it; "" between two lives.
func (t Tree) PID() string { return t.pid }

// answerTime bounds the wait for a supervisor that is asked for its children.
const answerTime = time.Second

// Processes returns the tree of the application, with no more than limit children under
// each supervisor of those that come and go.
func (a *App) Processes(ctx context.Context, limit int) Tree {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	tree := describe(KindPlugin, a.name, a.master.process)
	if root := a.up.Load(); root != nil {
		top := describe(KindSupervisor, "root", root)
		if actor, is := root.Actor().(*supervisor.Supervisor); is {
			top.Children = children(ctx, actor.Children(), limit)
		}
		tree.Children = append(tree.Children, top)
	}
	tasks := a.master.tasks()
	tree.More = max(0, len(tasks)-limit)
	tree.Children = append(tree.Children, tasks[:len(tasks)-tree.More]...)
	return tree
}

func children(ctx context.Context, infos []supervisor.ChildInfo, limit int) (list []Tree) {
	for _, info := range infos {
		p := describe(KindWorker, info.ID, info.Process)
		p.Restarts = info.Restarts
		if info.Process != nil {
			switch actor := info.Process.Actor().(type) {
			case *supervisor.Supervisor:
				p.Kind = KindSupervisor
				p.Children = children(ctx, info.Children, limit)
			case *supervisor.Dynamic:
				p.Kind = KindDynamic
				p.Children = members(ctx, actor, KindChannel, limit)
				p.More = max(0, info.Members-len(p.Children))
			}
		}
		list = append(list, p)
	}
	return list
}

// members lists the children of a dynamic supervisor; none if it does not answer.
func members(ctx context.Context, d *supervisor.Dynamic, kind Kind, limit int) (list []Tree) {
	found, _ := d.Members(ctx, limit) // an error leaves them all to More
	for _, m := range found {
		p := describe(kind, m.Group, m.Process)
		if w, is := m.Child.(*process.Worker); is {
			p = describe(KindWorker, w.Label(), m.Process)
		}
		p.Restarts = m.Restarts
		list = append(list, p)
	}
	return list
}

// Services returns the tree of the host's services; false if there are none.
func Services(ctx context.Context, all *ask.Services, limit int) (tree Tree, ok bool) {
	dynamic, process := all.Tree()
	if dynamic == nil {
		return Tree{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	tree = describe(KindHost, ask.HostName, process)
	tree.Children = members(ctx, dynamic, KindService, limit)
	tree.More = max(0, dynamic.Len()-len(tree.Children))
	return tree, true
}

// tasks describes the processes that were spawned without a supervisor, by age.
func (m *master) tasks() (list []Tree) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, w := range m.spawned {
		list = append(list, describe(KindTask, w.Label(), p))
	}
	slices.SortFunc(list, func(a, b Tree) int { return cmp.Compare(a.Life.PID, b.Life.PID) })
	return list
}

func describe(kind Kind, name string, p *supervisor.Process) Tree {
	d := Tree{Kind: kind, Name: name}
	if p != nil {
		info := p.Info()
		d.Life, d.Restarts = &info, info.Restarts
		d.pid = process.TextOf(p.Runtime(), info.PID)
	}
	return d
}
