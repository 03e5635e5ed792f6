package channels

import (
	"cmp"
	"time"

	"rtd/channels/presence"
	"rtd/sandbox/abi"
)

// The events by which clients learn who is present.
const (
	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"
)

// newPresence returns the tracker of e, whose diffs are broadcasts. Their text is
// the tracker's own, which has checked every meta: it is not checked again.
func (e *Endpoint) newPresence(grace time.Duration) *presence.Tracker {
	return presence.New(presence.Options{
		Check:    checkJSON,
		Grace:    grace,
		Payer:    payerOf,
		Audience: e.Hub.Members,
		Broadcast: func(topic string, d presence.Diff) {
			e.counts.broadcasts.Add(1)
			if !e.Hub.uses(topic) {
				return // most of what other nodes change
			}
			o := Outgoing{Kind: Broadcast, Topic: topic, Name: eventPresenceDiff, Payload: d.JSON(), passing: true}
			_ = e.Hub.Broadcast(&o, nil) // text can always be written
		},
	})
}

// present pushes to a member the list of who is present in a topic, its own by default.
//
// The member is subscribed by now, and the list takes its place among the diffs: the client
// misses nothing, also if it is shown a list again. A guest that lists by itself cannot do
// that. A change before its effects are applied may reach its client before the list, or
// in a join not at all.
//
// A topic that was the plugin's when the guest asked may belong to another plugin by now.
func (h *handler) present(e *abi.Effect, to *member) {
	topic := cmp.Or(e.Name, h.topic)
	if topic != h.topic && !h.plugin.MayUse(topic) {
		return
	}
	if h.linger != nil {
		h.linger.keeps().shows(topic)
		if to.away {
			return // it is shown when it is back
		}
	}
	h.endpoint.Presence.Show(topic, func(list []byte) {
		to.push(&abi.Effect{Kind: abi.EffectPush, Name: eventPresenceState, Payload: list})
	})
}
