//! The way in: where the host puts an event, and which part of the plugin takes it.

use crate::abi::{self, Record};
use crate::connect;
use crate::error::{Failure, Result};
use crate::host::abort;
use crate::migrate::refuse_import;
use crate::module::{has_module, no_module, Body};
use crate::plugin::{self, plugin, Plugin};
use crate::process::{stop, SHUTDOWN};
use crate::record::text;
use crate::socket::{let_go, take_in_hand};
use crate::timer::set_late;
use std::cell::Cell;

/// Larger events are refused: their sender is told, and nothing crashes.
const MAX_EVENT: usize = 32 << 20;

/// Room of the inbox for most events. It is allocated in start, so that every instance has
/// it where the snapshot has it.
const USUAL: usize = 4096;

thread_local! {
    /// Where the host writes the event at hand. A larger one than usual stays until the next
    /// event, because the host clears it when this one is over.
    static INBOX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The one process that the instance is, from its first event on.
    static PROCESS: Cell<Option<Box<dyn Body>>> = const { Cell::new(None) };
}

/// Returns room for an event of so many bytes, null if that is too many. Macro
/// [`plugin!`](crate::plugin!) exports it.
#[doc(hidden)]
pub fn inbox(size: usize) -> *mut u8 {
    if size > MAX_EVENT {
        return std::ptr::null_mut();
    }
    INBOX.with(|inbox| {
        let mut bytes = inbox.take();
        let room = size.max(USUAL);
        if bytes.len() != room {
            bytes = Vec::new();
            if bytes.try_reserve_exact(room).is_err() {
                return std::ptr::null_mut();
            }
            bytes.resize(room, 0);
        }
        let at = bytes.as_mut_ptr();
        inbox.set(bytes);
        at
    })
}

/// Handles the event of so many bytes in the inbox. Macro [`plugin!`](crate::plugin!) exports
/// it.
#[doc(hidden)]
pub fn handle(size: usize, setup: fn(&mut Plugin) -> Result) -> i32 {
    let bytes = INBOX.with(|inbox| inbox.take());
    let handled = bytes.get(..size).and_then(Record::parse).map(|e| receive(&e, setup));
    INBOX.with(|inbox| inbox.set(bytes));
    match handled {
        Some(()) => 0,
        None => 1,
    }
}

fn receive(e: &Record, setup: fn(&mut Plugin) -> Result) {
    take_in_hand(e);
    set_late(e);
    if e.kind == abi::EVENT_START {
        prepare();
    }
    if let Err(failure) = dispatch(e, setup) {
        abort(&failure.cause());
    }
    let_go();
}

/// Prepares all instances, once, in start.
fn prepare() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| abort(&panic.to_string())));
    inbox(USUAL);
    #[cfg(target_arch = "wasm32")]
    crate::memory::declare_stack();
}

/// Takes one event of this instance.
fn dispatch(e: &Record, setup: fn(&mut Plugin) -> Result) -> Result {
    match e.kind {
        abi::EVENT_START => return plugin::start(e, setup),
        abi::EVENT_STOP => return plugin()?.stop(),
        abi::EVENT_IDLE => return Ok(()), // nothing to tidy up: what is not needed is freed already
        abi::EVENT_CONNECT => return connect::decide(e, plugin()?.decider()?),
        _ => {}
    }
    let mut body = match PROCESS.with(|t| t.take()) {
        Some(body) => body,
        None => match begin(e) {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(()),
            Err(failure) => return failed(e, failure),
        },
    };
    let handled = body.handle(e);
    PROCESS.with(|t| t.set(Some(body)));
    match handled {
        Err(failure) => failed(e, failure),
        handled => handled,
    }
}

/// A state that cannot be taken over is refused. Any other failure is a crash.
fn failed(e: &Record, failure: Failure) -> Result {
    if e.kind != abi::EVENT_IMPORT {
        return Err(failure);
    }
    refuse_import(&failure);
    Ok(())
}

/// The code of the process that the instance's first event makes of it.
fn begin(e: &Record) -> Result<Option<Box<dyn Body>>> {
    let (plugin, name) = (plugin()?, text(e.name));
    let body = match e.kind {
        abi::EVENT_JOIN | abi::EVENT_MEMBERS => plugin.open(name)?,
        abi::EVENT_INIT if e.has(abi::REPLAY) && !has_module(name) => {
            stop(&[SHUTDOWN, ": ", &no_module(name)].concat()); // this version does without it
            return Ok(None);
        }
        abi::EVENT_INIT => plugin.create(name)?,
        abi::EVENT_IMPORT => match &abi::fields(e.extra).collect::<Vec<_>>()[..] {
            [_pid, _arguments] if !has_module(name) => return Err(no_module(name).into()),
            [_pid, _arguments] => plugin.create(name)?,
            _members => plugin.open(name)?,
        },
        abi::EVENT_EXPORT..=u16::MAX => return Ok(None), // or an event of a newer host
        _ => return Err("event before join or init".into()),
    };
    Ok(Some(body))
}

/// Makes the instance as it was after start.
#[cfg(test)]
pub(crate) fn new_process() {
    PROCESS.with(|p| p.take());
}
