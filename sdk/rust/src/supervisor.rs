use crate::abi::{Record, EFFECT_CHILD};
use crate::host::effect;
use crate::json::{object, Object};
use crate::timer::milliseconds;
use std::time::Duration;

/// A process that is there as long as its supervisor.
///
/// ```
/// # use rtd::{Dynamic, Plugin, Restart, Strategy, Supervisor, Worker};
/// # use std::time::Duration;
/// # fn setup(p: &mut Plugin) {
/// p.child(Worker::new("registry"));
/// p.child(
///     Supervisor::new("mail")
///         .strategy(Strategy::OneForAll)
///         .child(Worker::new("queue"))
///         .child(Worker::new("sender").shutdown(Duration::from_secs(30))),
/// );
/// p.child(Dynamic::new("previews").restart(Restart::Temporary));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Worker {
    id: String,
    module: String,
    args: Vec<u8>,
    spec: Object,
}

impl Worker {
    /// A process of the module of the same name, registered under it, permanent, with 5 seconds to end.
    pub fn new(id: &str) -> Worker {
        Worker { id: id.to_string(), module: id.to_string(), args: Vec::new(), spec: object() }
    }

    /// Makes it a process of another module.
    pub fn module(self, module: &str) -> Worker {
        Worker { module: module.to_string(), spec: self.spec.string("module", module), ..self }
    }

    /// Registers it under another name; "" is none.
    pub fn name(self, name: &str) -> Worker {
        Worker { spec: self.spec.string("name", name), ..self }
    }

    /// Gives its `init` these arguments.
    pub fn args(self, args: impl Into<Vec<u8>>) -> Worker {
        Worker { args: args.into(), ..self }
    }

    /// When it is restarted.
    pub fn restart(self, restart: Restart) -> Worker {
        Worker { spec: self.spec.string("restart", restart.name()), ..self }
    }

    /// Says how long it may take to end; zero kills it at once.
    pub fn shutdown(self, time: Duration) -> Worker {
        Worker { spec: self.spec.raw("shutdown", milliseconds(time)), ..self }
    }
}

/// Restarts its children. When they crash too often, it ends, and is restarted with all of them.
#[derive(Clone, Debug)]
pub struct Supervisor {
    id: String,
    spec: Object,
    children: Vec<Child>,
}

impl Supervisor {
    /// A supervisor without children, one_for_one, 3 restarts in 5 seconds.
    pub fn new(id: &str) -> Supervisor {
        Supervisor { id: id.to_string(), spec: object().string("type", "supervisor"), children: Vec::new() }
    }

    /// Says which children are restarted.
    pub fn strategy(self, strategy: Strategy) -> Supervisor {
        Supervisor { spec: self.spec.string("strategy", strategy.name()), ..self }
    }

    /// More than so many restarts in so many seconds are too often.
    pub fn intensity(self, restarts: u32, seconds: u32) -> Supervisor {
        Supervisor { spec: intensity(self.spec, restarts, seconds), ..self }
    }

    /// Adds a child, to be started after the ones before.
    pub fn child(mut self, child: impl Into<Child>) -> Supervisor {
        self.children.push(child.into());
        self
    }
}

/// Supervises processes that are started later, with [`spawn`](crate::spawn) or as a
/// [`Task`](crate::Task). Restarts are counted for each of them.
#[derive(Clone, Debug)]
pub struct Dynamic {
    id: String,
    spec: Object,
}

impl Dynamic {
    /// A supervisor of permanent processes, 3 restarts in 5 seconds each.
    pub fn new(id: &str) -> Dynamic {
        Dynamic { id: id.to_string(), spec: object().string("type", "dynamic") }
    }

    /// Says when each of them is restarted.
    pub fn restart(self, restart: Restart) -> Dynamic {
        Dynamic { spec: self.spec.string("restart", restart.name()), ..self }
    }

    /// Says how long each of them may take to end; zero kills it at once.
    pub fn shutdown(self, time: Duration) -> Dynamic {
        Dynamic { spec: self.spec.raw("shutdown", milliseconds(time)), ..self }
    }

    /// More than so many restarts of one process in so many seconds are too often.
    pub fn intensity(self, restarts: u32, seconds: u32) -> Dynamic {
        Dynamic { spec: intensity(self.spec, restarts, seconds), ..self }
    }
}

fn intensity(spec: Object, restarts: u32, seconds: u32) -> Object {
    spec.integer("max_restarts", restarts.into()).integer("max_seconds", seconds.into())
}

/// When a process is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After a crash.
    Transient,
    /// Never.
    Temporary,
}

impl Restart {
    fn name(self) -> &'static str {
        match self {
            Restart::Permanent => "permanent",
            Restart::Transient => "transient",
            Restart::Temporary => "temporary",
        }
    }
}

/// Which children of a supervisor are restarted when one of them crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// That one.
    OneForOne,
    /// All.
    OneForAll,
    /// That one and those declared after it.
    RestForOne,
}

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            Strategy::RestForOne => "rest_for_one",
        }
    }
}

/// A [`Worker`], [`Supervisor`] or [`Dynamic`].
#[derive(Clone, Debug)]
pub struct Child(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Worker(Worker),
    Supervisor(Supervisor),
    Dynamic(Dynamic),
}

impl From<Worker> for Child {
    fn from(w: Worker) -> Child {
        Child(Kind::Worker(w))
    }
}

impl From<Supervisor> for Child {
    fn from(s: Supervisor) -> Child {
        Child(Kind::Supervisor(s))
    }
}

impl From<Dynamic> for Child {
    fn from(d: Dynamic) -> Child {
        Child(Kind::Dynamic(d))
    }
}

impl Child {
    /// Declares it to the host, and adds to the workers their ids and modules.
    pub(crate) fn declare(&self, workers: &mut Vec<(String, String)>, under: &str) {
        match &self.0 {
            Kind::Worker(w) => {
                workers.push((w.id.clone(), w.module.clone()));
                declare(&w.id, &w.args, &w.spec, under);
            }
            Kind::Dynamic(d) => declare(&d.id, b"", &d.spec, under),
            Kind::Supervisor(s) => {
                declare(&s.id, b"", &s.spec, under);
                s.children.iter().for_each(|child| child.declare(workers, &s.id));
            }
        }
    }
}

fn declare(id: &str, args: &[u8], spec: &Object, under: &str) {
    let spec = if under.is_empty() { spec.clone() } else { spec.clone().string("under", under) };
    effect(&Record { detail: spec.as_ref(), ..Record::new(EFFECT_CHILD, id).payload(args) });
}
