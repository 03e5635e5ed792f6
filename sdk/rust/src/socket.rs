use crate::abi::{self, Record};
use crate::host::effect;
use crate::payload::Payload;
use crate::record::text;
use std::cell::Cell;
use std::rc::Rc;

/// The channel's side of a client that joined. It is valid until the client leaves or the process
/// ends. A clone is cheap and stands for the same client.
#[derive(Clone, Debug, Default)]
pub struct Socket(Rc<Joined>);

#[derive(Debug, Default)]
struct Joined {
    topic: String,
    member: String, // "" if the process has one only
    assigns: Vec<u8>,
    replay: bool,
}

impl Socket {
    /// The topic that the client has joined.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// Tells the members of a [`TopicChannel`](crate::TopicChannel) apart. It is the same after a crash,
    /// and "" in a [`Channel`](crate::Channel).
    pub fn member(&self) -> &str {
        &self.0.member
    }

    /// The assigns that the function of [`on_connect`](crate::Plugin::on_connect) gave the client's
    /// connection; empty if it gave none.
    pub fn assigns(&self) -> &[u8] {
        &self.0.assigns
    }

    /// Whether the client joined earlier and does not know of this call of `join`: the process was
    /// restarted after a crash, or moved to a new version of the plugin. Do not greet twice.
    pub fn replay(&self) -> bool {
        self.0.replay
    }

    /// Answers the message or join at hand, whichever client's it is. The status is "ok" or "error" by
    /// convention. A message has one reply, or none. A join is answered with "ok" here; the error of
    /// [`refuse`](crate::refuse) refuses it.
    pub fn reply(&self, status: &str, response: impl Payload) {
        if !is_rejoining() {
            let r = Record::new(abi::EFFECT_REPLY, status).payload(response.bytes());
            effect(&r.flags(response.flags()));
        }
    }

    /// Sends a message to this client alone.
    pub fn push(&self, event: &str, payload: impl Payload) {
        self.tell(abi::EFFECT_PUSH, self.member(), event, &payload);
    }

    /// Sends a message to everybody on the topic, this client included.
    pub fn broadcast(&self, event: &str, payload: impl Payload) {
        self.tell(abi::EFFECT_BROADCAST, "", event, &payload);
    }

    /// Sends a message to everybody on the topic but this client. If its user has joined on other
    /// connections, those get it.
    pub fn broadcast_from(&self, event: &str, payload: impl Payload) {
        self.tell(abi::EFFECT_BROADCAST_FROM, self.member(), event, &payload);
    }

    fn tell(&self, kind: u16, member: &str, event: &str, payload: &impl Payload) {
        effect(&Record::new(kind, event).flags(payload.flags()).payload(payload.bytes()).detail(member));
    }

    pub(crate) fn joined(e: &Record) -> Socket {
        Socket::new(text(e.name), e.detail, e.extra, e.has(abi::REPLAY))
    }

    pub(crate) fn replayed(topic: &str, member: &[u8], assigns: &[u8]) -> Socket {
        Socket::new(topic, member, assigns, true)
    }

    fn new(topic: &str, member: &[u8], assigns: &[u8], replay: bool) -> Socket {
        let (topic, member) = (topic.to_string(), text(member).to_string());
        Socket(Rc::new(Joined { topic, member, assigns: assigns.to_vec(), replay }))
    }
}

/// Stands for the client that waits for a reply to the message at hand, so that it can be replied to
/// during a later event; do not call [`Socket::reply`] then. It is Phoenix's socket_ref.
pub fn socket_ref() -> SocketRef {
    SocketRef { token: token() }
}

/// Stands for a client that waits for a reply. It is good for one reply, by the process that got the
/// message. A reply that nobody waits for goes nowhere: one to a join, to a message without a ref, or
/// to a client that has left. The default is that of nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketRef {
    token: String,
}

impl SocketRef {
    /// Answers the message.
    pub fn reply(&self, status: &str, response: impl Payload) {
        if !self.token.is_empty() {
            let r = Record::new(abi::EFFECT_REPLY, status).payload(response.bytes()).detail(&self.token);
            effect(&r.flags(response.flags()));
        }
    }

    /// The ref as text, for a state to be exported.
    pub fn as_str(&self) -> &str {
        &self.token
    }
}

impl From<&str> for SocketRef {
    fn from(token: &str) -> SocketRef {
        SocketRef { token: token.to_string() }
    }
}

// ---- the event at hand

thread_local! {
    /// Is the payload of the event at hand binary?
    static BINARY: Cell<bool> = const { Cell::new(false) };
    /// Members join again, and their clients wait for no reply.
    static REJOINING: Cell<bool> = const { Cell::new(false) };
    /// By which the message at hand may be answered later.
    static TOKEN: Cell<String> = const { Cell::new(String::new()) };
}

/// Whether the payload of the event at hand is binary, in `join`, `handle_in`, `handle_out` or
/// `handle_broadcast`. If it is not, it is JSON text.
pub fn is_binary() -> bool {
    BINARY.with(|b| b.get())
}

/// Notes the parts of the event at hand that the functions here need.
pub(crate) fn take_in_hand(e: &Record) {
    BINARY.with(|b| b.set(e.has(abi::BINARY)));
    let token = if e.kind == abi::EVENT_MESSAGE { text(e.extra).to_string() } else { String::new() };
    TOKEN.with(|t| t.set(token));
}

/// Forgets it again.
pub(crate) fn let_go() {
    TOKEN.with(|t| t.take());
}

pub(crate) fn set_rejoining(on: bool) {
    REJOINING.with(|r| r.set(on));
}

fn is_rejoining() -> bool {
    REJOINING.with(|r| r.get())
}

/// The token of the message at hand; "" if nobody waits for a reply to it.
fn token() -> String {
    TOKEN.with(|t| {
        let token = t.take();
        t.set(token.clone());
        token
    })
}
