package rtd

import (
	"strconv"
	"time"
)

// Tree declares the processes and supervisors that the plugin consists of. They are started
// in this order, before any channel, and stopped in reverse order, each under the supervisor
// that has it among its Children. The outermost ones are children of the plugin, whose
// strategy and intensity are in its table of the server's config. Call it from init.
//
//	rtd.Tree(
//		rtd.Worker{ID: "registry"},
//		rtd.Supervisor{ID: "mail", Strategy: rtd.OneForAll, Children: []rtd.Child{
//			rtd.Worker{ID: "queue"},
//			rtd.Worker{ID: "sender", Shutdown: 30 * time.Second},
//		}},
//		rtd.Dynamic{ID: "previews", Restart: rtd.Temporary},
//	)
func Tree(children ...Child) { plugin.tree = append(plugin.tree, children...) }

// Child is a [Worker], a [Supervisor] or a [Dynamic].
type Child interface {
	declare(under string) error
}

// Worker is a process that is there as long as its supervisor.
type Worker struct {
	ID        string
	Module    string // of which it is a process; default: ID
	Name      string // under which it is registered; default: ID
	Anonymous bool   // it is not registered
	Args      []byte // for its Init
	Restart   Restart
	Shutdown  time.Duration // how long it may take to end; default: 5 s; negative: it is killed at once
}

// Supervisor restarts its children. When they crash too often, it ends, and is restarted with
// all of them.
type Supervisor struct {
	ID          string
	Strategy    Strategy
	MaxRestarts int // more than so many restarts …; default: 3; negative: none
	MaxSeconds  int // … in so many seconds are too often; default: 5
	Children    []Child
}

// Dynamic supervises processes that are started later, with [Spawn] or as a [Task]. Restarts
// are counted for each of them.
type Dynamic struct {
	ID          string
	Restart     Restart       // of each
	Shutdown    time.Duration // of each, as a Worker's
	MaxRestarts int           // as a Supervisor's
	MaxSeconds  int
}

// Restart says when a process is restarted.
type Restart string

const (
	Permanent Restart = "permanent" // always; the default
	Transient Restart = "transient" // after a crash
	Temporary Restart = "temporary" // never
)

// Strategy says which children of a supervisor are restarted when one of them crashes.
type Strategy string

const (
	OneForOne  Strategy = "one_for_one"  // that one; the default
	OneForAll  Strategy = "one_for_all"  // all
	RestForOne Strategy = "rest_for_one" // that one and those declared after it
)

func (w Worker) declare(under string) error {
	module := w.Module
	if module == "" {
		module = w.ID
	}
	if plugin.modules[module] == nil {
		return errText("child " + w.ID + ": no module " + module + "; register it from init, for example with rtd.Serve")
	}
	spec := object{}
	spec.text("under", under)
	spec.text("module", w.Module)
	if w.Anonymous {
		spec.add("name", `""`)
	} else {
		spec.text("name", w.Name)
	}
	spec.text("restart", string(w.Restart))
	spec.shutdown(w.Shutdown)
	effect(record{kind: effectChild, name: w.ID, payload: w.Args, detail: spec.String()})
	return nil
}

func (s Supervisor) declare(under string) error {
	spec := object{}
	spec.text("type", "supervisor")
	spec.text("under", under)
	spec.text("strategy", string(s.Strategy))
	spec.intensity(s.MaxRestarts, s.MaxSeconds)
	effect(record{kind: effectChild, name: s.ID, detail: spec.String()})
	for _, c := range s.Children {
		if err := c.declare(s.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d Dynamic) declare(under string) error {
	spec := object{}
	spec.text("type", "dynamic")
	spec.text("under", under)
	spec.text("restart", string(d.Restart))
	spec.shutdown(d.Shutdown)
	spec.intensity(d.MaxRestarts, d.MaxSeconds)
	effect(record{kind: effectChild, name: d.ID, detail: spec.String()})
	return nil
}

func (o *object) shutdown(d time.Duration) {
	if d != 0 {
		o.add("shutdown", milliseconds(d))
	}
}

func (o *object) intensity(restarts, seconds int) {
	if restarts != 0 {
		o.add("max_restarts", strconv.Itoa(max(restarts, 0)))
	}
	if seconds != 0 {
		o.add("max_seconds", strconv.Itoa(seconds))
	}
}
