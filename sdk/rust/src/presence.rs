use crate::abi::{self, fields, text, Record};
use crate::guest::{attempt, operate};
use crate::{Error, Socket};

/// Who is in a topic; [`Socket::presence`] is that of the topic joined. What happens here happens at
/// once. It fails with [`Code::Denied`](crate::Code) as [`publish`](crate::publish()) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    topic: String,
}

impl Presence {
    /// The presence of any topic.
    pub fn of(topic: &str) -> Presence {
        Presence { topic: topic.to_string() }
    }

    /// Makes this process present under a key, such as a user's id, with meta data: a JSON object; ""
    /// stands for `{}`. Members of the topic get presence_diff. The host untracks it when the
    /// process ends; one that was restarted tracks itself again, in `join` for example. The answer is what
    /// the meta data gets as phx_ref.
    pub fn track(&self, key: &str, meta: impl AsRef<[u8]>) -> Result<String, Error> {
        self.operate(abi::OP_TRACK, key, meta.as_ref()).map(|phx_ref| text(&phx_ref).to_string())
    }

    /// Replaces the meta data of a key that this process has tracked.
    pub fn update(&self, key: &str, meta: impl AsRef<[u8]>) -> Result<String, Error> {
        self.operate(abi::OP_UPDATE, key, meta.as_ref()).map(|phx_ref| text(&phx_ref).to_string())
    }

    /// Takes back a track.
    pub fn untrack(&self, key: &str) -> Result<(), Error> {
        self.operate(abi::OP_UNTRACK, key, b"").map(drop)
    }

    /// Who is present, for a plugin that wants to look: the metas of each key, in JSON as
    /// presence_state has it. What this process has tracked is among them. Clients are told by
    /// [`Socket::push_presence`].
    pub fn list(&self) -> Result<Vec<u8>, Error> {
        operate(&Record::new(abi::OP_PRESENCES, &self.topic))
    }

    /// How many keys are present, and metas: who is there twice counts once among the keys. It is
    /// cheap, however many there are.
    pub fn count(&self) -> Result<(usize, usize), Error> {
        let answer = operate(&Record::new(abi::OP_PRESENCE_COUNT, &self.topic))?;
        let mut counts = fields(&answer).map(|n| text(n).parse().unwrap_or(0));
        Ok((counts.next().unwrap_or(0), counts.next().unwrap_or(0)))
    }

    /// [`Socket::push_presence`] of another topic than the one that the client has joined. It gets it in
    /// the one joined, and no diffs.
    pub fn push_to(&self, s: &Socket) -> Result<(), Error> {
        attempt(&Record::new(abi::EFFECT_PRESENT, &self.topic).detail(s.member()), &self.topic)
    }

    fn operate(&self, kind: u16, key: &str, meta: &[u8]) -> Result<Vec<u8>, Error> {
        operate(&Record::new(kind, key).payload(meta).detail(&self.topic))
    }
}
