package channels

import (
	"fmt"

	"rtd/sandbox/abi"
)

// Publish broadcasts to a topic, its members and listeners, as a handler's broadcast does.
// A payload is a JSON object, empty for {}, or binary. The error is that of
// [CheckPublish]; then nothing is sent. Publish may be called from any goroutine and with
// a handler's lock held. The payload is the caller's again when it returns.
func (e *Endpoint) Publish(topic, event string, payload []byte, binary bool) error {
	if err := CheckPublish(topic, event, payload, binary); err != nil {
		return err
	}
	e.PublishChecked(topic, event, payload, binary)
	return nil
}

// CheckPublish returns an error if a name or the payload of a broadcast breaks the
// protocol.
func CheckPublish(topic, event string, payload []byte, binary bool) error {
	effect := abi.Effect{Kind: abi.EffectPublish, Flags: binaryFlag(binary), Name: event, Payload: payload, Detail: topic}
	if err := CheckEffect(&effect, ""); err != nil {
		return fmt.Errorf("publish %.100q to %.100q: %w", event, topic, err)
	}
	return nil
}

// PublishChecked is [Endpoint.Publish] for a broadcast that [CheckPublish] has passed.
func (e *Endpoint) PublishChecked(topic, event string, payload []byte, binary bool) {
	e.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: topic, Name: event, Payload: payload, Binary: binary}
	_ = e.Hub.Broadcast(&o, nil) // it counts members whose codec cannot write it
}

// Listen has f called for each broadcast of a topic, whether or not the topic has members,
// until cancel is called. When cancel returns, f is not called any more. [Hub.Suspend]
// knows the listener by its owner, which may be nil. f is called by the broadcaster, with
// locks held: it must not block, nor call back into this package. Listen and cancel may be
// called from any goroutine and with a handler's lock held, cancel also again.
func (e *Endpoint) Listen(owner any, topic string, f func(Broadcasted)) (cancel func()) {
	return e.Hub.listen(owner, topic, f)
}
