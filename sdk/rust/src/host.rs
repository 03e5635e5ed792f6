//! The way out to the host: effects, operations, the log, and the clock and randomness of WASI.

use crate::abi::{self, Record};
use crate::error::{Code, Error};
use crate::record::text;

/// Room for an answer of the host. A longer one is fetched once more.
const USUAL_ANSWER: usize = 512;

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
    let n = imports::op(&r.encode(), &mut answer);
    if n >= 0 {
        return Ok(take(n as usize, &answer));
    }
    let reason = || {
        let mut answer = [0; USUAL_ANSWER];
        let n = imports::op(&Record::new(abi::OP_TAKE, "").encode(), &mut answer);
        text(&take(n.max(0) as usize, &answer)).to_string()
    };
    Err(Error::new(abi::name_of(r.kind), text(r.name), Code::from_number(n, reason)))
}

/// The answer of n bytes, of which as much as fits is here already.
fn take(n: usize, answer: &[u8]) -> Vec<u8> {
    if let Some(all) = answer.get(..n) {
        return all.to_vec();
    }
    let mut large = vec![0; n];
    let n = imports::op(&Record::new(abi::OP_TAKE, "").encode(), &mut large);
    large.truncate(n.max(0) as usize);
    large
}

/// Crashes this process with a cause for the log, and for those who are told of its end. Mostly it is
/// enough to return an error.
pub fn abort(cause: &str) -> ! {
    imports::op(&Record::new(abi::OP_ABORT, "").payload(cause.as_bytes()).encode(), &mut []);
    imports::end(cause) // only if the host knows no abort
}

impl Record<'_> {
    /// Hands the record to the host. An answer is the caller's; effects have none. An error
    /// says why the host did not do it.
    pub fn send(&self) -> Result<Vec<u8>, Error> {
        operate(self)
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Helps to find a mistake.
    Debug,
    /// Tells of what is normal.
    Info,
    /// Tells of a fault that does no harm.
    Warn,
    /// Tells of a fault that does harm.
    Error,
}

/// Writes a line to the server's log, at once, even if the event crashes later.
pub fn log(level: Level, text: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    effect(&Record::new(abi::OP_LOG, level).payload(text.as_bytes()));
}

/// A random number that nobody can foresee.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    imports::random_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Nanoseconds by a clock of WASI: 0 tells the time since 1970, 1 one that never goes backwards.
pub(crate) fn time(clock: u32) -> u64 {
    imports::time(clock)
}

#[cfg(target_arch = "wasm32")]
mod imports {
    mod wasm {
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
        unsafe { wasm::op(record.as_ptr(), record.len(), answer.as_mut_ptr(), answer.len()) }
    }

    pub fn time(clock: u32) -> u64 {
        let mut nanoseconds = 0;
        // Safety: the host writes a u64 there, before it returns.
        unsafe { wasm::clock_time_get(clock, 1, &mut nanoseconds) };
        nanoseconds
    }

    pub fn random_bytes(into: &mut [u8]) {
        // Safety: the host writes what the slice covers, before it returns.
        unsafe { wasm::random_get(into.as_mut_ptr(), into.len()) };
    }

    pub fn end(_cause: &str) -> ! {
        std::process::abort()
    }
}

/// Outside of a server, where a plugin's own unit tests run, there is no host, unless the
/// tests of this crate put one there.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod imports {
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

    pub fn time(clock: u32) -> u64 {
        use std::time::{Duration, Instant, SystemTime};
        thread_local!(static BEGIN: Instant = Instant::now());
        let time = match clock {
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
}
