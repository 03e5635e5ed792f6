// What a plugin's module exports. The module that is compiled has the line
//
//   export * from "rtd/guest";
import { Event } from "./abi";
import { collectIfDue, freeLarge } from "./gc";
import { dispatch } from "./plugin";
import { Record } from "./record";
import { atHand } from "./socket";

const MAX_EVENT: u32 = 32 << 20; // an event above it is refused, not fatal
const USUAL: u32 = 4096;
const usual: usize = memory.data(4096);
let large: usize = 0; // an inbox for an event above USUAL; the host's until the next one

const event = new Record();

/** A place for an event of so many bytes, or 0. */
export function inbox(size: u32): usize {
  if (large) freeLarge(large);
  large = 0;
  if (size > MAX_EVENT) return 0;
  if (size <= USUAL) return usual;
  large = heap.alloc(size);
  return large;
}

/** Handles the event of so many bytes in the inbox. */
export function handle(size: u32): u32 {
  if (!event.parse(large ? large : usual, size)) return 1;
  if (event.kind == Event.Message) atHand.token = event.extra;
  else atHand.token.set(0, 0, false);
  dispatch(event);
  collectIfDue();
  return 0;
}
