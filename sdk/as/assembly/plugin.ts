// What a plugin consists of, and which part of it takes an event.
import { Effect, Event } from "./abi";
import { collect } from "./gc";
import { crash, effect } from "./host";
import { Payload } from "./payload";
import { setSelf } from "./process";
import { Record } from "./record";
import { reseed } from "./runtime";

/** The code of a process. */
export abstract class Body {
  abstract handle(e: Record): void;
}

/** What a process can be, by its name. */
export abstract class Module {
  constructor(readonly name: string) {}
  abstract create(): Body;
}

/** A topic pattern, and what handles its topics. */
export abstract class Route {
  constructor(readonly pattern: string, readonly scope: string) {}
  abstract create(topic: string): Body;

  matches(topic: string): bool {
    const prefix = this.pattern.length - 1;
    if (!this.pattern.endsWith("*")) return topic == this.pattern;
    return topic.length >= prefix && topic.startsWith(this.pattern.substring(0, prefix));
  }
}

/** A child of the tree. */
export abstract class Child {
  /** The id of the process or supervisor, by which the tree and the log call it. */
  id: string = "";
  abstract announce(under: string): void;
}

/** It is complete when start is over, and the same in every instance. */
class Plugin {
  starts: ((config: Payload) => void)[] = [];
  stops: (() => void)[] = [];
  connect: ((e: Record) => void) | null = null;
  schema: string | null = null;
  depends: string[] = [];
  routes: Route[] = [];
  children: Child[] = [];
  modules: Module[] = [];

  module(name: string): Module | null {
    for (let i = 0; i < this.modules.length; i++) {
      if (this.modules[i].name == name) return this.modules[i];
    }
    return null;
  }
}

export const plugin = new Plugin();

/**
 * Registers a function that runs once for a version of the plugin, before anything else, with the
 * config table as JSON. All instances begin with the memory that it leaves. A crash stops
 * the deploy. Like all that registers something, call it at the top level of a module.
 */
export function onStart(f: (config: Payload) => void): void {
  plugin.starts.push(f);
}

/**
 * Registers a function that runs once when the plugin has ended, after all of its processes, in an
 * instance of its own that begins like every other. Of several the last runs first.
 */
export function onStop(f: () => void): void {
  plugin.stops.push(f);
}

/**
 * Says that another plugin must run before this one starts. Processes of this one reach
 * its processes as "plugin/name".
 */
export function dependsOn(name: string): void {
  plugin.depends.push(name);
}

/**
 * Says that the processes of this plugin hand their state on to its next version, with
 * exportState and importState, and in which schema this version writes it.
 */
export function migrates(schema: string): void {
  plugin.schema = schema;
}

/** Registers a module. */
export function addModule(module: Module): void {
  if (plugin.module(module.name)) crash("module " + module.name + " is registered twice; rename one of them");
  plugin.modules.push(module);
}

/** The one process that the instance is, from its first event on. */
let body: Body | null = null;

/** Takes one event of this instance. */
export function dispatch(e: Record): void {
  switch (e.kind) {
    case Event.Start:
      start(e);
      return;
    case Event.Stop:
      for (let i = plugin.stops.length - 1; i >= 0; i--) plugin.stops[i]();
      return;
    case Event.Idle:
      collect();
      return;
    case Event.Connect: {
      reseed();
      const connect = plugin.connect;
      if (connect) connect(e);
      return;
    }
    case Event.Init:
      setSelf(e.detail.toString());
    case Event.Join:
    case Event.Members:
    case Event.Import:
      if (!body) {
        reseed();
        body = create(e);
      }
  }
  const b = body;
  if (b) b.handle(e);
  else if (e.kind < Event.Stop) crash("an event before join or init");
}

function create(e: Record): Body {
  const name = e.name.toString();
  if (e.kind == Event.Init || e.kind == Event.Import) {
    const module = plugin.module(name);
    if (module) return module.create();
    if (e.kind == Event.Init) crash("no module " + name + "; register it, for example with serve");
  }
  const routes = plugin.routes;
  if (routes.length == 0) crash("no channel; call handle or handleTopic");
  for (let i = 0; i < routes.length; i++) {
    if (routes[i].matches(name)) return routes[i].create(name);
  }
  return routes[0].create(name); // the server's config gives the plugin other topics
}

function start(e: Record): void {
  for (let i = 0; i < plugin.starts.length; i++) plugin.starts[i](e.payload);
  for (let i = 0; i < plugin.routes.length; i++) {
    effect(Effect.Handles, plugin.routes[i].pattern, "", plugin.routes[i].scope);
  }
  for (let i = 0; i < plugin.depends.length; i++) effect(Effect.Depends, plugin.depends[i], "");
  if (plugin.stops.length > 0) effect(Effect.Wants, "stop", "");
  if (plugin.connect) effect(Effect.Wants, "connect", "");
  if (plugin.schema) effect(Effect.Wants, "export", "");
  for (let i = 0; i < plugin.children.length; i++) plugin.children[i].announce("");
}
