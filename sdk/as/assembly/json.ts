// As much JSON as handlers usually need. Texts may be a client's, malformed: of those
// it makes something, but ends, and stays within them.

/**
 * Builds a JSON object:
 *
 *   new JsonObject().set("user", "Ada").set("count", 3) // {"user":"Ada","count":3}
 */
export class JsonObject {
  private text: Text = new Text();

  /**
   * Adds a member: a string, number or boolean, an array of such, another JsonObject, or
   * a Payload, whose JSON is passed on as it is. NaN and a Payload without content,
   * which JSON cannot say, are null.
   */
  set<T>(key: string, value: T): JsonObject {
    const text = this.text;
    text.byte(text.size == 0 ? OPEN : COMMA);
    text.quoted(key);
    text.byte(COLON);
    text.value(value);
    return this;
  }

  /** How many bytes of UTF-8 it is. */
  get size(): u32 {
    return max(this.text.size, 1) + 1;
  }

  /** Writes them. */
  write(to: usize): void {
    store<u8>(to, OPEN as u8);
    memory.copy(to, this.text.at, this.text.size);
    store<u8>(to + this.size - 1, CLOSE as u8);
  }

  toString(): string {
    const bytes = new ArrayBuffer(this.size as i32);
    this.write(changetype<usize>(bytes));
    return String.UTF8.decode(bytes);
  }
}

/** The JSON of a value, as JsonObject.set takes it. */
export function stringify<T>(value: T): string {
  const text = new Text();
  text.value(value);
  return String.UTF8.decodeUnsafe(text.at, text.size);
}

/** Bytes in memory, such as a Payload. As a value in JSON they are JSON text. */
export class Bytes {
  constructor(public at: usize = 0, public size: u32 = 0) {}
}

/** Writes a text as UTF-8. */
export function encode(text: string, to: usize): void {
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE);
}

const OPEN: u32 = 0x7b, CLOSE: u32 = 0x7d, QUOTE: u32 = 0x22, BACKSLASH: u32 = 0x5c, COMMA: u32 = 0x2c, COLON: u32 = 0x3a;

/** UTF-8 that grows. */
class Text {
  private bytes: ArrayBuffer = new ArrayBuffer(48);
  size: u32 = 0;

  get at(): usize {
    return changetype<usize>(this.bytes);
  }

  /** Makes room for so many bytes more, and returns where they go. */
  private grow(n: u32): usize {
    const size = this.size;
    if (n > (this.bytes.byteLength as u32) - size) {
      const bytes = new ArrayBuffer(max(2 * size, size + n) as i32);
      memory.copy(changetype<usize>(bytes), this.at, size);
      this.bytes = bytes;
    }
    this.size += n;
    return this.at + size;
  }

  byte(c: u32): void {
    store<u8>(this.grow(1), c as u8);
  }

  /** Adds a value as JSON. */
  value<T>(value: T): void {
    if (isString<T>()) {
      this.quoted(value as string);
    } else if (isFloat<T>()) {
      this.raw(isFinite(value) ? value.toString() : "null");
    } else if (isInteger<T>()) {
      this.raw(value.toString());
    } else if (value instanceof JsonObject) {
      const object = value as JsonObject;
      object.write(this.grow(object.size));
    } else if (value instanceof Bytes) {
      const bytes = value as Bytes;
      if (bytes.size == 0) this.raw("null");
      else memory.copy(this.grow(bytes.size), bytes.at, bytes.size);
    } else if (isArray<T>()) {
      this.byte(0x5b);
      for (let i = 0; i < value.length; i++) {
        if (i > 0) this.byte(COMMA);
        this.value(value[i]);
      }
      this.byte(0x5d);
    } else {
      ERROR("JSON is made of strings, numbers, booleans, arrays, JsonObject and Payload");
    }
  }

  private raw(text: string): void {
    encode(text, this.grow(String.UTF8.byteLength(text) as u32));
  }

  /** Adds a text as a JSON string. */
  quoted(text: string): void {
    let extra: u32 = 0;
    for (let i = 0; i < text.length; i++) extra += escaped(text.charCodeAt(i));
    const size = String.UTF8.byteLength(text) as u32;
    let to = this.grow(size + extra + 2);
    store<u8>(to++, QUOTE as u8);
    encode(text, to + extra); // and is then moved, with what is between, byte for byte
    const end = to + extra + size;
    if (extra > 0) {
      for (let from = to + extra; from < end; from++) to = escape(load<u8>(from), to);
    }
    store<u8>(end, QUOTE as u8);
  }
}

