package process

import (
	"fmt"

	"rtd/channels"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// faulted is a reason for which a live guest has to end, with a description of the guest.
// Otherwise it is like the reason that it wraps.
type faulted struct {
	error
	trap *sandbox.Trap
}

func (f *faulted) Unwrap() []error { return []error{f.error, f.trap} }

var _ channels.Blamer = (*body)(nil)

// Blame implements [channels.Blamer].
func (b *body) Blame(stop bool, reason error) error {
	kind := sandbox.KindEffect
	if stop {
		kind = sandbox.KindStop
	}
	if t := b.guest.Fault(kind, reason); t != nil {
		reason = &faulted{reason, t}
	}
	if b.memory != nil {
		reason = b.memory.crashed(b.home, reason)
	}
	return reason
}

// FaultOf says, for replays, whether effects are a fault for which the guest's process
// would end: an effect that breaks the protocol, or a wish to end as by a crash.
func FaultOf(topic string, effects []abi.Effect) (kind sandbox.TrapKind, reason error) {
	for i := range effects {
		e := &effects[i]
		if err := channels.CheckEffect(e, topic); err != nil {
			return sandbox.KindEffect, fmt.Errorf("%v %.100q: %w", e.Kind, e.Name, err)
		}
	}
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectStop {
			if reason := channels.StopReason(e); supervisor.IsCrash(reason) {
				return sandbox.KindStop, reason
			}
			return "", nil // the first counts
		}
	}
	return "", nil
}
