//! The modules that a plugin registers by name, of which its processes are.

use crate::abi::Record;
use crate::error::Result;
use std::cell::Cell;

/// The code of a process.
pub(crate) trait Body {
    /// Takes one event. An error is a crash.
    fn handle(&mut self, e: &Record) -> Result;
}

pub(crate) type Create = Box<dyn Fn() -> Box<dyn Body>>;

/// The modules of a plugin.
#[derive(Default)]
pub(crate) struct Modules(Vec<(String, Create)>);

impl Modules {
    /// Adds a module. False says that there is one of this name already; the first one counts.
    pub fn add(&mut self, name: &str, create: Create) -> bool {
        let first = self.find(name).is_none();
        self.0.push((name.to_string(), create));
        first
    }

    fn find(&self, name: &str) -> Option<&Create> {
        self.0.iter().find(|(module, _)| module == name).map(|(_, create)| create)
    }

    /// The code of a module.
    pub fn create(&self, name: &str) -> Result<Box<dyn Body>> {
        match self.find(name) {
            Some(create) => Ok(create()),
            None => Err([&no_module(name), REGISTER].concat().into()),
        }
    }

    /// Looks for the module of a child.
    pub fn check(&self, child: &str, module: &str) -> Result {
        match self.find(module) {
            Some(_) => Ok(()),
            None => Err(["child ", child, ": ", &no_module(module), REGISTER].concat().into()),
        }
    }
}

pub(crate) fn no_module(name: &str) -> String {
    ["no module ", name].concat()
}

const REGISTER: &str = "; register it, for example with Plugin::server";

thread_local! {
    /// The modules from the end of start on, the same in every instance.
    static MODULES: Cell<Option<&'static Modules>> = const { Cell::new(None) };
}

pub(crate) fn set_modules(modules: &'static Modules) {
    MODULES.with(|m| m.set(Some(modules)));
}

/// Whether this version of the plugin has a module; false before start has ended.
pub(crate) fn has_module(name: &str) -> bool {
    MODULES.with(|m| m.get()).map_or(false, |modules| modules.find(name).is_some())
}
