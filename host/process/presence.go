package process

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"

	"rtd/channels"
	"rtd/channels/presence"
	"rtd/sandbox/abi"
)

// topicOperation makes an operation of a function of a topic: the guest's own, or one that it
// may use.
func topicOperation(do func(b *body, topic string, o *abi.Effect) ([]byte, error), topicOf func(*abi.Effect) string) func(*body, *abi.Effect) ([]byte, error) {
	return func(b *body, o *abi.Effect) (answer []byte, err error) {
		topic := cmp.Or(topicOf(o), b.guest.Topic())
		if topic == "" {
			return nil, abi.CodeMalformed
		}
		if !b.using(topic, func() { answer, err = do(b, topic, o) }) {
			return nil, abi.CodeDenied
		}
		return answer, err
	}
}

func inDetail(o *abi.Effect) string { return o.Detail }
func inName(o *abi.Effect) string   { return o.Name }

// presenceOwner returns the owner of an operation's entry: the actor of the process, as a
// channel handler stays the same over all of its lives; or, if extra names one, a member
// of the handler's topic. ok is false if the owner has ended.
func (b *body) presenceOwner(o *abi.Effect) (owner any, ok bool) {
	actor := b.process.Actor()
	if o.Extra == "" {
		return actor, b.process.Reason() == nil
	}
	if c, shared := actor.(*channels.SharedChannel); shared {
		return c.PresenceOwner(o.Extra)
	}
	return nil, false
}

func (b *body) track(o *abi.Effect) ([]byte, error)  { return b.tracks(o, (*presence.Tracker).Track) }
func (b *body) update(o *abi.Effect) ([]byte, error) { return b.tracks(o, (*presence.Tracker).Update) }

// trackFunc is one of the two.
type trackFunc func(all *presence.Tracker, owner any, topic, key string, meta []byte) (ref string, err error)

// tracks does one of the two.
func (b *body) tracks(o *abi.Effect, do trackFunc) ([]byte, error) {
	owner, ok := b.presenceOwner(o)
	if !ok {
		return nil, abi.CodeNoProcess
	}
	if b.memory != nil {
		return nil, b.tracksLater(o, do)
	}
	return b.tracksNow(owner, o, do)
}

// tracksNow does it for an owner.
func (b *body) tracksNow(owner any, o *abi.Effect, do trackFunc) ([]byte, error) {
	all := b.home.Node.Endpoint.Presence
	ref, err := topicOperation(func(_ *body, topic string, _ *abi.Effect) ([]byte, error) {
		ref, err := do(all, owner, topic, o.Name, metaOf(o))
		return []byte(ref), presenceCode(err)
	}, inDetail)(b, o)
	if _, ok := b.presenceOwner(o); err == nil && !ok { // killed, and untracked before this
		all.Untrack(owner, cmp.Or(o.Detail, b.guest.Topic()), o.Name)
		return nil, errStopped
	}
	return ref, err
}

// untrack is possible in any topic: it ends only entries of the guest, suspended ones
// included. A member that has left has none.
func (b *body) untrack(o *abi.Effect) ([]byte, error) {
	topic := cmp.Or(o.Detail, b.guest.Topic())
	if topic == "" {
		return nil, abi.CodeMalformed
	}
	owner, ok := b.presenceOwner(o)
	if m := b.memory; m != nil {
		if !ok && !b.mayUse(topic) {
			return nil, abi.CodeDenied
		}
		if o.Extra == "" {
			delete(m.present, presenceKey{topic, o.Name})
		}
		key := o.Name
		m.later = append(m.later, func() { b.home.Node.Endpoint.Presence.Untrack(owner, topic, key) })
		return nil, nil
	}
	if untracked := ok && b.home.Node.Endpoint.Presence.Untrack(owner, topic, o.Name); !untracked && !b.mayUse(topic) {
		return nil, abi.CodeDenied
	}
	return nil, nil
}

func (b *body) presences(topic string, _ *abi.Effect) ([]byte, error) {
	return b.home.Node.Endpoint.Presence.List(topic), nil
}

func (b *body) presenceCount(topic string, _ *abi.Effect) ([]byte, error) {
	keys, metas := b.home.Node.Endpoint.Presence.Count(topic)
	return abi.AppendField(abi.AppendField(nil, strconv.Itoa(keys)), strconv.Itoa(metas)), nil
}

// metaOf returns the meta of an operation; none stands for {}.
func metaOf(o *abi.Effect) []byte {
	if len(o.Payload) == 0 {
		return []byte("{}")
	}
	return o.Payload
}

// presenceCode returns a guest's code for an error.
func presenceCode(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, presence.ErrTracked):
		return abi.CodeTaken
	case errors.Is(err, presence.ErrNotTracked):
		return abi.CodeNoProcess
	case errors.Is(err, presence.ErrOwnerFull), errors.Is(err, presence.ErrTopicFull), errors.Is(err, presence.ErrNoRoom):
		return abi.CodeLimit
	case errors.Is(err, presence.ErrTooLarge):
		return abi.CodeTooLarge
	}
	return abi.CodeMalformed
}

// tracksLater shows an entry of presence, or changes it, when the event at hand is stored. What can be refused is refused
// now, as far as that can be known.
func (b *body) tracksLater(o *abi.Effect, do trackFunc) error {
	m := b.memory
	topic := cmp.Or(o.Detail, b.guest.Topic())
	switch {
	case topic == "":
		return abi.CodeMalformed
	case !b.mayUse(topic):
		return abi.CodeDenied
	}
	later := abi.Effect{Kind: o.Kind, Name: o.Name, Payload: bytes.Clone(metaOf(o)), Detail: topic, Extra: o.Extra}
	if later.Extra == "" {
		if m.present == nil {
			m.present = map[presenceKey][]byte{}
		}
		m.present[presenceKey{topic, later.Name}] = later.Payload
	}
	m.later = append(m.later, func() {
		owner, ok := b.presenceOwner(&later)
		if !ok {
			return // the member has left
		}
		if _, err := b.tracksNow(owner, &later, do); err != nil {
			b.home.complain(m.actor, "an entry of presence of a durable actor is not shown", err)
		}
	})
	return nil
}

// trackAgain shows an entry of presence that the actor had.
func (b *body) trackAgain(p heldPresence) {
	m := b.memory
	if m.present == nil {
		m.present = map[presenceKey][]byte{}
	}
	m.present[presenceKey{p.Topic, p.Key}] = p.Meta
	o := abi.Effect{Kind: abi.OpTrack, Name: p.Key, Payload: p.Meta, Detail: p.Topic}
	owner, _ := b.presenceOwner(&o)
	_, err := b.tracksNow(owner, &o, (*presence.Tracker).Track)
	if errors.Is(err, abi.CodeTaken) { // it was restarted within one run of the server
		_, err = b.tracksNow(owner, &o, (*presence.Tracker).Update)
	}
	if err != nil {
		b.home.complain(m.actor, "an entry of presence of a durable actor is not shown", err)
	}
}
