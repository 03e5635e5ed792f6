use crate::abi::{self, text, Record};
use crate::guest::{effect, is_rejoining, token};
use crate::Presence;
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
    /// The topic joined.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// Tells the members of a topic channel apart. It is the same after a crash.
    pub fn member(&self) -> &str {
        &self.0.member
    }

    /// What the function of [`on_connect`](crate::Plugin::on_connect) assigned to the client's
    /// connection; empty if that was nothing.
    pub fn assigns(&self) -> &[u8] {
        &self.0.assigns
    }

    /// Whether the client joined earlier and does not know of this call of `join`: the process was
    /// restarted after a crash, or moved to a new version of the plugin. Do not greet twice.
    pub fn replay(&self) -> bool {
        self.0.replay
    }

    /// Answers the message or join at hand, whoever's it is. The status is "ok" or "error" by
    /// convention. There is one reply to a message; none is fine as well. A join is answered with
    /// "ok" here; [`refuse`](crate::refuse) is for the rest.
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

    /// Sends a message to everybody on the topic but this client. If it has joined on other
    /// connections, too, those get it.
    pub fn broadcast_from(&self, event: &str, payload: impl Payload) {
        self.tell(abi::EFFECT_BROADCAST_FROM, self.member(), event, &payload);
    }

    fn tell(&self, kind: u16, member: &str, event: &str, payload: &impl Payload) {
        effect(&Record::new(kind, event).flags(payload.flags()).payload(payload.bytes()).detail(member));
    }

    /// Who is in the topic.
    pub fn presence(&self) -> Presence {
        Presence::of(self.topic())
    }

    /// Tells this client who is in the topic, by presence_state; the presence_diff that follow keep
    /// it up to date. Call it in `join`, behind the track of who has joined. The host makes the list
    /// when the event has been handled: however many there are, they do not enter the plugin.
    pub fn push_presence(&self) {
        effect(&Record::new(abi::EFFECT_PRESENT, "").detail(self.member()));
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

/// Who waits for a reply to the message at hand, so that it can be given during a later event; do
/// not call [`Socket::reply`] then. It is Phoenix's socket_ref.
pub fn socket_ref() -> SocketRef {
    SocketRef { token: token() }
}

/// Who waits for a reply. It is good for one, by the process that got the message. If nobody waits,
/// as for the reply to a join or to a client that has left, the reply goes nowhere.
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

/// What is sent to clients: JSON text, in a `&str`, `&[u8]`, `String`, [`json::Object`](crate::json::Object)
/// or whatever else has bytes, or [`Binary`]. A reply's is any value, the others are
/// objects; "" stands for `{}`.
pub trait Payload {
    /// The payload as it is sent.
    fn bytes(&self) -> &[u8];

    /// Flags of [`abi`].
    #[doc(hidden)]
    fn flags(&self) -> u16 {
        0
    }
}

impl<T: AsRef<[u8]>> Payload for T {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }
}

/// A payload of any bytes, which the client gets as such: `s.push("frame", Binary(&pixels))`. Topics
/// and the names of events are then at most 255 bytes long.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a>(pub &'a [u8]);

impl Payload for Binary<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn flags(&self) -> u16 {
        abi::BINARY
    }
}
