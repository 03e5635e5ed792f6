use crate::abi::{LINK, NOTIFY, REQUEST};
use crate::call::{call_timeout, cast, request_notify, Caller, TIMEOUT};
use crate::error::{Code, Error, Result};
use crate::event_handler::{cut_ask, respond, HandlerSpec, ADD, CALL, LIST, REMOVE, SYNC};
use crate::host::{log, Level};
use crate::migrate::State;
use crate::module::{has_module, no_module};
use crate::process::{exit, is_crash, spawn_flags, trap_exit, Pid, Ref, SpawnOptions, NORMAL, SHUTDOWN};
use crate::record::{cut_field, fields, push_field, text};
use crate::server::Server;
use crate::timer::monotonic;
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

impl EventManager {
    /// A module whose processes are event managers, which begin with these handlers. The methods of
    /// the value ask the one that is registered under the same name.
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

    /// Asks one handler's `handle_call` and waits for the answer. [`Code::NoProcess`] says that there is no
    /// such handler.
    pub fn call(&self, id: &str, question: impl AsRef<[u8]>, timeout: Duration) -> Result<Vec<u8>, Error> {
        self.ask(CALL, id, question.as_ref(), timeout)
    }

    /// Starts a handler and waits for its `init`. It fails with [`Code::Taken`] if there is one of the same
    /// id, and with [`Code::Ended`] if `init` fails. A manager that is restarted begins without it.
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

fn refusal(code: &[u8], rest: &[u8]) -> Option<Code> {
    let rest = || text(rest).to_string();
    match text(code).parse() {
        _ if code.is_empty() => None,
        Ok(number) => Some(Code::from_number(number, rest)),
        Err(_) => Some(Code::Other(rest())),
    }
}

/// The process of an event manager. It never waits for a handler, whose answers come back as events.
pub(crate) struct Manager {
    declared: &'static [HandlerSpec<'static>],
    handlers: Vec<Handler>, // in the order in which they were added
    waits: Vec<Wait>,
}

/// A handler as its manager sees it.
struct Handler {
    id: String,
    module: String,
    args: Vec<u8>,
    restart: bool,
    pid: Pid,
    added: bool,            // its first init went well
    crashes: Vec<Duration>, // when, the last ones that were followed by a restart
}

/// Somebody who waits for handlers.
struct Wait {
    caller: Caller,
    verb: Verb,
    requests: Vec<Ref>, // that are not answered yet
}

enum Verb {
    Sync,
    Call,
    Add(Pid),
}

impl Manager {
    pub fn new(declared: &'static [HandlerSpec<'static>]) -> Manager {
        Manager { declared, handlers: Vec::new(), waits: Vec::new() }
    }

    /// Passes a question on to handlers.
    fn ask(&mut self, caller: Caller, verb: Verb, question: &[u8], handlers: Vec<Pid>) {
        let (mut requests, mut failed) = (Vec::new(), None);
        for pid in &handlers {
            match request_notify(pid, question) {
                Ok(request) => requests.push(request),
                Err(e) => failed = Some(e.into_code()),
            }
        }
        match (verb, failed) {
            (verb, _) if !requests.is_empty() => self.waits.push(Wait { caller, verb, requests }),
            (Verb::Call, Some(code)) => respond(&caller, Err(code)),
            _ => respond(&caller, Ok(b"")),
        }
    }

    fn add(&mut self, caller: Caller, id: &str, rest: &[u8]) {
        if self.find(id).is_some() {
            return respond(&caller, Err(Code::Taken));
        }
        let (module, rest) = cut_field(rest).unwrap_or_default();
        let (restart, args) = cut_field(rest).unwrap_or_default();
        let mut h = Handler::new(&HandlerSpec { id, module: text(module), args, restart: restart == b"true" });
        h.added = false;
        match h.start(REQUEST | NOTIFY) {
            Err(e) => respond(&caller, Err(e.into_code())),
            Ok(request) => {
                let verb = Verb::Add(h.pid.clone());
                self.handlers.push(h);
                self.waits.push(Wait { caller, verb, requests: vec![request] });
            }
        }
    }

    fn find(&mut self, id: &str) -> Option<&mut Handler> {
        self.handlers.iter_mut().find(|h| h.id == id)
    }

    fn drop_pid(&mut self, pid: &Pid) {
        self.handlers.retain(|h| h.pid != *pid);
    }
}

