package channels

import (
	"errors"
	"iter"
	"slices"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// A guest that says in join that it intercepts an event gets the topic's broadcasts of it
// as event out, in place of its client: its own ones too, unless they leave it out. They
// wait in the handler's mailbox among the client's messages. If that is full, or the
// plugin's Payer has no room, they are dropped and counted; if the client is away, its handler ends. A shared handler gets each
// once, for all members, with the name of the member whom its own broadcast_from left out.
// Every life declares its interceptions anew, in its first event: join, or members of a
// shared handler, whose further joins add to it.
//
// Why has the mailbox a bound for them, when Phoenix's has none? Ten thousand handlers that
// cannot keep up would hold ten thousand queues. A client that misses one has missed a
// broadcast, as after a lost connection.

// outMessage is a broadcast in the mailbox of a handler that intercepts it. All handlers
// get the same one.
type outMessage struct {
	Broadcasted
	except string // the member that a SharedChannel left out
	costs  costs
}

// declare takes over the events that the effects of a join intercept. With anew they
// replace the former ones: there is a new guest. Else they add to them. Callers hold mu.
func (h *handler) declare(effects []abi.Effect, anew bool) {
	var events []string
	if former := h.intercepting.Load(); former != nil && !anew {
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
		h.intercepting.Store(nil)
	case anew || len(events) > n:
		h.intercepting.Store(&events)
	}
}

func (h *handler) intercepts(event string) bool {
	events := h.intercepting.Load()
	return events != nil && slices.Contains(*events, event)
}

func (h *handler) intercept(out *outMessage) {
	if !out.keep(h.plugin) {
		h.endpoint.counts.overloaded.Add(1)
		h.overflows()
		return
	}
	switch err := h.box.Send(out); {
	case err == nil:
		h.endpoint.counts.intercepted.Add(1)
		return
	case errors.Is(err, supervisor.ErrFull):
		h.endpoint.counts.overloaded.Add(1)
		h.overflows()
	}
	out.give(h.plugin)
}

// forAll reports whether it takes a broadcast once for all members of the topic.
func (h *handler) forAll() bool { return h.shared }

// handleOut gives the guest a broadcast that it intercepts. A broadcast that waited for a
// former guest, and is not intercepted by this one, goes to the members.
func (h *handler) handleOut(p *supervisor.Process, out *outMessage, named func(id string) *member, members iter.Seq[*member]) error {
	if !h.intercepts(out.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.process != p {
			h.putBack(out)
			return nil
		}
		out.give(h.plugin)
		h.passOn(out, members)
		return nil
	}
	if !h.atHand(p, abi.EventOut.String()) {
		h.putBack(out)
		return nil
	}
	out.give(h.plugin)
	return h.handleEvent(p, &abi.Event{
		Kind: abi.EventOut, Flags: binaryFlag(out.Binary), Name: out.Event, Payload: out.Payload, Detail: out.except,
	}, named)
}

// passOn sends a broadcast to the members after all. Callers hold mu.
func (h *handler) passOn(out *outMessage, members iter.Seq[*member]) {
	b := broadcast{Outgoing: &Outgoing{
		Kind: Broadcast, Topic: out.Topic, Name: out.Event, Payload: out.Payload, Binary: out.Binary,
	}}
	for m := range members {
		if out.except != "" && m.id == out.except {
			continue
		}
		if b.send(&m.Subscription) {
			h.endpoint.Hub.deliveries.Add(1)
		} else {
			h.endpoint.Hub.undelivered.Add(1)
		}
	}
}
