import {
  Agent, EventHandler, EventManager, From, HandlerSpec, Payload, Server as RtdServer, Task, call, crash, self,
  sendAfter, sleep, stop, wantTerminate,
} from "rtd";
import { SCHEMA, numberOf, record, restOf, word } from "./common";

const TOLD = "told to crash";

/** Keeps lines. */
export class Recorder extends RtdServer {
  private lines: string = "";

  handleCast(line: Payload): void {
    if (this.lines.length + line.size < 4000) this.lines += line.toString() + "\n";
  }

  handleCall(from: From, question: Payload): void {
    if (question.toString() == "clear") this.lines = "";
    from.reply(this.lines);
  }
}

/** Does what it is told. */
export class Server extends RtdServer {
  private args: string = "";
  private n: i32 = 0;
  private kept: From | null = null;

  init(args: Payload): void {
    this.args = args.toString();
    if (this.args == "crash") crash("init crashed");
    wantTerminate();
    record("init " + this.args);
  }

  handleCall(from: From, question: Payload): void {
    this.n++;
    const text = question.toString();
    if (text == "never") return;
    if (text == "later") {
      this.kept = from;
      sendAfter(20, "answer").value;
      return;
    }
    let answer = "echo: " + text;
    if (text == "args") answer = this.args;
    else if (text == "count") answer = this.n.toString();
    else if (text == "self") answer = self();
    else if (text == "crash") crash(TOLD);
    else if (text == "trap") unreachable();
    else if (text == "stop") {
      answer = "stopped";
      stop();
    } else if (text.startsWith("ask ")) {
      const r = call(text.substring(4), "args");
      answer = r.ok ? r.value.toString() : word(r.code, r.reason);
    }
    from.reply(answer);
  }

  handleCast(message: Payload): void {
    const text = message.toString();
    if (text == "crash") crash(TOLD);
    if (text.startsWith("stop ")) stop(text.substring(5));
    else record("cast " + text);
  }

  handleInfo(message: Payload): void {
    const text = message.toString();
    const kept = this.kept;
    if (text != "answer") record("info " + text);
    else if (kept) kept.reply("late");
  }

  terminate(reason: string): void {
    record("terminate " + this.args + " " + reason);
  }

  exportState(): Payload | null {
    return Payload.of(this.n.toString() + " " + this.args);
  }

  importState(schema: string, state: Payload): bool {
    if (schema != SCHEMA) return false;
    const text = state.toString();
    this.n = numberOf(text, " ");
    this.args = restOf(text, " ");
    return true;
  }
}

// ---- the agent

class Counter {
  constructor(public n: i32) {}

  text(): Payload {
    return Payload.of(this.n.toString());
  }
}

const counter = new Agent<Counter>("counter", (args) => new Counter(args.asInt() as i32));
export const getCount = counter.get("get", (c, _) => c.text());
export const setCount = counter.update("set", (c, n) => {
  c.n = n.asInt() as i32;
});
export const addCount = counter.get("add", (c, n) => {
  c.n += n.asInt() as i32;
  return c.text();
});
export const crashCount = counter.update("crash", (_, __) => crash(TOLD));

// ---- the task

export const job = new Task("job", (args) => {
  const text = args.toString();
  if (text == "crash") crash("job crashed");
  if (text == "slow") {
    sleep(100);
    return Payload.of("slow");
  }
  record("job " + text);
  return Payload.of("done " + text);
});

// ---- the event manager

export const events = new EventManager("events", [listener("keeper").restarted(), listener("flimsy")]);

export function listener(id: string): HandlerSpec {
  return new HandlerSpec(id).module("listener").arguments(id);
}

export class Listener extends EventHandler {
  protected id: string = "";
  protected heard: string[] = [];

  init(args: Payload): void {
    this.id = args.toString();
    record("listening " + this.id);
    if (this.id == "crash") crash("init crashed");
  }

  handleEvent(event: Payload): void {
    const text = event.toString();
    if (text == "crash " + this.id) crash(TOLD);
    if (text == "leave " + this.id) stop();
    else this.heard.push(text);
  }

  handleCall(from: From, question: Payload): void {
    if (question.toString() == "crash") crash(TOLD);
    from.reply(this.heard.join(","));
  }
}

/** A listener that hands on what it has heard. */
export class Archive extends Listener {
  exportState(): Payload | null {
    return Payload.of(this.id + " " + this.heard.join(","));
  }

  importState(schema: string, state: Payload): bool {
    if (schema != SCHEMA) return false;
    const text = state.toString();
    const gap = text.indexOf(" ");
    this.id = text.substring(0, gap);
    this.heard = text.substring(gap + 1).split(",");
    return true;
  }
}
