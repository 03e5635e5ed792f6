use crate::abi::{self, Record};
use crate::error::{Code, Error};
use crate::host::{abort, effect, operate};
use crate::module::{has_module, no_module};
use crate::record::text;
use std::fmt;
use std::ops::Deref;

/// Says which process is meant: "#1c.k3v9q2m". Wherever one is asked for, a name under which the process is
/// registered will do: "registry", or "accounts/registry" for one of a plugin that this one depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(String);

/// Names a request, monitor or timer of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref(String);

macro_rules! text_of_the_host {
    ($type:ident) => {
        impl $type {
            pub(crate) fn new(bytes: &[u8]) -> $type {
                $type(text(bytes).to_string())
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> $type {
                $type(text.to_string())
            }
        }

        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_of_the_host!(Pid);
text_of_the_host!(Ref);

/// The pid of this process. One that is durable has another after a crash, standing still or a restart of the server.
pub fn this() -> Pid {
    Pid(known(abi::OP_SELF))
}

/// The id of the event at hand. It is the same when the event is tried again, as some of what is
/// [`durable`](crate::Plugin::durable) are, and no other event ever has it: whoever is told the id, and keeps it, can see
/// that a call is an old one.
pub fn event_id() -> String {
    known(abi::OP_EVENT_ID)
}

/// What the host knows of each process.
fn known(operation: u16) -> String {
    match operate(&Record::new(operation, "")) {
        Ok(answer) => text(&answer).to_string(),
        Err(e) => abort(&e.to_string()),
    }
}

/// How a process is started. The default is a process without supervisor, link or name.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpawnOptions<'a> {
    /// The id of a [`Dynamic`](crate::Dynamic) supervisor, which restarts the process as declared
    /// there. The spawn then waits for its `init`, and fails if that does. "" is none.
    pub under: &'a str,
    /// Registered for the process before it begins; "" is none.
    pub name: &'a str,
    /// Whether the process is linked with this one.
    pub link: bool,
}

/// Starts a process of a module, which the methods of [`Plugin`](crate::Plugin) register. It has its own
/// memory and gets a copy of the arguments.
pub fn spawn(module: &str, args: impl AsRef<[u8]>, options: SpawnOptions) -> Result<Pid, Error> {
    spawn_flags(module, args.as_ref(), options, 0).map(|(pid, _)| pid)
}

/// With [`abi::REQUEST`] it also asks the process for an answer to its init.
pub(crate) fn spawn_flags(
    module: &str, args: &[u8], options: SpawnOptions, flags: u16,
) -> Result<(Pid, Ref), Error> {
    if !has_module(module) {
        return Err(Error::new("spawn", module, Code::Other(no_module(module))));
    }
    let flags = if options.link { flags | abi::LINK } else { flags };
    let r = Record::new(abi::OP_SPAWN, module).payload(args).detail(options.under).extra(options.name);
    let answer = operate(&r.flags(flags))?;
    let mut fields = abi::fields(&answer);
    let (pid, request) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    Ok((Pid::new(pid), Ref::new(request)))
}

/// The pids of the processes under a [`Dynamic`](crate::Dynamic) supervisor.
pub fn children(supervisor: &str) -> Result<Vec<Pid>, Error> {
    let answer = operate(&Record::new(abi::OP_CHILDREN, supervisor))?;
    Ok(abi::fields(&answer).map(Pid::new).collect())
}

/// Ends a process under a [`Dynamic`](crate::Dynamic) supervisor for good.
pub fn stop_child(process: &Pid) -> Result<(), Error> {
    about(abi::OP_STOP_CHILD, process)
}

/// Binds this process and another: if one of them ends, other than normally, so does the other one,
/// for the same reason, unless it traps exits.
pub fn link(process: &str) -> Result<(), Error> {
    about(abi::OP_LINK, process)
}

/// Takes back a link.
pub fn unlink(process: &str) -> Result<(), Error> {
    about(abi::OP_UNLINK, process)
}

/// Says whether the end of a linked process is told to this one's `handle_exit` instead of ending it.
pub fn trap_exit(on: bool) {
    effect(&Record::new(abi::OP_TRAP_EXIT, if on { "on" } else { "off" }));
}

/// Makes a process end for a reason, as the end of a linked one would. The reason "kill" ends also
/// one that traps exits.
pub fn exit(process: &str, reason: &str) -> Result<(), Error> {
    operate(&Record::new(abi::OP_EXIT, process).payload(reason.as_bytes())).map(drop)
}

/// Lets this process's `handle_down` know when another ends. If that has ended already, the error is
/// [`Code::NoProcess`].
pub fn monitor(process: &str) -> Result<Ref, Error> {
    operate(&Record::new(abi::OP_MONITOR, process)).map(|monitor| Ref::new(&monitor))
}

/// Takes back a monitor. Nothing more comes of it.
pub fn demonitor(monitor: &Ref) -> Result<(), Error> {
    about(abi::OP_DEMONITOR, monitor)
}

/// Gives a process a name, which is free again when the process has ended.
pub fn register(name: &str, process: &Pid) -> Result<(), Error> {
    operate(&Record::new(abi::OP_REGISTER, name).payload(process.as_bytes())).map(drop)
}

/// Takes a name away from the process that has it.
pub fn unregister(name: &str) -> Result<(), Error> {
    about(abi::OP_UNREGISTER, name)
}

/// The pid behind a name.
pub fn whereis(name: &str) -> Result<Pid, Error> {
    operate(&Record::new(abi::OP_WHEREIS, name)).map(|pid| Pid::new(&pid))
}

/// Gives a process a message for its `handle_info`. It does not wait.
pub fn send(process: &str, message: impl AsRef<[u8]>) -> Result<(), Error> {
    operate(&Record::new(abi::OP_SEND, process).payload(message.as_ref())).map(drop)
}

/// A JSON object about a process: its names, state, mailbox, memory and so on.
pub fn process_info(process: &str) -> Result<Vec<u8>, Error> {
    operate(&Record::new(abi::OP_INFO, process))
}

/// Says that nothing will happen to this process for long: after the event its memory is made as small
/// as can be.
pub fn hibernate() {
    effect(&Record::new(abi::EFFECT_HIBERNATE, ""));
}

/// Ends this process when it has handled the event at hand; what it asked for happens. The reason is
/// [`NORMAL`], [`SHUTDOWN`], or "shutdown: " and why; any other is a crash.
pub fn stop(reason: &str) {
    let (kind, text) = match reason {
        "" | NORMAL => (NORMAL, ""),
        _ if is_crash(reason) => ("crash", reason),
        _ => (SHUTDOWN, reason.get(SHUTDOWN.len() + 2..).unwrap_or("")),
    };
    effect(&Record::new(abi::EFFECT_STOP, kind).payload(text.as_bytes()));
}

/// The reason of a process that had no more to do.
pub const NORMAL: &str = "normal";
/// The reason of a process that was asked to end; so it was for "shutdown: " and more text.
pub const SHUTDOWN: &str = "shutdown";
/// The reason of a process that was ended without being asked.
pub const KILLED: &str = "killed";

/// Whether a process that ended for this reason crashed.
pub fn is_crash(reason: &str) -> bool {
    let why = reason.strip_prefix(SHUTDOWN);
    reason != NORMAL && !why.map_or(false, |why| why.is_empty() || why.starts_with(": "))
}

fn about(kind: u16, name: &str) -> Result<(), Error> {
    operate(&Record::new(kind, name)).map(drop)
}
