package channels

// Broadcasted is a broadcast as those get it who listen to a topic.
type Broadcasted struct {
	Topic, Event string
	Payload      []byte
	Binary       bool
}

// Publish sends a message to all members of a topic.
func (e *Endpoint) Publish(topic, event string, payload []byte, binary bool) {
	e.counts.broadcasts.Add(1)
	_ = e.Hub.Broadcast(&Outgoing{Kind: Broadcast, Topic: topic, Name: event, Payload: payload, Binary: binary}, nil)
}

// Listen is a placeholder until the hub knows listeners.
func (e *Endpoint) Listen(topic string, f func(Broadcasted)) (cancel func()) { return func() {} }

// Disconnect is a placeholder until sockets have ids.
func (e *Endpoint) Disconnect(id string) int { return 0 }
