import { Event, Flag } from "./abi";
import { Process, takeOver, tell } from "./callbacks";
import { crash } from "./crash";
import { Body } from "./module";
import { Payload } from "./payload";
import { Fields, Record, texts } from "./record";
import { Socket, atHand } from "./socket";

/**
 * Handles one client's join of one topic. Its methods are called one at a time. A channel is a process
 * like any other: it can call, spawn, monitor and so on, and override the methods of Process.
 *
 *   class Room extends Channel {
 *     handleIn(s: Socket, event: string, payload: Payload): void {
 *       s.broadcast(event, payload);
 *     }
 *   }
 *   handle("room:*", () => new Room());
 */
export abstract class Channel extends Process {
  /** The client; of a TopicChannel, the topic, to which it can broadcast. It is set before join. */
  socket: Socket = nobody;

  /**
   * Decides whether the client may join. It accepts, with the response given to s.reply("ok", …) if
   * any; it refuses if it calls s.reply with another status. Pushes and broadcasts made here
   * follow the reply.
   */
  join(s: Socket, payload: Payload): void {}

  /** Takes a message that the client pushed. The payload is JSON text, or any bytes if isBinary. */
  handleIn(s: Socket, event: string, payload: Payload): void {}

  /**
   * Takes a broadcast of an event that s.intercept has named: push it to the client, changed or not, or
   * do not. A broadcast by broadcastFrom of this client does not come here.
   *
   * A TopicChannel gets each broadcast once, and pushes to its members. Here s is the one that
   * broadcastFrom leaves out, or one that is no member's.
   */
  handleOut(s: Socket, event: string, payload: Payload): void {}

  /**
   * Is told that the client's connection has broken, if linger in the plugin's table of the server's config has the channel
   * stay for that, and wantBack was called: the reason is "closed", or "taken_over" if the client came back before the
   * connection was noticed to be broken. What is pushed from now on is kept, up to 100 pushes and 64 KiB, until
   * the client is back; more ends the process, as the time of linger does. See sdk/recovery.md.
   */
  away(s: Socket, reason: string): void {}

  /**
   * Decides, as join does, whether the client may come back, if wantBack was called: the payload and s.assigns are those of the new
   * join and connection. To call s.reply with another status than "ok" refuses this attempt, and the channel waits on.
   */
  back(s: Socket, payload: Payload): void {}
}

/**
 * Handles all joins of one topic, its members. The methods get the member at hand. After a crash, join
 * runs again for every member, in the order in which they joined; see Socket.replay. None can be
 * refused then. One that is durable still knows its members: join runs for others only, after leave for those
 * that have gone.
 */
export abstract class TopicChannel extends Channel {
  /** The members by Socket.member, in the order in which they joined. The map is the SDK's: do not change it. */
  readonly members: Map<string, Socket> = new Map();

  /** Is told that the member has gone, and why. */
  leave(s: Socket, reason: string): void {}
}

const nobody = new Socket("", "", new Payload(), false);

/**
 * Serves the topics that match a pattern, an exact topic or a prefix followed by *, with channels
 * made by create: one for each join. Of several patterns that match, the first wins.
 * The server's config can give the plugin other topics; one that no pattern matches goes
 * to the first.
 */
export function handle(pattern: string, create: () => Channel): void {
  routes.push(new ChannelRoute(pattern, create));
}

