use crate::abi::{Record, EFFECT_REPLY, EFFECT_STATE};
use crate::error::Failure;
use crate::host::effect;
use crate::json;

/// The state of a process, for the next version of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Names how the bytes are to be read, such as "2".
    pub schema: String,
    /// The state itself.
    pub bytes: Vec<u8>,
}

impl State {
    /// A state and its schema.
    pub fn new(schema: &str, bytes: impl Into<Vec<u8>>) -> State {
        State { schema: schema.to_string(), bytes: bytes.into() }
    }

    pub(crate) fn hand_over(&self) {
        effect(&Record::new(EFFECT_STATE, &self.schema).payload(&self.bytes));
    }
}

/// Says that a state cannot be taken over.
pub(crate) fn refuse_import(failure: &Failure) {
    let response = json::object().string("reason", &failure.cause());
    effect(&Record::new(EFFECT_REPLY, "error").payload(response.as_ref()));
}
