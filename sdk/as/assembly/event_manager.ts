import { Event } from "./abi";
import { crash } from "./host";
import { Payload } from "./payload";
import { Body, Module, addModule } from "./plugin";
import { From, PID, call, cast, texts } from "./process";
import { Fields, List, Record } from "./record";
import { Code, Result } from "./result";
import { Server, ServerBody, begin } from "./server";
import { Manager } from "./manager";

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

  /** Registers a module whose processes are event managers, and is the one registered under the same name. */
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

  /** Asks the handleCall of one handler. Code.NoProcess says that there is no such handler. */
  call<T>(id: string, question: T, timeout: i64 = 5000): Result<Payload> {
    return this.ask(ASK_CALL, id, question, timeout);
  }

  /**
   * Starts a handler and waits for its init. Code.Taken says that there is one of the same
   * id, Code.Ended that its init failed. What is added so is not there any more when the
   * manager has been restarted.
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

/** Describes a handler of a manager. */
export class HandlerSpec {
  name: string;
  args: Payload = new Payload();
  restart: bool = false;

  /** The id is unique within the manager. The handler is of the module of the same name. */
  constructor(readonly id: string) {
    this.name = id;
  }

  /** What it is, as registered with serveEvents. */
  module(name: string): HandlerSpec {
    this.name = name;
    return this;
  }

  /** What its init gets. */
  arguments(args: string): HandlerSpec {
    this.args = Payload.of(args);
    return this;
  }

  /** Starts it again after a crash; after more than 3 crashes in 5 seconds it is removed. */
  restarted(): HandlerSpec {
    this.restart = true;
    return this;
  }
}

/** The code of one handler. Its handleCall gets what EventManager.call asks. With stop it removes itself. */
export abstract class EventHandler extends Server {
  handleEvent(event: Payload): void {}
}

/** Registers a module whose processes handle events. */
export function serveEvents(name: string, create: () => EventHandler): void {
  addModule(new HandlerModule(name, create));
}

// What a manager is asked, and a handler by its manager: a field with one of these, a
// field with the handler's id, and one with the rest. The answer is a field with a
// Code, and one with the rest or a reason.
// @ts-ignore: decorator
@lazy
export const ASK_SYNC = "sync";
// @ts-ignore: decorator
@lazy
export const ASK_CALL = "call";
// @ts-ignore: decorator
@lazy
export const ASK_ADD = "add";
// @ts-ignore: decorator
@lazy
export const ASK_REMOVE = "remove";
// @ts-ignore: decorator
@lazy
export const ASK_LIST = "list";

class ManagerModule extends Module {
  constructor(name: string, private handlers: HandlerSpec[]) {
    super(name);
  }

  create(): Body {
    return new ServerBody(new Manager(this.handlers));
  }
}

class HandlerModule extends Module {
  constructor(name: string, private make: () => EventHandler) {
    super(name);
  }

  create(): Body {
    return new HandlerBody(this.make());
  }
}

/** The process of one handler. */
class HandlerBody extends Body {
  constructor(private handler: EventHandler) {
    super();
  }

  handle(e: Record): void {
    if (e.kind == Event.Cast) {
      this.handler.handleEvent(e.payload);
    } else if (e.kind == Event.Call) {
      const fields = Fields.of(e.payload);
      const verb = fields.nextText();
      fields.nextText(); // its own id
      const rest = new Payload();
      fields.next(rest);
      const from = new From(e.name.toString());
      if (verb == ASK_CALL) {
        this.handler.handleCall(from, rest);
      } else if (verb == ASK_SYNC) {
        this.handler.handleEvent(rest);
        from.reply("");
      } else {
        crash("a call past the event manager; use its method call");
      }
    } else {
      begin(this.handler, e);
    }
  }
}
