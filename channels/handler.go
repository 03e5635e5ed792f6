package channels

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// handler is the common part of a [Channel] and a [SharedChannel]: one value with one
// mailbox over many lives, each of them a process with a guest.
//
// Why are they two types? A Channel could be a SharedChannel with one member, but much is
// simple with one that is not with many. Its process lives exactly as long as its member
// is there. A leave or a duplicate join ends the process, ahead of the messages that wait.
// A replay is the same join again.
type handler struct {
	supervisor.Membership
	endpoint *Endpoint
	plugin   Plugin
	tree     *supervisor.Dynamic // that supervises it
	topic    string
	sole     *member // of a Channel; nil if it is a SharedChannel
	box      supervisor.Mailbox

	intercepting atomic.Pointer[[]string] // events that it intercepts; nil for none

	guest Guest // nil if there is none, or it is dead; only its process touches it, and sets it holding mu

	ref    supervisor.Ref // names it in tokens, since the first life
	linger *linger        // of a Channel that outlasts a connection that breaks, once it was joined; nil for most

	mu sync.Mutex // held while an outcome is applied, never while a guest runs
	// The present life, nil between two. A process that is killed while its
	// guest runs has ended before it knows; then its outcome no longer counts.
	process  *supervisor.Process
	version  *Version // of the guest, or of the one that did not come to be
	event    string   // at hand, for reports
	begun    bool     // there was a life
	durable  bool     // its guest is remembered
	shared   bool     // it is a SharedChannel
	final    bool     // whatever comes, there is no further life
	restarts int32
}

func (h *handler) init(e *Endpoint, p Plugin, topic string) {
	e.counts.handlers.Add(1)
	h.endpoint, h.plugin, h.tree = e, p, p.Supervisor()
	h.topic, h.event = topic, eventJoin
	h.box.Bound(limit(p.Current().Mailbox, 1000))
}

// Mailbox implements [supervisor.Child]. The messages in it outlive a crash.
func (h *handler) Mailbox() *supervisor.Mailbox { return &h.box }

// Topic is the topic that the handler serves.
func (h *handler) Topic() string { return h.topic }

// Handles returns the handler's plugin and topic.
func (h *handler) Handles() (Plugin, string) { return h.plugin, h.topic }

// begin makes p the present life.
func (h *handler) begin(p *supervisor.Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.process, h.begun = p, true
	if h.ref == 0 {
		h.ref = p.Runtime().NewRef()
	}
}

// atHand makes an event the one at hand, unless p was killed meanwhile.
func (h *handler) atHand(p *supervisor.Process, event string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != p {
		return false
	}
	h.event = event
	return true
}

// current is the version that most new handlers begin with.
func (h *handler) current() *Version { return h.plugin.Current() }

// putBack keeps a message for the next life that the last one took and could not handle,
// because it was killed just then.
func (h *handler) putBack(msg any) {
	if h.box.Post(msg) == nil {
		return
	}
	switch msg := msg.(type) { // there is none
	case *Message:
		msg.member.socket.pending.Add(-msg.size)
	case joinMessage:
		msg.socket.joinAgain(msg.member)
	case backMessage:
		msg.member.socket.joinAgain(msg.member)
	case *outMessage:
		msg.give(h.plugin)
	}
}

// outdated reports whether the plugin has another version for the handler than the
// guest's.
func (h *handler) outdated() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.version != h.plugin.Next(h.version, h.topic)
}

// errInterrupted: the process was asked to end, and the guest could not end what
// it was doing. There is nothing to report; the process ends.
var errInterrupted = errors.New("interrupted")

// successor is a guest that is to take over, with the effects of its first event.
type successor struct {
	version *Version
	guest   Guest // nil if it did not come to be
	effects []abi.Effect
}

// startGuest starts a guest of the version that the plugin has for it now and gives it its
// first event, if there is one. The caller closes s, also after an error or a panic.
func (h *handler) startGuest(p *supervisor.Process, first *abi.Event, s *successor) error {
	s.version = h.plugin.Next(h.version, h.topic)
	if (s.version.scope(h.topic) == PerJoin) != (h.sole != nil) {
		return errScope
	}
	if first != nil && (first.Kind == abi.EventMembers || first.Flags&abi.Replay != 0) {
		// A member who was present stays so, if it says so again.
		h.endpoint.Presence.Hold(p.Actor())
	}
	guest, err := s.version.New(p, h.topic)
	if err == nil {
		s.guest = guest
		if first != nil {
			s.effects, err = h.askGuest(p, guest, first, nil)
		}
	}
	return interruption(p, err)
}

func (s *successor) close(reason error) {
	if s.guest != nil {
		s.guest.Close(reason)
	}
}

