use crate::abi::{self, Record};
use crate::guest::{attempt, effect};
use crate::{Error, Payload};

// What follows works in every process, not only in channels. It happens when the event at hand has
// been handled.

/// Sends a message to everybody on a topic: to the clients that have joined it, and to the processes
/// that have subscribed to it. It fails with [`Code::Denied`](crate::Code) if the topic is none that the
/// plugin serves and was not granted to it in the server's config either.
pub fn publish(topic: &str, event: &str, payload: impl Payload) -> Result<(), Error> {
    let r = Record::new(abi::EFFECT_PUBLISH, event).payload(payload.bytes()).detail(topic);
    attempt(&r.flags(payload.flags()), topic)
}

/// Lets this process's `handle_broadcast` get what is broadcast or published to a topic, until
/// [`unsubscribe`] or the end of the process; a process that is restarted subscribes again. It fails as
/// [`publish`] does. To subscribe twice is to subscribe once.
pub fn subscribe(topic: &str) -> Result<(), Error> {
    attempt(&Record::new(abi::EFFECT_SUBSCRIBE, topic), topic)
}

/// Takes back a [`subscribe`].
pub fn unsubscribe(topic: &str) {
    effect(&Record::new(abi::EFFECT_UNSUBSCRIBE, topic));
}

/// Ends all connections whose [`Conn`](crate::Conn) was given this id. The clients reconnect, and the
/// function of [`on_connect`](crate::Plugin::on_connect) decides again.
pub fn disconnect(id: &str) {
    effect(&Record::new(abi::EFFECT_DISCONNECT, id));
}
