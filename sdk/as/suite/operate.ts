import {
  Clock, Code, JsonObject, Payload, Presence, Result, Socket, Span, SpawnOptions, Time, call, cancel, cast, children, demonitor, disconnect, exit,
  hibernate, history, link, log, monitor, must, processInfo, register, request, requestNotify, send, sendAfter, sleep, spawn, stopChild,
  subscribe, trapExit, unlink, unregister, unsubscribe, wait, whereis,
} from "rtd";
import { Record, encode } from "rtd/assembly/record";
import { answer, done, failed, object, ok, result } from "./common";
import { addCount, crashCount, events, getCount, job, listener, setCount } from "./processes";

/** Does what can fail; false if it is none of these. */
export function operate(s: Socket, event: string, p: Payload): bool {
  if (event == "vector") vector(s, p);
  else if (event == "subscribe") done(s, subscribe(p.getString("topic")));
  else if (event == "unsubscribe") {
    unsubscribe(p.getString("topic"));
    ok(s);
  } else if (event == "disconnect") {
    disconnect(p.getString("id"));
    ok(s);
  } else if (event == "log") {
    log(p.getString("level"), p.getString("text"));
    ok(s);
  } else if (event == "hibernate") {
    hibernate();
    ok(s);
  } else return presences(s, event, p) || past(s, event, p) || clock(s, event, p) || timers(s, event, p) || processes(s, event, p) || behaviours(s, event, p);
  return true;
}

function vector(s: Socket, p: Payload): void {
  const r = new Record();
  if (r.parse(p.at, p.size)) s.reply("ok", encode(r));
  else failed(s, Code.Malformed);
}

function presences(s: Socket, event: string, p: Payload): bool {
  const topic = p.getString("topic");
  const presence = topic == "" ? s.presence : new Presence(topic, s.member);
  const key = p.getString("key");
  if (event == "track") result(s, "ref", presence.track(key, object("text", p.getString("text"))));
  else if (event == "update") result(s, "ref", presence.update(key, object("text", p.getString("text"))));
  else if (event == "untrack") done(s, presence.untrack(key));
  else if (event == "track_self") result(s, "ref", new Presence(s.topic).track(key, object("text", p.getString("text"))));
  else if (event == "presences") whole(s, presence.list());
  else if (event == "presence_count") {
    const count = presence.count();
    if (count.ok) s.reply("ok", object("keys", count.value.keys).set("metas", count.value.metas));
    else failed(s, count.code);
  } else if (event == "present") done(s, presence.pushTo(s));
  else return false;
  return true;
}

/** Replies an answer that is JSON. */
function whole(s: Socket, r: Result<Payload>): void {
  if (r.ok) s.reply("ok", r.value);
  else failed(s, r.code, r.reason);
}

function past(s: Socket, event: string, p: Payload): bool {
  if (event != "history") return false;
  const r = history(p.getString("topic"), p.getInt("after") as u64, p.getInt("limit") as i32);
  if (!r.ok) {
    failed(s, r.code, r.reason);
    return true;
  }
  const texts: string[] = [];
  let ms: i64 = 0;
  for (let i = 0; i < r.value.messages.length; i++) {
    const m = r.value.messages[i];
    const form = m.payload.isBinary ? "binary " : "";
    texts.push(m.offset.toString() + " " + m.event + " " + form + m.payload.toString());
    ms = m.unixMs;
  }
  s.reply("ok", object("position", r.value.position).set("oldest", r.value.oldest).set("messages", texts).set("ms", ms));
  return true;
}

function clock(s: Socket, event: string, p: Payload): bool {
  const clock = new Clock(p.getString("zone"));
  const ms = p.getInt("ms");
  if (event == "clock_now") time(s, clock.now());
  else if (event == "clock_at") time(s, clock.at(ms));
  else if (event == "clock_parse") time(s, clock.parse(p.getString("text"), p.getString("layout")));
  else if (event == "clock_add") {
    time(s, clock.add(ms, new Span(p.getInt("years") as i32, p.getInt("months") as i32, p.getInt("days") as i32)));
  } else if (event == "clock_format") result(s, "text", clock.format(ms, p.getString("layout")));
  else return false;
  return true;
}

/** Replies all of a time. */
function time(s: Socket, r: Result<Time>): void {
  if (!r.ok) {
    failed(s, r.code, r.reason);
    return;
  }
  const t = r.value;
  const o = new JsonObject();
  o.set("unix_ms", t.unixMs).set("zone", t.zone).set("abbreviation", t.abbreviation).set("offset", t.offset).set("dst", t.dst);
  o.set("year", t.year).set("month", t.month).set("day", t.day).set("hour", t.hour).set("minute", t.minute);
  o.set("second", t.second).set("ms", t.milliseconds).set("weekday", t.weekday).set("yearday", t.yearDay);
  s.reply("ok", o.set("skipped", t.skipped).set("twice", t.twice));
}

