package channels

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// lives is what a [Channel] and a [SharedChannel] have in common: they are one
// value with one mailbox over many lives, each a process with a guest.
type lives struct {
	endpoint *Endpoint
	plugin   Plugin
	tree     *supervisor.Dynamic // that supervises it
	topic    string
	scope    Scope
	serial   uint64  // unique among the handlers of the endpoint
	sole     *member // of a Channel
	box      *supervisor.Mailbox

	wanted atomic.Pointer[[]string] // events that it intercepts; nil for none

	guest Guest // nil if there is none, or it is dead; only its process touches it, and sets it holding mu

	mu sync.Mutex // held while an outcome is applied, never while a guest runs
	// The present life, nil between two. A process that is killed while its
	// guest runs has ended before it knows; then its outcome no longer counts.
	process  *supervisor.Process
	version  *Version // of the guest, or of the one that did not come to be
	event    string   // at hand, for reports
	begun    bool     // there was a life
	final    bool     // whatever comes, there is no further life
	restarts int
}

func newLives(e *Endpoint, p Plugin, topic string, scope Scope) lives {
	return lives{
		endpoint: e,
		plugin:   p,
		tree:     p.Supervisor(),
		topic:    topic,
		scope:    scope,
		serial:   e.counts.handlers.Add(1),
		box:      supervisor.NewMailbox(limit(p.Current().Mailbox, 1000)),
		event:    eventJoin,
	}
}

// Mailbox implements [supervisor.Child]. What waits in it outlives a crash.
func (l *lives) Mailbox() *supervisor.Mailbox { return l.box }

// begin makes p the present life.
func (l *lives) begin(p *supervisor.Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.process, l.begun = p, true
}

// take says that an event comes to hand, unless p was killed meanwhile.
func (l *lives) take(p *supervisor.Process, event string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process != p {
		return false
	}
	l.event = event
	return true
}

// current is the version that most new handlers begin with.
func (l *lives) current() *Version { return l.plugin.Current() }

// putBack keeps for the next life what the last one took and could not handle,
// because it was killed just then.
func (l *lives) putBack(msg any) {
	if l.box.Post(msg) == nil {
		return
	}
	switch msg := msg.(type) { // there is none
	case *Message:
		msg.member.socket.pending.Add(-msg.size)
	case joinMessage:
		msg.socket.joinAgain(msg.member)
	}
}

// outdated reports whether the plugin has another version for the handler than the
// guest's.
func (l *lives) outdated() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version != l.plugin.Next(l.version, l.topic)
}

// errInterrupted: the process was asked to end, and the guest could not end what
// it was doing. There is nothing to report; the process ends.
var errInterrupted = errors.New("interrupted")

// opening is a guest that is to take over, with the effects of its first event.
type opening struct {
	version *Version
	guest   Guest // nil if it did not come to be
	effects []abi.Effect
}

