import { Flag } from "./abi";
import { ASK_ADD, ASK_CALL, ASK_LIST, ASK_REMOVE, ASK_SYNC, HandlerSpec } from "./event_manager";
import { crash, log, now } from "./host";
import { Payload } from "./payload";
import {
  From, Job, PID, Ref, SHUTDOWN, SpawnOptions, cast, exit, isCrash, requestNotify, spawnJob, texts, trapExit,
} from "./process";
import { Fields, List } from "./record";
import { Code, Result, must } from "./result";
import { Server } from "./server";

/** How a manager writes its state. */
// @ts-ignore: decorator
@lazy
const SCHEMA = "rtd.EventManager 1";

const LIMIT = 3; // restarts of a handler …
const WITHIN: i64 = 5000; // … in so many milliseconds

/** A handler as its manager sees it. */
class Handler {
  pid: PID = "";
  crashes: i64[] = []; // when it was restarted lately

  constructor(readonly spec: HandlerSpec, public added: bool) {} // added: its first init went well

  start(flags: i32): Result<Job> {
    const options = new SpawnOptions();
    options.link = true;
    const job = spawnJob(this.spec.name, this.spec.args, options, flags);
    if (job.ok) this.pid = job.value.pid;
    return job;
  }

  mayRestart(): bool {
    const time = now();
    while (this.crashes.length > 0 && time - this.crashes[0] > WITHIN) this.crashes.shift();
    if (!this.spec.restart || !this.added || this.crashes.length == LIMIT) return false;
    this.crashes.push(time);
    return true;
  }
}

/** Somebody who waits for handlers. */
class Wait {
  refs: Ref[] = []; // what they were asked, and have not answered

  constructor(readonly from: From, readonly verb: string, readonly handler: Handler | null) {}
}

/** The process of an event manager. It never waits for a handler: what it asks one comes back as an event. */
export class Manager extends Server {
  private handlers: Handler[] = [];
  private waits: Map<Ref, Wait> = new Map();

  constructor(private declared: HandlerSpec[]) {
    super();
  }

  init(args: Payload): void {
    must(trapExit(true)); // to outlive handlers, which do not outlive the manager
    for (let i = 0; i < this.declared.length; i++) {
      const h = new Handler(this.declared[i], true);
      if (this.find(h.spec.id)) crash("two handlers " + h.spec.id + "; give one of them another id");
      h.start(0).value;
      this.handlers.push(h);
    }
  }

  /** Passes an event on. */
  handleCast(event: Payload): void {
    for (let i = 0; i < this.handlers.length; i++) {
      const h = this.handlers[i];
      if (cast(h.pid, event) != Code.OK) log("warn", "event handler " + h.spec.id + " misses an event");
    }
  }

  /** Does what the methods of EventManager ask for. */
  handleCall(from: From, question: Payload): void {
    const fields = Fields.of(question);
    const verb = fields.nextText();
    const h = this.find(fields.nextText());
    if (verb == ASK_SYNC) {
      this.ask(new Wait(from, verb, null), question, this.handlers);
    } else if (verb == ASK_LIST) {
      const ids = new List();
      for (let i = 0; i < this.handlers.length; i++) ids.add(this.handlers[i].spec.id);
      respond(from, Code.OK, ids.toPayload());
    } else if (verb == ASK_ADD) {
      if (h) respond(from, Code.Taken, "");
      else this.add(from, question);
    } else if (!h) {
      respond(from, Code.NoProcess, "");
    } else if (verb == ASK_CALL) {
      this.ask(new Wait(from, verb, h), question, [h]);
    } else if (verb == ASK_REMOVE) {
      this.drop(h);
      respond(from, exit(h.pid, SHUTDOWN), "");
    }
  }

  /** Passes a question on to handlers. */
  private ask(w: Wait, question: Payload, handlers: Handler[]): void {
    let code = Code.OK;
    for (let i = 0; i < handlers.length; i++) {
      const ref = requestNotify(handlers[i].pid, question);
      code = ref.code;
      if (!ref.ok) continue;
      this.expect(ref.value, w);
    }
    if (w.refs.length == 0) respond(w.from, w.verb == ASK_SYNC ? Code.OK : code, "");
  }

