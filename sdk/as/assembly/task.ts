import { Effect, Event, Flag } from "./abi";
import { crash, effect } from "./host";
import { Payload } from "./payload";
import { Body, Module, addModule } from "./plugin";
import { From, Job, NORMAL, PID, SpawnOptions, self, send, spawn, spawnJob, stop } from "./process";
import { Fields, List, Record } from "./record";
import { Result, must } from "./result";

/**
 * OTP's Task: a function that runs in a process of its own, once.
 *
 *   const preview = new Task("preview", (url) => Payload.of(fetch(url.toString())));
 *
 *   const job = preview.async(url).value;
 *   … // other work
 *   const page = job.wait().value;
 *
 * Make it at the top level of a module.
 */
export class Task {
  /** What the function returns is the answer. */
  constructor(private module: string, readonly f: (args: Payload) => Payload) {
    addModule(new TaskModule(module, f));
  }

  /** Runs it in a process linked with this one: if it crashes, so does this process, unless that traps exits. */
  async<T>(args: T): Result<Job> {
    const options = new SpawnOptions();
    options.link = true;
    return spawnJob(this.module, args, options, Flag.Request);
  }

  /**
   * Runs it in a process that is not linked: only who waits for its answer learns that it
   * crashed. under is the id of a dynamic supervisor, of temporary processes, for a
   * restarted task has nobody to answer to; "" is none.
   */
  asyncNolink<T>(args: T, under: string = ""): Result<Job> {
    return spawnJob(this.module, args, placed(under), Flag.Request);
  }

  /** Is asyncNolink with an answer that goes to this process's handleReply, with the job's ref. */
  asyncNotify<T>(args: T, under: string = ""): Result<Job> {
    return spawnJob(this.module, args, placed(under), Flag.Request | Flag.Notify);
  }

  /** Runs it for its effects alone: nobody waits for an answer. */
  start<T>(args: T, under: string = ""): Result<PID> {
    return spawn(this.module, args, placed(under));
  }
}

function placed(under: string): SpawnOptions {
  const options = new SpawnOptions();
  options.under = under;
  return options;
}

/** How a task writes its state. */
// @ts-ignore: decorator
@lazy
const SCHEMA = "rtd.Task 1";

class TaskModule extends Module {
  constructor(name: string, private f: (args: Payload) => Payload) {
    super(name);
  }

  create(): Body {
    return new TaskBody(this.f);
  }
}

/** The process works in an event after its init: whoever starts it under a supervisor waits for the init. */
class TaskBody extends Body {
  private args: Payload = new Payload();
  private token: string = "";

  constructor(private f: (args: Payload) => Payload) {
    super();
  }

  handle(e: Record): void {
    if (e.kind == Event.Init) {
      this.args = e.payload.copy();
      this.token = e.extra.toString();
      must(send(self(), ""));
    } else if (e.kind == Event.Export) { // it has not begun: none is moved while it works
      effect(Effect.State, SCHEMA, new List().add(this.token).add(this.args).toPayload());
    } else if (e.kind == Event.Import) {
      if (e.detail.toString() != SCHEMA) crash("the task is of another version of the SDK: " + e.detail.toString());
      const fields = Fields.of(e.payload);
      this.token = fields.nextText();
      fields.next(this.args);
      this.args = this.args.copy();
    } else if (e.kind == Event.Info) {
      const answer = this.f(this.args);
      if (this.token != "") new From(this.token).reply(answer);
      stop(NORMAL);
    }
  }
}
