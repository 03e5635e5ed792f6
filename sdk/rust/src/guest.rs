//! The instance at the edge to the host: where events come in and records go out.

use crate::abi::{self, Record};
use crate::{plugin, Code, Error, Plugin, Result};
use std::cell::Cell;

/// Larger events are refused: their sender is told, and nothing crashes.
const MAX_EVENT: usize = 32 << 20;

/// Room of the inbox for most events. It is allocated in start, so that every instance has
/// it where the snapshot has it.
const USUAL: usize = 4096;

/// Room for an answer of the host. What does not fit is fetched once more.
const USUAL_ANSWER: usize = 512;

thread_local! {
    /// Where the host writes the event at hand. A larger one than usual stays until the next
    /// event, because the host clears it when this one is over.
    static INBOX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Is the payload of the event at hand binary?
    static BINARY: Cell<bool> = const { Cell::new(false) };
    /// Members join again, and their clients wait for no reply.
    static REJOINING: Cell<bool> = const { Cell::new(false) };
    /// By which the message at hand may be answered later.
    static TOKEN: Cell<String> = const { Cell::new(String::new()) };
}

/// Is the payload of the event at hand binary? If not, it is JSON text. It is for joins,
/// messages, intercepted broadcasts and those of other topics.
pub fn is_binary() -> bool {
    BINARY.with(|b| b.get())
}

pub(crate) fn set_rejoining(on: bool) {
    REJOINING.with(|r| r.set(on));
}

pub(crate) fn is_rejoining() -> bool {
    REJOINING.with(|r| r.get())
}

/// The token of the message at hand; "" if nobody waits for a reply to it.
pub(crate) fn token() -> String {
    TOKEN.with(|t| {
        let token = t.take();
        t.set(token.clone());
        token
    })
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
    BINARY.with(|b| b.set(e.has(abi::BINARY)));
    let token = if e.kind == abi::EVENT_MESSAGE { abi::text(e.extra).to_string() } else { String::new() };
    TOKEN.with(|t| t.set(token));
    if e.kind == abi::EVENT_START {
        host::prepare();
    }
    if let Err(failure) = plugin::dispatch(e, setup) {
        abort(&failure.cause());
    }
    TOKEN.with(|t| t.take());
}

/// Asks the host for an effect; if it refuses, the process crashes.
pub(crate) fn effect(r: &Record) {
    if let Err(e) = operate(r) {
        abort(&e.to_string());
    }
}

/// Asks the host for an effect that it may deny.
pub(crate) fn attempt(r: &Record, about: &str) -> Result<(), Error> {
    operate(r).map(drop).map_err(|e| Error::new(e.op(), about, e.code().clone()))
}

/// Does an operation and returns its answer.
pub(crate) fn operate(r: &Record) -> Result<Vec<u8>, Error> {
    let mut answer = [0; USUAL_ANSWER];
    let n = host::op(&r.encode(), &mut answer);
    if n >= 0 {
        return Ok(take(n as usize, &answer));
    }
    let reason = || {
        let mut answer = [0; USUAL_ANSWER];
        let n = host::op(&Record::new(abi::OP_TAKE, "").encode(), &mut answer);
        abi::text(&take(n.max(0) as usize, &answer)).to_string()
    };
    Err(Error::new(abi::name_of(r.kind), abi::text(r.name), Code::from_number(n, reason)))
}

/// The answer of n bytes, of which as much as fits is here already.
fn take(n: usize, answer: &[u8]) -> Vec<u8> {
    if let Some(all) = answer.get(..n) {
        return all.to_vec();
    }
    let mut large = vec![0; n];
    let n = host::op(&Record::new(abi::OP_TAKE, "").encode(), &mut large);
    large.truncate(n.max(0) as usize);
    large
}

/// Crashes the process with a cause for the log, at once. Mostly it is enough to return
/// an error.
pub fn abort(cause: &str) -> ! {
    host::op(&Record::new(abi::OP_ABORT, "").payload(cause.as_bytes()).encode(), &mut []);
    host::end(cause) // only if the host knows no abort
}

pub(crate) use host::{clock, random_bytes};

