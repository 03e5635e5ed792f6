use crate::record::text;
use std::{error, fmt};

/// The result of a callback. `?` makes a [`Failure`] of every error, and `Err("text".into())` one of a text.
/// With a second parameter it is std's `Result`.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a callback failed: the cause of a crash, or a refusal. It is no error itself, so that it can be made of
/// all of them, and of texts.
pub struct Failure(Box<Why>); // boxed, as Error is, because small results make small code

pub(crate) enum Why {
    Crash(String),
    Refused { status: String, response: Vec<u8> },
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(e: E) -> Failure {
        Failure(Box::new(Why::Crash(e.to_string())))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.cause())
    }
}

impl Failure {
    /// The cause of the crash. A refusal is a crash outside of a join or connect.
    pub fn cause(&self) -> String {
        match &*self.0 {
            Why::Crash(cause) => cause.clone(),
            Why::Refused { status, response } => {
                ["refused outside of a join or connect: ", status, " ", text(response)].concat()
            }
        }
    }

    pub(crate) fn why(&self) -> &Why {
        &self.0
    }
}

/// Refuses a join: `return rtd::refuse(r#"{"reason":"unauthorized"}"#)`. The client gets an
/// error reply with this JSON object, and no other effect happens.
pub fn refuse<T>(response: impl Into<Vec<u8>>) -> Result<T> {
    refuse_with("error", response)
}

/// Refuses a join with another status than "error", which is anything but "ok".
pub fn refuse_with<T>(status: &str, response: impl Into<Vec<u8>>) -> Result<T> {
    Err(Failure(Box::new(Why::Refused { status: status.to_string(), response: response.into() })))
}

/// Refuses a client in the function of [`on_connect`](crate::Plugin::on_connect): its request
/// is answered with this HTTP status, from 400 to 599; 403 stands in for any other.
pub fn refuse_status<T>(status: u16) -> Result<T> {
    refuse_with(&status.to_string(), "")
}

/// Says that the host did not do an effect or operation, and why. Functions return it that depend on
/// other processes, or on the server's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Refusal>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    op: String,
    name: String,
    code: Code,
}

impl Error {
    pub(crate) fn new(op: &str, name: &str, code: Code) -> Error {
        Error(Box::new(Refusal { op: op.to_string(), name: name.to_string(), code }))
    }

    /// Why it was not done.
    pub fn code(&self) -> &Code {
        &self.0.code
    }

    /// The operation: "call", "spawn" …
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// The process, module, name or topic that it was about.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn into_code(self) -> Code {
        self.0.code
    }
}

impl error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.op())?;
        if !self.name().is_empty() {
            f.write_str(" ")?;
            f.write_str(self.name())?;
        }
        f.write_str(": ")?;
        match (self.code(), self.op()) {
            (Code::Denied, "disconnect") => f.write_str(
                "not granted; it needs disconnect = true in [capabilities] of rtd.toml, \
                 and allows = [\"disconnect\"] in [plugin.NAME] of the server's config",
            ),
            (code, _) => code.fmt(f),
        }
    }
}

/// The host's reason for not doing an effect or operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// The server is too old to know it.
    Unknown,
    /// A name, time or pid that is none.
    Malformed,
    /// Too many effects in one event, or a message above 4 MiB.
    TooMuch,
    /// Not during this event.
    NotNow,
    /// There is no such process, name, request, timer, monitor or member.
    NoProcess,
    /// No answer came in time.
    Timeout,
    /// Too many processes of the plugin wait already; try later.
    Busy,
    /// The process ended before it answered, for this reason.
    Ended(String),
    /// A process cannot wait for its own answer.
    OwnAnswer,
    /// Its mailbox is full, or too much waits for the plugin's processes.
    Full,
    /// The plugin has as many processes, timers or names as it may, or makes the server keep too many bytes.
    Limit,
    /// Another process has the name, or the key is tracked already.
    Taken,
    /// Not granted: a process of a plugin that this one does not depend on, a topic not its own, to disconnect, a service of the server.
    Denied,
    /// It waits for this process, itself or by way of others.
    Deadlock,
    /// It has no room for the message, or a meta or key is too large.
    TooLarge,
    /// Nothing is kept of what is broadcast to the topic.
    NoHistory,
    /// A reason that is not the host's: the module is not registered, or the event manager refused, for
    /// example.
    Other(String),
}

impl Code {
    pub(crate) fn from_number(n: i32, reason: impl FnOnce() -> String) -> Code {
        match n {
            -1 => Code::Unknown,
            -2 => Code::Malformed,
            -3 => Code::TooMuch,
            -4 => Code::NotNow,
            -5 => Code::NoProcess,
            -6 => Code::Timeout,
            -7 => Code::Busy,
            -8 => Code::Ended(reason()),
            -9 => Code::OwnAnswer,
            -10 => Code::Full,
            -11 => Code::Limit,
            -12 => Code::Taken,
            -13 => Code::Denied,
            -14 => Code::Deadlock,
            -15 => Code::TooLarge,
            -16 => Code::NoHistory,
            _ => Code::Other("code ".to_string() + &n.to_string()),
        }
    }

    /// The number on the wire; `None` of a reason that is not the host's.
    pub(crate) fn number(&self) -> Option<i32> {
        (-16..0).find(|n| match self {
            Code::Ended(_) => *n == -8,
            other => Code::from_number(*n, String::new) == *other,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = match self {
            Code::Unknown => "this server does not know it; it needs a newer rtd",
            Code::Malformed => "malformed",
            Code::TooMuch => "too many effects, or too many bytes, in one event",
            Code::NotNow => "not allowed during this event, or done already",
            Code::NoProcess => "no such process",
            Code::Timeout => "no answer in time",
            Code::Busy => "too many processes of the plugin wait already",
            Code::Ended(reason) => {
                f.write_str("it ended before it answered: ")?;
                reason
            }
            Code::OwnAnswer => "a process cannot wait for its own answer",
            Code::Full => "its mailbox is full, or too much waits already; see pending in the server's config",
            Code::Limit => {
                "the plugin has as much as it may; see processes, references and pending in the \
                 server's config"
            }
            Code::Taken => "the name is taken, or the key is tracked already",
            Code::Denied => {
                "not granted: a plugin that this one does not depend on, a topic that is not its own, or \
                 a service; see depends, grants, allows and services in the server's config"
            }
            Code::Deadlock => "it waits for this process",
            Code::TooLarge => "it has no room for the message",
            Code::NoHistory => {
                "the topic has no history; see Plugin::keep_history, or history in the server's config"
            }
            Code::Other(text) => text,
        };
        f.write_str(text)
    }
}