/** How much longer a character is when it is escaped. */
function escaped(c: u32): u32 {
  return c < 0x20 ? 5 : u32(c == QUOTE || c == BACKSLASH);
}

/** Writes a byte, escaped if need be, and returns where the next one goes. */
function escape(c: u32, to: usize): usize {
  if (c < 0x20) {
    store<u32>(to, 0x3030_755c); // \u00
    store<u8>(to, (0x30 + (c >> 4)) as u8, 4);
    store<u8>(to, ((c & 15) + ((c & 15) > 9 ? 0x57 : 0x30)) as u8, 5);
    return to + 6;
  }
  if (escaped(c)) store<u8>(to++, BACKSLASH as u8);
  store<u8>(to, c as u8);
  return to + 1;
}

// ---- reading

/** Where the value of a member of an object begins; end if there is none. */
export function member(at: usize, end: usize, key: string): usize {
  at = skip(at, end, OPEN);
  while (at < end && load<u8>(at) == QUOTE) {
    const behind = extent(at, end);
    const found = unquote(at, behind) == key;
    at = skip(behind, end, COLON);
    if (found) return at;
    at = skip(extent(at, end), end, COMMA);
  }
  return end;
}

/** Where the value that begins at a place ends. */
export function extent(at: usize, end: usize): usize {
  let depth = 0;
  let quoted = false;
  for (; at < end; at++) {
    const c: u32 = load<u8>(at);
    if (quoted && c == BACKSLASH) {
      at++;
    } else if (c == QUOTE) {
      quoted = !quoted;
      if (!quoted && depth == 0) return at + 1;
    } else if (quoted) {
      continue;
    } else if (c == 0x7b || c == 0x5b) {
      depth++;
    } else if ((c == 0x7d || c == 0x5d) && depth > 0) {
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && (c == COMMA || c == 0x7d || c == 0x5d || c <= 0x20)) {
      return at;
    }
  }
  return end;
}

/** Behind a character and the space around it; end if there is another one. */
function skip(at: usize, end: usize, c: u32): usize {
  at = space(at, end);
  return at < end && load<u8>(at) == c ? space(at + 1, end) : end;
}

function space(at: usize, end: usize): usize {
  while (at < end && load<u8>(at) <= 0x20) at++;
  return at;
}

/** The text of a JSON string, "" of any other value. */
export function unquote(at: usize, end: usize): string {
  if (end < at + 2 || load<u8>(at) != QUOTE || load<u8>(end - 1) != QUOTE) return "";
  const text = String.UTF8.decodeUnsafe(at + 1, end - at - 2);
  if (text.indexOf("\\") < 0) return text;
  const units = new StaticArray<u16>(text.length);
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i) as u32;
    if (c == BACKSLASH && i + 1 < text.length) {
      c = text.charCodeAt(++i);
      if (c == 0x75) {
        c = unit(text, i + 1);
        i += 4;
      } else if (c == 0x62) c = 0x08;
      else if (c == 0x66) c = 0x0c;
      else if (c == 0x6e) c = 0x0a;
      else if (c == 0x72) c = 0x0d;
      else if (c == 0x74) c = 0x09;
    }
    units[n++] = c as u16;
  }
  return String.UTF16.decodeUnsafe(changetype<usize>(units), n << 1);
}

/** The four digits of an escape. */
function unit(text: string, from: i32): u32 {
  let value: u32 = 0;
  for (let i = from; i < from + 4; i++) {
    const c: u32 = i < text.length ? text.charCodeAt(i) : 0;
    const letter = (c | 0x20) - 0x61;
    if (c - 0x30 <= 9) value = (value << 4) | (c - 0x30);
    else if (letter <= 5) value = (value << 4) | (letter + 10);
    else return 0xfffd;
  }
  return value;
}

/** A number without its fraction, 0 of any other value. */
export function integer(at: usize, end: usize): i64 {
  const negative = at < end && load<u8>(at) == 0x2d;
  if (negative) at++;
  let value: i64 = 0;
  for (; at < end; at++) {
    const digit: u32 = <u32>load<u8>(at) - 0x30;
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}
