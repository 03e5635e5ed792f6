// A channel handler in AssemblyScript. What it does is written in ../README.md.
import "./runtime";
import * as json from "./json";
import * as rtd from "./rtd";
import { Bytes, put, putNumber, putText } from "./rtd";

const MAX_NAME: u32 = 32;
const MAX_TEXT: u32 = 64;
const KEEP: u32 = 10;

/** The state of the actor, from its join on. */
class Actor {
  name: string = "anon";
  count: u32 = 0;
  kept: StaticArray<string> = new StaticArray<string>(KEEP); // a ring: message n lies at n % KEEP

  oldest(): u32 {
    return this.count > KEEP ? this.count - KEEP : 0;
  }
}

let actor: Actor | null = null;

// ---- payloads

let hasBody: bool = false;
let refuse: bool = false;
let n: u32 = 0;
const body = new Bytes();
const name = new Bytes();
const key = new Bytes();

function parse(): void {
  hasBody = refuse = false;
  n = 0;
  name.set(0, 0);
  if (!json.open(rtd.payload) || !members() || !json.atEnd()) rtd.die("malformed payload");
}

function members(): bool {
  if (json.takeNull()) return true;
  if (!json.take(0x7b)) return false;
  if (json.take(0x7d)) return true;
  do {
    if (!json.takeKey(key) || !member()) return false;
  } while (json.take(0x2c));
  return json.take(0x7d);
}

function member(): bool {
  if (keyIs("body")) {
    hasBody = !json.takeNull();
    return !hasBody || json.takeString(body);
  }
  if (keyIs("name")) return json.takeNull() || json.takeString(name);
  if (keyIs("n")) {
    if (json.takeNull()) return true;
    if (!json.takeU32()) return false;
    n = json.takenU32;
    return true;
  }
  if (keyIs("refuse")) {
    if (json.takeNull()) return true;
    if (!json.takeBool()) return false;
    refuse = json.takenBool;
    return true;
  }
  return json.skip(1);
}

function keyIs(text: string): bool {
  return rtd.is(key.at, key.size, text);
}

/** A string of at most max bytes of a text, without a character cut. */
function clip(text: Bytes, max: u32): string {
  let size = text.size;
  if (size > max) {
    size = max;
    while (size > 0 && (load<u8>(text.at + size) & 0xc0) == 0x80) size--;
  }
  return String.UTF8.decodeUnsafe(text.at, size);
}

// ---- join and messages

function join(): void {
  const a = new Actor();
  actor = a;
  parse();
  if (name.size > 0) a.name = clip(name, MAX_NAME);
  if (refuse) {
    rtd.ask(rtd.EFFECT_REPLY, "error", '{"reason":"refused"}');
    return;
  }
  rtd.begin(rtd.EFFECT_REPLY, "ok");
  putText('{"name":');
  json.putQuoted(a.name);
  put(0x7d);
  rtd.send();
}

function say(a: Actor): void {
  parse();
  if (!hasBody) rtd.die("malformed payload");
  a.kept[a.count % KEEP] = clip(body, MAX_TEXT);
  a.count++;
  rtd.begin(rtd.EFFECT_REPLY, "ok");
  putText('{"count":');
  putNumber(a.count);
  putText(',"name":');
  json.putQuoted(a.name);
  putText(',"oldest":');
  json.putQuoted(a.kept[a.oldest() % KEEP]);
  put(0x7d);
  rtd.send();
}

function last(a: Actor): void {
  rtd.begin(rtd.EFFECT_REPLY, "ok");
  put(0x5b);
  for (let i = a.oldest(); i < a.count; i++) {
    if (i > a.oldest()) put(0x2c);
    json.putQuoted(a.kept[i % KEEP]);
  }
  put(0x5d);
  rtd.send();
}

function shout(): void {
  rtd.passOn(rtd.EFFECT_BROADCAST);
  rtd.ask(rtd.EFFECT_REPLY, "ok", "");
}

function random(): void {
  rtd.begin(rtd.EFFECT_REPLY, "ok");
  for (let i = 0; i < 4; i++) {
    put(i == 0 ? 0x5b : 0x2c);
    putNumber((Math.random() * 4294967296) as u32);
  }
  put(0x5d);
  rtd.send();
}

const cells: usize = memory.data(4096);

/** Adds n rounds of a xorshift generator to an array of 4 KiB, which is zero before and after. */
function work(n: u32): u32 {
  let x: u32 = 1;
  for (; n > 0; n--) {
    for (let p = cells; p < cells + 4096; p += 4) {
      x ^= x << 13;
      x ^= x >> 17;
      x ^= x << 5;
      store<u32>(p, load<u32>(p) + x);
    }
  }
  let sum: u32 = 0;
  for (let p = cells; p < cells + 4096; p += 4) sum += load<u32>(p);
  memory.fill(cells, 0, 4096);
  return sum;
}

function replySum(sum: u32): void {
  rtd.begin(rtd.EFFECT_REPLY, "ok");
  putText('{"sum":');
  putNumber(sum);
  put(0x7d);
  rtd.send();
}

// ---- ways to die

function crash(): void {
  throw new Error("crash requested");
}

function spin(): void {
  for (;;) {}
}

let hoarded: StaticArray<u8>[] = [];

function hoard(): void {
  for (;;) hoarded.push(new StaticArray<u8>(64 << 10));
}

function recurse(depth: u32): u32 {
  return recurse(depth + 1) ^ depth;
}

// ---- the exports

function message(a: Actor): void {
  if (rtd.named("say")) say(a);
  else if (rtd.named("last")) last(a);
  else if (rtd.named("shout")) shout();
  else if (rtd.named("work")) {
    parse();
    replySum(work(n));
  } else if (rtd.named("random")) random();
  else if (rtd.named("crash")) crash();
  else if (rtd.named("spin")) spin();
  else if (rtd.named("alloc")) hoard();
  else if (rtd.named("recurse")) n = recurse(0);
  else if (rtd.named("exit")) rtd.exit(3);
  else rtd.die("unknown event");
}

export function inbox(size: u32): usize {
  return rtd.reserve(size);
}

export function handle(size: u32): u32 {
  if (!rtd.receive(size)) return 1;
  switch (rtd.kind()) {
    case rtd.EVENT_START:
      rtd.ask(rtd.EFFECT_HANDLES, "actor:*", "");
      break;
    case rtd.EVENT_JOIN:
      join();
      break;
    case rtd.EVENT_MESSAGE: {
      const a = actor;
      if (a) message(a);
      else rtd.die("message before join");
      break;
    }
    case rtd.EVENT_IDLE:
      __collect();
      break;
  }
  return 0; // a newer host may tell of other events
}
