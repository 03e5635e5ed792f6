use crate::abi::{self, Record};
use crate::call::Caller;
use crate::callbacks::call_back;
use crate::error::{Code, Result};
use crate::host::effect;
use crate::module::Body;
use crate::record::{cut_field, push_field};
use crate::server::{begin, Server};

/// The code of one handler. Its `handle_call` gets the questions of
/// [`EventManager::call`](crate::EventManager::call). With [`stop`](crate::stop) it removes itself.
///
/// It moves to the next version of the plugin with its place, pid, id and arguments: with its state if it
/// [`MIGRATES`](Server::MIGRATES), else without, by `init`. If the next version does not have its module
/// it is removed.
pub trait EventHandler: Server {
    /// Takes an event.
    fn handle_event(&mut self, event: &[u8]) -> Result;
}

/// Describes a handler of a manager.
#[derive(Clone, Copy, Debug)]
pub struct HandlerSpec<'a> {
    /// Unique within the manager.
    pub id: &'a str,
    /// As registered with [`Plugin::event_handler`](crate::Plugin::event_handler).
    pub module: &'a str,
    /// For its `init`.
    pub args: &'a [u8],
    /// Start it again after a crash; after more than 3 in 5 s it is removed.
    pub restart: bool,
}

impl<'a> HandlerSpec<'a> {
    /// A handler of the module of the same name, without arguments, that is not restarted.
    pub const fn new(id: &'a str) -> HandlerSpec<'a> {
        HandlerSpec { id, module: id, args: b"", restart: false }
    }

    /// A handler of another module.
    pub const fn module(self, module: &'a str) -> HandlerSpec<'a> {
        HandlerSpec { module, ..self }
    }

    /// A handler with arguments.
    pub const fn args(self, args: &'a [u8]) -> HandlerSpec<'a> {
        HandlerSpec { args, ..self }
    }

    /// A handler that is restarted.
    pub const fn restart(self) -> HandlerSpec<'a> {
        HandlerSpec { restart: true, ..self }
    }
}

// A question to a manager, and of a manager to a handler, is a field with one of these, a field with
// the handler's id, and the rest.
pub(crate) const SYNC: &[u8] = b"sync";
pub(crate) const CALL: &[u8] = b"call";
pub(crate) const ADD: &[u8] = b"add";
pub(crate) const REMOVE: &[u8] = b"remove";
pub(crate) const LIST: &[u8] = b"list";

/// Takes a question apart.
pub(crate) fn cut_ask(question: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (verb, rest) = cut_field(question)?;
    let (id, rest) = cut_field(rest)?;
    Some((verb, id, rest))
}

/// Answers such a question with the number of an error, or none, and the rest.
pub(crate) fn respond(to: &Caller, answer: Result<&[u8], Code>) {
    let (code, rest) = match &answer {
        Ok(rest) => (String::new(), *rest),
        Err(Code::Other(text)) => ("error".to_string(), text.as_bytes()),
        Err(Code::Ended(reason)) => ("-8".to_string(), reason.as_bytes()),
        Err(code) => (code.number().unwrap_or(-1).to_string(), &b""[..]),
    };
    let mut bytes = Vec::new();
    push_field(&mut bytes, code.as_bytes());
    bytes.extend_from_slice(rest);
    to.reply(bytes);
}

/// The process of one handler.
pub(crate) struct HandlerBody<H>(pub H);

impl<H: EventHandler> Body for HandlerBody<H> {
    fn handle(&mut self, e: &Record) -> Result {
        let handler = &mut self.0;
        match (e.kind, cut_ask(e.payload)) {
            (abi::EVENT_INIT, _) => begin(handler, e),
            (abi::EVENT_CAST, _) => handler.handle_event(e.payload),
            (abi::EVENT_CALL, Some((CALL, _, question))) => handler.handle_call(Caller::new(e.name), question),
            (abi::EVENT_CALL, Some((SYNC, _, event))) => {
                handler.handle_event(event)?;
                Caller::new(e.name).reply("");
                Ok(())
            }
            (abi::EVENT_CALL, _) => Err("a call past the event manager; use EventManager::call".into()),
            (abi::EVENT_EXPORT, _) if !H::MIGRATES => {
                // Nothing is lost: init again.
                effect(&Record { flags: abi::REPLAY, ..Record::new(abi::EFFECT_STATE, "") });
                Ok(())
            }
            _ => call_back!(handler, H, e),
        }
    }
}
