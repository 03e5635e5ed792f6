import { Effect, Flag, Op } from "./abi";
import { Code, Result } from "./error";
import { effect, operate, query, queryText } from "./host";
import { Payload } from "./payload";
import { PID, Ref } from "./process";

/**
 * Asks a process's handleCall and waits for the answer, at most for so many milliseconds.
 *
 * While it waits, this process takes no events, and its deadline does not come nearer. If there is no
 * answer, the result says why: its code is Ended, NoProcess, Timeout, Deadlock or Busy, for example. To
 * take the value without a look at the code crashes this process too then, which is often right.
 */
export function call<T>(pid: PID, question: T, timeout: i64 = 5000): Result<Payload> {
  return query("call", Op.Call, pid, question, timeout.toString());
}

/** Tells a process's handleCast something. It does not wait. */
export function cast<T>(pid: PID, message: T): Code {
  return operate(Op.Cast, pid, message);
}

/** Asks as call does, but does not wait: wait does. */
export function request<T>(pid: PID, question: T): Result<Ref> {
  return queryText("request", Op.Request, pid, question);
}

/**
 * Asks as call does, but does not wait: the answer, or the reason why there is none, goes to this
 * process's handleReply.
 */
export function requestNotify<T>(pid: PID, question: T): Result<Ref> {
  return queryText("request", Op.Request, pid, question, "", Flag.Notify);
}

/**
 * Waits for the answer to a request. Timeout and codes are those of call. After Code.Timeout the request
 * can be waited for again.
 */
export function wait(request: Ref, timeout: i64 = 5000): Result<Payload> {
  return query("wait", Op.Await, request, "", timeout.toString());
}

/** Stands for the process that waits for the answer to a call. It may be kept, and answered during a later event. */
export class From {
  constructor(readonly token: string) {}

  /** Answers the call, when the event at hand has been handled. Of several answers the first counts. */
  reply<T>(answer: T): void {
    effect(Effect.Answer, this.token, answer);
  }
}
