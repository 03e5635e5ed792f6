use crate::abi::{self, text, Record};
use crate::channel::ChannelBody;
use crate::connect::{self, Conn};
use crate::guest::effect;
use crate::server::ServerBody;
use crate::topic_channel::TopicBody;
use crate::tree::Child;
use crate::{json, Agent, Channel, EventHandler, EventManager, Pid, Result, Server, Task, TopicChannel};
use std::cell::Cell;

/// What a plugin consists of. The function that [`plugin!`](crate::plugin!) names says it, once for each
/// version, in the event start; all instances begin with the memory that this leaves. What is said goes to
/// the host at once, and counts if the function returns `Ok`.
#[derive(Default)]
pub struct Plugin {
    name: String,
    version: String,
    config: Vec<u8>,
    routes: Vec<Route>,
    modules: Vec<(String, Create)>,
    workers: Vec<(String, String)>, // and their modules
    on_stop: Vec<Box<dyn Fn() -> Result>>,
    on_connect: Option<Decide>,
    migrates: bool,
    mistake: String, // the last one
}

/// The code of a process.
pub(crate) trait Body {
    /// Takes one event. An error is a crash.
    fn handle(&mut self, e: &Record) -> Result;
}

type Create = Box<dyn Fn() -> Box<dyn Body>>;
type Decide = Box<dyn Fn(&mut Conn) -> Result>;

struct Route {
    pattern: String,
    create: Create,
}

impl Route {
    fn matches(&self, topic: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == self.pattern,
        }
    }
}

