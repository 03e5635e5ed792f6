import { Effect } from "./abi";
import { effect } from "./host";
import { Payload } from "./payload";
import { Presence } from "./presence";

/**
 * The handler's side of a client that joined. It is valid until the client leaves or the
 * process ends: keep it to push from other handlers.
 *
 * What is sent is a string with JSON, a JsonObject, a Payload as it came, or, as binary, a
 * Uint8Array or ArrayBuffer. A reply's JSON is any value, the others are objects; ""
 * stands for {}. All of it happens when the event at hand has been handled, in order.
 */
export class Socket {
  constructor(
    /** The topic joined. */
    readonly topic: string,
    /** Tells the members of a TopicChannel apart, the same after a crash; "" in a Channel. */
    readonly member: string,
    /** What the function of onConnect assigned to the client's connection; empty if that was nothing. */
    readonly assigns: Payload,
    /**
     * Whether the client joined earlier and does not know of this call of join: the process was
     * restarted after a crash, or moved to a new version of the plugin. Do not greet twice.
     */
    readonly replay: bool,
  ) {}

  /**
   * Answers the message or join at hand, whoever's it is. status is "ok" or "error" by
   * convention. There is one reply to a message; none is fine as well. In join, any
   * status but "ok" refuses.
   */
  reply<T>(status: string, response: T): void {
    if (atHand.rejoining) return; // nobody waits
    if (status != "ok") atHand.refused = true;
    effect(Effect.Reply, status, response);
  }

  /** Sends a message to this client alone. */
  push<T>(event: string, payload: T): void {
    effect(Effect.Push, event, payload, this.member);
  }

  /** Sends a message to everybody on the topic, this client included. */
  broadcast<T>(event: string, payload: T): void {
    effect(Effect.Broadcast, event, payload);
  }

  /** Sends a message to everybody on the topic but this client. */
  broadcastFrom<T>(event: string, payload: T): void {
    effect(Effect.BroadcastFrom, event, payload, this.member);
  }

  /**
   * In join: broadcasts of this event on the topic go to handleOut instead of to the
   * client, or, of a TopicChannel, to all of its members.
   */
  intercept(event: string): void {
    effect(Effect.Intercept, event, "");
  }

  /** Who waits for a reply to the message at hand, for a reply during a later event; do not call reply then. */
  ref(): SocketRef {
    return new SocketRef(atHand.token.toString());
  }

  /** Who is in the topic. */
  get presence(): Presence {
    return new Presence(this.topic);
  }

  /**
   * Tells this client who is in the topic, by presence_state; the presence_diff that follow keep
   * it up to date. Call it in join, behind the track of who has joined. The host makes the
   * list when the event has been handled: however many there are, they do not enter
   * the plugin.
   */
  pushPresence(): void {
    effect(Effect.Present, "", "", this.member);
  }
}

/**
 * Who waits for a reply, as Phoenix's socket_ref. It is good for one reply, by the
 * process that got the message. What is replied to a message whose sender does not wait,
 * or has left, goes nowhere.
 */
export class SocketRef {
  constructor(readonly token: string) {}

  reply<T>(status: string, response: T): void {
    if (this.token != "") effect(Effect.Reply, status, response, this.token);
  }
}

/** What a socket has to know of the event at hand. */
class AtHand {
  token: Payload = new Payload();
  refused: bool = false; // a join
  rejoining: bool = false; // members join again; their clients wait for no reply
}

export const atHand = new AtHand();
