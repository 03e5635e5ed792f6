import { Effect } from "./abi";
import { crash } from "./crash";
import { effect } from "./host";
import { JsonObject } from "./json";
import { findModule } from "./module";

/**
 * Declares the processes and supervisors that the plugin consists of. They are started in this order,
 * before any channel, and stopped in reverse order, each under the supervisor that has it among its
 * children. The outermost ones are children of the plugin, whose strategy and intensity are in its table
 * of the server's config.
 *
 *   tree([
 *     new Worker("registry"),
 *     new Supervisor("mail", [new Worker("queue"), new Worker("sender").shutdown(30_000)]).strategy(ONE_FOR_ALL),
 *     new Dynamic("previews").restart(TEMPORARY),
 *   ]);
 */
export function tree(list: Child[]): void {
  for (let i = 0; i < list.length; i++) children.push(list[i]);
}

/** A child of the tree. */
export abstract class Child {
  /** The id of the process or supervisor, by which the tree and the log call it. */
  id: string = "";
  abstract announce(under: string): void;
}

/** The children of the plugin itself. */
export const children: Child[] = [];

/** When a process is restarted: always; the default. */
// @ts-ignore: decorator
@lazy
export const PERMANENT = "permanent";
/** When a process is restarted: after a crash. */
// @ts-ignore: decorator
@lazy
export const TRANSIENT = "transient";
/** When a process is restarted: never. */
// @ts-ignore: decorator
@lazy
export const TEMPORARY = "temporary";

/** Which children of a supervisor are restarted when one of them crashes: that one; the default. */
// @ts-ignore: decorator
@lazy
export const ONE_FOR_ONE = "one_for_one";
/** Which children of a supervisor are restarted when one of them crashes: all. */
// @ts-ignore: decorator
@lazy
export const ONE_FOR_ALL = "one_for_all";
/** Which children of a supervisor are restarted when one of them crashes: that one and those declared after it. */
// @ts-ignore: decorator
@lazy
export const REST_FOR_ONE = "rest_for_one";

/** A process that is there as long as its supervisor. */
export class Worker extends Child {
  private spec: JsonObject = new JsonObject();
  private args: string = "";
  private what: string;

  /** A process of the module of the same name, registered under it, permanent, with 5 seconds to end. */
  constructor(id: string) {
    super();
    this.id = id;
    this.what = id;
  }

  /** Makes it a process of another module. */
  module(name: string): Worker {
    this.what = name;
    this.spec.set("module", name);
    return this;
  }

  /** Registers it under another name; "" is none. */
  name(name: string): Worker {
    this.spec.set("name", name);
    return this;
  }

  /** Gives its init these arguments. */
  arguments(args: string): Worker {
    this.args = args;
    return this;
  }

  /** Says when it is restarted. */
  restart(type: string): Worker {
    this.spec.set("restart", type);
    return this;
  }

  /** Says how many milliseconds it may take to end; 0 kills it at once. The default is 5,000. */
  shutdown(milliseconds: i32): Worker {
    this.spec.set("shutdown", milliseconds);
    return this;
  }

  announce(under: string): void {
    if (!findModule(this.what)) {
      crash("child " + this.id + ": no module " + this.what + "; register it, for example with serve");
    }
    if (under != "") this.spec.set("under", under);
    effect(Effect.Child, this.id, this.args, this.spec.toString());
  }
}

/** Restarts its children. When they crash too often, it ends, and is restarted with all of them. */
export class Supervisor extends Child {
  private spec: JsonObject = new JsonObject().set("type", "supervisor");

  constructor(id: string, private children: Child[]) {
    super();
    this.id = id;
  }

  /** Says which children are restarted. */
  strategy(name: string): Supervisor {
    this.spec.set("strategy", name);
    return this;
  }

  /** More than so many restarts in so many seconds are too often. The default is 3 in 5. */
  intensity(restarts: i32, seconds: i32): Supervisor {
    this.spec.set("max_restarts", restarts).set("max_seconds", seconds);
    return this;
  }

  announce(under: string): void {
    if (under != "") this.spec.set("under", under);
    effect(Effect.Child, this.id, "", this.spec.toString());
    for (let i = 0; i < this.children.length; i++) this.children[i].announce(this.id);
  }
}

/** Supervises processes that are started later, with spawn or as a Task. Restarts are counted for each of them. */
export class Dynamic extends Child {
  private spec: JsonObject = new JsonObject().set("type", "dynamic");

  constructor(id: string) {
    super();
    this.id = id;
  }

  /** Says when each of them is restarted. */
  restart(type: string): Dynamic {
    this.spec.set("restart", type);
    return this;
  }

  /** Says how many milliseconds each of them may take to end; 0 kills it at once. The default is 5,000. */
  shutdown(milliseconds: i32): Dynamic {
    this.spec.set("shutdown", milliseconds);
    return this;
  }

  /** More than so many restarts of one process in so many seconds are too often. The default is 3 in 5. */
  intensity(restarts: i32, seconds: i32): Dynamic {
    this.spec.set("max_restarts", restarts).set("max_seconds", seconds);
    return this;
  }

  announce(under: string): void {
    if (under != "") this.spec.set("under", under);
    effect(Effect.Child, this.id, "", this.spec.toString());
  }
}