// open starts a guest of the version that the plugin has for it now and gives it its
// first event, if there is one. The caller closes o, also after an error or a panic.
func (l *lives) open(p *supervisor.Process, first *abi.Event, o *opening) error {
	o.version = l.plugin.Next(l.version, l.topic)
	if o.version.scope(l.topic) != l.scope {
		return errScope
	}
	if first != nil && (first.Kind == abi.EventMembers || first.Flags&abi.Replay != 0) {
		// Who was present stays so, if it says so again.
		l.endpoint.Presence.Hold(p.Actor())
	}
	guest, err := o.version.New(p, l.topic)
	if err == nil {
		o.guest = guest
		if first != nil {
			o.effects, err = l.handle(guest, first, nil)
		}
	}
	if err != nil && interrupted(p, err) {
		err = fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return err
}

var errScope = errors.New("the plugin now declares another scope for the topic; clients have to join again")

func (o *opening) close(reason error) {
	if o.guest != nil {
		o.guest.Close(reason)
	}
}

// ask gives an event to the guest, and closes it if it fails; m is the message
// that it is, if it is one. The error is a crash, errInterrupted, or wraps
// [ErrTooLarge].
func (l *lives) ask(p *supervisor.Process, e *abi.Event, m *Message) ([]abi.Effect, error) {
	effects, err := l.handle(l.guest, e, m)
	if err == nil || errors.Is(err, ErrTooLarge) {
		return effects, err
	}
	l.guest.Close(err)
	l.dropGuest()
	if interrupted(p, err) {
		err = fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return nil, err
}

// interrupted reports whether a guest failed only because p was asked to end
// while it waited for something.
func interrupted(p *supervisor.Process, err error) bool {
	if supervisor.IsCrash(err) {
		return false
	}
	select {
	case <-p.Stopping():
		return true
	default:
		return false
	}
}

// finish is the end of an event whose effects have been applied. stop is why the
// guest ends its process, if it does: in order, for good, or as by a crash.
// Callers hold mu.
func (l *lives) finish(stop error) error {
	l.guest.Release()
	if stop == nil || !supervisor.IsCrash(stop) {
		l.event = ""
		l.final = l.final || stop != nil
	}
	return stop
}

// handleOther takes what is in the mailbox but does not come from a member.
func (l *lives) handleOther(p *supervisor.Process, msg any, named func(id string) *member) error {
	if !l.take(p, "") {
		drop(msg)
		return nil
	}
	e, ok := l.guest.Message(msg)
	if !ok || !l.take(p, e.Kind.String()) {
		return nil
	}
	return l.tell(p, &e, named)
}

// terminate drops the guest and its memory. If it wants to know of its end, and
// that is no crash, it is told first.
func (l *lives) terminate(p *supervisor.Process, reason error, named func(id string) *member) {
	g := l.guest
	if g == nil {
		return
	}
	defer func() {
		g.Close(reason)
		l.dropGuest()
	}()
	if supervisor.IsCrash(reason) || !g.Wants(abi.EventTerminate) {
		return
	}
	kind, detail := "shutdown", supervisor.Detail(reason)
	if errors.Is(reason, supervisor.Normal) {
		kind = "normal"
	}
	effects, err := l.handle(g, &abi.Event{Kind: abi.EventTerminate, Name: kind, Payload: []byte(detail)}, nil)

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.process != p:
	case errors.Is(err, ErrTooLarge):
	case err != nil:
		// Too late to change how the life ends, but not to be known.
		l.report(abi.EventTerminate.String(), err, supervisor.Ends)
	default:
		_ = l.apply(effects, nil, nil, named) // it ends already
		g.Release()
	}
}

// report tells of a crash. Callers hold mu.
func (l *lives) report(event string, reason error, decision supervisor.Decision) {
	l.reportOf(l.version, event, reason, decision)
}

// reportOf is report for a guest of another version than the life's, which may be
// nil.
func (l *lives) reportOf(v *Version, event string, reason error, decision supervisor.Decision) {
	if l.endpoint.Crashed == nil {
		return
	}
	crash := Crash{
		Plugin: l.plugin.Name(), Topic: l.topic, Event: event,
		Reason: reason, Decision: decision, Restarts: l.restarts,
	}
	if v != nil {
		crash.Version = v.ID
	}
	l.endpoint.Crashed(crash)
}

// exited notes the end of a life. Failed says that clients are to take it for a
// failure, after which they join again: a crash, or the end of a plugin that has
// given up. Callers hold mu.
func (l *lives) exited(reason error, decision supervisor.Decision) (failed bool) {
	crashed := supervisor.IsCrash(reason)
	if crashed {
		l.report(l.event, reason, decision)
	}
	l.process, l.event = nil, ""
	if decision == supervisor.Restarts {
		l.restarts++
	}
	return crashed || errors.Is(reason, supervisor.ErrIntensity)
}

// drop is for a message that nobody will take: its sender may want to know.
func drop(msg any) {
	if d, ok := msg.(supervisor.Dropper); ok {
		d.Dropped()
	}
}
