package process

import (
	"cmp"

	"rtd/channels"
	"rtd/sandbox/abi"
)

// Permit implements [sandbox.Process]: a guest may publish and subscribe to the topics
// that are its plugin's own, and to those that are granted to it, and show who is present
// there. It may disconnect clients if that is granted. There has to be room for its
// subscriptions and intercepts.
func (b *body) Permit(e *abi.Effect) abi.Code {
	topic := e.Name
	switch e.Kind {
	case abi.EffectDisconnect:
		if !b.release.MayDisconnect(b.home.App.Name(), cmp.Or(b.Name(), b.guest.Topic())) {
			return abi.CodeDenied
		}
		return 0
	case abi.EffectIntercept:
		return b.willIntercept(e.Name)
	case abi.EffectPublish:
		topic = e.Detail
	}
	if !b.mayUse(topic) {
		return abi.CodeDenied
	}
	if e.Kind == abi.EffectSubscribe && b.subscribes(topic) == nil {
		return abi.CodeLimit
	}
	return 0
}

// publish broadcasts to a topic, if the guest may still use it: it may have asked long
// ago.
func (b *body) publish(e *abi.Effect) {
	n := b.home.Node
	n.rights.RLock()
	defer n.rights.RUnlock()
	if !b.mayUse(e.Detail) {
		b.late("publish", e.Detail)
		return
	}
	_ = n.Endpoint.Publish(e.Detail, e.Name, e.Payload, e.Flags&abi.Binary != 0) // it was checked
}

// broadcasted is a broadcast of a topic that the process has subscribed to. Its plugin
// accounts for it while it waits.
type broadcasted struct {
	channels.Broadcasted
	payer channels.Payer
}

// Dropped implements [supervisor.Dropper]: the broadcast does not wait any more.
func (m broadcasted) Dropped() { m.Give(m.payer) }

// subscription is a topic whose broadcasts the process gets, or will get when the event
// is over in which it has subscribed.
type subscription struct{ cancel func() }

func (s *subscription) end() {
	if s.cancel != nil {
		s.cancel()
	}
}

// subscribes makes room for a subscription. It returns nil if there is none.
func (b *body) subscribes(topic string) *subscription {
	if b.holdings != nil && b.subscriptions[topic] != nil {
		return b.subscriptions[topic]
	}
	if b.hold(len(topic)) != nil {
		return nil
	}
	s := &subscription{}
	b.subscriptions[topic] = s
	return s
}

// subscribe lets the process get a topic's broadcasts, as far as its mailbox and its
// plugin's budget have room for them.
func (b *body) subscribe(topic string) {
	s := b.subscribes(topic)
	if s == nil { // unsubscribed in the same event, and others have taken the room
		b.home.Node.Log.Warn("subscription not made: the plugin keeps as much as it may; raise references or pending in its table of config.toml",
			"plugin", b.home.App.Name(), "version", b.release.Version.ID, "topic", topic)
		return
	}
	if s.cancel == nil && !b.using(topic, func() { b.listen(s, topic) }) {
		b.unsubscribe(topic)
		b.late("subscribe", topic)
	}
}

func (b *body) listen(s *subscription, topic string) {
	p, payer := b.process, b.home.App
	s.cancel = b.home.Node.Endpoint.Listen(p.Actor(), topic, func(m channels.Broadcasted) {
		// A process that is overloaded misses some, as a slow client would.
		if m.Keep(payer) && p.Send(broadcasted{m, payer}) != nil {
			m.Give(payer)
		}
	})
}

func (b *body) unsubscribe(topic string) {
	if b.holdings == nil || b.subscriptions[topic] == nil {
		return
	}
	b.subscriptions[topic].end()
	delete(b.subscriptions, topic)
	b.settle(len(topic))
}

// willIntercept makes room for the name of an event whose broadcasts the handler is to get.
func (b *body) willIntercept(event string) abi.Code {
	if b.holdings != nil && b.intercepts[event] {
		return 0
	}
	if b.hold(len(event)) != nil {
		return abi.CodeLimit
	}
	b.intercepts[event] = true
	return 0
}