// ask gives an event to the guest, which is closed if it fails. m is the message behind
// the event, if there is one. The error is a crash, errInterrupted, or wraps [ErrTooLarge]
// or [ErrNotStored]. After the last there is no guest, but the life goes on, see wake.
func (h *handler) ask(p *supervisor.Process, e *abi.Event, m *Message) ([]abi.Effect, error) {
	effects, err := h.askGuest(p, h.guest, e, m)
	lost := errors.Is(err, ErrNotStored)
	if err == nil || errors.Is(err, ErrTooLarge) && !lost {
		return effects, err
	}
	h.guest.Close(err)
	h.forgetGuest()
	if lost {
		return nil, err
	}
	return nil, interruption(p, err)
}

// interruption wraps errInterrupted around the error of a guest that failed only because
// p was asked to end while it waited for something. Any other error, or none, stays.
func interruption(p *supervisor.Process, err error) error {
	if err == nil || supervisor.IsCrash(err) {
		return err
	}
	select {
	case <-p.Stopping():
		return fmt.Errorf("%w: %w", errInterrupted, err)
	default:
		return err
	}
}

// finish ends an event whose effects have been applied. stop is why the guest ends its
// process, if it does: in order, for good, or as by a crash. Callers hold mu. It is let go
// while the guest of a crash is examined, as that asks for the [Channel.Opening].
func (h *handler) finish(stop error) error {
	g := h.guest
	if stop != nil && supervisor.IsCrash(stop) {
		h.mu.Unlock()
		stop = blame(g, true, stop)
		h.mu.Lock()
	}
	g.Release()
	if stop == nil || !supervisor.IsCrash(stop) {
		h.event = ""
		h.final = h.final || stop != nil
	}
	return stop
}

// handleOther takes a message that does not come from a member.
func (h *handler) handleOther(p *supervisor.Process, msg any, named func(id string) *member) error {
	if !h.atHand(p, "") {
		h.drop(msg)
		return nil
	}
	e, ok := h.guest.Message(msg)
	if !ok || !h.atHand(p, e.Kind.String()) {
		return nil
	}
	return h.handleEvent(p, &e, named)
}

// handleEvent gives the guest an event, which no member waits for, and applies its effects.
func (h *handler) handleEvent(p *supervisor.Process, e *abi.Event, named func(id string) *member) error {
	effects, err := h.ask(p, e, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.process != p || errors.Is(err, errInterrupted) || errors.Is(err, ErrNotStored):
		return nil
	case err != nil && !errors.Is(err, ErrTooLarge):
		return err
	}
	return h.finish(h.apply(effects, nil, nil, named))
}

// terminate closes the guest. If it wants to know of its end, and that is no crash, it is
// told first.
func (h *handler) terminate(p *supervisor.Process, reason error, named func(id string) *member) {
	if h.guest == nil {
		return
	}
	defer h.forgetGuest()
	if g, awake := h.guest.(Durable); awake && h.durable && !supervisor.IsCrash(reason) {
		_ = g.Save() // else the leaves of late are forgotten, as by a power cut: the next guest is told who is there
	}
	tell := func(e *abi.Event) { h.tellEnd(p, e, named) }
	if supervisor.IsCrash(reason) || h.durable { // whoever is remembered has no end
		tell = nil
	}
	End(h.guest, reason, tell)
}

// tellEnd gives the guest the event terminate.
func (h *handler) tellEnd(p *supervisor.Process, e *abi.Event, named func(id string) *member) {
	effects, err := h.askGuest(p, h.guest, e, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.process != p:
	case errors.Is(err, ErrTooLarge):
	case err != nil:
		// Too late to change how the life ends, but not to be known.
		h.report(abi.EventTerminate.String(), err, supervisor.Ends)
	default:
		_ = h.apply(effects, nil, nil, named) // it ends already
		h.guest.Release()
	}
}

// forgetGuest takes a guest away that is closed.
func (h *handler) forgetGuest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guest = nil
}

// exited notes the end of a life. failed says that clients are to take it for a
// failure, after which they join again: a crash, or the end of a plugin that has
// given up. That one's supervisor ends in order, but after phx_close its clients would
// stay away. They are meant to come back: until somebody repairs the plugin, they hear
// "unavailable". Callers hold mu.
func (h *handler) exited(reason error, decision supervisor.Decision) (failed bool) {
	crashed := supervisor.IsCrash(reason)
	if crashed {
		h.report(h.event, reason, decision)
	}
	h.process, h.event = nil, ""
	if decision == supervisor.Restarts {
		h.restarts++
	}
	return crashed || errors.Is(reason, supervisor.ErrIntensity)
}

// drop ends a message that no life will take. Its sender may want to know.
func (h *handler) drop(msg any) {
	switch msg := msg.(type) {
	case *outMessage:
		msg.give(h.plugin)
	case supervisor.Dropper:
		msg.Dropped()
	}
}

// Usage implements [supervisor.Meter], for guests that do.
func (h *handler) Usage() supervisor.Usage {
	if !h.mu.TryLock() {
		return supervisor.Usage{} // effects are being applied; the next who asks will know
	}
	g := h.guest
	h.mu.Unlock()
	if m, ok := g.(supervisor.Meter); ok {
		return m.Usage()
	}
	return supervisor.Usage{}
}
