package plugin

import (
	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Crash is the end of one life of a process: what its line in the log says.
type Crash struct {
	Plugin, Version string
	Topic, Event    string // of a channel
	Process         string // what else it was: the id of a child, or the module of what was spawned
	Reason          error  // wraps a [*sandbox.Trap], if it was one
	Decision        supervisor.Decision
	Restarts        int // of the same process before
}

// OnCrash has f called with every crash, beside the log. It is called on processes of
// the plugin and must not block. It is set before the first deploy.
func (s *Set) OnCrash(f func(Crash)) { s.crashes.tell = f }

var (
	_ sandbox.Opener = (*body)(nil)
	_ sandbox.Opener = (*worker)(nil)
	_ sandbox.Opener = (*channels.Channel)(nil)
	_ sandbox.Opener = (*channels.SharedChannel)(nil)
)

// Opening implements [sandbox.Opener].
func (b *body) Opening() (e abi.Event, ok bool) {
	if o, knows := b.process.Actor().(sandbox.Opener); knows {
		return o.Opening()
	}
	return abi.Event{}, false
}

// Opening implements [sandbox.Opener]. The question of who spawned it is answered.
func (w *worker) Opening() (e abi.Event, ok bool) {
	return abi.Event{Kind: abi.EventInit, Name: w.module, Payload: w.args, Flags: binaryFlag(w.binary)}, true
}
