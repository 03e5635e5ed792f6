package plugin

import (
	"cmp"
	"errors"
	"strconv"

	"rtd/channels/presence"
	"rtd/sandbox/abi"
)

// presenceOperation makes an operation of what is done with a topic in which the
// guest may be present: its own, or one that it may publish to.
func presenceOperation(do func(b *body, topic string, o *abi.Effect) ([]byte, error), topicOf func(*abi.Effect) string) func(*body, *abi.Effect) ([]byte, error) {
	return func(b *body, o *abi.Effect) ([]byte, error) {
		topic := cmp.Or(topicOf(o), b.topic)
		switch {
		case topic == "":
			return nil, abi.CodeMalformed
		case topic != b.topic && !b.mayPublish(topic):
			return nil, abi.CodeDenied
		}
		return do(b, topic, o)
	}
}

func inDetail(o *abi.Effect) string { return o.Detail }
func inName(o *abi.Effect) string   { return o.Name }

// The owner of an entry is the actor of the process: a channel handler stays the
// same over all of its lives.

func (b *body) track(topic string, o *abi.Effect) ([]byte, error) {
	all, owner := b.plugin.set.endpoint.Presence, b.process.Actor()
	ref, err := all.Track(owner, topic, o.Name, metaOf(o))
	if err == nil && b.process.Reason() != nil { // killed, and untracked before this
		all.Untrack(owner, topic, o.Name)
		return nil, errStopped
	}
	return []byte(ref), presenceCode(err)
}

func (b *body) update(topic string, o *abi.Effect) ([]byte, error) {
	ref, err := b.plugin.set.endpoint.Presence.Update(b.process.Actor(), topic, o.Name, metaOf(o))
	return []byte(ref), presenceCode(err)
}

func (b *body) untrack(topic string, o *abi.Effect) ([]byte, error) {
	b.plugin.set.endpoint.Presence.Untrack(b.process.Actor(), topic, o.Name)
	return nil, nil
}

func (b *body) presences(topic string, _ *abi.Effect) ([]byte, error) {
	return b.plugin.set.endpoint.Presence.List(topic), nil
}

func (b *body) presenceCount(topic string, _ *abi.Effect) ([]byte, error) {
	keys, metas := b.plugin.set.endpoint.Presence.Count(topic)
	return abi.AppendField(abi.AppendField(nil, strconv.Itoa(keys)), strconv.Itoa(metas)), nil
}

// metaOf is the meta data of an operation; none stands for {}.
func metaOf(o *abi.Effect) []byte {
	if len(o.Payload) == 0 {
		return []byte("{}")
	}
	return o.Payload
}

// presenceCode is what a guest is told of an error.
func presenceCode(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, presence.ErrTracked):
		return abi.CodeTaken
	case errors.Is(err, presence.ErrNotTracked):
		return abi.CodeNoProcess
	case errors.Is(err, presence.ErrOwnerFull), errors.Is(err, presence.ErrTopicFull):
		return abi.CodeLimit
	case errors.Is(err, presence.ErrTooLarge):
		return abi.CodeTooLarge
	}
	return abi.CodeMalformed
}
