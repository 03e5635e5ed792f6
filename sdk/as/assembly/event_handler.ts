import { Effect, Event, Flag } from "./abi";
import { From } from "./call";
import { exported } from "./callbacks";
import { crash } from "./crash";
import { operate } from "./host";
import { Body, Module, addModule } from "./module";
import { Payload } from "./payload";
import { Fields, Record } from "./record";
import { Server, begin } from "./server";

/** Describes a handler of a manager. */
export class HandlerSpec {
  name: string;
  args: Payload = new Payload();
  restart: bool = false;

  /** The id is unique within the manager. The handler is of the module of the same name. */
  constructor(readonly id: string) {
    this.name = id;
  }

  /** Makes it a handler of another module, which serveEvents registers. */
  module(name: string): HandlerSpec {
    this.name = name;
    return this;
  }

  /** Gives its init these arguments. */
  arguments(args: string): HandlerSpec {
    this.args = Payload.of(args);
    return this;
  }

  /** Start it again after a crash; after more than 3 in 5 s it is removed. */
  restarted(): HandlerSpec {
    this.restart = true;
    return this;
  }
}

/**
 * The code of one handler. Its handleCall gets the questions of EventManager.call. With stop it removes
 * itself.
 *
 * It moves to the next version of the plugin with its place, pid, id and arguments: with its state if
 * exportState gives one, else without, by init. If the next version does not have its module it is removed.
 */
export abstract class EventHandler extends Server {
  /** Takes an event. */
  handleEvent(event: Payload): void {}
}

/** Registers a module whose processes handle events. */
export function serveEvents(name: string, create: () => EventHandler): void {
  addModule(new HandlerModule(name, create));
}

// A question to a manager, and of a manager to a handler, is a field with one of these, a field with
// the handler's id, and one with the rest. The answer is a field with a Code, and one with the rest or
// a reason.
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
    } else if (e.kind == Event.Export) {
      // Without a state nothing is lost: init again.
      if (!exported(this.handler)) operate(Effect.State, "", "", "", Flag.Replay);
    } else {
      begin(this.handler, e);
    }
  }
}
