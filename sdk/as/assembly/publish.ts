// What follows works in every process, not only in channels. It happens when the event at
// hand has been handled.
import { Effect } from "./abi";
import { attempt, effect } from "./host";
import { Code } from "./result";

/**
 * Sends a message to everybody on a topic: to the clients that have joined it, and to the
 * processes that have subscribed to it. What can be sent is as for Socket.push. It fails
 * with Code.Denied if the topic is none that the plugin serves and was not granted to it
 * in the server's config either.
 */
export function publish<T>(topic: string, event: string, payload: T): Code {
  return attempt(Effect.Publish, event, payload, topic);
}

/**
 * Lets handleBroadcast get what is broadcast or published to a topic, until unsubscribe or
 * the end of the process; a process that is restarted subscribes again. It fails as
 * publish does.
 */
export function subscribe(topic: string): Code {
  return attempt(Effect.Subscribe, topic, "");
}

export function unsubscribe(topic: string): void {
  effect(Effect.Unsubscribe, topic, "");
}

/** Ends all connections that onConnect has given this id. The clients reconnect, and it decides again. */
export function disconnect(id: string): void {
  effect(Effect.Disconnect, id, "");
}
