package channels

import (
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// renewMessage says that the plugin has another version.
type renewMessage struct {
	keep bool
	done func(became Renewal, lost error)
}

// Dropped implements [supervisor.Dropper]: the handler has ended.
func (r renewMessage) Dropped() { r.end(Unmoved, nil) }

func (r renewMessage) end(became Renewal, lost error) {
	if r.done != nil {
		r.done(became, lost)
	}
}

// Renew moves the handler, between two messages and within one life, to the version that
// its plugin now has for it, by a [Handover]. Process, subscription and mailbox stay.
//
// If the state goes over, everything does that the old guest holds outside of its memory:
// timers, monitors, presences. Else a guest of the new version begins as after a crash, by a
// replay of the join, and has only the subscription and the presences that it tracks again;
// the members of a [SharedChannel] stay present by themselves. A replay that is not accepted
// is a crash for good. With keep, a handler whose state is not taken over stays in its
// version until it ends.
//
// Renew may be called from any goroutine. done, if given, is called once, on some
// goroutine, and must not block. lost says why a state is lost that there was.
func (h *handler) Renew(keep bool, done func(became Renewal, lost error)) {
	r := renewMessage{keep, done}
	if h.box.Post(r) != nil {
		r.end(Unmoved, nil)
	}
}

// renew is Renew in the handler's process. enter begins anew with a guest of the new
// version, and members lists the members for import.
func (h *handler) renew(p *supervisor.Process, r renewMessage, enter func(*supervisor.Process) error,
	members func() string, named func(id string) *member) (err error) {
	became, lost := Unmoved, error(nil)
	defer func() { r.end(became, lost) }() // also after a panic
	if !h.outdated() {
		return nil
	}
	move := Handover{
		From: h.version, To: h.plugin.Next(h.version, h.topic),
		Topic: h.topic, Name: h.topic, Members: members, Again: true, Keep: r.keep,
	}
	old := h.guest
	next, effects, err := move.Run(old,
		func() (Guest, error) {
			if !h.atHand(p, abi.EventImport.String()) {
				return nil, errInterrupted // killed
			}
			return move.To.New(p, h.topic)
		},
		func(g Guest, e *abi.Event) ([]abi.Effect, error) { return h.askMoving(p, &move, g, e) })
	var stop error
	if err == nil {
		stop, err = h.succeed(p, &move, next, effects, named)
	}
	became, lost = move.Became(err)
	if h.durable && became != Migrated && became != Unmoved && !(became == Stayed && r.keep) {
		became, lost = Unmoved, fmt.Errorf("%w: %w", ErrUnmoved, err)
		return h.unmoved(lost)
	}
	switch became {
	case Migrated:
		return stop
	case Stayed:
		h.guest.Release()
	case Replayed:
		return enter(p)
	}
	return nil
}

// askMoving gives export to the guest, or import to the one that is to succeed it. A guest
// that dies of it is reported; the process goes on with the other.
func (h *handler) askMoving(p *supervisor.Process, move *Handover, g Guest, e *abi.Event) (effects []abi.Effect, err error) {
	of := move.To
	if g == h.guest {
		if of = move.From; !h.atHand(p, e.Kind.String()) {
			return nil, errInterrupted // killed
		}
		effects, err = h.ask(p, e, nil)
	} else {
		effects, err = h.askGuest(p, g, e, nil)
		err = interruption(p, err)
	}
	if err == nil || errors.Is(err, errInterrupted) || errors.Is(err, ErrTooLarge) {
		return effects, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == p {
		h.reportOf(of, e.Kind.String(), err, supervisor.Restarts)
	}
	return nil, err
}

// succeed puts next, which has imported the state, in the place of the old guest. stop is why
// next ends its process, if it does; killed says that the process had ended before.
func (h *handler) succeed(p *supervisor.Process, move *Handover, next Guest, effects []abi.Effect,
	named func(id string) *member) (stop, killed error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.guest
	if h.process != p {
		giveBack(old, next, errInterrupted)
		return nil, errInterrupted
	}
	defer old.Close(Replaced)
	h.guest, h.version = next, move.To
	return h.finish(h.apply(effects, h.sole, nil, named)), nil
}
