package process

import (
	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
)

var (
	_ sandbox.Opener = (*body)(nil)
	_ sandbox.Opener = (*Worker)(nil)
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

// Opening implements [sandbox.Opener]. It has no question: the one with which the process
// was spawned has been answered.
func (w *Worker) Opening() (e abi.Event, ok bool) {
	return abi.Event{Kind: abi.EventInit, Name: w.module, Payload: w.args, Flags: binaryFlag(w.binary)}, true
}
