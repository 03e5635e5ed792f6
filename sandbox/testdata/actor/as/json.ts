// JSON (RFC 8259), strictly, on hostile input: no recursion, no allocation.
// Strings are decoded where they lie, for they only become shorter.
import { Bytes, put, putText } from "./rtd";

const MAX_DEPTH: u32 = 10000; // of objects and arrays in each other
// A bit for each level: is it an object? Cleared again on the way out.
const objects: usize = memory.data(10000 / 8 + 1);

const BACKSLASH: u32 = 0x5c, QUOTE: u32 = 0x22, COMMA: u32 = 0x2c, COLON: u32 = 0x3a;
const OPEN_OBJECT: u32 = 0x7b, CLOSE_OBJECT: u32 = 0x7d, OPEN_ARRAY: u32 = 0x5b, CLOSE_ARRAY: u32 = 0x5d;

// What may follow a backslash, each with what it means. All but the last are
// written so, too.
const escapes = "b\bf\fn\nr\rt\t\"\"\\\\//";

let at: usize = 0; // how far the text has been read
let stop: usize = 0; // where it ends

/** Begins to read a text. The functions below return false for what is not there or malformed. */
export function open(text: Bytes): bool {
  at = text.at;
  stop = at + text.size;
  return utf8(at, stop);
}

