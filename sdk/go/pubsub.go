package rtd

// These functions work in every process, not only in channels. Their effects happen when the
// event at hand has been handled.

// Publish sends a message to everybody on a topic: to the clients that have joined
// it, and to the processes that have subscribed to it. payload is a JSON object;
// nil stands for {}. It fails with ErrDenied unless the topic is the channel's own, or one that
// a join would bring to this plugin now, or one of grants in the plugin's table of the server's
// config.
func Publish(topic, event string, payload []byte) error {
	return attempt(record{kind: effectPublish, name: event, payload: payload, detail: topic}, topic)
}

// PublishBinary is [Publish] with any bytes. The topic and the event's name are then at
// most 255 bytes long.
func PublishBinary(topic, event string, payload []byte) error {
	return attempt(record{kind: effectPublish, flags: flagBinary, name: event, payload: payload, detail: topic}, topic)
}

// Subscribe lets this process's [BroadcastHandler] get the broadcasts of a topic, until
// [Unsubscribe] or the end of the process; a process that is restarted subscribes again. It
// fails as [Publish] does. To subscribe twice is to subscribe once. While another plugin
// serves the topic, no broadcast comes.
func Subscribe(topic string) error {
	return attempt(record{kind: effectSubscribe, name: topic}, topic)
}

// Unsubscribe takes back a [Subscribe].
func Unsubscribe(topic string) { effect(record{kind: effectUnsubscribe, name: topic}) }

// Disconnect ends all connections whose [Conn] was given this ID. The clients
// reconnect, and the function of [OnConnect] decides again. Ask for it with disconnect = true in
// [capabilities] of rtd.toml; the server grants it with allows = ["disconnect"] in [plugin.NAME] of
// its config. Without the grant the process crashes.
func Disconnect(id string) { effect(record{kind: effectDisconnect, name: id}) }
