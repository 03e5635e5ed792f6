package channels

import (
	"errors"
	"iter"
	"slices"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// outMessage is a broadcast in the mailbox of a handler that intercepts it. All
// handlers get the same one.
type outMessage struct {
	Broadcasted
	except string // the member that a SharedChannel left out
}

// declare takes over which events the effects of a join say that the handler
// intercepts. A new guest declares them anew; further joins of a SharedChannel
// add to what it intercepts. Callers hold mu.
func (l *lives) declare(effects []abi.Effect, anew bool) {
	var events []string
	if former := l.wanted.Load(); former != nil && !anew {
		events = slices.Clone(*former)
	}
	n := len(events)
	for i := range effects {
		if e := &effects[i]; e.Kind == abi.EffectIntercept && !slices.Contains(events, e.Name) {
			events = append(events, e.Name)
		}
	}
	switch {
	case len(events) == 0:
		l.wanted.Store(nil)
	case anew || len(events) > n:
		l.wanted.Store(&events)
	}
}

func (l *lives) intercepts(event string) bool {
	events := l.wanted.Load()
	return events != nil && slices.Contains(*events, event)
}

func (l *lives) intercept(out *outMessage) {
	switch err := l.box.Send(out); {
	case err == nil:
		l.endpoint.counts.intercepted.Add(1)
	case errors.Is(err, supervisor.ErrFull):
		l.endpoint.counts.overloaded.Add(1)
	}
}

func (l *lives) forAll() bool { return l.scope == PerTopic }

// handleOut gives the guest a broadcast that it intercepts. One that waited for a
// former guest, which wanted it when this one does not, goes to the members.
func (l *lives) handleOut(p *supervisor.Process, out *outMessage, named func(id string) *member, members iter.Seq[*member]) error {
	if !l.intercepts(out.Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.process != p {
			l.putBack(out)
			return nil
		}
		l.passOn(out, members)
		return nil
	}
	if !l.take(p, abi.EventOut.String()) {
		l.putBack(out)
		return nil
	}
	return l.tell(p, &abi.Event{
		Kind: abi.EventOut, Flags: binaryFlag(out.Binary), Name: out.Event, Payload: out.Payload, Detail: out.except,
	}, named)
}

// passOn sends a broadcast to the members after all. Callers hold mu.
func (l *lives) passOn(out *outMessage, members iter.Seq[*member]) {
	b := broadcast{Outgoing: &Outgoing{
		Kind: Broadcast, Topic: out.Topic, Name: out.Event, Payload: out.Payload, Binary: out.Binary,
	}}
	for m := range members {
		if out.except != "" && m.name() == out.except {
			continue
		}
		if b.send(&m.Subscription) {
			l.endpoint.Hub.deliveries.Add(1)
		} else {
			l.endpoint.Hub.undelivered.Add(1)
		}
	}
}

// tell gives the guest an event that is no member's, and applies its effects.
func (l *lives) tell(p *supervisor.Process, e *abi.Event, named func(id string) *member) error {
	effects, err := l.ask(p, e, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.process != p || errors.Is(err, errInterrupted):
		return nil
	case err != nil && !errors.Is(err, ErrTooLarge):
		return err
	}
	return l.finish(l.apply(effects, nil, nil, named))
}

func binaryFlag(binary bool) abi.Flags {
	if binary {
		return abi.Binary
	}
	return 0
}