  private add(from: From, question: Payload): void {
    const fields = Fields.of(question);
    fields.nextText(); // the verb
    const spec = new HandlerSpec(fields.nextText());
    const rest = new Payload();
    fields.next(rest);
    const more = Fields.of(rest);
    spec.name = more.nextText();
    spec.restart = more.nextText() != "";
    more.next(rest);
    spec.args = rest.copy();

    const h = new Handler(spec, false);
    const job = h.start(Flag.Request | Flag.Notify);
    if (!job.ok) {
      respond(from, job.code, job.reason);
      return;
    }
    this.handlers.push(h);
    this.expect(job.value.ref, new Wait(from, ASK_ADD, h));
  }

  private expect(ref: Ref, w: Wait): void {
    this.waits.set(ref, w);
    w.refs.push(ref);
  }

  /** Takes what a handler answers, or that it has crashed instead. */
  handleReply(ref: Ref, answer: Result<Payload>): void {
    if (!this.waits.has(ref)) return;
    const w = this.waits.get(ref);
    this.waits.delete(ref);
    w.refs.splice(w.refs.indexOf(ref), 1);
    if (w.verb == ASK_SYNC) {
      if (w.refs.length == 0) respond(w.from, Code.OK, "");
      return;
    }
    const h = w.handler;
    if (w.verb == ASK_ADD && h) {
      h.added = answer.ok;
      if (!answer.ok) this.drop(h);
    }
    if (answer.ok) respond(w.from, Code.OK, answer.value);
    else respond(w.from, answer.code, answer.reason);
  }

  /** Restarts a handler that has ended, or removes it. */
  handleExit(pid: PID, reason: string): void {
    for (let i = 0; i < this.handlers.length; i++) {
      const h = this.handlers[i];
      if (h.pid != pid) continue;
      if (isCrash(reason) && h.mayRestart()) {
        const job = h.start(0);
        if (job.ok) return;
        reason = job.error;
      }
      this.drop(h);
      if (isCrash(reason)) log("warn", "event handler " + h.spec.id + " is removed: " + reason);
      return;
    }
  }

  /** The handlers, and who waits for them. The handlers themselves are processes that move on their own. */
  exportState(): Payload | null {
    const handlers = new List();
    for (let i = 0; i < this.handlers.length; i++) {
      const h = this.handlers[i];
      handlers.add(h.spec.id).add(h.spec.name).add(h.spec.args).add(h.spec.restart ? "restart" : "");
      handlers.add(h.pid).add(h.added ? "added" : "");
    }
    const waits = new List();
    const refs = this.waits.keys();
    for (let i = 0; i < refs.length; i++) {
      const w = this.waits.get(refs[i]);
      if (w.refs[0] != refs[i]) continue; // it is written with another one
      const handler = w.handler;
      waits.add(w.from.token).add(w.verb).add(handler ? handler.spec.id : "").add(listOf(w.refs));
    }
    return new List().add(SCHEMA).add(handlers.toPayload()).add(waits.toPayload()).toPayload();
  }

  /** Goes on with the same handlers, whichever the new version declares. */
  importState(schema: string, state: Payload): bool {
    const fields = Fields.of(state);
    if (fields.nextText() != SCHEMA) return false;
    const list = new Payload();
    fields.next(list);
    const handlers = texts(list);
    for (let i = 0; i + 6 <= handlers.length; i += 6) {
      const spec = new HandlerSpec(handlers[i]).module(handlers[i + 1]).arguments(handlers[i + 2]);
      spec.restart = handlers[i + 3] != "";
      const h = new Handler(spec, handlers[i + 5] != "");
      h.pid = handlers[i + 4];
      this.handlers.push(h);
    }
    fields.next(list);
    const waits = Fields.of(list);
    while (waits.more) {
      const from = new From(waits.nextText());
      const verb = waits.nextText();
      const w = new Wait(from, verb, this.find(waits.nextText()));
      waits.next(list);
      const refs = texts(list);
      for (let i = 0; i < refs.length; i++) this.expect(refs[i], w);
    }
    return true;
  }

  private find(id: string): Handler | null {
    for (let i = 0; i < this.handlers.length; i++) {
      if (this.handlers[i].spec.id == id) return this.handlers[i];
    }
    return null;
  }

  private drop(h: Handler): void {
    const i = this.handlers.indexOf(h);
    if (i >= 0) this.handlers.splice(i, 1);
  }
}

function listOf(texts: string[]): Payload {
  const list = new List();
  for (let i = 0; i < texts.length; i++) list.add(texts[i]);
  return list.toPayload();
}

/** Answers what was asked. */
function respond<T>(to: From, code: Code, rest: T): void {
  to.reply(new List().add((code as i32).toString()).add(rest).toPayload());
}
