//! The bytes that go between host and guest, as rtd/sandbox/abi has them.
//!
//! Plugins need none of it: the rest of the crate is built upon this. It is public for those
//! who want of a newer server what this crate does not know yet, with [`Record::send`].
//!
//! Events, effects and operations have one shape, little endian:
//!
//! ```text
//! ┌────────┬────────┬──────────┬───────┬──────────┬─────────┬─
//! │  kind  │ flags  │  length  │ name  │  length  │ payload │ … detail, extra
//! │  u16   │  u16   │   u32    │       │   u32    │         │
//! └────────┴────────┴──────────┴───────┴──────────┴─────────┴─
//! ```

pub use crate::record::{cut_field, fields, push_field, Record};

pub const EVENT_START: u16 = 0x001;
pub const EVENT_JOIN: u16 = 0x002;
pub const EVENT_MESSAGE: u16 = 0x003;
pub const EVENT_IDLE: u16 = 0x004;
pub const EVENT_INIT: u16 = 0x005;
pub const EVENT_CALL: u16 = 0x006;
pub const EVENT_CAST: u16 = 0x007;
pub const EVENT_INFO: u16 = 0x008;
pub const EVENT_REPLY: u16 = 0x009;
pub const EVENT_DOWN: u16 = 0x00A;
pub const EVENT_EXIT: u16 = 0x00B;
pub const EVENT_TERMINATE: u16 = 0x00C;
pub const EVENT_LEAVE: u16 = 0x00D;
pub const EVENT_MEMBERS: u16 = 0x00E;
pub const EVENT_STOP: u16 = 0x00F;
pub const EVENT_CONNECT: u16 = 0x010;
pub const EVENT_OUT: u16 = 0x011;
pub const EVENT_BROADCAST: u16 = 0x012;
pub const EVENT_EXPORT: u16 = 0x013;
pub const EVENT_IMPORT: u16 = 0x014;
pub const EVENT_AWAY: u16 = 0x015;
pub const EVENT_BACK: u16 = 0x016;

pub const EFFECT_REPLY: u16 = 0x101;
pub const EFFECT_PUSH: u16 = 0x102;
pub const EFFECT_BROADCAST: u16 = 0x103;
pub const EFFECT_BROADCAST_FROM: u16 = 0x104;
pub const EFFECT_HANDLES: u16 = 0x105;
pub const EFFECT_SCRATCH: u16 = 0x106;
pub const EFFECT_ANSWER: u16 = 0x107;
pub const EFFECT_STOP: u16 = 0x108;
pub const EFFECT_HIBERNATE: u16 = 0x109;
pub const EFFECT_CHILD: u16 = 0x10A;
pub const EFFECT_DEPENDS: u16 = 0x10B;
pub const EFFECT_WANTS: u16 = 0x10C;
pub const EFFECT_INTERCEPT: u16 = 0x10D;
pub const EFFECT_PUBLISH: u16 = 0x10E;
pub const EFFECT_SUBSCRIBE: u16 = 0x10F;
pub const EFFECT_UNSUBSCRIBE: u16 = 0x110;
pub const EFFECT_DISCONNECT: u16 = 0x111;
pub const EFFECT_PRESENT: u16 = 0x112;
pub const EFFECT_STATE: u16 = 0x113;
pub const EFFECT_DURABLE: u16 = 0x114;
pub const EFFECT_HISTORY: u16 = 0x115;

pub const OP_LOG: u16 = 0x201;
pub const OP_ABORT: u16 = 0x202;
pub const OP_TAKE: u16 = 0x203;
pub const OP_SELF: u16 = 0x204;
pub const OP_SPAWN: u16 = 0x205;
pub const OP_CALL: u16 = 0x206;
pub const OP_REQUEST: u16 = 0x207;
pub const OP_AWAIT: u16 = 0x208;
pub const OP_CAST: u16 = 0x209;
pub const OP_SEND: u16 = 0x20A;
pub const OP_SEND_AFTER: u16 = 0x20B;
pub const OP_CANCEL: u16 = 0x20C;
pub const OP_SLEEP: u16 = 0x20D;
pub const OP_MONITOR: u16 = 0x20E;
pub const OP_DEMONITOR: u16 = 0x20F;
pub const OP_LINK: u16 = 0x210;
pub const OP_UNLINK: u16 = 0x211;
pub const OP_TRAP_EXIT: u16 = 0x212;
pub const OP_REGISTER: u16 = 0x213;
pub const OP_UNREGISTER: u16 = 0x214;
pub const OP_WHEREIS: u16 = 0x215;
pub const OP_EXIT: u16 = 0x216;
pub const OP_INFO: u16 = 0x217;
pub const OP_CHILDREN: u16 = 0x218;
pub const OP_STOP_CHILD: u16 = 0x219;
pub const OP_TRACK: u16 = 0x21A;
pub const OP_UPDATE: u16 = 0x21B;
pub const OP_UNTRACK: u16 = 0x21C;
pub const OP_PRESENCES: u16 = 0x21D;
pub const OP_PRESENCE_COUNT: u16 = 0x21E;
pub const OP_EVENT_ID: u16 = 0x21F;
pub const OP_HISTORY: u16 = 0x220;

/// The payload is not JSON text.
pub const BINARY: u16 = 1 << 0;
/// The sender of a message waits for a reply.
pub const WANTS_REPLY: u16 = 1 << 1;
/// The client does not know of this join.
pub const REPLAY: u16 = 1 << 2;
/// A reply is no answer, but says why there is none.
pub const FAILED: u16 = 1 << 3;
/// Spawn links.
pub const LINK: u16 = 1 << 4;
/// Spawn asks a first question.
pub const REQUEST: u16 = 1 << 5;
/// The answer to a request comes as an event.
pub const NOTIFY: u16 = 1 << 6;

/// The name of an effect or operation, for messages.
pub(crate) fn name_of(kind: u16) -> &'static str {
    const EFFECTS: [&str; 21] = [
        "reply",
        "push",
        "broadcast",
        "broadcast_from",
        "handles",
        "scratch",
        "answer",
        "stop",
        "hibernate",
        "child",
        "depends",
        "wants",
        "intercept",
        "publish",
        "subscribe",
        "unsubscribe",
        "disconnect",
        "present",
        "state",
        "durable",
        "history",
    ];
    const OPERATIONS: [&str; 32] = [
        "log",
        "abort",
        "take",
        "self",
        "spawn",
        "call",
        "request",
        "await",
        "cast",
        "send",
        "send_after",
        "cancel",
        "sleep",
        "monitor",
        "demonitor",
        "link",
        "unlink",
        "trap_exit",
        "register",
        "unregister",
        "whereis",
        "exit",
        "process_info",
        "children",
        "stop_child",
        "track",
        "update",
        "untrack",
        "presences",
        "presence_count",
        "event_id",
        "history",
    ];
    let names: &[&str] = if kind < OP_LOG { &EFFECTS } else { &OPERATIONS };
    match (kind & 0xFF) as usize {
        0 => "?",
        n => names.get(n - 1).copied().unwrap_or("?"),
    }
}
