use crate::abi::{self, Record};
use crate::agent::Agent;
use crate::channel::{Channel, ChannelBody, TopicBody, TopicChannel};
use crate::connect::Conn;
use crate::error::Result;
use crate::event_handler::{EventHandler, HandlerBody};
use crate::event_manager::EventManager;
use crate::history::Keep;
use crate::host::effect;
use crate::module::{set_modules, Body, Create, Modules};
use crate::record::text;
use crate::server::{Server, ServerBody};
use crate::supervisor::Child;
use crate::task::Task;
use std::cell::Cell;

/// The plugin, to which its channels, modules and processes are added. The function that
/// [`plugin!`](crate::plugin!) names does so, once for each version, before anything else; all instances begin
/// with the memory that it leaves. An error stops the deploy.
#[derive(Default)]
pub struct Plugin {
    name: String,
    version: String,
    config: Vec<u8>,
    routes: Vec<Route>,
    modules: Modules,
    workers: Vec<(String, String)>, // and their modules
    on_stop: Vec<Box<dyn Fn() -> Result>>,
    on_connect: Option<Decide>,
    migrates: bool,
    mistake: String, // the last one
}

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

    /// [`channel`](Plugin::channel) with one channel for each topic, for all who join it.
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
        self.module(module, Box::new(move || Box::new(HandlerBody(create()))));
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
        if !self.modules.add(name, create) {
            self.mistake = ["module ", name, " is registered twice; give one of them another name"].concat();
        }
    }

    /// Asks once for the event that moves processes to the next version.
    fn migrates(&mut self, migrates: bool) {
        if migrates && !self.migrates {
            self.migrates = true;
            want("export");
        }
    }

    /// Declares a process or supervisor that the plugin consists of: a
    /// [`Worker`](crate::Worker), [`Supervisor`](crate::Supervisor) or [`Dynamic`](crate::Dynamic).
    /// Children are started in this order, before any channel, and stopped in reverse order. They
    /// are children of the plugin, whose strategy and intensity are in its table of the server's config.
    pub fn child(&mut self, child: impl Into<Child>) {
        child.into().declare(&mut self.workers, "");
    }

    /// Says that another plugin must run before this one starts. Processes of this one reach its
    /// processes as "plugin/name".
    pub fn depends_on(&mut self, plugin: &str) {
        effect(&Record::new(abi::EFFECT_DEPENDS, plugin));
    }

    /// Says what is to be remembered over crashes, standing still and restarts of the server: topics of
    /// [`topic_channel`](Plugin::topic_channel), "doc:*" or "doc:1", or processes by their names, "process:counter" or
    /// "process:*". All of the program's memory is. See sdk/durable.md for what is promised.
    ///
    /// A process that goes on has no second `init`. A [`TopicChannel`] is told what has changed in its absence:
    /// `leave`, for each member that has gone, and `join` for each that it does not know.
    pub fn durable(&mut self, pattern: &str) {
        effect(&Record::new(abi::EFFECT_DURABLE, pattern));
    }

    /// Says that the broadcasts of topics which the plugin serves, "room:*" or "room:1", are kept for a while:
    /// whoever comes back is told what it missed, and [`history`](crate::history()) reads them. Of several patterns
    /// that match a topic the first counts, and those of `history` in the plugin's table of the server's config
    /// come first. See sdk/recovery.md.
    pub fn keep_history(&mut self, pattern: &str, keep: Keep) {
        let spec = keep.spec();
        effect(&Record::new(abi::EFFECT_HISTORY, pattern).detail(text(spec.as_ref())));
    }

    /// Registers the function that decides about each client that connects. `Ok` accepts the
    /// client; the error of [`refuse_status`](crate::refuse_status) or [`refuse`](crate::refuse)
    /// refuses it; any other is a crash, as a panic is, and the client gets status 500.
    ///
    /// Ask for it with `connect = true` in `[capabilities]` of rtd.toml. The server grants it with
    /// `allows = ["connect"]` in `[plugin.NAME]` of its config, or else does not deploy the plugin.
    /// If the server has other plugins, its config also has to name the plugin that decides, with
    /// `connect = "NAME"` in `[socket.NAME]`.
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
    /// It runs in a process of its own, which ends after it: it can call others, publish,
    /// disconnect and so on, and may wait; no other client waits for it.
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

    /// Checks what can be checked when all is registered.
    fn check(&mut self) -> Result {
        for (id, module) in std::mem::take(&mut self.workers) {
            self.modules.check(&id, &module)?;
        }
        match self.mistake.as_str() {
            "" => Ok(()),
            mistake => Err(mistake.into()),
        }
    }

    /// The code for a topic.
    pub(crate) fn open(&self, topic: &str) -> Result<Box<dyn Body>> {
        let route = self.routes.iter().find(|r| r.matches(topic)).or_else(|| self.routes.first());
        Ok((route.ok_or("no channel; register one with Plugin::channel")?.create)())
    }

    /// The code of a module.
    pub(crate) fn create(&self, module: &str) -> Result<Box<dyn Body>> {
        self.modules.create(module)
    }

    /// Runs the functions of [`on_stop`](Plugin::on_stop).
    pub(crate) fn stop(&self) -> Result {
        self.on_stop.iter().rev().try_for_each(|f| f())
    }

    /// The function that decides about clients.
    pub(crate) fn decider(&self) -> Result<&dyn Fn(&mut Conn) -> Result> {
        Ok(self.on_connect.as_ref().ok_or("nobody decides about clients; call Plugin::on_connect")?)
    }
}

fn want(event: &str) {
    effect(&Record::new(abi::EFFECT_WANTS, event));
}

thread_local! {
    /// The plugin as start leaves it, the same in every instance.
    static PLUGIN: Cell<Option<&'static Plugin>> = const { Cell::new(None) };
}

/// The plugin, from the end of start on.
pub(crate) fn plugin() -> Result<&'static Plugin> {
    Ok(PLUGIN.with(|p| p.get()).ok_or("event before start")?)
}

/// Lets setup describe the plugin, in the event start.
pub(crate) fn start(e: &Record, setup: fn(&mut Plugin) -> Result) -> Result {
    let plugin = Box::leak(Box::new(Plugin {
        name: text(e.name).to_string(),
        version: text(e.detail).to_string(),
        config: if e.payload.is_empty() { b"{}".to_vec() } else { e.payload.to_vec() },
        ..Plugin::default()
    }));
    setup(plugin)?;
    plugin.check()?;
    set_modules(&plugin.modules);
    PLUGIN.with(|p| p.set(Some(plugin)));
    Ok(())
}