impl Server for Manager {
    const MIGRATES: bool = true;

    fn init(&mut self, _args: &[u8]) -> Result {
        trap_exit(true); // to outlive handlers, which do not outlive the manager
        for spec in self.declared {
            if self.find(spec.id).is_some() {
                return Err(["two handlers ", spec.id, "; give one of them another id"].concat().into());
            }
            let mut h = Handler::new(spec);
            h.start(0)?;
            self.handlers.push(h);
        }
        Ok(())
    }

    /// Passes an event on.
    fn handle_cast(&mut self, event: &[u8]) -> Result {
        for h in &self.handlers {
            if let Err(e) = cast(&h.pid, event) {
                log(Level::Warn, &["event handler ", &h.id, " misses an event: ", &e.to_string()].concat());
            }
        }
        Ok(())
    }

    /// Answers the methods of EventManager.
    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        let (verb, id, rest) = cut_ask(question).ok_or("a call past the methods of EventManager")?;
        let id = text(id);
        let pid = self.find(id).map(|h| h.pid.clone());
        match (verb, pid) {
            (SYNC, _) => {
                let all = self.handlers.iter().map(|h| h.pid.clone()).collect();
                self.ask(caller, Verb::Sync, question, all);
            }
            (ADD, _) => self.add(caller, id, rest),
            (LIST, _) => {
                let mut ids = Vec::new();
                self.handlers.iter().for_each(|h| push_field(&mut ids, h.id.as_bytes()));
                respond(&caller, Ok(&ids));
            }
            (CALL | REMOVE, None) => respond(&caller, Err(Code::NoProcess)),
            (CALL, Some(pid)) => self.ask(caller, Verb::Call, question, vec![pid]),
            (REMOVE, Some(pid)) => {
                self.drop_pid(&pid);
                respond(&caller, exit(&pid, SHUTDOWN).map(|_| &b""[..]).map_err(Error::into_code));
            }
            _ => return Err("a call past the methods of EventManager".into()),
        }
        Ok(())
    }

    /// Takes the answer of a handler, or the reason why there is none.
    fn handle_reply(&mut self, request: Ref, answer: Result<&[u8], Code>) -> Result {
        let at = match self.waits.iter().position(|wait| wait.requests.contains(&request)) {
            Some(at) => at,
            None => return Ok(()),
        };
        self.waits[at].requests.retain(|r| *r != request);
        if !self.waits[at].requests.is_empty() {
            return Ok(());
        }
        let wait = self.waits.remove(at);
        match &wait.verb {
            Verb::Sync => respond(&wait.caller, Ok(b"")),
            Verb::Call => respond(&wait.caller, answer),
            Verb::Add(pid) => {
                match answer {
                    Ok(_) => self.handlers.iter_mut().filter(|h| h.pid == *pid).for_each(|h| h.added = true),
                    Err(_) => self.drop_pid(pid),
                }
                respond(&wait.caller, answer);
            }
        }
        Ok(())
    }

    /// Restarts a handler that has ended, or removes it.
    fn handle_exit(&mut self, process: Pid, reason: &str) -> Result {
        let h = match self.handlers.iter_mut().find(|h| h.pid == process) {
            Some(h) => h,
            None => return Ok(()), // it was removed
        };
        let mut reason = reason.to_string();
        if is_crash(&reason) && h.may_restart(monotonic()) {
            match h.start(0) {
                Ok(_) => return Ok(()),
                Err(e) => reason = e.to_string(),
            }
        }
        if reason != NORMAL && reason != SHUTDOWN {
            h.tell_removed(&reason); // a crash, or it has no module any more
        }
        self.drop_pid(&process);
        Ok(())
    }

    /// Writes down the handlers, and who waits for them. The handlers themselves are processes that
    /// move on their own.
    fn export(&self) -> Result<State> {
        let (mut handlers, mut waits) = (Vec::new(), Vec::new());
        for h in &self.handlers {
            let flags = [h.restart as u8, h.added as u8];
            push_fields(&mut handlers, &[h.id.as_bytes(), h.module.as_bytes(), &h.args, h.pid.as_bytes(), &flags]);
        }
        for wait in &self.waits {
            let (verb, pid) = match &wait.verb {
                Verb::Sync => (SYNC, ""),
                Verb::Call => (CALL, ""),
                Verb::Add(pid) => (ADD, &**pid),
            };
            let mut requests = Vec::new();
            wait.requests.iter().for_each(|r| push_field(&mut requests, r.as_bytes()));
            push_fields(&mut waits, &[wait.caller.as_str().as_bytes(), verb, pid.as_bytes(), &requests]);
        }
        let mut state = Vec::new();
        push_fields(&mut state, &[&handlers, &waits]);
        Ok(State::new(SCHEMA, state))
    }

    /// Goes on with the same handlers, whichever this version declares. Those whose module it does not
    /// have are removed.
    fn import(&mut self, schema: &str, state: &[u8]) -> Result {
        let lists: Vec<&[u8]> = fields(state).collect();
        let (handlers, waits) = match lists[..] {
            [handlers, waits] if schema == SCHEMA => (handlers, waits),
            _ => {
                return Err(["cannot read the state of an event manager of another SDK: ", schema].concat().into())
            }
        };
        for h in fields(handlers).collect::<Vec<_>>().chunks_exact(5) {
            let spec =
                HandlerSpec { id: text(h[0]), module: text(h[1]), args: h[2], restart: h[4].first() == Some(&1) };
            let added = h[4].last() == Some(&1);
            self.handlers.push(Handler { pid: Pid::new(h[3]), added, ..Handler::new(&spec) });
        }
        for wait in fields(waits).collect::<Vec<_>>().chunks_exact(4) {
            let verb = match wait[1] {
                SYNC => Verb::Sync,
                CALL => Verb::Call,
                _ => Verb::Add(Pid::new(wait[2])),
            };
            let requests = fields(wait[3]).map(Ref::new).collect();
            self.waits.push(Wait { caller: Caller::new(wait[0]), verb, requests });
        }
        self.handlers.retain(|h| {
            let stays = has_module(&h.module);
            if !stays {
                h.tell_removed(&no_module(&h.module));
                let _ = exit(&h.pid, SHUTDOWN); // or it has ended
            }
            stays
        });
        Ok(())
    }
}

