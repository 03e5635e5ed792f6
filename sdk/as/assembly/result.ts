import { crash } from "./host";

/** The host's reason for not doing something. */
export enum Code {
  OK = 0,
  Unknown = -1, // the server is too old to know it
  Malformed = -2, // a name, time or pid that is none
  TooMuch = -3, // too many effects in one event, or a message above 4 MiB
  NotNow = -4, // not during this event
  NoProcess = -5, // there is no such process, name, request, timer or monitor
  Timeout = -6, // no answer came in time
  Busy = -7, // too many processes of the plugin wait already; try later
  Ended = -8, // the process ended before it answered
  Self = -9, // a process cannot wait for its own answer
  Full = -10, // its mailbox is full
  Limit = -11, // the plugin has as many processes, timers … as it may
  Taken = -12, // another process has the name
  Denied = -13, // a process of a plugin that this one does not depend on, or a topic not granted to it
  Deadlock = -14, // it waits for this process, itself or by way of others
  TooLarge = -15, // it has no room for the message
}

/**
 * What an operation came to: a value, or the reason why there is none. To take the value
 * without a look at ok crashes the process if there is none, which is often right: its
 * supervisor knows what to do.
 *
 *   const n = call("registry", "count").value;
 */
export class Result<T> {
  constructor(
    /** Why there is no value; Code.OK if there is one. */
    readonly code: Code,
    private it: T | null,
    /** What was tried. */
    readonly what: string = "",
    /** If code is Ended: for what reason the process ended. */
    readonly reason: string = "",
  ) {}

  get ok(): bool {
    return this.code == Code.OK;
  }

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
    case Code.Full: return "its mailbox is full";
    case Code.Limit: return "the plugin has as many processes, timers or names as it may";
    case Code.Taken: return "the name is taken";
    case Code.Denied: return "not granted; see depends and grants in the server's config";
    case Code.Deadlock: return "it waits for this process";
    case Code.TooLarge: return "it has no room for the message";
  }
  return "code " + (code as i32).toString();
}
