package channels

import (
	"cmp"
	"errors"
	"fmt"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Handover moves a process from its guest to one of another version, with its state:
//
//	both versions can? ──yes──► export by the old guest ──► import by the new one ──ok──► Migrated
//	     │ no                     │ no state, or a crash      │ refused, or a crash
//	     ▼                        ▼                           ▼
//	  Replayed                 Replayed or Stayed, see [Handover.Became]
//
// Channel handlers move by it, and so do the other processes of a plugin. A Handover
// serves one move, in the goroutine of the process.
type Handover struct {
	From, To *Version
	Topic    string        // that the process is the handler of; empty for another process
	Name     string        // of what moves, for both guests: the topic, or the module
	Members  func() string // what import tells besides: the extra of its event
	// Again says that the process may begin anew, without its state: by a replay, or by
	// init. A task that is to be done once may not.
	Again bool
	// Keep prefers a process that stays in its version to one that begins anew.
	Keep bool

	died bool // the old guest, in export
}

// Renewal is the outcome of a move to another version.
type Renewal int

const (
	Unmoved  Renewal = iota // it was of the right version already, or it ends
	Migrated                // the new version's guest has the state of the old one's
	Replayed                // the new version's guest begins anew: with a replay of the join, the members, or init
	Stayed                  // the process remains in its version, with its state
)

// Ask gives an event to a guest, and returns effects that the protocol allows.
type Ask func(e *abi.Event) ([]abi.Effect, error)

// Why a state does not go over.
var (
	errNoExport = errors.New("the old version does not declare that it hands on states")
	errNoImport = errors.New("the new version does not declare that it takes over states")
	errScope    = errors.New("the plugin now declares another scope for the topic; clients have to join again")
	errNoState  = errors.New("the guest gave no state")

	// ErrStateless is no failure: the guest says that there is nothing to take over.
	ErrStateless = errors.New("the guest has no state, and begins anew")
)

// Run hands the state of old to the guest that start returns. That one gets what old
// holds outside of its memory before it imports. After an error, which [Handover.Became]
// judges, old has it back and the new guest is closed; old is as it was, or dead after a
// failed export. Else the caller puts next in the place of old, closes old with
// [Replaced], and applies the effects.
func (h *Handover) Run(old Guest, start func() (Guest, error), ask func(Guest, *abi.Event) ([]abi.Effect, error)) (
	next Guest, effects []abi.Effect, err error) {
	accepted := false
	defer func() {
		if next != nil && !accepted {
			giveBack(old, next, cmp.Or(err, errInterrupted)) // without err there is a panic
			next = nil
		}
	}()
	effects, err = h.hand(
		func() (Ask, error) {
			return func(e *abi.Event) ([]abi.Effect, error) { return ask(old, e) }, nil
		},
		func() (Ask, error) {
			g, err := start()
			if err != nil {
				return nil, err
			}
			next = g
			next.Adopt(old)
			return func(e *abi.Event) ([]abi.Effect, error) { return ask(next, e) }, nil
		})
	accepted = err == nil
	return next, effects, err
}

// giveBack ends a guest that is not to have the place of old.
func giveBack(old, next Guest, cause error) {
	old.Adopt(next)
	next.Close(cause)
}

// Try does what Run does with guests that nobody else knows, such as copies. Both are started
// when they are needed, have nothing to hand over but the state, and are the caller's
// afterwards.
func (h *Handover) Try(startOld, startNew func() (Ask, error)) error {
	_, err := h.hand(startOld, startNew)
	return err
}

func (h *Handover) hand(startOld, startNew func() (Ask, error)) ([]abi.Effect, error) {
	if err := h.To.takesOver(h.From, h.Topic); err != nil {
		return nil, err
	}
	old, err := startOld()
	if err != nil {
		return nil, err
	}
	state, err := h.export(old)
	if err != nil {
		return nil, err
	}
	next, err := startNew()
	if err != nil {
		return nil, fmt.Errorf("start guest: %w", err)
	}
	effects, err := next(&abi.Event{
		Kind: abi.EventImport, Name: h.Name, Payload: state.Payload, Detail: state.Name, Extra: h.Members(),
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if a := replyIn(effects); a.status != statusOK {
		return nil, fmt.Errorf("import: answered %.20q with %.200q", a.status, a.response)
	}
	return effects, nil
}

// Accepts reports whether these effects of an import say that the guest has taken the state over.
func Accepts(effects []abi.Effect) bool { return replyIn(effects).status == statusOK }

// takesOver says why the guests of v cannot take over the states of old's, if they
// cannot. The topic is empty for a process that is no handler.
func (v *Version) takesOver(old *Version, topic string) error {
	switch {
	case !old.Exports:
		return errNoExport
	case !v.Exports:
		return errNoImport
	case topic != "" && v.scope(topic) != old.scope(topic):
		return errScope
	}
	return nil
}

// export asks the guest for its state, which is valid until the guest's next event.
func (h *Handover) export(ask Ask) (*abi.Effect, error) {
	effects, err := ask(&abi.Event{Kind: abi.EventExport, Name: h.Name})
	if err != nil {
		h.died = !errors.Is(err, ErrTooLarge)
		return nil, fmt.Errorf("export: %w", err)
	}
	for i := range effects {
		switch e := &effects[i]; {
		case e.Kind != abi.EffectState:
		case e.Flags&abi.Replay != 0:
			return nil, ErrStateless
		default:
			return e, nil
		}
	}
	return nil, errNoState
}

// Became judges the error of Run or Try: what becomes of the process now, and why its
// state is lost, if there was one to be had.
//
//	the state                              the process
//	was taken over                         Migrated
//	cannot go over between these versions  Replayed; Stayed without Again
//	is said to be none (abi.Replay)        Replayed
//	is not given, or not taken over        Replayed; Stayed with Keep or without Again
//	the same, and the old guest is dead    Replayed; Unmoved without Again: it has crashed
//	whatever: it was asked to end          Unmoved
//
// The caller lets the process begin anew if it is Replayed, and end if it is Unmoved.
func (h *Handover) Became(err error) (became Renewal, lost error) {
	switch {
	case err == nil:
		return Migrated, nil
	case errors.Is(err, errInterrupted) || !supervisor.IsCrash(err):
		return Unmoved, nil
	case errors.Is(err, ErrStateless):
		return Replayed, nil
	case !errors.Is(err, errNoExport) && !errors.Is(err, errNoState):
		lost = err
	}
	keep := h.Keep && !errors.Is(err, errNoExport) && !errors.Is(err, errNoImport) && !errors.Is(err, errScope)
	switch {
	case h.died && !h.Again:
		return Unmoved, lost
	case !h.died && (keep || !h.Again):
		return Stayed, lost
	}
	return Replayed, lost
}
