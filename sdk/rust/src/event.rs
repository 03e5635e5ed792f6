use crate::abi::{self, cut_field, fields, push_field, text, Record};
use crate::callbacks::call_back;
use crate::event_manager::Manager;
use crate::plugin::Body;
use crate::server::begin;
use crate::{call_timeout, cast, Caller, Code, Error, Result, Server, TIMEOUT};
use std::time::Duration;

/// OTP's event manager: a process that passes events to its handlers, of which each is a process of its
/// own, linked with the manager. A handler that crashes is removed, or restarted if its [`HandlerSpec`]
/// says so; the manager and the other handlers do not notice.
///
/// ```
/// use rtd::{EventHandler, EventManager, HandlerSpec, Plugin, Result, Server, Worker};
///
/// static MODERATION: EventManager =
///     EventManager::new("moderation", &[HandlerSpec::new("strikes").restart(), HandlerSpec::new("audit")]);
///
/// #[derive(Default)]
/// struct Audit;
///
/// impl Server for Audit {}
///
/// impl EventHandler for Audit {
///     fn handle_event(&mut self, event: &[u8]) -> Result {
///         rtd::log(rtd::Level::Info, &format!("{} bytes were said", event.len()));
///         Ok(())
///     }
/// }
///
/// fn setup(p: &mut Plugin) -> Result {
///     p.event_manager(&MODERATION);
///     p.event_handler("audit", Audit::default);
///     // … and strikes
///     p.child(Worker::new("moderation"));
///     Ok(())
/// }
///
/// fn hear(said: &str) -> Result {
///     MODERATION.notify(said)?; // in any process
///     Ok(())
/// }
/// ```
pub struct EventManager {
    name: &'static str,
    handlers: &'static [HandlerSpec<'static>],
}

/// The code of one handler. Its `handle_call` gets what [`EventManager::call`] asks. With
/// [`stop`](crate::stop) it removes itself.
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
    /// Start it again after a crash; more than 3 crashes in 5 s, and it is removed.
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

// What a manager is asked, and a handler by its manager: a field with one of these, a field with the
// handler's id, and the rest.
pub(crate) const SYNC: &[u8] = b"sync";
pub(crate) const CALL: &[u8] = b"call";
pub(crate) const ADD: &[u8] = b"add";
pub(crate) const REMOVE: &[u8] = b"remove";
pub(crate) const LIST: &[u8] = b"list";

impl EventManager {
    /// A module whose processes are event managers, which begin with these handlers. The methods
    /// speak to the one that is registered under the same name.
    pub const fn new(name: &'static str, handlers: &'static [HandlerSpec<'static>]) -> EventManager {
        EventManager { name, handlers }
    }

    /// Gives all handlers an event. It does not wait.
    pub fn notify(&self, event: impl AsRef<[u8]>) -> Result<(), Error> {
        cast(self.name, event)
    }

    /// Gives all handlers an event and waits until each has handled it, or crashed.
    pub fn sync_notify(&self, event: impl AsRef<[u8]>, timeout: Duration) -> Result<(), Error> {
        self.ask(SYNC, "", event.as_ref(), timeout).map(drop)
    }

    /// Asks one handler's `handle_call`. [`Code::NoProcess`] says that there is no such handler.
    pub fn call(&self, id: &str, question: impl AsRef<[u8]>, timeout: Duration) -> Result<Vec<u8>, Error> {
        self.ask(CALL, id, question.as_ref(), timeout)
    }

    /// Starts a handler and waits for its `init`. It fails with [`Code::Taken`] if there is one of the same
    /// id, and with [`Code::Ended`] if the init fails. What is added so is not there any more
    /// when the manager has been restarted.
    pub fn add(&self, handler: &HandlerSpec) -> Result<(), Error> {
        let mut rest = Vec::new();
        push_field(&mut rest, handler.module.as_bytes());
        push_field(&mut rest, if handler.restart { b"true" } else { b"false" });
        rest.extend_from_slice(handler.args);
        self.ask(ADD, handler.id, &rest, TIMEOUT).map(drop)
    }

    /// Ends a handler, for the reason [`SHUTDOWN`](crate::SHUTDOWN). It does not wait for its terminate.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        self.ask(REMOVE, id, b"", TIMEOUT).map(drop)
    }

    /// The ids of the handlers, in the order in which they were added.
    pub fn handlers(&self) -> Result<Vec<String>, Error> {
        let ids = self.ask(LIST, "", b"", TIMEOUT)?;
        Ok(fields(&ids).map(|id| text(id).to_string()).collect())
    }

    fn ask(&self, verb: &[u8], id: &str, rest: &[u8], timeout: Duration) -> Result<Vec<u8>, Error> {
        let mut question = Vec::with_capacity(8 + verb.len() + id.len() + rest.len());
        push_field(&mut question, verb);
        push_field(&mut question, id.as_bytes());
        question.extend_from_slice(rest);
        let answer = call_timeout(self.name, question, timeout)?;
        let (code, answer) = cut_field(&answer).unwrap_or_default();
        match refusal(code, answer) {
            None => Ok(answer.to_vec()),
            Some(code) => Err(Error::new(text(verb), id, code)),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn server(&self) -> Manager {
        Manager::new(self.handlers)
    }
}

/// Takes a question apart.
pub(crate) fn cut_ask(question: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (verb, rest) = cut_field(question)?;
    let (id, rest) = cut_field(rest)?;
    Some((verb, id, rest))
}

/// Answers what was asked: with the number of an error, or none, and the rest.
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

fn refusal(code: &[u8], rest: &[u8]) -> Option<Code> {
    let rest = || text(rest).to_string();
    match text(code).parse() {
        _ if code.is_empty() => None,
        Ok(number) => Some(Code::from_number(number, rest)),
        Err(_) => Some(Code::Other(rest())),
    }
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
            _ => call_back!(handler, H, e),
        }
    }
}
