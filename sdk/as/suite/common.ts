import { Code, JsonObject, Payload, Result, Socket, cast, crash, publish, self } from "rtd";

/** What the state of all processes is written in. */
export const SCHEMA = "1";

export let config: Payload = new Payload();

export function keepConfig(c: Payload): void {
  config = c.copy();
}

/** Tells the recorder. */
export function record(line: string): void {
  cast("recorder", line);
}

/** Records a join. */
export function arrive(name: string, s: Socket): void {
  if (name != "") record((s.replay ? "rejoin " : "join ") + name);
}

/** What the README calls an error. */
export function word(code: Code, reason: string): string {
  switch (code) {
    case Code.Unknown: return "unknown";
    case Code.Malformed: return "malformed";
    case Code.TooMuch: return "too_much";
    case Code.NotNow: return "not_now";
    case Code.NoProcess: return "no_process";
    case Code.Timeout: return "timeout";
    case Code.Busy: return "busy";
    case Code.Ended: return "ended: " + reason;
    case Code.Self: return "self";
    case Code.Full: return "full";
    case Code.Limit: return "limit";
    case Code.Taken: return "taken";
    case Code.Denied: return "denied";
    case Code.Deadlock: return "deadlock";
    case Code.TooLarge: return "too_large";
    case Code.NoHistory: return "no_history";
  }
  return "code " + (code as i32).toString();
}

// ---- replies

export function object<T>(key: string, value: T): JsonObject {
  return new JsonObject().set(key, value);
}

export function ok(s: Socket): void {
  s.reply("ok", "");
}

export function failed(s: Socket, code: Code, reason: string = ""): void {
  s.reply("error", object("reason", word(code, reason)));
}

/** Replies ok, or why it was not done. */
export function done(s: Socket, code: Code): void {
  if (code == Code.OK) ok(s);
  else failed(s, code);
}

/** Replies a text that an operation had as its result. */
export function result(s: Socket, key: string, r: Result<string>): void {
  if (r.ok) s.reply("ok", object(key, r.value));
  else failed(s, r.code, r.reason);
}

/** Replies an answer. */
export function answer(s: Socket, r: Result<Payload>): void {
  if (r.ok) s.reply("ok", object("answer", r.value.toString()));
  else failed(s, r.code, r.reason);
}

// ---- what both kinds of channel do

/** Takes a message; false if it is another one. */
export function common(s: Socket, event: string, payload: Payload): bool {
  if (event == "echo") {
    s.reply("ok", payload);
  } else if (event == "status") {
    s.reply(payload.getString("status"), object("text", payload.getString("text")));
  } else if (event == "assigns") {
    s.reply("ok", s.assigns);
  } else if (event == "socket") {
    s.reply("ok", object("topic", s.topic).set("member", s.member).set("replay", s.replay).set("pid", self()));
  } else if (event == "push" || event == "broadcast" || event == "broadcast_from" || event == "publish") {
    if (payload.isBinary) transmit(s, event, "suite:bytes", "bytes", payload);
    else transmit(s, event, payload.getString("topic"), payload.getString("event"), object("text", payload.getString("text")));
  } else if (event == "crash") {
    s.push("never", "{}");
    crash(payload.getString("text"));
  } else if (event == "trap") {
    s.push("never", "{}");
    unreachable();
  } else {
    return false;
  }
  return true;
}

function transmit<T>(s: Socket, how: string, topic: string, event: string, payload: T): void {
  let code = Code.OK;
  if (how == "push") s.push(event, payload);
  else if (how == "broadcast") s.broadcast(event, payload);
  else if (how == "broadcast_from") s.broadcastFrom(event, payload);
  else code = publish(topic, event, payload);
  done(s, code);
}

// ---- states that are a number and texts

/** The number at the beginning of a state. */
export function numberOf(state: string, separator: string): i32 {
  return i32.parse(state.split(separator)[0]);
}

/** What follows it. */
export function restOf(state: string, separator: string): string {
  const i = state.indexOf(separator);
  return i < 0 ? "" : state.substring(i + 1);
}
