// The way in: where the host puts an event, and which part of the plugin takes it. The functions inbox
// and handle are what a plugin's module exports. The module that is compiled has the line
//
//   export * from "rtd/guest";
import { Event, Flag } from "./abi";
import { openChannel } from "./channel";
import { decider } from "./connect";
import { crash } from "./crash";
import { collect, collectIfDue, freeLarge } from "./memory";
import { refuseImport } from "./migrate";
import { Body, findModule, noModule } from "./module";
import { end, start } from "./plugin";
import { stop } from "./process";
import { Record, texts } from "./record";
import { reseed } from "./seed";
import { atHand } from "./socket";
import { setLate } from "./timer";

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
  setLate(event.kind == Event.Info ? event.detail.asInt() : 0);
  dispatch(event);
  collectIfDue();
  return 0;
}

/** The one process that the instance is, from its first event on. */
let body: Body | null = null;

/** Takes one event of this instance. */
function dispatch(e: Record): void {
  switch (e.kind) {
    case Event.Start:
      start(e);
      return;
    case Event.Stop:
      end();
      return;
    case Event.Idle:
      collect();
      return;
    case Event.Connect: {
      reseed();
      const connect = decider;
      if (connect) connect(e);
      return;
    }
    case Event.Init:
    case Event.Join:
    case Event.Members:
    case Event.Import:
      if (!body) {
        reseed();
        if (!missing(e)) body = create(e);
      }
  }
  const b = body;
  if (b) b.handle(e);
  else if (e.kind < Event.Stop && e.kind != Event.Init) crash("an event before join or init");
}

/** Whether another version's process is of a module that this one does not have. If so, it is told. */
function missing(e: Record): bool {
  const name = e.name.toString();
  if (e.kind == Event.Init) {
    if (!e.has(Flag.Replay) || findModule(name)) return false;
    stop("shutdown: " + noModule(name));
    return true;
  }
  if (e.kind != Event.Import || texts(e.extra).length != 2 || findModule(name)) return false;
  refuseImport(noModule(name));
  return true;
}

function create(e: Record): Body {
  const name = e.name.toString();
  if (e.kind == Event.Init || e.kind == Event.Import) {
    const module = findModule(name);
    if (module) return module.create();
    if (e.kind == Event.Init) crash(noModule(name) + "; register it, for example with serve");
  }
  return openChannel(name);
}
