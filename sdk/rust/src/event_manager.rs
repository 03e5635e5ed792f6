use crate::abi::{cut_field, fields, push_field, text, LINK, NOTIFY, REQUEST};
use crate::event::{cut_ask, respond, HandlerSpec, ADD, CALL, LIST, REMOVE, SYNC};
use crate::process::spawn_flags;
use crate::{
    cast, exit, is_crash, log, monotonic, request_notify, trap_exit, Caller, Code, Error, Level, Pid, Ref, Result,
    Server, SpawnOptions, State, SHUTDOWN,
};
use std::time::Duration;

/// The process of an event manager. It never waits for a handler: what it asks one comes back as an
/// event.
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
    what: What,
    requests: Vec<Ref>, // that are not answered yet
}

enum What {
    Sync,
    Call,
    Add(Pid),
}

impl Manager {
    pub fn new(declared: &'static [HandlerSpec<'static>]) -> Manager {
        Manager { declared, handlers: Vec::new(), waits: Vec::new() }
    }

    /// Passes a question on to handlers.
    fn ask(&mut self, caller: Caller, what: What, question: &[u8], handlers: Vec<Pid>) {
        let (mut requests, mut failed) = (Vec::new(), None);
        for pid in &handlers {
            match request_notify(pid, question) {
                Ok(request) => requests.push(request),
                Err(e) => failed = Some(e.into_code()),
            }
        }
        match (what, failed) {
            (what, _) if !requests.is_empty() => self.waits.push(Wait { caller, what, requests }),
            (What::Call, Some(code)) => respond(&caller, Err(code)),
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
                let what = What::Add(h.pid.clone());
                self.handlers.push(h);
                self.waits.push(Wait { caller, what, requests: vec![request] });
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

    /// Does what the methods of EventManager ask for.
    fn handle_call(&mut self, caller: Caller, question: &[u8]) -> Result {
        let (verb, id, rest) = cut_ask(question).ok_or("a call past the methods of EventManager")?;
        let id = text(id);
        let pid = self.find(id).map(|h| h.pid.clone());
        match (verb, pid) {
            (SYNC, _) => {
                let all = self.handlers.iter().map(|h| h.pid.clone()).collect();
                self.ask(caller, What::Sync, question, all);
            }
            (ADD, _) => self.add(caller, id, rest),
            (LIST, _) => {
                let mut ids = Vec::new();
                self.handlers.iter().for_each(|h| push_field(&mut ids, h.id.as_bytes()));
                respond(&caller, Ok(&ids));
            }
            (CALL | REMOVE, None) => respond(&caller, Err(Code::NoProcess)),
            (CALL, Some(pid)) => self.ask(caller, What::Call, question, vec![pid]),
            (REMOVE, Some(pid)) => {
                self.drop_pid(&pid);
                respond(&caller, exit(&pid, SHUTDOWN).map(|_| &b""[..]).map_err(Error::into_code));
            }
            _ => return Err("a call past the methods of EventManager".into()),
        }
        Ok(())
    }

    /// Takes what a handler answers, or that it has crashed instead.
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
        match &wait.what {
            What::Sync => respond(&wait.caller, Ok(b"")),
            What::Call => respond(&wait.caller, answer),
            What::Add(pid) => {
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
        if is_crash(&reason) {
            log(Level::Warn, &["event handler ", &h.id, " is removed: ", &reason].concat());
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
            let (verb, pid) = match &wait.what {
                What::Sync => (SYNC, ""),
                What::Call => (CALL, ""),
                What::Add(pid) => (ADD, &**pid),
            };
            let mut requests = Vec::new();
            wait.requests.iter().for_each(|r| push_field(&mut requests, r.as_bytes()));
            push_fields(&mut waits, &[wait.caller.as_str().as_bytes(), verb, pid.as_bytes(), &requests]);
        }
        let mut state = Vec::new();
        push_fields(&mut state, &[&handlers, &waits]);
        Ok(State::new(SCHEMA, state))
    }

    /// Goes on with the same handlers, whichever this version declares.
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
            let what = match wait[1] {
                SYNC => What::Sync,
                CALL => What::Call,
                _ => What::Add(Pid::new(wait[2])),
            };
            let requests = fields(wait[3]).map(Ref::new).collect();
            self.waits.push(Wait { caller: Caller::new(wait[0]), what, requests });
        }
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