/** Is handle with one channel for each topic, for all who join it. */
export function handleTopic(pattern: string, create: () => TopicChannel): void {
  routes.push(new TopicRoute(pattern, create));
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

export const routes: Route[] = [];

/** Makes the process of a topic. */
export function openChannel(topic: string): Body {
  if (routes.length == 0) crash("no channel; call handle or handleTopic");
  for (let i = 0; i < routes.length; i++) {
    if (routes[i].matches(topic)) return routes[i].create(topic);
  }
  return routes[0].create(topic); // the server's config gives the plugin other topics
}

class ChannelRoute extends Route {
  constructor(pattern: string, private make: () => Channel) {
    super(pattern, "");
  }

  create(topic: string): Body {
    return new ChannelBody(this.make());
  }
}

class TopicRoute extends Route {
  constructor(pattern: string, private make: () => TopicChannel) {
    super(pattern, "topic");
  }

  create(topic: string): Body {
    const channel = this.make();
    channel.socket = new Socket(topic, "", new Payload(), false);
    return new TopicBody(channel);
  }
}

/** The process of a Channel. */
class ChannelBody extends Body {
  constructor(private channel: Channel) {
    super();
  }

  handle(e: Record): void {
    const channel = this.channel;
    switch (e.kind) {
      case Event.Join:
        channel.socket = new Socket(e.name.toString(), "", e.extra.copy(), e.has(Flag.Replay));
        channel.join(channel.socket, e.payload);
        return;
      case Event.Message:
        channel.handleIn(channel.socket, e.name.toString(), e.payload);
        return;
      case Event.Out:
        channel.handleOut(channel.socket, e.name.toString(), e.payload);
        return;
      case Event.Away:
        channel.away(channel.socket, e.payload.toString());
        return;
      case Event.Back: {
        const before = channel.socket;
        channel.socket = new Socket(e.name.toString(), "", e.extra.copy(), false);
        atHand.refused = false;
        channel.back(channel.socket, e.payload);
        if (atHand.refused) channel.socket = before;
        return;
      }
      case Event.Import: {
        const fields = Fields.of(e.extra);
        fields.next(field); // the member, which is ""
        fields.next(field); // the join payload
        fields.next(field);
        channel.socket = new Socket(e.name.toString(), "", field.copy(), true);
        takeOver(channel, e);
        return;
      }
    }
    tell(channel, e);
  }
}

const field = new Payload();

/** The process of a TopicChannel. */
class TopicBody extends Body {
  constructor(private channel: TopicChannel) {
    super();
  }

  handle(e: Record): void {
    const channel = this.channel;
    switch (e.kind) {
      case Event.Join:
        this.join(e.detail.toString(), e.payload, e.extra, e.has(Flag.Replay));
        return;
      case Event.Message:
        channel.handleIn(this.socket(e), e.name.toString(), e.payload);
        return;
      case Event.Leave:
        this.leave(this.socket(e), e.payload.toString());
        return;
      case Event.Members:
        this.rejoin(e);
        return;
      case Event.Out: {
        const member = e.detail.toString();
        const s = channel.members.has(member) ? channel.members.get(member) : channel.socket;
        channel.handleOut(s, e.name.toString(), e.payload);
        return;
      }
      case Event.Import: {
        const fields = Fields.of(e.extra);
        while (fields.next(field)) {
          const member = field.toString();
          fields.next(field); // the join payload
          fields.next(field);
          this.add(member, field, true);
        }
        takeOver(channel, e);
        return;
      }
    }
    tell(channel, e);
  }

  private add(member: string, assigns: Payload, replay: bool): Socket {
    const s = new Socket(this.channel.socket.topic, member, assigns.copy(), replay);
    this.channel.members.set(member, s);
    return s;
  }

  private join(member: string, payload: Payload, assigns: Payload, replay: bool): void {
    atHand.refused = false;
    const s = this.add(member, assigns, replay);
    this.channel.join(s, payload);
    if (atHand.refused) this.channel.members.delete(member);
  }

  /**
   * Is told who is there, after a crash or when a durable channel wakes. Those that the channel does not know join, and
   * those that it knows beyond them leave.
   */
  private rejoin(e: Record): void {
    atHand.rejoining = true;
    const known = this.channel.members;
    if (known.size) this.forget(texts(e.payload));
    const members = Fields.of(e.payload);
    const assigns = Fields.of(e.extra);
    while (members.next(field)) {
      const member = field.toString();
      const payload = new Payload();
      members.next(payload);
      assigns.next(field);
      if (!known.has(member)) this.join(member, payload, field, true);
    }
    atHand.rejoining = false;
  }

  /** Lets those leave that are not in a list of members, each with the payload of its join. */
  private forget(list: string[]): void {
    const there = new Set<string>();
    for (let i = 0; i < list.length; i += 2) there.add(list[i]);
    const known = this.channel.members.values();
    for (let i = 0; i < known.length; i++) {
      if (!there.has(known[i].member)) this.leave(known[i], "shutdown: closed");
    }
  }

  private leave(s: Socket, reason: string): void {
    this.channel.members.delete(s.member);
    this.channel.leave(s, reason);
  }

  private socket(e: Record): Socket {
    const member = e.detail.toString();
    if (!this.channel.members.has(member)) crash("an event of member " + member + ", who has not joined");
    return this.channel.members.get(member);
  }
}
