// These functions work in every process, not only in channels. Their effects happen when the event
// at hand has been handled.
import { Effect } from "./abi";
import { crash } from "./crash";
import { Code, textOf } from "./error";
import { attempt, effect } from "./host";

/**
 * Sends a message to everybody on a topic: to the clients that have joined it, and to the
 * processes that have subscribed to it. The payload is one as of Socket.push. It fails with
 * Code.Denied unless the topic is the channel's own, or one that a join would bring to this plugin
 * now, or one of grants in the plugin's table of the server's config.
 */
export function publish<T>(topic: string, event: string, payload: T): Code {
  return attempt(Effect.Publish, event, payload, topic);
}

/**
 * Lets this process's handleBroadcast get the broadcasts of a topic, until unsubscribe or the end of
 * the process; a process that is restarted subscribes again. It fails as publish does. To subscribe
 * twice is to subscribe once. While another plugin serves the topic, no broadcast comes.
 */
export function subscribe(topic: string): Code {
  return attempt(Effect.Subscribe, topic, "");
}

/** Takes back a subscribe. */
export function unsubscribe(topic: string): void {
  effect(Effect.Unsubscribe, topic, "");
}

/**
 * Ends all connections whose Conn was given this id. The clients reconnect, and the function of onConnect
 * decides again.
 * Ask for it with disconnect = true in [capabilities] of rtd.toml; the server grants it with
 * allows = ["disconnect"] in [plugin.NAME] of its config. Without the grant the process crashes.
 */
export function disconnect(id: string): void {
  const code = attempt(Effect.Disconnect, id, "");
  if (code == Code.Denied) {
    crash('disconnect: not granted; it needs disconnect = true in [capabilities] of rtd.toml, and allows = ["disconnect"] in [plugin.NAME] of the server\'s config');
  }
  if (code != Code.OK) crash("disconnect " + id + ": " + textOf(code));
}
