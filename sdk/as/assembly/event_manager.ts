import { Flag } from "./abi";
import { From, call, cast, requestNotify } from "./call";
import { crash } from "./crash";
import { Code, Result, must } from "./error";
import { ASK_ADD, ASK_CALL, ASK_LIST, ASK_REMOVE, ASK_SYNC, HandlerSpec } from "./event_handler";
import { log } from "./host";
import { Body, Module, addModule, findModule, noModule } from "./module";
import { Payload } from "./payload";
import { NORMAL, PID, Ref, SHUTDOWN, SpawnOptions, exit, isCrash, trapExit } from "./process";
import { Fields, List, texts } from "./record";
import { Server, ServerBody } from "./server";
import { Job, spawnJob } from "./task";
import { now } from "./timer";

/**
 * OTP's event manager: a process that passes events to its handlers, of which each is a process of
 * its own, linked with the manager. A handler that crashes is removed, or restarted if
 * its HandlerSpec says so; the manager and the other handlers do not notice.
 *
 *   const moderation = new EventManager("moderation", [
 *     new HandlerSpec("strikes").restarted(),
 *     new HandlerSpec("audit"),
 *   ]);
 *   serveEvents("strikes", () => new Strikes());
 *   …
 *   tree([new Worker("moderation")]);
 *
 *   moderation.notify(event); // in any process
 *
 * Make it at the top level of a module.
 */
export class EventManager {
  /** The name or pid of the process. */
  readonly pid: PID;

  /**
   * Registers a module whose processes are event managers, which begin with these handlers. The methods
   * ask the one that is registered under the same name.
   */
  constructor(name: string, handlers: HandlerSpec[]) {
    this.pid = name;
    if (name != "") addModule(new ManagerModule(name, handlers));
  }

  /** Gives all handlers an event. It does not wait. */
  notify<T>(event: T): Code {
    return cast(this.pid, event);
  }

  /** Gives all handlers an event and waits until each has handled it, or crashed. */
  syncNotify<T>(event: T, timeout: i64 = 5000): Result<Payload> {
    return this.ask(ASK_SYNC, "", event, timeout);
  }

  /** Asks one handler's handleCall and waits for the answer. Code.NoProcess says that there is no such handler. */
  call<T>(id: string, question: T, timeout: i64 = 5000): Result<Payload> {
    return this.ask(ASK_CALL, id, question, timeout);
  }

  /**
   * Starts a handler and waits for its init. It fails with Code.Taken if there is one of the same id,
   * and with Code.Ended if init fails. A manager that is restarted begins without it.
   */
  add(h: HandlerSpec): Result<Payload> {
    const rest = new List().add(h.name).add(h.restart ? "restart" : "").add(h.args);
    return this.ask(ASK_ADD, h.id, rest.toPayload(), 5000);
  }

  /** Ends a handler, for the reason SHUTDOWN. It does not wait for its terminate. */
  remove(id: string): Result<Payload> {
    return this.ask(ASK_REMOVE, id, "", 5000);
  }

  /** The ids of the handlers, in the order in which they were added. */
  handlers(): Result<string[]> {
    const answer = this.ask(ASK_LIST, "", "", 5000);
    return new Result<string[]>(answer.code, answer.ok ? texts(answer.value) : null, answer.what, answer.reason);
  }

  private ask<T>(verb: string, id: string, rest: T, timeout: i64): Result<Payload> {
    const answer = call(this.pid, new List().add(verb).add(id).add(rest).toPayload(), timeout);
    if (!answer.ok) return answer;
    const fields = Fields.of(answer.value);
    const code = i32.parse(fields.nextText()) as Code;
    const value = new Payload();
    fields.next(value);
    if (code == Code.OK) return new Result<Payload>(Code.OK, value.copy());
    return new Result<Payload>(code, null, verb + " " + id, value.toString());
  }
}

class ManagerModule extends Module {
  constructor(name: string, private handlers: HandlerSpec[]) {
    super(name);
  }

  create(): Body {
    return new ServerBody(new Manager(this.handlers));
  }
}

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

  tellRemoved(reason: string): void {
    log("warn", "event handler " + this.spec.id + " is removed: " + reason);
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
  refs: Ref[] = []; // the requests that are not answered yet

  constructor(readonly from: From, readonly verb: string, readonly handler: Handler | null) {}
}

/** The process of an event manager. It never waits for a handler, whose answers come back as events. */
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

  /** Answers the methods of EventManager. */
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

  /** Takes the answer of a handler, or the reason why there is none. */
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
      if (reason != NORMAL && reason != SHUTDOWN) h.tellRemoved(reason); // a crash, or it has no module any more
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

  /**
   * Goes on with the same handlers, whichever the new version declares. Those whose module it does
   * not have are removed.
   */
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
    for (let i = this.handlers.length - 1; i >= 0; i--) {
      const h = this.handlers[i];
      if (findModule(h.spec.name)) continue;
      this.drop(h);
      h.tellRemoved(noModule(h.spec.name));
      exit(h.pid, SHUTDOWN); // or it has ended
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

/** Answers a question to the manager. */
function respond<T>(to: From, code: Code, rest: T): void {
  to.reply(new List().add((code as i32).toString()).add(rest).toPayload());
}
