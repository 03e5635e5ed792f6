import { Effect } from "./abi";
import { crash, effect } from "./host";
import { JsonObject } from "./json";
import { Child, plugin } from "./plugin";

/**
 * Declares the processes that the plugin consists of. They are started in this order,
 * before any channel handler, and stopped in reverse order, each under the supervisor
 * among whose children it is. The outermost ones are the plugin's own: strategy and
 * intensity are those of its table in the server's config.
 *
 *   tree([
 *     new Worker("registry"),
 *     new Supervisor("mail", [new Worker("queue"), new Worker("sender").shutdown(30_000)]).strategy(ONE_FOR_ALL),
 *     new Dynamic("previews").restart(TEMPORARY),
 *   ]);
 */
export function tree(children: Child[]): void {
  for (let i = 0; i < children.length; i++) plugin.children.push(children[i]);
}

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

/** Which children are restarted with one that is: none; the default. */
// @ts-ignore: decorator
@lazy
export const ONE_FOR_ONE = "one_for_one";
/** Which children are restarted with one that is: all. */
// @ts-ignore: decorator
@lazy
export const ONE_FOR_ALL = "one_for_all";
/** Which children are restarted with one that is: those declared after it. */
// @ts-ignore: decorator
@lazy
export const REST_FOR_ONE = "rest_for_one";

/** A process that is there as long as its supervisor. */
export class Worker extends Child {
  private spec: JsonObject = new JsonObject();
  private args: string = "";
  private what: string;

  /** It is of the module of the same name as its id, and registered under it. */
  constructor(id: string) {
    super();
    this.id = id;
    this.what = id;
  }

  /** What it is. */
  module(name: string): Worker {
    this.what = name;
    this.spec.set("module", name);
    return this;
  }

  /** What it is registered as; "" for nothing. */
  name(name: string): Worker {
    this.spec.set("name", name);
    return this;
  }

  /** What its init gets. */
  arguments(args: string): Worker {
    this.args = args;
    return this;
  }

  restart(type: string): Worker {
    this.spec.set("restart", type);
    return this;
  }

  /** How many milliseconds it may take to end; 0 kills at once. The default is 5,000. */
  shutdown(milliseconds: i32): Worker {
    this.spec.set("shutdown", milliseconds);
    return this;
  }

  announce(under: string): void {
    if (!plugin.module(this.what)) {
      crash("child " + this.id + ": no module " + this.what + "; register it, for example with serve");
    }
    if (under != "") this.spec.set("under", under);
    effect(Effect.Child, this.id, this.args, this.spec.toString());
  }
}

/** Restarts its children, or itself ends and is restarted with all of them, when they crash too often. */
export class Supervisor extends Child {
  private spec: JsonObject = new JsonObject().set("type", "supervisor");

  constructor(id: string, private children: Child[]) {
    super();
    this.id = id;
  }

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

/** Supervises processes that are started later, with spawn or as a Task. */
export class Dynamic extends Child {
  private spec: JsonObject = new JsonObject().set("type", "dynamic");

  constructor(id: string) {
    super();
    this.id = id;
  }

  /** When each is restarted. */
  restart(type: string): Dynamic {
    this.spec.set("restart", type);
    return this;
  }

  /** How many milliseconds each may take to end, as a Worker's. */
  shutdown(milliseconds: i32): Dynamic {
    this.spec.set("shutdown", milliseconds);
    return this;
  }

  /** As a Supervisor's, counted for each of them. */
  intensity(restarts: i32, seconds: i32): Dynamic {
    this.spec.set("max_restarts", restarts).set("max_seconds", seconds);
    return this;
  }

  announce(under: string): void {
    if (under != "") this.spec.set("under", under);
    effect(Effect.Child, this.id, "", this.spec.toString());
  }
}