function timers(s: Socket, event: string, p: Payload): bool {
  if (event == "send_after") result(s, "timer", sendAfter(p.getInt("ms"), p.getString("text")));
  else if (event == "cancel") {
    const left = cancel(p.getString("timer"));
    if (left < 0) failed(s, left as i32);
    else s.reply("ok", object("left", left));
  } else if (event == "sleep") done(s, sleep(p.getInt("ms")));
  else return false;
  return true;
}

function processes(s: Socket, event: string, p: Payload): bool {
  const to = p.getString("to");
  const text = p.getString("text");
  if (event == "send") done(s, send(to, text));
  else if (event == "cast") done(s, cast(to, text));
  else if (event == "call") answer(s, call(to, text, timeout(p)));
  else if (event == "request") result(s, "ref", request(to, text));
  else if (event == "request_notify") result(s, "ref", requestNotify(to, text));
  else if (event == "await") answer(s, wait(p.getString("ref"), timeout(p)));
  else if (event == "spawn") {
    const options = new SpawnOptions();
    options.under = p.getString("under");
    options.name = p.getString("name");
    options.link = p.getString("link") == "yes";
    result(s, "pid", spawn(p.getString("module"), p.getString("args"), options));
  } else if (event == "children") {
    const pids = children(p.getString("under"));
    if (pids.ok) s.reply("ok", object("pids", pids.value));
    else failed(s, pids.code);
  } else if (event == "stop_child") done(s, stopChild(to));
  else if (event == "monitor") result(s, "ref", monitor(to));
  else if (event == "demonitor") done(s, demonitor(p.getString("ref")));
  else if (event == "link") done(s, link(to));
  else if (event == "unlink") done(s, unlink(to));
  else if (event == "trap_exit") done(s, trapExit(p.getString("on") == "yes"));
  else if (event == "register") done(s, register(p.getString("name"), to));
  else if (event == "unregister") done(s, unregister(p.getString("name")));
  else if (event == "whereis") result(s, "pid", whereis(p.getString("name")));
  else if (event == "exit") done(s, exit(to, p.getString("reason")));
  else if (event == "process_info") whole(s, processInfo(to));
  else return false;
  return true;
}

function timeout(p: Payload): i64 {
  const ms = p.getInt("ms");
  return ms == 0 ? 5000 : ms;
}

function behaviours(s: Socket, event: string, p: Payload): bool {
  const to = p.getString("to");
  const args = p.getString("args");
  const text = p.getString("text");
  if (event == "agent_get") number(s, getCount.call(to, ""));
  else if (event == "agent_set") done(s, setCount.call(to, p.getInt("n").toString()).code);
  else if (event == "agent_add") number(s, addCount.call(to, p.getInt("n").toString()));
  else if (event == "agent_crash") number(s, crashCount.call(to, ""));
  else if (event == "task_await") {
    const j = job.asyncNolink(args);
    if (j.ok) answer(s, j.value.wait());
    else failed(s, j.code, j.reason);
  } else if (event == "task_linked") {
    const j = job.async(args);
    if (j.ok) answer(s, j.value.wait());
    else failed(s, j.code, j.reason);
  } else if (event == "task_notify") {
    const j = job.asyncNotify(args, "jobs");
    if (j.ok) s.reply("ok", object("ref", j.value.ref));
    else failed(s, j.code, j.reason);
  } else if (event == "task_start") result(s, "pid", job.start(args, "jobs"));
  else if (event == "notify") done(s, events.notify(text));
  else if (event == "sync_notify") plain(s, events.syncNotify(text));
  else if (event == "events_call") answer(s, events.call(p.getString("id"), text));
  else if (event == "events_add") {
    const spec = listener(p.getString("id"));
    const module = p.getString("module");
    if (module != "") spec.module(module);
    if (p.getString("restart") == "yes") spec.restarted();
    plain(s, events.add(spec));
  } else if (event == "events_remove") plain(s, events.remove(p.getString("id")));
  else if (event == "events_list") {
    const ids = events.handlers();
    if (ids.ok) s.reply("ok", object("ids", ids.value));
    else failed(s, ids.code, ids.reason);
  } else return false;
  return true;
}

function number(s: Socket, r: Result<Payload>): void {
  if (r.ok) s.reply("ok", object("n", r.value.asInt()));
  else failed(s, r.code, r.reason);
}

/** Replies ok, whatever the answer. */
function plain(s: Socket, r: Result<Payload>): void {
  if (r.ok) ok(s);
  else failed(s, r.code, r.reason);
}
