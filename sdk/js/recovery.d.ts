/** A position in a topic with history: "EPOCH:OFFSET". */
export type Position = string;

export interface Recovered {
  /** Where the client stands now. */
  position: Position;
  /** How many broadcasts came that it had missed. */
  count: number;
}

export interface Gap extends Recovered {
  /**
   * Why not all that was missed has come: the topic began anew (epoch), it is not kept any more (gone), it was more than is told at a
   * time (limit), the server has lost its end (future), a handler tells it to nobody alone (intercepted), or it was lost between the nodes of a cluster (missed).
   */
  reason: "epoch" | "gone" | "limit" | "future" | "intercepted" | "missed";
}

export interface Options {
  /** The position of an earlier life, such as of the page before it was loaded again. */
  since?: Position;
  /** Called after a time away when all that was missed has come. */
  onRecovered?(recovered: Recovered): void;
  /** Called in its place when something is missing for good: load the state anew. In a cluster also at other times. */
  onGap?(gap: Gap): void;
  /** The key of an earlier life, such as of the page before it was loaded again. */
  resume?: string;
  /** Called after each join with a key: whether its handler has waited for it. If not, this is a join like the first one. */
  onResumed?(resumed: Resumed): void;
}

export interface Resumed {
  resumed: boolean;
}

/** A Socket of the npm package phoenix. */
export interface Socket {
  connect(): void;
  onMessage(callback: (message: any) => void): unknown;
}

/** A Channel of the npm package phoenix. */
export interface Channel {
  join(timeout?: number): unknown;
  push(event: string, payload: object, timeout?: number): unknown;
}

/** Binds a channel of the npm package phoenix, 1.2 to 1.8, to a Recovery. Call it before channel.join(). */
export function recover(channel: Channel, options?: Options): Recovery;

/** Has a socket of the npm package phoenix, 1.2 to 1.8, come back when a server that is about to stop says. recover does it, too. */
export function comeBack(socket: Socket): void;

/** Where a client stands in one topic. */
export class Recovery {
  constructor(options?: Options);
  /** All up to here has come; undefined as long as none is known. */
  readonly position: Position | undefined;
  /** The key that the next join sends; undefined as long as none is known. Whoever has it can be this client: keep it secret. */
  readonly key: string | undefined;
  /** The payload of a join that is sent now. */
  join<P extends object>(params: P): P & { since?: Position; resume?: string };
  /** Takes note of a message, and returns whether it is new. joinRef is undefined in V1. */
  receive(event: string, payload: unknown, ref: unknown, joinRef: unknown): boolean;
}
