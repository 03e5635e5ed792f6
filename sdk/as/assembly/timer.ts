// Timers, and the time.
import { Op } from "./abi";
import { Code, Result } from "./error";
import { operate, query, queryText } from "./host";
import { Ref } from "./process";

/** Waits. Other processes run meanwhile, and the deadline of the event does not come nearer. */
export function sleep(milliseconds: i64): Code {
  return operate(Op.Sleep, "", "", milliseconds.toString());
}

/** Gives this process itself a message for its handleInfo, after a delay. */
export function sendAfter<T>(milliseconds: i64, message: T): Result<Ref> {
  return queryText("send after", Op.SendAfter, "", message, milliseconds.toString());
}

/**
 * Stops a timer and returns how many milliseconds it had left, or a negative Code. Its message does
 * not come any more, even if it was on its way.
 */
export function cancel(timer: Ref): i64 {
  const left = query("cancel", Op.Cancel, timer, "");
  return left.ok ? left.value.asInt() : (left.code as i64);
}

let lateness: i64 = 0;

/** Notes how late the timer at hand is. */
export function setLate(milliseconds: i64): void {
  lateness = milliseconds;
}

/**
 * How many milliseconds late the message of a timer comes that is at hand, because its process, which is durable, was
 * not there when it was due; 0 of any other.
 */
export function late(): i64 {
  return lateness;
}

@external("wasi_snapshot_preview1", "clock_time_get")
declare function clock_time_get(clock: u32, precision: u64, time: usize): u32;

/** The time in milliseconds since 1970, as Date takes it. */
export function now(): i64 {
  const time = memory.data(8);
  clock_time_get(0, 0, time);
  const nanoseconds = load<u64>(time);
  store<u64>(time, 0);
  return (nanoseconds / 1_000_000) as i64;
}
