import { crash } from "./crash";

/** The host's reason for not doing an effect or operation. */
export enum Code {
  OK = 0,
  Unknown = -1, // the server is too old to know it
  Malformed = -2, // a name, time or pid that is none
  TooMuch = -3, // too many effects in one event, or a message above 4 MiB
  NotNow = -4, // not during this event
  NoProcess = -5, // there is no such process, name, request, timer, monitor or member
  Timeout = -6, // no answer came in time
  Busy = -7, // too many processes of the plugin wait already; try later
  Ended = -8, // the process ended before it answered
  Self = -9, // a process cannot wait for its own answer
  Full = -10, // its mailbox is full, or too much waits for the plugin's processes
  Limit = -11, // the plugin has as many processes, timers … as it may, or makes the server keep too many bytes
  Taken = -12, // another process has the name, or the key is tracked already
  Denied = -13, // not granted: a process of a plugin that this one does not depend on, a topic not its own, to disconnect, a service of the server
  Deadlock = -14, // it waits for this process, itself or by way of others
  TooLarge = -15, // it has no room for the message, or a meta or key is too large
  NoHistory = -16, // nothing is kept of what is broadcast to the topic
}

/**
 * The value of an operation, or the reason why there is none. To take the value without a look at ok
 * crashes the process if there is none, which is often right: its supervisor knows what to do.
 *
 *   const n = call("registry", "count").value;
 */
export class Result<T> {
  constructor(
    /** Why there is no value; Code.OK if there is one. */
    readonly code: Code,
    private it: T | null,
    /** The operation and the process, module, name or topic that it was about. */
    readonly what: string = "",
    /** If code is Ended, the reason for which the process ended. */
    readonly reason: string = "",
  ) {}

  /** Whether there is a value. */
  get ok(): bool {
    return this.code == Code.OK;
  }

  /** The value. If there is none, the process crashes with the reason. */
  get value(): T {
    if (!this.ok) crash(this.error);
    return this.it as T;
  }

  /** The reason as a sentence. */
  get error(): string {
    const why = this.code == Code.Ended ? "it ended before it answered: " + this.reason : textOf(this.code);
    return this.what + ": " + why;
  }
}

/** Crashes this process if an operation that has no answer was not done: must(cast("registry", "hello")). */
export function must(code: Code): void {
  if (code != Code.OK) crash(textOf(code));
}

/** A code as a sentence. */
export function textOf(code: Code): string {
  switch (code) {
    case Code.OK: return "done";
    case Code.Unknown: return "this server does not know it; it needs a newer rtd";
    case Code.Malformed: return "malformed";
    case Code.TooMuch: return "too many effects, or too many bytes, in one event";
    case Code.NotNow: return "not allowed during this event, or done already";
    case Code.NoProcess: return "no such process";
    case Code.Timeout: return "no answer in time";
    case Code.Busy: return "too many processes of the plugin wait already";
    case Code.Ended: return "the process ended before it answered";
    case Code.Self: return "a process cannot wait for its own answer";
    case Code.Full: return "its mailbox is full, or too much waits already; see pending in the server's config";
    case Code.Limit: return "the plugin has as much as it may; see processes, references and pending in the server's config";
    case Code.Taken: return "the name is taken, or the key is tracked already";
    case Code.Denied: return "not granted; see depends, grants, allows and services in the server's config";
    case Code.Deadlock: return "it waits for this process";
    case Code.TooLarge: return "it has no room for the message";
    case Code.NoHistory: return "the topic has no history; see keepHistory, or history in the server's config";
  }
  return "code " + (code as i32).toString();
}
