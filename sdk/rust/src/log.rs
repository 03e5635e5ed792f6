use crate::abi::{Record, OP_LOG};
use crate::guest::effect;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a mistake.
    Debug,
    /// What happens.
    Info,
    /// What should not happen, but does no harm.
    Warn,
    /// What does harm.
    Error,
}

/// Writes a line to the server's log, at once, crash or not.
pub fn log(level: Level, text: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    effect(&Record::new(OP_LOG, level).payload(text.as_bytes()));
}
