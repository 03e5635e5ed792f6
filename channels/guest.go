package channels

import (
	"errors"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Guest is the code behind one life of a handler. It is used by one goroutine
// at a time.
type Guest interface {
	// Handle takes one event and returns the effects, among them at most one
	// reply to that event. They are valid until Release, Close or the next Handle. An error
	// that wraps [ErrTooLarge] leaves the guest as it was; after any other it is
	// dead, and its effects do not count.
	//
	// A guest that is cut short because its process was asked to end returns
	// the reason. If that is no crash, the process ends in order.
	Handle(e *abi.Event) ([]abi.Effect, error)
	// Commit has what the last event has changed stored, before its effects are applied,
	// and may wait for that: its state, if it is [Durable], and its broadcasts in topics with a durable history,
	// see [Hub.Prepare]. A guest that has neither returns nil at once. With an
	// error the event has not happened, and the guest is of no use any more. If it wraps
	// [ErrNotStored], the process goes on with another guest, which has the state of before;
	// any other error is a crash.
	Commit(effects []abi.Effect) error
	// Message makes an event of a message that this package does not know: from
	// another process, a timer, a [supervisor.Down] or [supervisor.Exit]. ok is
	// false if the guest need not hear of it.
	Message(msg any) (e abi.Event, ok bool)
	// Apply carries out an effect that this package does not know, such as answer
	// or publish. Effects are applied in order. Callers hold locks: it must not
	// block, nor call back into this package but for [Endpoint.Publish],
	// [Endpoint.Listen] with its cancel, and [Endpoint.Disconnect].
	Apply(e *abi.Effect)
	// Wants reports whether the guest has asked for events of a kind that it gets
	// on request only: terminate, away, back.
	Wants(kind abi.Kind) bool
	// Adopt makes the guest the owner of all that another guest of the same process
	// holds outside of its memory, such as timers, monitors and calls to answer, in
	// place of its own. The other guest has nothing then.
	Adopt(other Guest)
	// Release says that the effects of the last Handle have been applied.
	Release()
	// Close is called once, also for a dead guest, with the reason of its end. If
	// that is [Replaced], the process goes on with another guest.
	Close(reason error)
}

// Speaker is a [Guest] that has broadcasts stored by Commit.
type Speaker interface {
	// Said returns what Commit has stored of a broadcast. ok says that it was to be stored; if it could not be, it is nil. The caller releases
	// it. Otherwise Release or Close does.
	Said(e *abi.Effect) (s *Said, ok bool)
}

// Durable is a [Guest] whose state is stored after each event.
type Durable interface {
	Guest
	// Woken reports whether it goes on with a state that was stored. Then it is told who
	// is there now, by the event members.
	Woken() bool
	// Stored reports whether anything of it is stored.
	Stored() bool
	// Version is the one that it is of: the one that wrote the state.
	Version() *Version
	// Restored returns the effects of earlier events that still hold, of the kinds that
	// this package keeps: intercept.
	Restored() []abi.Effect
	// Missed returns messages that tell of what it has missed: ends of what it watched. They come after the event members,
	// before anything else.
	Missed() []any
	// Save stores what events have changed after which Commit had nothing stored, if there were any. Whoever
	// ends the guest in good order calls it before.
	Save() error
	// Rests reports whether nothing would be missed if it slept: all that it holds are
	// timers.
	Rests() bool
}

// ErrNotStored is wrapped by the error of a [Guest] whose state cannot be stored: at present,
// or, if the error wraps [ErrTooLarge] as well, with what this event added to it. Nothing
// has crashed.
var ErrNotStored = errors.New("not stored")

// ErrTooLarge is wrapped by the error of a [Guest] that has no room for an event. The
// client that caused the event is told; nothing has crashed.
var ErrTooLarge = errors.New("event too large for the guest")

// Replaced is the reason with which a [Guest] is closed whose process goes on with another
// one.
var Replaced = supervisor.ShutdownBecause("replaced by another version")

// End closes a guest whose process ends. One that wants to know, and is able to, is told
// first: tell gives it the event terminate, unless tell is nil.
func End(g Guest, reason error, tell func(e *abi.Event)) {
	defer g.Close(reason)
	if tell == nil || !g.Wants(abi.EventTerminate) {
		return
	}
	kind, detail := reasonFields(reason)
	tell(&abi.Event{Kind: abi.EventTerminate, Name: kind, Payload: []byte(detail)})
}

// reasonFields is a reason as the event terminate has it.
func reasonFields(reason error) (kind, detail string) {
	switch {
	case errors.Is(reason, supervisor.Normal):
		return "normal", ""
	case errors.Is(reason, supervisor.Shutdown):
		return "shutdown", supervisor.Detail(reason)
	}
	return "crash", reason.Error()
}
