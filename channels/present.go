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
		Audience: e.Hub.Members,
		Broadcast: func(topic string, d presence.Diff) {
			e.counts.broadcasts.Add(1)
			o := Outgoing{Kind: Broadcast, Topic: topic, Name: eventPresenceDiff, Payload: d.JSON()}
			_ = e.Hub.Broadcast(&o, nil) // text can always be written
		},
	})
}

// present pushes to a member who is present in a topic, its own by default.
//
// The member is subscribed by now, and the list takes its place among the diffs:
// the client misses nothing, also if it is shown a list again. A guest that
// lists by itself cannot do that: what changes before its effects are applied
// may reach its client before the list, or in a join not at all.
func (l *lives) present(e *abi.Effect, to *member) {
	l.endpoint.Presence.Show(cmp.Or(e.Name, l.topic), func(list []byte) {
		to.push(&abi.Effect{Kind: abi.EffectPush, Name: eventPresenceState, Payload: list})
	})
}
