use crate::abi::{self, fields, Record};
use crate::error::Error;
use crate::host::{attempt, effect, operate};
use crate::record::text;
use crate::socket::Socket;

/// Who is present in a topic. [`Socket::presence`] is for the client, in the topic that it has joined.
/// Methods have their effect at once, and fail with [`Code::Denied`](crate::Code) as
/// [`publish`](crate::publish()) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    topic: String,
    member: String, // "" for the process
}

impl Presence {
    /// The presence of any topic, whose methods make this process present.
    pub fn of(topic: &str) -> Presence {
        Presence { topic: topic.to_string(), member: String::new() }
    }

    /// Makes a client present in any topic, as [`Socket::presence`] does in the one joined.
    pub fn for_client(self, s: &Socket) -> Presence {
        Presence { member: s.member().to_string(), ..self }
    }

    /// Makes this process present, or the client that this is for, under a key, such as a user's id,
    /// with meta data: a JSON object; "" stands for `{}`. Members of the topic get presence_diff. The
    /// host untracks the process when it ends; one that is restarted tracks itself again. The answer
    /// is the phx_ref that the meta data gets.
    ///
    /// In a [`TopicChannel`](crate::TopicChannel) the client is a member. Members may have the same
    /// key, which then has several metas. A member stays present when the process is restarted or
    /// moves to another version, and to track it again in `join` changes nothing, unless the meta
    /// data is another. The host untracks a member that leaves; this and `update` for one that has
    /// left fail with [`Code::NoProcess`](crate::Code).
    pub fn track(&self, key: &str, meta: impl AsRef<[u8]>) -> Result<String, Error> {
        self.operate(abi::OP_TRACK, key, meta.as_ref()).map(|phx_ref| text(&phx_ref).to_string())
    }

    /// Replaces the meta data of a key that was tracked.
    pub fn update(&self, key: &str, meta: impl AsRef<[u8]>) -> Result<String, Error> {
        self.operate(abi::OP_UPDATE, key, meta.as_ref()).map(|phx_ref| text(&phx_ref).to_string())
    }

    /// Takes back a track.
    pub fn untrack(&self, key: &str) -> Result<(), Error> {
        self.operate(abi::OP_UNTRACK, key, b"").map(drop)
    }

    /// Who is present, for the plugin itself: the metas of each key, in JSON as presence_state has it.
    /// Keys that this process has just tracked are among them. Clients are told by
    /// [`Socket::push_presence`].
    pub fn list(&self) -> Result<Vec<u8>, Error> {
        operate(&Record::new(abi::OP_PRESENCES, &self.topic))
    }

    /// How many keys are present, and how many metas: a key with two metas counts once among the keys.
    /// It is cheap, however many there are.
    pub fn count(&self) -> Result<(usize, usize), Error> {
        let answer = operate(&Record::new(abi::OP_PRESENCE_COUNT, &self.topic))?;
        let mut counts = fields(&answer).map(|n| text(n).parse().unwrap_or(0));
        Ok((counts.next().unwrap_or(0), counts.next().unwrap_or(0)))
    }

    /// [`Socket::push_presence`] for another topic than the one that the client has joined. The client
    /// gets presence_state in the topic joined, and no presence_diff.
    pub fn push_to(&self, s: &Socket) -> Result<(), Error> {
        attempt(&Record::new(abi::EFFECT_PRESENT, &self.topic).detail(s.member()), &self.topic)
    }

    fn operate(&self, kind: u16, key: &str, meta: &[u8]) -> Result<Vec<u8>, Error> {
        operate(&Record::new(kind, key).payload(meta).detail(&self.topic).extra(&self.member))
    }
}

impl Socket {
    /// Says who is present in the topic joined, and makes this client present there.
    pub fn presence(&self) -> Presence {
        Presence::of(self.topic()).for_client(self)
    }

    /// Tells this client who is in the topic joined, by presence_state; the presence_diff that follow
    /// keep it up to date. Call it in `join`, after `track`. The host makes the list when the event
    /// has been handled: however long it is, it does not enter the plugin.
    pub fn push_presence(&self) {
        effect(&Record::new(abi::EFFECT_PRESENT, "").detail(self.member()));
    }
}
