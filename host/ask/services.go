package ask

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rtd/supervisor"
)

// Service is a process of the host, in Go, that does work for guests that they cannot do,
// such as reaching a database. To guests it is a process like any other, which they call,
// cast to and monitor as "rtd/NAME"; but only guests of plugins whose config grants it,
// and none can end it, or link itself with it.
type Service struct {
	// Name is the part of its address behind "rtd/", such as "clock" or "sql/main".
	Name string
	// Start returns the code of one life. It gets calls as [*Request], and casts and
	// other messages as [*Message]; both name the asker. Their bytes count for the
	// asker's plugin: those of a message until Handle has returned, those of a request
	// until it has ended.
	Start func() supervisor.Actor
	// Mailbox is how many messages may wait for it. They outlive a crash. Default 1,000.
	Mailbox int
}

// A service that crashes is started again, up to serviceIntensity. A service that crashes
// more often is gone until the server starts again.
var serviceIntensity = supervisor.Intensity{Max: 3, Within: 5 * time.Second}

// HostName is the plugin under which the services appear. No other plugin can have the
// name.
const HostName = "rtd"

// Services are the services of a server. The first one starts their supervisor. The
// methods may be called from any goroutine.
type Services struct {
	runtime *supervisor.Runtime
	log     *slog.Logger
	group   *supervisor.Group
	names   supervisor.Names

	mu      sync.Mutex
	tree    *supervisor.Dynamic
	process *supervisor.Process // of tree
	closed  bool
}

// NewServices returns a set without services.
func NewServices(rt *supervisor.Runtime, log *slog.Logger) *Services {
	return &Services{runtime: rt, log: log, group: rt.NewGroup()}
}

// ErrClosed is returned by Provide after Close.
var ErrClosed = errors.New("shutting down")

// Provide starts a service, and returns when its first life has begun. It runs until Close.
func (all *Services) Provide(of Service) error {
	v := &service{
		Service: of, all: all, box: supervisor.NewMailbox(of.Mailbox), started: make(chan error, 1),
	}
	if err := all.start(v); err != nil {
		return fmt.Errorf("provide %s/%s: %w", HostName, of.Name, err)
	}
	if err := <-v.started; err != nil {
		return fmt.Errorf("provide %s/%s: %w", HostName, of.Name, err)
	}
	return nil
}

func (all *Services) start(v *service) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return ErrClosed
	}
	if all.tree == nil {
		all.tree = supervisor.NewDynamic(supervisor.DynamicConfig{Intensity: serviceIntensity})
		spec := all.tree.Spec()
		spec.Group = all.group
		all.process = all.runtime.Spawn(spec)
	}
	return all.tree.Start(v, v.Name)
}

// Close ends the services, and waits for that.
func (all *Services) Close() {
	all.mu.Lock()
	tree, process := all.tree, all.process
	all.closed = true
	all.mu.Unlock()
	if tree != nil {
		process.Stop(supervisor.Shutdown)
		<-process.Done()
		tree.Close(supervisor.Shutdown)
	}
}

// Whereis returns the process of a service, or nil.
func (all *Services) Whereis(name string) *supervisor.Process { return all.names.Whereis(name) }

// Has reports whether a process belongs to the host, and returns its name if it is a
// service.
func (all *Services) Has(p *supervisor.Process) (name string, ok bool) {
	if p.Group() != all.group {
		return "", false
	}
	if v, is := p.Actor().(*service); is {
		name = v.Name
	}
	return name, true
}

// Tree returns the supervisor of the services with its process, or nil if there are none. The
// group of a child is its name.
func (all *Services) Tree() (*supervisor.Dynamic, *supervisor.Process) {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.tree, all.process
}

// service is the Actor of a [Service], over all of its lives.
type service struct {
	supervisor.Membership
	Service
	all     *Services
	box     *supervisor.Mailbox
	started chan error // told once how the first life began
	told    atomic.Bool
	actor   supervisor.Actor
	killer  atomic.Pointer[supervisor.Killer]
}

// Init begins a life. The service can be found when its own Init has succeeded.
func (v *service) Init(p *supervisor.Process) error {
	actor := v.Start()
	if k, ok := actor.(supervisor.Killer); ok {
		v.killer.Store(&k)
	}
	if err := actor.Init(p); err != nil {
		return err
	}
	v.actor = actor
	if err := v.all.names.Register(v.Name, p); err != nil {
		return err
	}
	v.report(nil)
	return nil
}

// Handle passes on a request or message, and gives the bytes of a message back.
func (v *service) Handle(p *supervisor.Process, msg any) error {
	switch msg := msg.(type) {
	case *Message:
		defer msg.Dropped()
	case *Request:
		if !msg.serve() {
			return nil // the asker waits no longer
		}
	}
	return v.actor.Handle(p, msg)
}

// Terminate ends a life that has begun.
func (v *service) Terminate(p *supervisor.Process, reason error) {
	if actor := v.actor; actor != nil {
		v.actor = nil
		actor.Terminate(p, reason)
	}
}

// Kill implements [supervisor.Killer].
func (v *service) Kill() {
	if k := v.killer.Load(); k != nil {
		(*k).Kill()
	}
}

// Mailbox implements [supervisor.Child].
func (v *service) Mailbox() *supervisor.Mailbox { return v.box }

// Again implements [supervisor.Child]: services are permanent, once they have begun.
func (v *service) Again(error) bool { return v.told.Load() }

// Exited implements [supervisor.Child].
func (v *service) Exited(reason error, d supervisor.Decision) {
	crashed := supervisor.IsCrash(reason) || d == supervisor.GivesUp
	if crashed && v.told.Load() {
		v.all.log.Error("service crashed", "service", HostName+"/"+v.Name, "cause", reason, "then", d.String())
	}
	v.report(errors.Join(errServiceEnded, reason))
	if d != supervisor.Restarts {
		for _, msg := range v.box.Close() {
			if dropped, ok := msg.(supervisor.Dropper); ok {
				dropped.Dropped()
			}
		}
	}
}

var errServiceEnded = errors.New("it has not begun")

func (v *service) report(err error) {
	if v.told.CompareAndSwap(false, true) {
		v.started <- err
	}
}
