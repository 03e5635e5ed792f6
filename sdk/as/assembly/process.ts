// Processes: what every one of them can be told, and what it can do with others.
import { Effect, Flag, Op } from "./abi";
import { crash, effect, log, operate, query, queryText } from "./host";
import { Payload } from "./payload";
import { Fields } from "./record";
import { Code, Result } from "./result";

/**
 * Says which process is meant: "#12". Wherever one is asked for, a name under which the
 * process is registered will do: "registry", or "accounts/registry" for one of a
 * plugin that this one depends on.
 */
export type PID = string;

/** Names a request, monitor or timer of this process. */
export type Ref = string;

/**
 * What processes of all kinds can be told: a Channel, a Server and an EventHandler. Override
 * what is of interest. Methods are called one at a time. A call or cast that nobody
 * handles is a crash; anything else is logged and dropped.
 */
export abstract class Process {
  /** Somebody asks, by call or request: answer with from.reply, now or during a later event. */
  handleCall(from: From, question: Payload): void {
    crash("a call to a process without handleCall");
  }

  /** Somebody tells, by cast. */
  handleCast(message: Payload): void {
    crash("a cast to a process without handleCast");
  }

  /** A message by send or sendAfter. */
  handleInfo(message: Payload): void {
    unheard("handleInfo");
  }

  /** A broadcast of a topic that this process has subscribed to. */
  handleBroadcast(topic: string, event: string, payload: Payload): void {
    unheard("handleBroadcast");
  }

  /** A monitored process has ended. */
  handleDown(monitor: Ref, pid: PID, reason: string): void {
    unheard("handleDown");
  }

  /** A linked process has ended, if trapExit is on. */
  handleExit(pid: PID, reason: string): void {
    unheard("handleExit");
  }

  /** The answer to a requestNotify, or to a task's, or the reason why there is none. */
  handleReply(request: Ref, answer: Result<Payload>): void {
    unheard("handleReply");
  }

  /** The process ends, unless by a crash or a kill. It is the last event, for a process that called wantTerminate. */
  terminate(reason: string): void {}

  /**
   * The state, for the next version of the plugin: Payload.of a string or bytes. null is
   * none: join or init is then replayed. It is asked only if migrates was called.
   */
  exportState(): Payload | null {
    return null;
  }

  /**
   * Takes over the state that another version has exported, in place of join or init. False
   * says that it cannot be read.
   */
  importState(schema: string, state: Payload): bool {
    return false;
  }
}

function unheard(method: string): void {
  log("warn", "dropped an event: the process has no " + method);
}

/** Who waits for the answer to a call. It may be kept, and answered during a later event. */
export class From {
  constructor(readonly token: string) {}

  /** Answers, when the event at hand has been handled. Of several answers the first counts. */
  reply<T>(answer: T): void {
    effect(Effect.Answer, this.token, answer);
  }
}

// ---- reasons

/** A reason to end: it had no more to do. */
// @ts-ignore: decorator
@lazy
export const NORMAL = "normal";
/** A reason to end: it was asked to; "shutdown: " and why is one, too. */
// @ts-ignore: decorator
@lazy
export const SHUTDOWN = "shutdown";
/** A reason to end: it was not asked. */
// @ts-ignore: decorator
@lazy
export const KILLED = "killed";

/** Whether a process that ended for this reason crashed. */
export function isCrash(reason: string): bool {
  return reason != NORMAL && reason != SHUTDOWN && !reason.startsWith("shutdown: ");
}

// ---- this process

let own: PID = "";

/** Notes the pid that this process was told. */
export function setSelf(pid: PID): void {
  own = pid;
}

/** The pid of this process. */
export function self(): PID {
  if (own == "") own = queryText("self", Op.Self, "", "").value;
  return own;
}

/** Asks for terminate to be called when this process ends. Call it in join or init. */
export function wantTerminate(): void {
  effect(Effect.Wants, "terminate", "");
}

/**
 * Ends this process when it has handled the event at hand; what it asked for happens.
 * The reason is NORMAL, SHUTDOWN, or "shutdown: " and why; any other is a crash.
 */
export function stop(reason: string = NORMAL): void {
  if (reason == "" || reason == NORMAL) effect(Effect.Stop, NORMAL, "");
  else if (isCrash(reason)) effect(Effect.Stop, "crash", reason);
  else effect(Effect.Stop, SHUTDOWN, reason.substring("shutdown: ".length));
}

/** Says that nothing will happen to this process for long: its memory is made as small as can be. */
export function hibernate(): void {
  effect(Effect.Hibernate, "", "");
}

/** Waits. Other processes run meanwhile, and the deadline of the event does not come nearer. */
export function sleep(milliseconds: i64): Code {
  return operate(Op.Sleep, "", "", milliseconds.toString());
}

/** Gives this process a message for its handleInfo, later. */
export function sendAfter<T>(milliseconds: i64, message: T): Result<Ref> {
  return queryText("send after", Op.SendAfter, "", message, milliseconds.toString());
}

/**
 * Stops a timer, whose message does not come any more, even if it was on its way. Returns
 * how many milliseconds it had left, or a negative Code.
 */
