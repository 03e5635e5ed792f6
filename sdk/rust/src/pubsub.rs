use crate::abi::{self, Record};
use crate::error::Error;
use crate::host::{attempt, effect};
use crate::payload::Payload;

// These functions work in every process, not only in channels. Their effects happen when the event
// at hand has been handled.

/// Sends a message to everybody on a topic: to the clients that have joined it, and to the processes
/// that have subscribed to it. It fails with [`Code::Denied`](crate::Code) unless the topic is the
/// channel's own, or one that a join would bring to this plugin now, or one of `grants` in the plugin's
/// table of the server's config.
pub fn publish(topic: &str, event: &str, payload: impl Payload) -> Result<(), Error> {
    let r = Record::new(abi::EFFECT_PUBLISH, event).payload(payload.bytes()).detail(topic);
    attempt(&r.flags(payload.flags()), topic)
}

/// Lets this process's `handle_broadcast` get the broadcasts of a topic, until [`unsubscribe`] or the end
/// of the process; a process that is restarted subscribes again. It fails as [`publish`] does. To
/// subscribe twice is to subscribe once. While another plugin serves the topic, no broadcast comes.
pub fn subscribe(topic: &str) -> Result<(), Error> {
    attempt(&Record::new(abi::EFFECT_SUBSCRIBE, topic), topic)
}

/// Takes back a [`subscribe`].
pub fn unsubscribe(topic: &str) {
    effect(&Record::new(abi::EFFECT_UNSUBSCRIBE, topic));
}

/// Ends all connections whose [`Conn`](crate::Conn) was given this id. The clients reconnect, and the
/// function of [`on_connect`](crate::Plugin::on_connect) decides again. Ask for it with
/// `disconnect = true` in `[capabilities]` of rtd.toml; the server grants it with
/// `allows = ["disconnect"]` in `[plugin.NAME]` of its config. Without the grant the process crashes.
pub fn disconnect(id: &str) {
    effect(&Record::new(abi::EFFECT_DISCONNECT, id));
}
