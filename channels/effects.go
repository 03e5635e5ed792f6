package channels

import (
	"fmt"

	"rtd/sandbox/abi"
)

// handle gives an event to a guest and holds its effects to the protocol: what a
// guest wrote is sent without looking again, to clients that did nothing wrong.
func handle(g Guest, event *abi.Event) ([]abi.Effect, error) {
	effects, err := g.Handle(event)
	if err != nil {
		return nil, err
	}
	for _, e := range effects {
		if err := check(e); err != nil {
			return nil, fmt.Errorf("%v %q: %w", e.Kind, e.Name, err)
		}
	}
	return effects, nil
}

func check(e abi.Effect) error {
	if e.Flags&abi.Binary != 0 {
		return fmt.Errorf("binary payloads are not supported yet")
	}
	if len(e.Payload) == 0 {
		return nil // stands for {}
	}
	if err := checkJSON(e.Payload); err != nil {
		return fmt.Errorf("payload: %w: %.100q", err, e.Payload)
	}
	if e.Kind != abi.EffectReply && !isObject(e.Payload) {
		return fmt.Errorf("payload is no JSON object: %.100q", e.Payload)
	}
	return nil
}

// joinReply is a guest's answer to a join. None accepts.
func joinReply(effects []abi.Effect) (status string, response []byte) {
	for _, e := range effects {
		if e.Kind == abi.EffectReply {
			return e.Name, e.Payload
		}
	}
	return statusOK, nil
}

// apply does what the guest asked for, in order. m is the message that a reply
// answers; a join was answered before. Callers hold mu.
func (c *Channel) apply(effects []abi.Effect, m *Message) {
	for _, e := range effects {
		switch e.Kind {
		case abi.EffectReply:
			if m != nil && m.Ref != nil {
				c.socket.reply(c.outRef, m.Ref, c.topic, e.Name, e.Payload)
			}
		case abi.EffectPush:
			c.socket.send(c.socket.encode(&Outgoing{
				Kind: Push, JoinRef: c.outRef, Topic: c.topic, Name: e.Name, Payload: e.Payload,
			}))
		case abi.EffectBroadcast:
			c.broadcast(e, nil)
		case abi.EffectBroadcastFrom:
			c.broadcast(e, &c.member)
		}
	}
}

func (c *Channel) broadcast(e abi.Effect, except *Subscription) {
	endpoint := c.socket.endpoint
	endpoint.counts.broadcasts.Add(1)
	o := Outgoing{Kind: Broadcast, Topic: c.topic, Name: e.Name, Payload: e.Payload}
	_ = endpoint.Hub.Broadcast(&o, except) // every codec can encode text
}
