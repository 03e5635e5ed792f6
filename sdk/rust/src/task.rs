use crate::abi::{self, cut_field, push_field, Record};
use crate::call::{await_reply, Caller};
use crate::error::{Error, Result};
use crate::migrate::State;
use crate::module::Body;
use crate::process::{send, spawn, spawn_flags, stop, this, Pid, Ref, SpawnOptions, NORMAL};
use std::time::Duration;

/// OTP's Task: a function that runs in a process of its own, once.
///
/// ```
/// use rtd::Task;
///
/// static PREVIEW: Task = Task::new("preview", |url| {
///     rtd::sleep(std::time::Duration::from_millis(300))?;
///     Ok([b"a page at ", url].concat())
/// });
///
/// fn setup(p: &mut rtd::Plugin) -> rtd::Result {
///     p.task(&PREVIEW);
///     Ok(())
/// }
///
/// fn look() -> Result<Vec<u8>, rtd::Error> {
///     let job = PREVIEW.spawn_link("https://example.org")?;
///     // … other work
///     job.wait(rtd::TIMEOUT)
/// }
/// ```
pub struct Task {
    name: &'static str,
    run: fn(args: &[u8]) -> Result<Vec<u8>>,
}

/// How a task that is not linked is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskOptions<'a> {
    /// The id of a [`Dynamic`](crate::Dynamic) supervisor; "" is none. Its restart type should be
    /// temporary: nobody waits for the answer of a restarted task.
    pub under: &'a str,
    /// The answer goes to this process's `handle_reply` with the job's ref, instead of being awaited.
    pub notify: bool,
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its process.
    pub pid: Pid,
    /// The request that it answers.
    pub request: Ref,
}

impl Task {
    /// A module whose processes run the function and end. The function returns the answer; an error
    /// or panic crashes the process.
    pub const fn new(name: &'static str, run: fn(args: &[u8]) -> Result<Vec<u8>>) -> Task {
        Task { name, run }
    }

    /// Runs the task in a process linked with this one, as OTP's Task.async: if it crashes, so does
    /// this process, unless that traps exits.
    pub fn spawn_link(&self, args: impl AsRef<[u8]>) -> Result<Job, Error> {
        let options = SpawnOptions { link: true, ..SpawnOptions::default() };
        self.job(args.as_ref(), options, abi::REQUEST)
    }

    /// Runs the task in a process that is not linked, as OTP's Task.Supervisor.async_nolink: only the
    /// process that waits for its answer learns that it crashed.
    pub fn spawn(&self, args: impl AsRef<[u8]>, options: TaskOptions) -> Result<Job, Error> {
        let flags = if options.notify { abi::REQUEST | abi::NOTIFY } else { abi::REQUEST };
        let options = SpawnOptions { under: options.under, ..SpawnOptions::default() };
        self.job(args.as_ref(), options, flags)
    }

    /// Runs the task for its effects alone: nobody waits for an answer. `under` is the id of a
    /// [`Dynamic`](crate::Dynamic) supervisor; "" is none.
    pub fn start(&self, args: impl AsRef<[u8]>, under: &str) -> Result<Pid, Error> {
        spawn(self.name, args, SpawnOptions { under, ..SpawnOptions::default() })
    }

    fn job(&self, args: &[u8], options: SpawnOptions, flags: u16) -> Result<Job, Error> {
        spawn_flags(self.name, args, options, flags).map(|(pid, request)| Job { pid, request })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn body(&'static self) -> Box<dyn Body> {
        Box::new(TaskBody { task: self, args: Vec::new(), caller: Caller::new(b"") })
    }
}

impl Job {
    /// Waits for the task's answer, as [`await_reply`] does for that of a request. If the task has
    /// crashed, the error is [`Code::Ended`](crate::Code).
    pub fn wait(&self, timeout: Duration) -> Result<Vec<u8>, Error> {
        await_reply(&self.request, timeout)
    }
}

/// The process. It works in an event after its init, for which whoever starts it under a supervisor
/// waits.
struct TaskBody {
    task: &'static Task,
    args: Vec<u8>,
    caller: Caller,
}

/// How the state of a task is written that has not begun to work.
const SCHEMA: &str = "rtd task 1";

impl Body for TaskBody {
    fn handle(&mut self, e: &Record) -> Result {
        match e.kind {
            abi::EVENT_INIT => {
                self.args = e.payload.to_vec();
                self.caller = Caller::new(e.extra);
                send(&this(), "")?;
            }
            abi::EVENT_INFO => {
                let answer = (self.task.run)(&self.args)?;
                if !self.caller.as_str().is_empty() {
                    self.caller.reply(answer);
                }
                stop(NORMAL);
            }
            abi::EVENT_EXPORT => {
                let mut state = Vec::new();
                push_field(&mut state, self.caller.as_str().as_bytes());
                state.extend_from_slice(&self.args);
                State::new(SCHEMA, state).hand_over();
            }
            abi::EVENT_IMPORT => match cut_field(e.payload) {
                Some((caller, args)) if e.detail == SCHEMA.as_bytes() => {
                    self.caller = Caller::new(caller);
                    self.args = args.to_vec();
                }
                _ => return Err("cannot read the state of a task that another SDK wrote".into()),
            },
            _ => {}
        }
        Ok(())
    }
}