function utf8(p: usize, stop: usize): bool {
  while (p < stop) {
    const c: u32 = load<u8>(p++);
    if (c < 0x80) continue;
    // How many bytes follow, and the bounds of the first of them: these keep out
    // surrogates, code points above U+10FFFF and overlong forms.
    let more: usize = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    let low: u32 = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    let high: u32 = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0xc2 || c > 0xf4 || stop - p < more) return false;
    for (; more > 0; more--, p++) {
      const next: u32 = load<u8>(p);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}

@inline
function byte(): u32 {
  return at < stop ? load<u8>(at) : 0;
}

/** The next byte that is no white space, 0 at the end. */
export function peek(): u32 {
  for (; at < stop; at++) {
    const c: u32 = load<u8>(at);
    if (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d) return c;
  }
  return 0;
}

export function take(c: u32): bool {
  if (peek() != c || at == stop) return false;
  at++;
  return true;
}

export function atEnd(): bool {
  peek();
  return at == stop;
}

/** Takes exactly this; no white space may come before. */
function word(text: string): bool {
  for (let i = 0; i < text.length; i++, at++) {
    if (byte() != text.charCodeAt(i)) return false;
  }
  return true;
}

export function takeNull(): bool {
  return peek() == 0x6e && word("null");
}

/** Takes true or false; takenBool is which. */
export function takeBool(): bool {
  takenBool = peek() == 0x74;
  return takenBool ? word("true") : word("false");
}
export let takenBool: bool = false;

/** Takes a string and says where its decoded text lies. */
export function takeString(text: Bytes): bool {
  if (!take(QUOTE)) return false;
  const from = at;
  let to = at;
  while (at < stop) {
    let c: u32 = load<u8>(at++);
    if (c == QUOTE) {
      text.set(from, (to - from) as u32);
      return true;
    }
    if (c < 0x20) return false;
    if (c != BACKSLASH) {
      store<u8>(to++, c as u8);
      continue;
    }
    const escape = byte();
    at++;
    if (escape == 0x75) {
      if (!unicode()) return false;
      to = encode(to, unit);
    } else {
      let i = 0;
      while (i < escapes.length && escapes.charCodeAt(i) != escape) i += 2;
      if (i == escapes.length) return false;
      store<u8>(to++, escapes.charCodeAt(i + 1) as u8);
    }
  }
  return false;
}

let unit: u32 = 0; // what unicode and hex4 have read

/** Takes what follows \u. Half a surrogate pair becomes U+FFFD. */
function unicode(): bool {
  if (!hex4()) return false;
  if (unit >> 11 != 0xd800 >> 11) return true;
  const high = unit;
  const behind = at;
  if (high < 0xdc00 && word("\\u") && hex4() && unit >> 10 == 0xdc00 >> 10) {
    unit = 0x10000 + (((high & 0x3ff) << 10) | (unit & 0x3ff));
  } else {
    unit = 0xfffd;
    at = behind;
  }
  return true;
}

function hex4(): bool {
  unit = 0;
  for (let i = 0; i < 4; i++, at++) {
    const c = byte();
    const letter = (c | 0x20) - 0x61;
    if (c - 0x30 <= 9) unit = (unit << 4) | (c - 0x30);
    else if (letter <= 5) unit = (unit << 4) | (letter + 10);
    else return false;
  }
  return true;
}

function encode(to: usize, c: u32): usize {
  const more: u32 = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  const lead: u32 = more == 0 ? 0 : more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
  store<u8>(to++, (lead | (c >> (6 * more))) as u8);
  for (let i = more; i > 0; i--) store<u8>(to++, (0x80 | ((c >> (6 * (i - 1))) & 0x3f)) as u8);
  return to;
}

function oneOf(a: u32, b: u32): bool {
  const c = byte();
  if (at == stop || (c != a && c != b)) return false;
  at++;
  return true;
}

function digits(): bool {
  const from = at;
  while (byte() - 0x30 <= 9) at++;
  return at > from;
}

function takeNumber(): bool {
  oneOf(0x2d, 0x2d);
  if (!oneOf(0x30, 0x30) && !digits()) return false;
  if (oneOf(0x2e, 0x2e) && !digits()) return false;
  if (oneOf(0x65, 0x45)) {
    oneOf(0x2b, 0x2d);
    return digits();
  }
  return true;
}

/** Takes a number that is written as an integer and fits; takenU32 is it. */
export function takeU32(): bool {
  peek();
  let from = at;
  if (!takeNumber()) return false;
  let value: u64 = 0;
  for (; from < at; from++) {
    const digit: u32 = load<u8>(from) - 0x30;
    value = value * 10 + digit;
    if (digit > 9 || value > u32.MAX_VALUE) return false; // digit: a sign, a fraction or an exponent
  }
  takenU32 = value as u32;
  return true;
}
export let takenU32: u32 = 0;

const ignored = new Bytes();

export function takeKey(key: Bytes): bool {
  return takeString(key) && take(COLON);
}

function takeScalar(): bool {
  switch (peek()) {
    case QUOTE: return takeString(ignored);
    case 0x74:
    case 0x66: return takeBool();
    case 0x6e: return word("null");
  }
  return takeNumber();
}

/** Takes any value that lies in depth objects and arrays. */
export function skip(depth: u32): bool {
  const outside = depth;
  while (true) {
    const c = peek();
    if (c == OPEN_OBJECT || c == OPEN_ARRAY) {
      at++;
      if (++depth > MAX_DEPTH) return false;
      if (c == OPEN_OBJECT) flip(depth);
      if (peek() != c + 2) {
        if (c == OPEN_OBJECT && !takeKey(ignored)) return false;
        continue;
      }
    } else if (!takeScalar()) {
      return false;
    }
    while (true) { // behind a value, or before the end of an empty one
      if (depth == outside) return true;
      const object = isObject(depth);
      if (take(COMMA)) {
        if (object && !takeKey(ignored)) return false;
        break;
      }
      if (!take(object ? CLOSE_OBJECT : CLOSE_ARRAY)) return false;
      if (object) flip(depth);
      depth--;
    }
  }
}

@inline
function flip(depth: u32): void {
  const p = objects + (depth >> 3);
  store<u8>(p, load<u8>(p) ^ ((<u32>1 << (depth & 7)) as u8));
}

@inline
function isObject(depth: u32): bool {
  return ((load<u8>(objects + (depth >> 3)) >> (depth & 7)) & 1) == 1;
}

/**
 * Writes a text as a JSON string that is safe inside of HTML too: the bytes, and
 * the rules, are those of Go's encoding/json.
 */
export function putQuoted(text: string): void {
  put(QUOTE);
  for (let i = 0; i < text.length; i++) {
    const c: u32 = text.codePointAt(i);
    let e = 0;
    while (e < escapes.length - 2 && escapes.charCodeAt(e + 1) != c) e += 2;
    if (e < escapes.length - 2) {
      put(BACKSLASH);
      put(escapes.charCodeAt(e));
    } else if (c < 0x20 || c == 0x3c || c == 0x3e || c == 0x26 || c == 0x2028 || c == 0x2029) {
      putText("\\u");
      for (let shift = 12; shift >= 0; shift -= 4) put("0123456789abcdef".charCodeAt((c >> shift) & 15));
    } else {
      const utf8 = memory.data(4);
      const end = encode(utf8, c);
      for (let p = utf8; p < end; p++) put(load<u8>(p));
      store<u32>(utf8, 0);
    }
    if (c >= 0x10000) i++; // a surrogate pair
  }
  put(QUOTE);
}
