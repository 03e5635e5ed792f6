// The contract of rtd/sandbox/abi, as much of it as a small guest in
// AssemblyScript needs.

export const EVENT_START: u16 = 0x001;
export const EVENT_JOIN: u16 = 0x002;
export const EVENT_MESSAGE: u16 = 0x003;
export const EVENT_IDLE: u16 = 0x004; // the instance has grown and will stand still: drop garbage

export const EFFECT_REPLY: u16 = 0x101;
export const EFFECT_BROADCAST: u16 = 0x103;
export const EFFECT_HANDLES: u16 = 0x105;

export const OP_ABORT: u16 = 0x202;

@external("rtd_v1", "op")
declare function op(record: usize, size: u32, answer: usize, room: u32): i32;

@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(status: u32): void;

/** Bytes somewhere in memory. */
export class Bytes {
  at: usize = 0;
  size: u32 = 0;

  @inline
  set(at: usize, size: u32): void {
    this.at = at;
    this.size = size;
  }
}

// ---- the event at hand

const USUAL: u32 = 4096;
const MAX_EVENT: u32 = 1 << 20;
const usual: usize = memory.data(4096);
let large: usize = 0; // an inbox for events above USUAL; lives until the next one

let at: usize = usual; // the inbox that the event lies in
let size: u32 = 0;
let event: u16 = 0;

/** The name of the event, valid until its end. */
export const name = new Bytes();
/** The payload of the event, valid until its end. */
export const payload = new Bytes();

/** A place for an event of so many bytes, or 0. */
export function reserve(n: u32): usize {
  if (n > MAX_EVENT) return 0;
  if (large) {
    heap.free(large);
    large = 0;
  }
  at = usual;
  if (n > USUAL) at = large = heap.alloc(n);
  return at;
}

/** Finds kind and fields of an event of n bytes. Missing fields are empty. */
export function receive(n: u32): bool {
  if (n < 4) return false;
  size = n;
  event = load<u16>(at);
  const rest = cut(4, name);
  return rest != 0 && cut(rest, payload) != 0;
}

export function kind(): u16 {
  return event;
}

/** Reads the field at an offset of the event; returns the offset behind it, or 0. */
function cut(from: u32, field: Bytes): u32 {
  field.set(at + from, 0);
  if (from == size) return from;
  if (size - from < 4) return 0;
  const n = load<u32>(at + from);
  from += 4;
  if (n > size - from) return 0;
  field.set(at + from, n);
  return from + n;
}

export function named(text: string): bool {
  return is(name.at, name.size, text);
}

/** Compares bytes with an ASCII text. */
export function is(at: usize, size: u32, text: string): bool {
  if (size != text.length) return false;
  for (let i: u32 = 0; i < size; i++) {
    if (load<u8>(at + i) != text.charCodeAt(i)) return false;
  }
  return true;
}

// ---- effects and operations

// A record is built here and wiped when it is out: nothing of it stays in the
// state of an idle actor.
const record: usize = memory.data(4096);
let end: u32 = 0;
let body: u32 = 0; // where its payload begins

export function put(byte: u32): void {
  if (end == 4096) unreachable();
  store<u8>(record + end++, byte as u8);
}

export function put32(n: u32): void {
  for (let i = 0; i < 4; i++, n >>= 8) put(n);
}

/** Writes an ASCII text. */
export function putText(text: string): void {
  for (let i = 0; i < text.length; i++) put(text.charCodeAt(i));
}

export function putNumber(n: u32): void {
  if (n > 9) putNumber(n / 10);
  put(0x30 + (n % 10));
}

/** Starts a record; what is put afterwards is its payload. */
export function begin(kind: u16, name: string): void {
  end = 0;
  put32(kind); // and no flags
  put32(name.length);
  putText(name);
  put32(0);
  body = end;
}

export function send(): void {
  store<u32>(record + body - 4, end - body);
  op(record, end, 0, 0);
  memory.fill(record, 0, end);
}

export function ask(kind: u16, name: string, payload: string): void {
  begin(kind, name);
  putText(payload);
  send();
}

/**
 * Asks for an effect with the name and payload of the event at hand. The records
 * of events and effects have one shape, so a new header makes one of the other,
 * however long it is. It is for an event whose payload is unchanged.
 */
export function passOn(kind: u16): void {
  store<u32>(at, kind);
  op(at, size, 0, 0);
}

/** Crashes the actor with a cause for the log. */
export function die(cause: string): void {
  ask(OP_ABORT, "", cause);
  unreachable(); // only if the host knows no abort
}

export function exit(status: u32): void {
  proc_exit(status);
}