export function cancel(timer: Ref): i64 {
  const left = query("cancel", Op.Cancel, timer, "");
  return left.ok ? left.value.asInt() : (left.code as i64);
}

// ---- other processes

/**
 * Asks a process's handleCall and waits for the answer. While it waits, this process takes no
 * events. If there is no answer, the result says why: Code.NoProcess, Timeout, Deadlock, Busy …
 */
export function call<T>(pid: PID, question: T, timeout: i64 = 5000): Result<Payload> {
  return query("call", Op.Call, pid, question, timeout.toString());
}

/** Tells a process's handleCast something. It does not wait. */
export function cast<T>(pid: PID, message: T): Code {
  return operate(Op.Cast, pid, message);
}

/** Gives a process a message for its handleInfo. It does not wait. */
export function send<T>(pid: PID, message: T): Code {
  return operate(Op.Send, pid, message);
}

/** Asks as call does, but does not wait: wait does. */
export function request<T>(pid: PID, question: T): Result<Ref> {
  return queryText("request", Op.Request, pid, question);
}

/** Asks as call does, but does not wait: the answer goes to this process's handleReply. */
export function requestNotify<T>(pid: PID, question: T): Result<Ref> {
  return queryText("request", Op.Request, pid, question, "", Flag.Notify);
}

/** Waits for the answer to a request, as call does. After Code.Timeout it can be waited for again. */
export function wait(request: Ref, timeout: i64 = 5000): Result<Payload> {
  return query("wait", Op.Await, request, "", timeout.toString());
}

/** How a process is started. */
export class SpawnOptions {
  /** The id of a dynamic supervisor; spawn then waits for the init, and fails if that does. "" is none. */
  under: string = "";
  /** A name that is registered for the process before it begins; "" is none. */
  name: string = "";
  /** Whether the process is linked with this one. */
  link: bool = false;
}

/** A process that runs, and the request that it was started with. */
export class Job {
  constructor(readonly pid: PID, readonly ref: Ref) {}

  /** Waits for the answer, as wait does. If the task has crashed, the code is Ended. */
  wait(timeout: i64 = 5000): Result<Payload> {
    return wait(this.ref, timeout);
  }
}

/** Starts a process of a module: of what was registered with serve, new Agent and so on. */
export function spawn<T>(module: string, args: T, options: SpawnOptions = new SpawnOptions()): Result<PID> {
  const job = spawnJob(module, args, options, 0);
  return new Result<PID>(job.code, job.ok ? job.value.pid : null, job.what, job.reason);
}

/** With Flag.Request it also asks the process for an answer to its init. */
export function spawnJob<T>(module: string, args: T, options: SpawnOptions, flags: i32): Result<Job> {
  if (options.link) flags |= Flag.Link;
  const answer = query("spawn", Op.Spawn, module, args, options.under, flags, options.name);
  if (!answer.ok) return new Result<Job>(answer.code, null, answer.what, answer.reason);
  const fields = Fields.of(answer.value);
  const pid = fields.nextText();
  return new Result<Job>(Code.OK, new Job(pid, fields.nextText()));
}

/** The processes under a dynamic supervisor. */
export function children(supervisor: string): Result<PID[]> {
  const answer = query("children", Op.Children, supervisor, "");
  return new Result<PID[]>(answer.code, answer.ok ? texts(answer.value) : null, answer.what);
}

/** The texts of a list of fields. */
export function texts(list: Payload): string[] {
  const texts: string[] = [];
  const fields = Fields.of(list);
  for (const field = new Payload(); fields.next(field); ) texts.push(field.toString());
  return texts;
}

/** Ends a process under a dynamic supervisor for good. */
export function stopChild(pid: PID): Code {
  return operate(Op.StopChild, pid, "");
}

/** Binds this process and another: if one ends, other than normally, so does the other, unless it traps exits. */
export function link(pid: PID): Code {
  return operate(Op.Link, pid, "");
}

export function unlink(pid: PID): Code {
  return operate(Op.Unlink, pid, "");
}

/** Says whether the end of a linked process is told to handleExit instead of ending this one. */
export function trapExit(on: bool): Code {
  return operate(Op.TrapExit, on ? "on" : "off", "");
}

/** Makes a process end for a reason. "kill" ends also one that traps exits. */
export function exit(pid: PID, reason: string): Code {
  return operate(Op.Exit, pid, reason);
}

/** Lets handleDown know when a process ends. If it has ended already, that is Code.NoProcess. */
export function monitor(pid: PID): Result<Ref> {
  return queryText("monitor", Op.Monitor, pid, "");
}

export function demonitor(monitor: Ref): Code {
  return operate(Op.Demonitor, monitor, "");
}

/** Gives a process a name, which is free again when it has ended. */
export function register(name: string, pid: PID): Code {
  return operate(Op.Register, name, pid);
}

export function unregister(name: string): Code {
  return operate(Op.Unregister, name, "");
}

/** The pid behind a name. */
export function whereis(name: string): Result<PID> {
  return queryText("whereis", Op.Whereis, name, "");
}

/** What the host knows of a process, as a JSON object: its names, state, mailbox, memory and so on. */
export function processInfo(pid: PID): Result<Payload> {
  return query("process info", Op.Info, pid, "");
}
