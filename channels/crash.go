package channels

import "rtd/supervisor"

// Crash is the report of a life that crashed.
type Crash struct {
	Plugin  string
	Version string // ID of the one that crashed
	Topic   string
	// Event was at hand: a client's event, phx_join, also replayed, phx_leave, or
	// the name of another event of the guest, such as info. Empty if the handler
	// was at rest and ended with a process that it is linked with.
	Event    string
	Reason   error
	Decision supervisor.Decision
	Restarts int // of this handler before this crash
}

// report reports a crash of the life's guest. Callers hold mu.
func (h *handler) report(event string, reason error, decision supervisor.Decision) {
	h.reportOf(h.version, event, reason, decision)
}

// reportOf reports a crash of a guest of version v, which may be nil. Callers hold mu.
func (h *handler) reportOf(v *Version, event string, reason error, decision supervisor.Decision) {
	if h.endpoint.Crashed == nil {
		return
	}
	crash := Crash{
		Plugin: h.plugin.Name(), Topic: h.topic, Event: event,
		Reason: reason, Decision: decision, Restarts: int(h.restarts),
	}
	if v != nil {
		crash.Version = v.ID
	}
	h.endpoint.Crashed(crash)
}

// Blamer is a [Guest] that can say more about a reason.
type Blamer interface {
	// Blame is called when the guest has to end, with a crash as the reason, for an
	// effect of its last event: one that breaks the protocol, or with stop its own
	// wish. It returns the reason, or one that wraps it.
	Blame(stop bool, reason error) error
}

func blame(g Guest, stop bool, reason error) error {
	if b, ok := g.(Blamer); ok {
		return b.Blame(stop, reason)
	}
	return reason
}
