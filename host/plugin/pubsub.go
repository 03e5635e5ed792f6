package plugin

import (
	"strings"

	"rtd/channels"
	"rtd/sandbox/abi"
)

// Permit implements [sandbox.Process]: a guest may publish and subscribe to the topics
// that its plugin serves, and to those that are granted to it. It may show who is
// present in them, and in its own. It may disconnect clients unless its manifest says
// that it does not.
func (b *body) Permit(e *abi.Effect) abi.Code {
	topic := e.Name
	switch e.Kind {
	case abi.EffectDisconnect:
		if b.release.keepsConnections {
			return abi.CodeDenied
		}
		return 0
	case abi.EffectPublish:
		topic = e.Detail
	}
	if own := e.Kind == abi.EffectPresent && topic == b.topic; !own && !b.mayPublish(topic) {
		return abi.CodeDenied
	}
	return 0
}

func (b *body) mayPublish(topic string) bool {
	return matches(b.release.topics, topic) || matches(b.release.settings.Grants, topic)
}

func matches(patterns []string, topic string) bool {
	for _, pattern := range patterns {
		prefix, open := strings.CutSuffix(pattern, "*")
		if topic == pattern || open && strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}

// broadcasted is a broadcast of a topic that the process has subscribed to.
type broadcasted struct{ channels.Broadcasted }

// subscribe lets the process get a topic's broadcasts, as far as its mailbox has
// room for them.
func (b *body) subscribe(topic string) {
	if b.holdings != nil && b.subscriptions[topic] != nil {
		return
	}
	if b.hold() != nil {
		b.plugin.set.log.Warn("subscription not made: the plugin has as many references as it may",
			"plugin", b.plugin.name, "topic", topic)
		return
	}
	p := b.process
	b.subscriptions[topic] = b.plugin.set.endpoint.Listen(topic, func(m channels.Broadcasted) {
		_ = p.Send(broadcasted{m}) // whom it overloads misses some, as a slow client would
	})
}

func (b *body) unsubscribe(topic string) {
	if b.holdings == nil || b.subscriptions[topic] == nil {
		return
	}
	b.subscriptions[topic]()
	delete(b.subscriptions, topic)
	b.drop()
}
