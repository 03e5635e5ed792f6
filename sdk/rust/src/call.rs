use crate::abi::{self, Record};
use crate::error::Error;
use crate::host::{effect, operate};
use crate::process::Ref;
use crate::timer::milliseconds;
use std::time::Duration;

/// How long a [`call`] waits for the answer. OTP has the same default.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a process's `handle_call` and waits for the answer, at most for [`TIMEOUT`].
///
/// While it waits, this process takes no events, and its deadline does not come nearer. If there is
/// no answer, the error says why: its [`Code`](crate::Code) is `Ended`, `NoProcess`, `Timeout`,
/// `Deadlock` or `Busy`, for example. A callback that returns the error crashes this process too, which
/// is often right.
pub fn call(process: &str, question: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
    call_timeout(process, question, TIMEOUT)
}

/// [`call`] with another timeout.
pub fn call_timeout(process: &str, question: impl AsRef<[u8]>, timeout: Duration) -> Result<Vec<u8>, Error> {
    operate(&Record::new(abi::OP_CALL, process).payload(question.as_ref()).detail(&milliseconds(timeout)))
}

/// Tells a process's `handle_cast` something. It does not wait.
pub fn cast(process: &str, message: impl AsRef<[u8]>) -> Result<(), Error> {
    operate(&Record::new(abi::OP_CAST, process).payload(message.as_ref())).map(drop)
}

/// Asks as [`call`] does, but does not wait: [`await_reply`] does.
pub fn request(process: &str, question: impl AsRef<[u8]>) -> Result<Ref, Error> {
    operate(&Record::new(abi::OP_REQUEST, process).payload(question.as_ref())).map(|r| Ref::new(&r))
}

/// Asks as [`call`] does, but does not wait: the answer, or the reason why there is none, goes to
/// this process's `handle_reply`.
pub fn request_notify(process: &str, question: impl AsRef<[u8]>) -> Result<Ref, Error> {
    let r = Record::new(abi::OP_REQUEST, process).flags(abi::NOTIFY);
    operate(&r.payload(question.as_ref())).map(|r| Ref::new(&r))
}

/// Waits for the answer to a [`request`]. Timeout and errors are those of [`call_timeout`]. After
/// [`Code::Timeout`](crate::Code) the request can be awaited again.
pub fn await_reply(request: &Ref, timeout: Duration) -> Result<Vec<u8>, Error> {
    operate(&Record::new(abi::OP_AWAIT, request).detail(&milliseconds(timeout)))
}

/// Stands for the process that waits for the answer to a call. It may be kept, and answered during a later
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Ref);

impl Caller {
    pub(crate) fn new(token: &[u8]) -> Caller {
        Caller(Ref::new(token))
    }

    /// Answers the call, when the event at hand has been handled. Of several answers the first
    /// counts.
    pub fn reply(&self, answer: impl AsRef<[u8]>) {
        effect(&Record::new(abi::EFFECT_ANSWER, &self.0).payload(answer.as_ref()));
    }

    /// The caller as text, for a state to be exported.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Caller {
    fn from(token: &str) -> Caller {
        Caller::new(token.as_bytes())
    }
}
