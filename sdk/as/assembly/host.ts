// The way out to the host: effects, operations and the log.
import { Op } from "./abi";
import { crash, op } from "./crash";
import { Code, Result } from "./error";
import { Payload, isBinary } from "./payload";
import * as record from "./record";

const ROOM: u32 = 4096;
const answers: usize = memory.data(4096); // wiped after use, as the record is

/** Sends the record that was written. Returns the length of the answer, or a code. */
function send(): i32 {
  const n = op(record.start(), record.size, answers, ROOM);
  record.drop();
  return n;
}

/** The answer of the host, of which so many bytes were announced. */
function take(n: u32): Payload {
  const bytes = new ArrayBuffer(n as i32);
  const at = changetype<usize>(bytes);
  if (n > ROOM) { // it did not fit: once more
    record.begin(Op.Take, 0);
    op(record.start(), record.size, at, n);
    record.drop();
  } else {
    memory.copy(at, answers, n);
  }
  memory.fill(answers, 0, min(n, ROOM));
  return new Payload(at, n, false, bytes);
}

/** Asks for an effect. If the host refuses, the process crashes: the event asked for too much. */
export function effect<T>(kind: i32, name: string, payload: T, detail: string = "", extra: string = ""): void {
  const code = attempt(kind, name, payload, detail, extra);
  if (code == Code.OK) return;
  const why = " is refused with code " + (code as i32).toString() + "; see rtd/sandbox/abi";
  crash("effect " + kind.toString() + " " + name + why);
}

/** Asks for an effect that the host may refuse. */
export function attempt<T>(kind: i32, name: string, payload: T, detail: string = "", extra: string = ""): Code {
  write(kind, 0, name, payload, detail, extra);
  return min(send(), 0) as Code;
}

/** Does an operation that has no answer. */
export function operate<T>(
  kind: i32,
  name: string,
  payload: T,
  detail: string = "",
  flags: i32 = 0,
  extra: string = "",
): Code {
  write(kind, flags, name, payload, detail, extra);
  const n = send();
  if (n > 0) memory.fill(answers, 0, min(n as u32, ROOM));
  return min(n, 0) as Code;
}

/** Does an operation that has an answer. what is its name, for the error. */
export function query<T>(
  what: string,
  kind: i32,
  name: string,
  payload: T,
  detail: string = "",
  flags: i32 = 0,
  extra: string = "",
): Result<Payload> {
  write(kind, flags, name, payload, detail, extra);
  const n = send();
  if (n >= 0) return new Result<Payload>(Code.OK, take(n as u32));
  let reason = "";
  if (n == Code.Ended) {
    record.begin(Op.Take, 0);
    reason = take(max(send(), 0) as u32).toString();
  }
  return new Result<Payload>(n as Code, null, what + " " + name, reason);
}

function write<T>(kind: i32, flags: i32, name: string, payload: T, detail: string, extra: string): void {
  record.begin(kind, flags | i32(isBinary(payload)));
  record.field(name);
  record.field(payload);
  record.details(detail, extra);
}

/** Like query, of text. */
export function queryText<T>(
  what: string,
  kind: i32,
  name: string,
  payload: T,
  detail: string = "",
  flags: i32 = 0,
  extra: string = "",
): Result<string> {
  const answer = query(what, kind, name, payload, detail, flags, extra);
  return new Result<string>(answer.code, answer.ok ? answer.value.toString() : null, answer.what, answer.reason);
}

/** Writes a line to the server's log, at once, even if the event crashes later. level is debug, info, warn or error. */
export function log(level: string, text: string): void {
  operate(Op.Log, level, text);
}
