import { Effect, Event, Flag } from "./abi";
import { From, wait } from "./call";
import { crash } from "./crash";
import { Code, Result, must } from "./error";
import { effect } from "./host";
import { Body, Module, addModule } from "./module";
import { Payload } from "./payload";
import { NORMAL, PID, Ref, SpawnOptions, self, send, spawn, spawnFlags, stop } from "./process";
import { Fields, List, Record } from "./record";

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
  /** Registers a module whose processes run the function and end. The function returns the answer. */
  constructor(private module: string, readonly f: (args: Payload) => Payload) {
    addModule(new TaskModule(module, f));
  }

  /**
   * Runs the task in a process linked with this one, as OTP's Task.async: if it crashes, so does this
   * process, unless that traps exits.
   */
  async<T>(args: T): Result<Job> {
    const options = new SpawnOptions();
    options.link = true;
    return spawnJob(this.module, args, options, Flag.Request);
  }

  /**
   * Runs the task in a process that is not linked, as OTP's Task.Supervisor.async_nolink: only the
   * process that waits for its answer learns that it crashed. under is the id of a Dynamic supervisor;
   * "" is none. Its restart type should be temporary: nobody waits for the answer of a restarted task.
   */
  asyncNolink<T>(args: T, under: string = ""): Result<Job> {
    return spawnJob(this.module, args, placed(under), Flag.Request);
  }

  /** Is asyncNolink with an answer that goes to this process's handleReply with the job's ref, instead of being awaited. */
  asyncNotify<T>(args: T, under: string = ""): Result<Job> {
    return spawnJob(this.module, args, placed(under), Flag.Request | Flag.Notify);
  }

  /** Runs the task for its effects alone: nobody waits for an answer. under is the id of a Dynamic supervisor; "" is none. */
  start<T>(args: T, under: string = ""): Result<PID> {
    return spawn(this.module, args, placed(under));
  }
}

/** A process that runs, and the request that it was started with. */
export class Job {
  constructor(readonly pid: PID, readonly ref: Ref) {}

  /** Waits for the task's answer, as the function wait does. If the task has crashed, the code is Ended. */
  wait(timeout: i64 = 5000): Result<Payload> {
    return wait(this.ref, timeout);
  }
}

/** Starts a process, with the flags of spawnFlags. */
export function spawnJob<T>(module: string, args: T, options: SpawnOptions, flags: i32): Result<Job> {
  const answer = spawnFlags(module, args, options, flags);
  if (!answer.ok) return new Result<Job>(answer.code, null, answer.what, answer.reason);
  const fields = Fields.of(answer.value);
  const pid = fields.nextText();
  return new Result<Job>(Code.OK, new Job(pid, fields.nextText()));
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

/** The process. It works in an event after its init, for which whoever starts it under a supervisor waits. */
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
