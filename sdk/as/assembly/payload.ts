import * as json from "./json";

/**
 * Bytes that came from outside: JSON text, or anything at all if isBinary. They are decoded when
 * asked, so that a payload that is passed on costs nothing.
 *
 * The payload of an event lies in the inbox and is valid until the method that got it returns: keep
 * its toString() or copy(). Answers of call, wait and the like are yours.
 *
 * The method find and the get methods look up members of a JSON text. They never fail: a member that is
 * missing, or of another type, is "", 0, NaN or false.
 */
export class Payload extends json.Bytes {
  /** A payload of its own, which owns its bytes: of a string, a Uint8Array and so on, as in Socket.push. */
  static of<T>(value: T): Payload {
    const size = sizeOf(value);
    const owner = new ArrayBuffer(size as i32);
    write(value, changetype<usize>(owner));
    return new Payload(changetype<usize>(owner), size, isBinary(value), owner);
  }

  /** Of addresses the caller knows to be valid; owner keeps them so. */
  constructor(
    at: usize = 0,
    size: u32 = 0,
    public isBinary: bool = false,
    private owner: ArrayBuffer | null = null,
  ) {
    super(at, size);
  }

  /** Points to other bytes, which are not owned. */
  set(at: usize, size: u32, isBinary: bool): void {
    this.at = at;
    this.size = size;
    this.isBinary = isBinary;
  }

  /** A payload of its own, with the same bytes. */
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

// ---- values that can be sent: a Payload as it is, bytes as binary, all else as text

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
    json.encode(value as string, to);
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