#[cfg(target_arch = "wasm32")]
mod host {
    use crate::abi::{Record, EFFECT_SCRATCH};
    use std::alloc::{GlobalAlloc, Layout, System};

    mod import {
        #[link(wasm_import_module = "rtd_v1")]
        extern "C" {
            pub fn op(record: *const u8, size: usize, answer: *mut u8, room: usize) -> i32;
        }
        #[link(wasm_import_module = "wasi_snapshot_preview1")]
        extern "C" {
            pub fn clock_time_get(clock: u32, precision: u64, nanoseconds: *mut u64) -> u32;
            pub fn random_get(into: *mut u8, size: usize) -> u32;
        }
    }

    pub fn op(record: &[u8], answer: &mut [u8]) -> i32 {
        // Safety: the host reads and writes what the slices cover, before it returns.
        unsafe { import::op(record.as_ptr(), record.len(), answer.as_mut_ptr(), answer.len()) }
    }

    pub fn clock(id: u32) -> u64 {
        let mut nanoseconds = 0;
        // Safety: the host writes a u64 there, before it returns.
        unsafe { import::clock_time_get(id, 1, &mut nanoseconds) };
        nanoseconds
    }

    pub fn random_bytes(into: &mut [u8]) {
        // Safety: the host writes what the slice covers, before it returns.
        unsafe { import::random_get(into.as_mut_ptr(), into.len()) };
    }

    pub fn end(_cause: &str) -> ! {
        std::process::abort()
    }

    /// What is done once, in start, for all instances.
    pub fn prepare() {
        std::panic::set_hook(Box::new(|panic| super::abort(&panic.to_string())));
        super::inbox(super::USUAL);
        declare_stack();
    }

    /// Tells the host that the stack means nothing between events. rustc has it linked below
    /// the data. A host that does not know the effect goes without.
    fn declare_stack() {
        extern "C" {
            static __global_base: u8;
        }
        // Safety: only the symbol's address is taken, which is where the data begins.
        let end = unsafe { &__global_base as *const u8 as u32 };
        let range = [[0; 4], end.to_le_bytes()].concat();
        op(&Record { kind: EFFECT_SCRATCH, payload: &range, ..Record::default() }.encode(), &mut []);
    }

    /// An idle process costs what its memory differs by from a new one's. Freed memory is
    /// wiped, so that it does not count.
    struct Wiping;

    #[global_allocator]
    static ALLOCATOR: Wiping = Wiping;

    // Safety: it is the system's allocator; what is written to was the caller's until now.
    unsafe impl GlobalAlloc for Wiping {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            System.alloc(layout)
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            System.alloc_zeroed(layout)
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            memory.write_bytes(0, layout.size());
            System.dealloc(memory, layout);
        }
    }
}

/// Outside of a server, where a plugin's own unit tests run, there is no host, unless the
/// tests of this crate put one there.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod host {
    use std::cell::RefCell;

    type Op = Box<dyn FnMut(&[u8], &mut [u8]) -> i32>;

    thread_local! {
        pub(crate) static FAKE: RefCell<Option<Op>> = RefCell::new(None);
    }

    pub fn op(record: &[u8], answer: &mut [u8]) -> i32 {
        FAKE.with(|fake| match &mut *fake.borrow_mut() {
            Some(op) => op(record, answer),
            None => panic!("effects need a server around them; build with --target wasm32-unknown-unknown"),
        })
    }

    pub fn clock(id: u32) -> u64 {
        use std::time::{Duration, Instant, SystemTime};
        thread_local!(static BEGIN: Instant = Instant::now());
        let time = match id {
            0 => SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO),
            _ => BEGIN.with(Instant::elapsed),
        };
        time.as_nanos() as u64
    }

    pub fn random_bytes(into: &mut [u8]) {
        use std::collections::hash_map::RandomState;
        use std::hash::{BuildHasher, Hasher};
        into.fill_with(|| RandomState::new().build_hasher().finish() as u8);
    }

    /// How an instance ends in a test.
    pub fn end(cause: &str) -> ! {
        std::panic::panic_any(cause.to_string())
    }

    pub fn prepare() {
        super::inbox(super::USUAL);
    }
}
