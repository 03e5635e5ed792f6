package channels

import (
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Renewal is what became of a handler that was asked to [Channel.Renew].
type Renewal int

const (
	Unmoved  Renewal = iota // it was of the right version already, or has ended
	Migrated                // the new version's guest has the state of the old one's
	Replayed                // the new version's guest began with a replay of the join, or with the members
	Stayed                  // its state could not be taken over: it remains in the version that it is of
)

// renewMessage says that the plugin has another version.
type renewMessage struct {
	keep bool
	done func(Renewal)
}

// Dropped implements [supervisor.Dropper]: the handler has ended.
func (r renewMessage) Dropped() { r.end(Unmoved) }

func (r renewMessage) end(became Renewal) {
	if r.done != nil {
		r.done(became)
	}
}

// Renew moves the handler, between two messages, to the version that its plugin
// now has for it. If both versions say that they export, the guest's state goes
// over: export to the old guest, import to the new one, and all that is outside of
// them stays as it is. Else, and if the state cannot be taken over, a guest of the new
// version begins as after a crash, by a replay of the join; if that is not
// accepted, the handler crashes for good. With keep, a handler whose state cannot be
// taken over stays in its version until it ends.
//
// Renew may be called from any goroutine. done, if given, is called once, on some
// goroutine, and must not block.
func (l *lives) Renew(keep bool, done func(Renewal)) {
	r := renewMessage{keep, done}
	if l.box.Post(r) != nil {
		r.end(Unmoved)
	}
}

// renew does what Renew says. Of the functions of a handler, enter begins with a
// guest of the new version, and list tells the members as import does.
func (l *lives) renew(p *supervisor.Process, r renewMessage, enter func(*supervisor.Process) error,
	list func() string, named func(id string) *member) (err error) {
	became := Unmoved
	defer func() { r.end(became) }() // also after a panic
	if !l.outdated() {
		return nil
	}
	next := l.plugin.Next(l.version, l.topic)
	if l.version.Exports && next.Exports && next.scope(l.topic) == l.scope {
		m := migration{lives: l, process: p, next: next, named: named}
		failure, stop := m.run(list)
		switch {
		case failure == nil:
			became = Migrated
			return stop
		case errors.Is(failure, errInterrupted):
			return nil
		case r.keep && l.guest != nil:
			became = Stayed
			l.guest.Release()
			return nil
		}
	}
	became = Replayed
	return enter(p)
}

// migration is a handler's state on its way to a guest of another version.
type migration struct {
	*lives
	process *supervisor.Process
	next    *Version
	named   func(id string) *member
}

var errNoState = errors.New("the guest gave no state")

// run returns why the state could not be taken over; or else why the new guest ends its
// process, if it does. After a failure the old guest is as it was, or nil if it died.
func (m *migration) run(list func() string) (failure, stop error) {
	state, err := m.export()
	if err != nil {
		return err, nil
	}
	return m.hand(state, list)
}

// export asks the guest for its state, which is valid until its Release.
func (m *migration) export() (*abi.Effect, error) {
	if !m.take(m.process, abi.EventExport.String()) {
		return nil, errInterrupted // killed
	}
	effects, err := m.ask(m.process, &abi.Event{Kind: abi.EventExport, Name: m.topic}, nil)
	if err != nil {
		if !errors.Is(err, errInterrupted) && !errors.Is(err, ErrTooLarge) {
			m.crashed(m.version, abi.EventExport, err)
		}
		return nil, err
	}
	for i := range effects {
		if effects[i].Kind == abi.EffectState {
			return &effects[i], nil
		}
	}
	return nil, errNoState
}

// hand gives the state to a guest of the next version, which takes the old one's
// place if it accepts. What that holds outside of its memory is lent for the event,
// and given back if it fails.
func (m *migration) hand(state *abi.Effect, list func() string) (failure, stop error) {
	if !m.take(m.process, abi.EventImport.String()) {
		return errInterrupted, nil
	}
	guest, err := m.next.New(m.process, m.topic)
	if err != nil {
		return fmt.Errorf("start guest: %w", err), nil
	}
	guest.Adopt(m.guest)
	effects, err := m.handle(guest, &abi.Event{
		Kind: abi.EventImport, Name: m.topic, Payload: state.Payload, Detail: state.Name, Extra: list(),
	}, nil)
	reply := joinReply(effects)

	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.lives.process != m.process:
		failure = errInterrupted // killed
	case err != nil && interrupted(m.process, err):
		failure = fmt.Errorf("%w: %w", errInterrupted, err)
	case err != nil:
		failure = fmt.Errorf("import: %w", err)
		if !errors.Is(err, ErrTooLarge) {
			m.crashedLocked(m.next, abi.EventImport, err)
		}
	case reply.status != statusOK:
		failure = fmt.Errorf("import: answered %.20q with %.200q", reply.status, reply.response)
	}
	if failure != nil {
		m.guest.Adopt(guest)
		guest.Close(failure)
		return failure, nil
	}
	old := m.guest
	defer old.Close(reasonRenewed)
	m.guest, m.lives.version = guest, m.next
	return nil, m.finish(m.apply(effects, m.sole, nil, m.named))
}

// crashed reports a guest that died of the migration. Its process goes on with
// another.
func (m *migration) crashed(v *Version, event abi.Kind, reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashedLocked(v, event, reason)
}

// crashedLocked is crashed for callers that hold mu.
func (m *migration) crashedLocked(v *Version, event abi.Kind, reason error) {
	m.reportOf(v, event.String(), reason, supervisor.Restarts)
}
