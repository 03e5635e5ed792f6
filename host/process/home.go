package process

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/durable"
	"rtd/host/release"
	"rtd/supervisor"
)

// Node is shared by the processes of all plugins.
type Node struct {
	Runtime  *supervisor.Runtime
	Endpoint *channels.Endpoint
	Services *ask.Services
	Log      *slog.Logger
	Homes    Directory
	// Keeper returns who keeps durable actors. It must not wait.
	Keeper func() (durable.Keeper, error)

	waits  waits
	rights sync.RWMutex // held by reading while a right to a topic is used, for writing while rights change
}

// Directory knows all plugins. Its methods may be called from any goroutine; they return
// nil if there is no such plugin.
type Directory interface {
	Called(name string) *Home
	Of(*supervisor.Group) *Home
}

// ChangeRights calls f, which changes the rights to topics, while no process uses such a
// right.
func (n *Node) ChangeRights(f func()) {
	n.rights.Lock()
	defer n.rights.Unlock()
	f()
}

// App is the application of a process, as far as the process knows it. Its methods may be
// called from any goroutine.
type App interface {
	channels.Plugin
	ask.Account
	// Release returns the current release.
	Release() *release.Release
	// After returns the release with which a process goes on whose guest is of old; the
	// current one for nil.
	After(old *release.Release) *release.Release
	// ReleaseOf returns the release in which a state resumes that needs this version and snapshot: one that is
	// loaded, or one that is loaded for it now, under the settings of today and with the config and the limit of memory of that
	// snapshot. It waits for that, so that a process calls it in [supervisor.Process.Block]. It stays loaded for a while
	// after it was asked for, and as long as guests of it live. The error is the context's, or says in one line what is
	// missing and what to do. If a guest does not resume since its module is closed ([sandbox.ErrClosed]), ask again.
	ReleaseOf(ctx context.Context, use durable.Use) (*release.Release, error)
	// Spawn starts a worker without a supervisor, linked to another process if that is
	// given.
	Spawn(w *Worker, link *supervisor.Process) *supervisor.Process
	// Crashed logs and counts the crash of a process that is no channel, whose guest was of
	// release r.
	Crashed(process string, r *release.Release, reason error, d supervisor.Decision, restarts int)
}

// Home is shared by the processes of one plugin, of whatever version. Only its
// application makes one.
type Home struct {
	App   App
	Node  *Node
	Group *supervisor.Group
	Names supervisor.Names

	kept       budget                          // by the host, for its guests
	workers    workers                         // those that there are
	dynamics   sync.Map                        // id → *Dynamic, those that the guest declared
	ran        sync.Map                        // id of a declared child → *release.Release of its last guest
	late       atomic.Pointer[channels.Owners] // when last an effect came too late
	tries      tries                           // of what durable actors have crashed at
	complaints complaints                      // about durable actors
	refusals   refusals                        // of durable processes
}

// NewHome returns the home of an application.
func NewHome(app App, n *Node) *Home {
	h := &Home{App: app, Node: n, Group: n.Runtime.NewGroup()}
	h.Names.Freed = func(name string) { h.Give(thingSize + len(name)) }
	return h
}

// RanBy returns the release that a declared child's last guest was of, or the current one.
func (h *Home) RanBy(id string) *release.Release {
	if r, ok := h.ran.Load(id); ok {
		return r.(*release.Release)
	}
	return h.App.Release()
}

// EachWorker calls f with every process that is no channel. It must not start or end one.
func (h *Home) EachWorker(f func(*supervisor.Process, *Worker)) { h.workers.each(f) }

// workers are the processes of a plugin that are no channels.
type workers struct {
	mu  sync.Mutex
	all map[*supervisor.Process]*Worker
}

func (ws *workers) add(p *supervisor.Process, w *Worker) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = map[*supervisor.Process]*Worker{}
	}
	ws.all[p] = w
}

func (ws *workers) remove(p *supervisor.Process) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, p)
}

func (ws *workers) each(f func(*supervisor.Process, *Worker)) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for p, w := range ws.all {
		f(p, w)
	}
}