/// How the state of a manager is written.
const SCHEMA: &str = "rtd event manager 1";

fn push_fields(list: &mut Vec<u8>, fields: &[&[u8]]) {
    fields.iter().for_each(|field| push_field(list, field));
}

impl Handler {
    fn new(spec: &HandlerSpec) -> Handler {
        Handler {
            id: spec.id.to_string(),
            module: spec.module.to_string(),
            args: spec.args.to_vec(),
            restart: spec.restart,
            pid: Pid::default(),
            added: true,
            crashes: Vec::new(),
        }
    }

    fn tell_removed(&self, reason: &str) {
        log(Level::Warn, &["event handler ", &self.id, " is removed: ", reason].concat());
    }

    fn start(&mut self, flags: u16) -> Result<Ref, Error> {
        let (pid, request) = spawn_flags(&self.module, &self.args, SpawnOptions::default(), flags | LINK)?;
        self.pid = pid;
        Ok(request)
    }

    fn may_restart(&mut self, now: Duration) -> bool {
        const LIMIT: usize = 3;
        const WITHIN: Duration = Duration::from_secs(5);
        self.crashes.retain(|at| now.saturating_sub(*at) <= WITHIN);
        if !self.restart || !self.added || self.crashes.len() == LIMIT {
            return false;
        }
        self.crashes.push(now);
        true
    }
}
