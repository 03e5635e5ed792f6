package rtd

// What follows works in every process, not only in channels. It happens when the event at
// hand has been handled.

// Publish sends a message to everybody on a topic: to the clients that have joined
// it, and to the processes that have subscribed to it. payload is a JSON object;
// nil stands for {}. It fails with ErrDenied if the topic is none that the plugin
// serves and was not granted to it in the server's config either.
func Publish(topic, event string, payload []byte) error {
	return attempt(record{kind: effectPublish, name: event, payload: payload, detail: topic}, topic)
}

// PublishBinary is [Publish] with any bytes. The topic and the event's name are then at
// most 255 bytes long.
func PublishBinary(topic, event string, payload []byte) error {
	return attempt(record{kind: effectPublish, flags: flagBinary, name: event, payload: payload, detail: topic}, topic)
}

// Subscribe lets this process's [BroadcastHandler] get what is broadcast or
// published to a topic, until [Unsubscribe] or the end of the process; a process
// that is restarted subscribes again. It fails as [Publish] does. To subscribe
// twice is to subscribe once.
func Subscribe(topic string) error {
	return attempt(record{kind: effectSubscribe, name: topic}, topic)
}

// Unsubscribe takes back a [Subscribe].
func Unsubscribe(topic string) { effect(record{kind: effectUnsubscribe, name: topic}) }

// Disconnect ends all connections whose [Conn] was given this ID. The clients
// reconnect, and the function of [OnConnect] decides again.
func Disconnect(id string) { effect(record{kind: effectDisconnect, name: id}) }

// attempt asks the host for an effect that it may deny.
func attempt(r record, about string) error {
	if n := give(r); n < 0 {
		return &OpError{r.kind.name(), about, Code(n)}
	}
	return nil
}
