package process

import (
	"rtd/host/ask"
	"rtd/supervisor"
)

// peer is a process as a guest with its address sees it. It may be on another node one
// day, and for that reason has so few methods. A process that asks it waits until the
// peer has ended at the most, and is told of that end.
type peer interface {
	ask.Receiver
	// Exit sends it an exit signal, as the end of a linked process would.
	Exit(by *supervisor.Process, reason error) error
	// Done is closed when it has ended; Reason says why.
	Done() <-chan struct{}
	Reason() error
	// watch sends a [supervisor.Down] to another process when it has ended.
	watch(by *supervisor.Process) supervisor.Ref
	// pid returns its address for guests, for ever.
	pid() string
	// here returns the process, if it is on this node; else nil.
	here() *supervisor.Process
}

// local is a process of this node.
type local struct{ *supervisor.Process }

func (l local) watch(by *supervisor.Process) supervisor.Ref { return by.Monitor(l.Process) }
func (l local) pid() string                                 { return pidOf(l.Process) }
func (l local) here() *supervisor.Process                   { return l.Process }
