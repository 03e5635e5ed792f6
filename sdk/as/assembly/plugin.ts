// All that a plugin registers. It is complete when start is over, and the same in every instance.
import { Effect } from "./abi";
import { routes } from "./channel";
import { decider } from "./connect";
import { Keep } from "./history";
import { effect } from "./host";
import { JsonObject } from "./json";
import { schema } from "./migrate";
import { Payload } from "./payload";
import { Record } from "./record";
import { children } from "./supervisor";

const starts: ((config: Payload) => void)[] = [];
const stops: (() => void)[] = [];
const depends: string[] = [];
const remembered: string[] = [];
const kept: string[] = [];
const howMuch: Keep[] = [];

/**
 * Registers a function that runs once for each version of the plugin, before anything else, with the
 * plugin's table of the server's config as a JSON object: "{}" if there is none. All instances begin
 * with the memory that it leaves. A crash stops the deploy. Like all functions that register something,
 * call it at the top level of a module.
 */
export function onStart(f: (config: Payload) => void): void {
  starts.push(f);
}

/**
 * Registers a function that runs once when the plugin has ended, after all of its processes, in an
 * instance of its own that begins like every other. Of several
 * the last registered runs first.
 */
export function onStop(f: () => void): void {
  stops.push(f);
}

/**
 * Says that another plugin must run before this one starts. Processes of this one reach
 * its processes as "plugin/name".
 */
export function dependsOn(name: string): void {
  depends.push(name);
}

/**
 * Says what is to be remembered over crashes, standing still and restarts of the server: topics of handleTopic,
 * "doc:*" or "doc:1", or processes by their names, "process:counter" or "process:*". All of the program's memory is. See
 * sdk/durable.md for what is promised.
 *
 * A process that goes on has no second init. A TopicChannel is told what has changed in its absence: leave, for
 * each member that has gone, and join for each that it does not know.
 */
export function durable(pattern: string): void {
  remembered.push(pattern);
}

/**
 * Says that the broadcasts of topics which the plugin serves, "room:*" or "room:1", are kept for a while: whoever
 * comes back is told what it missed, and history reads them. Of several patterns that match a topic the first counts,
 * and those of history in the plugin's table of the server's config come first. See sdk/recovery.md.
 */
export function keepHistory(pattern: string, keep: Keep = new Keep()): void {
  kept.push(pattern);
  howMuch.push(keep);
}

/** Describes the plugin to the host, in the event start. */
export function start(e: Record): void {
  for (let i = 0; i < starts.length; i++) starts[i](e.payload);
  for (let i = 0; i < routes.length; i++) {
    effect(Effect.Handles, routes[i].pattern, "", routes[i].scope);
  }
  for (let i = 0; i < depends.length; i++) effect(Effect.Depends, depends[i], "");
  for (let i = 0; i < remembered.length; i++) effect(Effect.Durable, remembered[i], "");
  for (let i = 0; i < kept.length; i++) {
    const k = howMuch[i];
    const spec = new JsonObject().set("messages", k.messages).set("bytes", k.bytes).set("age", k.age).set("durable", k.durable);
    effect(Effect.History, kept[i], "", spec.toString());
  }
  if (stops.length > 0) effect(Effect.Wants, "stop", "");
  if (decider) effect(Effect.Wants, "connect", "");
  if (schema) effect(Effect.Wants, "export", "");
  for (let i = 0; i < children.length; i++) children[i].announce("");
}

/** Runs the functions of onStop. */
export function end(): void {
  for (let i = stops.length - 1; i >= 0; i--) stops[i]();
}