impl Plugin {
    /// The plugin's name on this server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, a hash.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The plugin's table of the server's config, as a JSON object: "{}" if there is none.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Serves the topics that match a pattern, an exact topic or a prefix followed by `*`, with
    /// channels made by `create`: one for each join. Of several patterns that match, the first wins.
    /// The server's config can give the plugin other topics; one that no pattern matches goes to
    /// the first.
    pub fn channel<C: Channel + 'static>(&mut self, pattern: &str, create: impl Fn() -> C + 'static) {
        self.migrates(C::MIGRATES);
        self.route(pattern, "", Box::new(move || Box::new(ChannelBody::new(create()))));
    }

    /// [`channel`](Plugin::channel) with one channel for each topic, whoever joins.
    pub fn topic_channel<C: TopicChannel + 'static>(&mut self, pattern: &str, create: impl Fn() -> C + 'static) {
        self.migrates(C::MIGRATES);
        self.route(pattern, "topic", Box::new(move || Box::new(TopicBody::new(create()))));
    }

    fn route(&mut self, pattern: &str, scope: &str, create: Create) {
        effect(&Record::new(abi::EFFECT_HANDLES, pattern).detail(scope));
        self.routes.push(Route { pattern: pattern.to_string(), create });
    }

    /// Registers a module whose processes are servers made by `create`.
    pub fn server<S: Server + 'static>(&mut self, module: &str, create: impl Fn() -> S + 'static) {
        self.migrates(S::MIGRATES);
        self.module(module, Box::new(move || Box::new(ServerBody(create()))));
    }

    /// Registers a module whose processes handle the events of a manager.
    pub fn event_handler<H: EventHandler + 'static>(&mut self, module: &str, create: impl Fn() -> H + 'static) {
        self.migrates(H::MIGRATES);
        self.module(module, Box::new(move || Box::new(crate::event::HandlerBody(create()))));
    }

    /// Registers an event manager as a module under its name.
    pub fn event_manager(&mut self, manager: &'static EventManager) {
        self.migrates(true);
        self.module(manager.name(), Box::new(move || Box::new(ServerBody(manager.server()))));
    }

    /// Registers an agent as a module under its name.
    pub fn agent<S>(&mut self, agent: &'static Agent<S>) {
        self.migrates(agent.migrates());
        self.module(agent.name(), Box::new(move || agent.body()));
    }

    /// Registers a task as a module under its name.
    pub fn task(&mut self, task: &'static Task) {
        self.migrates(true);
        self.module(task.name(), Box::new(move || task.body()));
    }

    fn module(&mut self, name: &str, create: Create) {
        if self.has_module(name) {
            self.mistake = ["module ", name, " is registered twice; give one of them another name"].concat();
        }
        self.modules.push((name.to_string(), create));
    }

    /// Asks once for the event that moves processes to the next version.
    fn migrates(&mut self, migrates: bool) {
        if migrates && !self.migrates {
            self.migrates = true;
            want("export");
        }
    }

    /// Declares a process or a supervisor that the plugin consists of: a
    /// [`Worker`](crate::Worker), [`Supervisor`](crate::Supervisor) or [`Dynamic`](crate::Dynamic).
    /// Children are started in this order, before any channel, and stopped in reverse order.
    /// Strategy and intensity are those of the plugin's table in the server's config.
    pub fn child(&mut self, child: impl Into<Child>) {
        child.into().declare(self, "");
    }

    /// Says that another plugin must run before this one starts. Processes of this one reach its
    /// processes as "plugin/name".
    pub fn depends_on(&mut self, plugin: &str) {
        effect(&Record::new(abi::EFFECT_DEPENDS, plugin));
    }

    /// Registers the function that decides about each client that connects, before anything else
    /// of it is looked at. `Ok` accepts the client; the error of
    /// [`refuse_status`](crate::refuse_status) or [`refuse`](crate::refuse) refuses it; any other
    /// is a crash, and the client gets status 500.
    ///
    /// ```
    /// # fn setup(p: &mut rtd::Plugin) {
    /// p.on_connect(|c| {
    ///     let user = match c.param(&["user"]) {
    ///         Some(user) => user,
    ///         None => return rtd::refuse_status(401),
    ///     };
    ///     c.id = format!("users:{}", user);
    ///     c.assigns = user.into_bytes();
    ///     Ok(())
    /// });
    /// # }
    /// ```
    ///
    /// It runs in a process of its own, which ends after it: it can call others, publish and
    /// so on, and may wait; no other client waits for it.
    pub fn on_connect(&mut self, decide: impl Fn(&mut Conn) -> Result + 'static) {
        if self.on_connect.is_some() {
            self.mistake = "on_connect is called twice; let one function call the other".to_string();
        }
        self.on_connect = Some(Box::new(decide));
        want("connect");
    }

    /// Registers a function that runs once when the plugin has ended, after all of its processes,
    /// in an instance of its own. Of several the last registered runs first.
    pub fn on_stop(&mut self, f: impl Fn() -> Result + 'static) {
        if self.on_stop.is_empty() {
            want("stop");
        }
        self.on_stop.push(Box::new(f));
    }

    pub(crate) fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|(module, _)| module == name)
    }

    /// Notes what can be checked when all is registered.
    pub(crate) fn worker(&mut self, id: &str, module: &str) {
        self.workers.push((id.to_string(), module.to_string()));
    }

    fn check(&mut self) -> Result {
        for (id, module) in std::mem::take(&mut self.workers) {
            if !self.has_module(&module) {
                return Err(["child ", &id, ": ", &no_module(&module)].concat().into());
            }
        }
        match self.mistake.as_str() {
            "" => Ok(()),
            mistake => Err(mistake.into()),
        }
    }

    /// The code for a topic.
    fn open(&self, topic: &str) -> Result<Box<dyn Body>> {
        let route = self.routes.iter().find(|r| r.matches(topic)).or_else(|| self.routes.first());
        Ok((route.ok_or("no channel; register one with Plugin::channel")?.create)())
    }

    /// The code of a module.
    fn create(&self, module: &str) -> Result<Box<dyn Body>> {
        match self.modules.iter().find(|(name, _)| name == module) {
            Some((_, create)) => Ok(create()),
            None => Err(no_module(module).into()),
        }
    }
}

