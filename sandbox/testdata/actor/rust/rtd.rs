//! The contract of rtd/sandbox/abi, as much of it as a small guest in Rust needs.

use std::{fmt, mem};

pub const EVENT_START: u16 = 0x001;
pub const EVENT_JOIN: u16 = 0x002;
pub const EVENT_MESSAGE: u16 = 0x003;

pub const EFFECT_REPLY: u16 = 0x101;
pub const EFFECT_BROADCAST: u16 = 0x103;
pub const EFFECT_HANDLES: u16 = 0x105;
/// Hosts that do not know it answer CodeUnknown.
pub const EFFECT_SCRATCH: u16 = 0x106;

pub const OP_LOG: u16 = 0x201;
pub const OP_ABORT: u16 = 0x202;

#[link(wasm_import_module = "rtd_v1")]
extern "C" {
    fn op(record: *const u8, size: usize, answer: *mut u8, room: usize) -> i32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn random_get(into: *mut u8, size: usize) -> u32;
    fn proc_exit(status: u32) -> !;
}

/// What happened. Name and payload lie in the inbox; the payload may be changed.
pub struct Event<'a> {
    pub kind: u16,
    pub name: &'a [u8],
    pub payload: &'a mut [u8],
}

/// Finds kind and fields in a record. Missing fields are empty.
fn parse(record: &mut [u8]) -> Option<Event> {
    if record.len() < 4 {
        return None;
    }
    let (header, rest) = record.split_at_mut(4);
    let (name, rest) = cut(rest)?;
    let (payload, _) = cut(rest)?;
    Some(Event { kind: u16::from_le_bytes([header[0], header[1]]), name, payload })
}

fn cut(rest: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    if rest.is_empty() {
        return Some((&mut [], rest));
    }
    if rest.len() < 4 {
        return None;
    }
    let (size, rest) = rest.split_at_mut(4);
    let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
    (size <= rest.len()).then(|| rest.split_at_mut(size))
}

// A guest has one thread and is entered by one call at a time, so that its
// statics need no lock.

/// Usual size of the inbox and of the buffer for records. Both are allocated
/// in start, so that every actor has them where its snapshot has them.
const USUAL: usize = 4096;
const MAX_EVENT: usize = 1 << 20;

static mut INBOX: Vec<u8> = Vec::new();
static mut EVENT_SIZE: usize = 0; // of the event that lies in it
static mut SPARE: Vec<u8> = Vec::new(); // the buffer of the last record

/// A larger inbox lives until the next event.
#[no_mangle]
extern "C" fn inbox(size: usize) -> *mut u8 {
    if size > MAX_EVENT {
        return std::ptr::null_mut();
    }
    unsafe {
        let room = size.max(USUAL);
        if INBOX.len() != room {
            INBOX = Vec::new();
            INBOX = vec![0; room];
        }
        INBOX.as_mut_ptr()
    }
}

#[no_mangle]
extern "C" fn handle(size: usize) -> u32 {
    let inbox = unsafe {
        EVENT_SIZE = size;
        INBOX.get_mut(..size)
    };
    match inbox.and_then(parse) {
        Some(event) => {
            if event.kind == EVENT_START {
                start();
            }
            crate::on(event);
            0
        }
        None => 1,
    }
}

fn start() {
    unsafe { SPARE = Vec::with_capacity(USUAL) };
    std::panic::set_hook(Box::new(|panic| {
        ask(OP_LOG, "error", &panic.to_string());
    }));
    declare_stack();
}

/// Tells the host that the stack means nothing between events. rustc links it
/// below the data.
fn declare_stack() {
    extern "C" {
        static __global_base: u8;
    }
    let end = unsafe { &__global_base as *const u8 as u32 };
    let mut r = Record::new(EFFECT_SCRATCH, "");
    r.bytes(&0u32.to_le_bytes());
    r.bytes(&end.to_le_bytes());
    r.send();
}

/// An effect or operation in the making. What is written to it is its payload.
pub struct Record {
    record: Vec<u8>,
    payload: usize, // where it begins
}

impl Record {
    pub fn new(kind: u16, name: &str) -> Record {
        let mut record = unsafe { mem::take(&mut SPARE) };
        record.extend_from_slice(&(kind as u32).to_le_bytes()); // and no flags
        record.extend_from_slice(&(name.len() as u32).to_le_bytes());
        record.extend_from_slice(name.as_bytes());
        record.extend_from_slice(&[0; 4]);
        let payload = record.len();
        Record { record, payload }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.record.extend_from_slice(bytes);
    }

    /// Hands the record to the host and wipes it: nothing of it stays in the
    /// state of an idle actor.
    pub fn send(mut self) -> i32 {
        let size = (self.record.len() - self.payload) as u32;
        self.record[self.payload - 4..self.payload].copy_from_slice(&size.to_le_bytes());
        let code = unsafe { op(self.record.as_ptr(), self.record.len(), std::ptr::null_mut(), 0) };
        self.record.fill(0);
        self.record.clear();
        unsafe { SPARE = self.record };
        code
    }
}

impl fmt::Write for Record {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.bytes(s.as_bytes());
        Ok(())
    }
}

pub fn ask(kind: u16, name: &str, payload: &str) -> i32 {
    let mut r = Record::new(kind, name);
    r.bytes(payload.as_bytes());
    r.send()
}

/// Asks for an effect with the name and payload of the event in the inbox. The
/// records of events and effects have one shape, so a new header makes one of the
/// other, however long it is. It is for an event whose payload is unchanged.
pub fn pass_on(kind: u16) -> i32 {
    unsafe {
        INBOX[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        op(INBOX.as_ptr(), EVENT_SIZE, std::ptr::null_mut(), 0)
    }
}

/// Crashes the actor with a cause for the log.
pub fn die(cause: &str) -> ! {
    ask(OP_ABORT, "", cause);
    std::process::abort() // only if the host knows no abort
}

pub fn random() -> u32 {
    let mut bytes = [0; 4];
    unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    u32::from_le_bytes(bytes)
}

pub fn exit(status: u32) -> ! {
    unsafe { proc_exit(status) }
}
