package rollout

import (
	"context"
	"fmt"
	"time"

	"rtd/channels"
	"rtd/host/durable"
	"rtd/host/process"
)

// Refused returns why a durable actor does not go on in its plugin's version and config, with a state that was written with use; "": nothing is
// known that speaks against it. It is known of whoever was tried; and if the version has no Export, of topics that sleep, too.
func (s *Set) Refused(a durable.Actor, use durable.Use) (cause string) {
	pl := s.get(a.Plugin)
	switch {
	case pl == nil:
		return ""
	case a.Kind == durable.Process:
		return pl.Home().Refused(a.Name)
	}
	if r, is := s.node.Endpoint.Refused(pl.App, a.Name); is && r.Unmoved {
		return r.Cause
	} else if is {
		return fmt.Sprintf("its handler has crashed more often than max_restarts allows; it is tried again from %s on: %s", r.Until.Format(time.TimeOnly), r.Cause)
	}
	r := pl.Release()
	if r.Exports || r.Use == use || pl.canary.Load() != nil || pl.Failed() || !r.Durable(a.Kind, a.Name) {
		return ""
	}
	return fmt.Sprintf("%v: another one wrote it, and the present one has no Export and Import to take it over", channels.ErrUnmoved)
}

// Readmit has a durable actor tried again that was refused: what is stored of it is another.
func (s *Set) Readmit(a durable.Actor) {
	switch pl := s.get(a.Plugin); {
	case pl == nil:
	case a.Kind == durable.Process:
		pl.Home().Readmit(a.Name)
	default:
		s.node.Endpoint.Readmit(pl.App, a.Name)
	}
}

// CheckState says why a durable actor could not go on with a state, if that is known: with one that is damaged, or that its guest does not resume. If
// its plugin does not run, less is known.
func (s *Set) CheckState(ctx context.Context, a durable.Actor, state *durable.State) error {
	pl := s.get(a.Plugin)
	if pl == nil || pl.Failed() {
		return process.CheckHeld(state.Held)
	}
	return pl.Home().CheckState(ctx, state)
}