fn want(event: &str) {
    effect(&Record::new(abi::EFFECT_WANTS, event));
}

pub(crate) fn no_module(name: &str) -> String {
    ["no module ", name, "; register it, for example with Plugin::server"].concat()
}

thread_local! {
    /// What start leaves, the same in every instance.
    static PLUGIN: Cell<Option<&'static Plugin>> = const { Cell::new(None) };
    /// The one process that the instance is, from its first event on.
    static THIS: Cell<Option<Box<dyn Body>>> = const { Cell::new(None) };
    /// Its pid, once it is known.
    static PID: Cell<Option<Pid>> = const { Cell::new(None) };
}

pub(crate) fn plugin() -> Result<&'static Plugin> {
    Ok(PLUGIN.with(|p| p.get()).ok_or("event before start")?)
}

pub(crate) fn pid(ask: impl FnOnce() -> Pid) -> Pid {
    let pid = PID.with(|pid| pid.take()).unwrap_or_else(ask);
    set_pid(pid.clone());
    pid
}

fn set_pid(pid: Pid) {
    PID.with(|p| p.set(Some(pid)));
}

/// Makes the instance what it was after start.
#[cfg(test)]
pub(crate) fn new_process() {
    THIS.with(|t| t.take());
    PID.with(|p| p.take());
}

/// Takes one event of this instance.
pub(crate) fn dispatch(e: &Record, setup: fn(&mut Plugin) -> Result) -> Result {
    match e.kind {
        abi::EVENT_START => return start(e, setup),
        abi::EVENT_STOP => return plugin()?.on_stop.iter().rev().try_for_each(|f| f()),
        abi::EVENT_IDLE => return Ok(()), // nothing to tidy up: what is not needed is freed already
        abi::EVENT_CONNECT => {
            return match &plugin()?.on_connect {
                Some(decide) => connect::decide(e, decide),
                None => Err("nobody decides about clients; call Plugin::on_connect".into()),
            }
        }
        _ => {}
    }
    let mut body = match THIS.with(|t| t.take()) {
        Some(body) => body,
        None => match begin(e)? {
            Some(body) => body,
            None => return Ok(()),
        },
    };
    let handled = body.handle(e);
    THIS.with(|t| t.set(Some(body)));
    match handled {
        Err(failure) if e.kind == abi::EVENT_IMPORT => {
            let response = json::object().string("reason", &failure.cause());
            effect(&Record::new(abi::EFFECT_REPLY, "error").payload(response.as_ref()));
            Ok(())
        }
        handled => handled,
    }
}

fn start(e: &Record, setup: fn(&mut Plugin) -> Result) -> Result {
    let plugin = Box::leak(Box::new(Plugin {
        name: text(e.name).to_string(),
        version: text(e.detail).to_string(),
        config: if e.payload.is_empty() { b"{}".to_vec() } else { e.payload.to_vec() },
        ..Plugin::default()
    }));
    setup(plugin)?;
    plugin.check()?;
    PLUGIN.with(|p| p.set(Some(plugin)));
    Ok(())
}

/// The code of the process that the instance's first event makes of it.
fn begin(e: &Record) -> Result<Option<Box<dyn Body>>> {
    let (plugin, name) = (plugin()?, text(e.name));
    let body = match e.kind {
        abi::EVENT_JOIN | abi::EVENT_MEMBERS => plugin.open(name)?,
        abi::EVENT_INIT => {
            set_pid(Pid::new(e.detail));
            plugin.create(name)?
        }
        abi::EVENT_IMPORT => match &abi::fields(e.extra).collect::<Vec<_>>()[..] {
            [pid, _arguments] => {
                set_pid(Pid::new(pid));
                plugin.create(name)?
            }
            _members => plugin.open(name)?,
        },
        abi::EVENT_EXPORT..=u16::MAX => return Ok(None), // or what a newer host tells of
        _ => return Err("event before join or init".into()),
    };
    Ok(Some(body))
}
