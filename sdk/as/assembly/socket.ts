import { Effect } from "./abi";
import { effect } from "./host";
import { Payload } from "./payload";
import { Member, Presence } from "./presence";

/**
 * The channel's side of a client that joined. It is valid until the client leaves or the process
 * ends: keep it to push from other methods.
 *
 * A payload is a string with JSON, a JsonObject, a Payload as it came, or, as binary, a Uint8Array or
 * ArrayBuffer; of binary ones topics and the names of events are at most 255 bytes long. A reply's
 * JSON is any value, the others are objects; "" stands for {}. Effects happen when the event at hand
 * has been handled, in order.
 */
export class Socket extends Member {
  constructor(
    /** The topic that the client has joined. */
    readonly topic: string,
    /** Tells the members of a TopicChannel apart, the same after a crash; "" in a Channel. */
    member: string,
    /** The assigns that the function of onConnect gave the client's connection; empty if it gave none. */
    readonly assigns: Payload,
    /**
     * Whether the client joined earlier and does not know of this call of join: the process was
     * restarted after a crash, or moved to a new version of the plugin. Do not greet twice.
     */
    readonly replay: bool,
  ) {
    super(member);
  }

  /**
   * Answers the message or join at hand, whichever client's it is. status is "ok" or "error" by
   * convention. A message has one reply, or none. In join, any status but "ok" refuses.
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

  /**
   * Sends a message to everybody on the topic but this client. If its user has joined on other
   * connections, those get it.
   */
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

  /**
   * Stands for the client that waits for a reply to the message at hand, so that it can be replied to
   * during a later event; do not call reply then. It is Phoenix's socket_ref.
   */
  ref(): SocketRef {
    return new SocketRef(atHand.token.toString());
  }

  /** Says who is present in the topic joined, and makes this client present there. */
  get presence(): Presence {
    return new Presence(this.topic, this.member);
  }

  /**
   * Tells this client who is in the topic joined, by presence_state; the presence_diff that follow
   * keep it up to date. Call it in join, after track. The host makes the list when the event has
   * been handled: however long it is, it does not enter the plugin.
   */
  pushPresence(): void {
    effect(Effect.Present, "", "", this.member);
  }
}

/**
 * Stands for a client that waits for a reply. It is good for one reply, by the process that got the
 * message. A reply that nobody waits for goes nowhere: one to a join, to a message without a ref, or
 * to a client that has left.
 */
export class SocketRef {
  constructor(readonly token: string) {}

  /** Answers the message. */
  reply<T>(status: string, response: T): void {
    if (this.token != "") effect(Effect.Reply, status, response, this.token);
  }
}

/** The parts of the event at hand that a socket needs. */
class AtHand {
  token: Payload = new Payload();
  refused: bool = false; // a join
  rejoining: bool = false; // members join again; their clients wait for no reply
}

export const atHand = new AtHand();
