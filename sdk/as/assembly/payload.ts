import * as json from "./json";

/**
 * Bytes that came from outside: JSON text, or anything at all if isBinary. They are
 * decoded only when asked, so that what is passed on costs nothing.
 *
 * The payload of an event lies in the inbox and is valid until the method that got it
 * returns: keep its toString() or copy(). What call, wait and the like return is
 * its receiver's, for ever.
 *
 * Of a JSON text, find and the get methods look a member up. They never fail: what is
 * not there, or is of another type, is "", 0, NaN or false.
 */
export class Payload {
  /** A payload of its own, which owns its bytes: of a string, a Uint8Array and so on, as in Socket.push. */
  static of<T>(value: T): Payload {
    const size = sizeOf(value);
    const owner = new ArrayBuffer(size as i32);
    write(value, changetype<usize>(owner));
    return new Payload(changetype<usize>(owner), size, isBinary(value), owner);
  }

  /** Of addresses the caller knows to be valid; owner keeps them so. */
  constructor(
    public at: usize = 0,
    public size: u32 = 0,
    public isBinary: bool = false,
    private owner: ArrayBuffer | null = null,
  ) {}

  /** Points to other bytes, which are not owned. */
  set(at: usize, size: u32, isBinary: bool): void {
    this.at = at;
    this.size = size;
    this.isBinary = isBinary;
  }

  copy(): Payload {
    return Payload.of(this);
  }

  /** The bytes as text, which is UTF-8. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.at, this.size);
  }

  /** A copy of the bytes. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.size as i32);
    memory.copy(bytes.dataStart, this.at, this.size);
    return bytes;
  }

  // ---- JSON

  /** A member of a JSON object, as it is written in this text, and as valid as that. */
  find(key: string): Payload {
    const end = this.at + this.size;
    const from = json.member(this.at, end, key);
    return new Payload(from, (json.extent(from, end) - from) as u32, false, this.owner);
  }

  /** The value that a JSON string means. */
  asString(): string {
    return json.unquote(this.at, this.at + this.size);
  }

  /** A JSON number without its fraction. */
  asInt(): i64 {
    return json.integer(this.at, this.at + this.size);
  }

  /** A JSON number. */
  asFloat(): f64 {
    return parseFloat(this.toString());
  }

  /** Whether this is the JSON value true. */
  asBool(): bool {
    return this.size == 4 && load<u32>(this.at) == 0x65757274; // "true"
  }

  getString(key: string): string {
    return this.find(key).asString();
  }

  getInt(key: string): i64 {
    return this.find(key).asInt();
  }

  getFloat(key: string): f64 {
    return this.find(key).asFloat();
  }

  getBool(key: string): bool {
    return this.find(key).asBool();
  }
}

// ---- what can be sent: a Payload as it is, bytes as binary, all else as text

/** Whether a value goes out as binary. */
// @ts-ignore: decorator
@inline
export function isBinary<T>(value: T): bool {
  if (value instanceof Payload) return (value as Payload).isBinary;
  return value instanceof Uint8Array || value instanceof ArrayBuffer;
}

/** How many bytes a value goes out as. */
export function sizeOf<T>(value: T): u32 {
  if (isString<T>()) return String.UTF8.byteLength(value as string) as u32;
  if (value instanceof Payload) return (value as Payload).size;
  if (value instanceof Uint8Array) return (value as Uint8Array).byteLength as u32;
  if (value instanceof ArrayBuffer) return (value as ArrayBuffer).byteLength as u32;
  if (value instanceof json.JsonObject) return (value as json.JsonObject).size;
  ERROR("a payload is a string with JSON, a JsonObject, a Payload, or bytes: a Uint8Array or an ArrayBuffer");
}

/** Writes these bytes. */
export function write<T>(value: T, to: usize): void {
  if (isString<T>()) {
    const text = value as string;
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE);
  } else if (value instanceof Payload) {
    memory.copy(to, (value as Payload).at, (value as Payload).size);
  } else if (value instanceof Uint8Array) {
    memory.copy(to, (value as Uint8Array).dataStart, (value as Uint8Array).byteLength);
  } else if (value instanceof ArrayBuffer) {
    memory.copy(to, changetype<usize>(value), (value as ArrayBuffer).byteLength);
  } else if (value instanceof json.JsonObject) {
    (value as json.JsonObject).write(to);
  }
}
