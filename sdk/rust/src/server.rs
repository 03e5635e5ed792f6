use crate::abi::{self, Record};
use crate::call::Caller;
use crate::callbacks::{call_back, callbacks, want_terminate};
use crate::error::Result;
use crate::module::Body;

/// OTP's GenServer: a process that keeps a state and answers. Its methods are called one at a time.
/// An error is a crash, as a panic is. Bytes that a method gets are valid until it returns.
#[allow(unused_variables)]
pub trait Server {
    /// Takes the arguments that [`spawn`](crate::spawn) or the tree gives.
    fn init(&mut self, args: &[u8]) -> Result {
        Ok(())
    }

    callbacks!();
}

/// The process of a [`Server`].
pub(crate) struct ServerBody<S>(pub S);

impl<S: Server> Body for ServerBody<S> {
    fn handle(&mut self, e: &Record) -> Result {
        match e.kind {
            abi::EVENT_INIT => begin(&mut self.0, e),
            _ => call_back!(&mut self.0, S, e),
        }
    }
}

/// Handles the init of a server, and answers the process that asked whether it went well.
pub(crate) fn begin<S: Server>(server: &mut S, e: &Record) -> Result {
    want_terminate(S::TERMINATES);
    server.init(e.payload)?;
    if e.has(abi::REQUEST) {
        Caller::new(e.extra).reply("");
    }
    Ok(())
}
