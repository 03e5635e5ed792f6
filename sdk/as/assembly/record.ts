// Records, the one shape of events, effects and operations: a header of kind and flags,
// and fields, each with its length in front. rtd/sandbox/abi has the tables.
import { Payload, sizeOf, write } from "./payload";

/** A record that was read. Its fields point into the bytes. */
export class Record {
  kind: i32 = 0;
  flags: i32 = 0;
  name: Payload = new Payload();
  payload: Payload = new Payload();
  detail: Payload = new Payload();
  extra: Payload = new Payload();

  /** Reads a record of so many bytes. False for bytes that are none. */
  parse(at: usize, size: u32): bool {
    if (size < 4) return false;
    this.kind = load<u16>(at);
    this.flags = load<u16>(at, 2);
    const rest = fields;
    rest.set(at + 4, size - 4);
    rest.next(this.name);
    rest.next(this.payload);
    rest.next(this.detail);
    rest.next(this.extra);
    while (rest.next(ignored)) {} // fields of a later version
    this.payload.isBinary = (this.flags & 1) != 0;
    return rest.valid;
  }

  has(flag: i32): bool {
    return (this.flags & flag) != 0;
  }
}

const fields = new Fields(0, 0);
const ignored = new Payload();

/** The fields of a record or list. */
export class Fields {
  valid: bool = true;

  constructor(private at: usize, private size: u32) {}

  set(at: usize, size: u32): void {
    this.at = at;
    this.size = size;
    this.valid = true;
  }

  static of(list: Payload): Fields {
    return new Fields(list.at, list.size);
  }

  /** Points field to the next one. False, and an empty field, at the end and at bytes that are none. */
  next(field: Payload): bool {
    field.set(this.at, 0, false);
    if (this.size == 0) return false;
    const n: u32 = this.size < 4 ? u32.MAX_VALUE : load<u32>(this.at);
    if (this.size < 4 || n > this.size - 4) {
      this.valid = false;
      this.size = 0;
      return false;
    }
    field.set(this.at + 4, n, false);
    this.at += 4 + n;
    this.size -= 4 + n;
    return true;
  }

  /** Whether there is something left. */
  get more(): bool {
    return this.size > 0;
  }

  /** The next field as text, "" at the end. */
  nextText(): string {
    this.next(ignored);
    return ignored.toString();
  }
}

/** The texts of a list of fields. */
export function texts(list: Payload): string[] {
  const texts: string[] = [];
  const fields = Fields.of(list);
  for (const field = new Payload(); fields.next(field); ) texts.push(field.toString());
  return texts;
}

// ---- the record that goes out

const HOME_SIZE: u32 = 4096;
const home: usize = memory.data(4096); // wiped after use: nothing of it is left in an idle process

let at: usize = home;
let room: u32 = HOME_SIZE;

/** Where the record that is being written begins, and its size. */
export function start(): usize {
  return at;
}
export let size: u32 = 0;

/** Begins a record. Its fields follow, in their order. */
export function begin(kind: i32, flags: i32): void {
  size = 4;
  store<u32>(at, (kind as u32) | ((flags as u32) << 16));
}

/** Adds a field. */
export function field<T>(value: T): void {
  const n = sizeOf(value);
  if (room - size < 4 || room - size - 4 < n) grow(n);
  store<u32>(at + size, n);
  write(value, at + size + 4);
  size += 4 + n;
}

/** Adds the two fields that may be left out. */
export function details(detail: string, extra: string): void {
  if (detail.length > 0 || extra.length > 0) field(detail);
  if (extra.length > 0) field(extra);
}

function grow(n: u32): void {
  const larger = max(2 * room, size + n + 4);
  const to = heap.alloc(larger);
  memory.copy(to, at, size);
  const had = size;
  drop();
  at = to;
  room = larger;
  size = had;
}

/** Ends the record that went out, and wipes it. */
export function drop(): void {
  memory.fill(at, 0, size);
  size = 0;
  if (at == home) return;
  heap.free(at);
  at = home;
  room = HOME_SIZE;
}

/** The bytes of a record, as they go out. */
export function encode(r: Record): Uint8Array {
  begin(r.kind, r.flags);
  field(r.name);
  field(r.payload);
  if (r.detail.size > 0 || r.extra.size > 0) field(r.detail);
  if (r.extra.size > 0) field(r.extra);
  const bytes = new Uint8Array(size);
  memory.copy(bytes.dataStart, at, size);
  drop();
  return bytes;
}

/** A list of fields, for a payload. */
export class List {
  private bytes: Uint8Array = new Uint8Array(0);

  add<T>(value: T): List {
    const had = this.bytes.length;
    const longer = new Uint8Array(had + 4 + sizeOf(value));
    longer.set(this.bytes);
    store<u32>(longer.dataStart + had, sizeOf(value));
    write(value, longer.dataStart + had + 4);
    this.bytes = longer;
    return this;
  }

  toPayload(): Payload {
    return Payload.of(this.bytes);
  }
}
