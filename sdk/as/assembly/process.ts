// The functions of every process, for itself and for others.
import { Effect, Flag, Op } from "./abi";
import { Code, Result } from "./error";
import { effect, operate, query, queryText } from "./host";
import { Payload } from "./payload";
import { Fields, texts } from "./record";

/**
 * Says which process is meant: "#1c.k3v9q2m". Wherever one is asked for, a name under which the
 * process is registered will do: "registry", or "accounts/registry" for one of a
 * plugin that this one depends on.
 */
export type PID = string;

/** Names a request, monitor or timer of this process. */
export type Ref = string;

// ---- reasons

/** The reason of a process that had no more to do. */
// @ts-ignore: decorator
@lazy
export const NORMAL = "normal";
/** The reason of a process that was asked to end; so it was for "shutdown: " and more text. */
// @ts-ignore: decorator
@lazy
export const SHUTDOWN = "shutdown";
/** The reason of a process that was ended without being asked. */
// @ts-ignore: decorator
@lazy
export const KILLED = "killed";

/** Whether a process that ended for this reason crashed. */
export function isCrash(reason: string): bool {
  return reason != NORMAL && reason != SHUTDOWN && !reason.startsWith("shutdown: ");
}

// ---- this process

/** The pid of this process. One that is durable has another after a crash, standing still or a restart of the server. */
export function self(): PID {
  return queryText("self", Op.Self, "", "").value;
}

/**
 * The id of the event at hand. It is the same when the event is tried again, as some of what is durable are, and no
 * other event ever has it: whoever is told the id, and keeps it, can see that a call is an old one.
 */
export function eventId(): string {
  return queryText("event id", Op.EventId, "", "").value;
}

/** Asks for terminate to be called when this process ends. Call it in join or init. */
export function wantTerminate(): void {
  effect(Effect.Wants, "terminate", "");
}

/**
 * Asks for away and back of a Channel to be called. Call it in join. Else everybody is let back in who has the key, and the
 * assigns stay those of join.
 */
export function wantBack(): void {
  effect(Effect.Wants, "away", "");
  effect(Effect.Wants, "back", "");
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

/** Says that nothing will happen to this process for long: after the event its memory is made as small as can be. */
export function hibernate(): void {
  effect(Effect.Hibernate, "", "");
}

// ---- other processes

/** Gives a process a message for its handleInfo. It does not wait. */
export function send<T>(pid: PID, message: T): Code {
  return operate(Op.Send, pid, message);
}

/** How a process is started. The default is a process without supervisor, link or name. */
export class SpawnOptions {
  /**
   * The id of a Dynamic supervisor, which restarts the process as declared there. The spawn then waits
   * for its init, and fails if that does. "" is none.
   */
  under: string = "";
  /** Registered for the process before it begins; "" is none. */
  name: string = "";
  /** Whether the process is linked with this one. */
  link: bool = false;
}

/**
 * Starts a process of a module, which serve, new Agent, new Task and so on register. It has its own
 * memory and gets a copy of the arguments.
 */
export function spawn<T>(module: string, args: T, options: SpawnOptions = new SpawnOptions()): Result<PID> {
  const answer = spawnFlags(module, args, options, 0);
  const pid = answer.ok ? Fields.of(answer.value).nextText() : null;
  return new Result<PID>(answer.code, pid, answer.what, answer.reason);
}

/** With Flag.Request it also asks the process for an answer to its init. The answer lists the pid and the request. */
export function spawnFlags<T>(module: string, args: T, options: SpawnOptions, flags: i32): Result<Payload> {
  if (options.link) flags |= Flag.Link;
  return query("spawn", Op.Spawn, module, args, options.under, flags, options.name);
}

/** The pids of the processes under a Dynamic supervisor. */
export function children(supervisor: string): Result<PID[]> {
  const answer = query("children", Op.Children, supervisor, "");
  return new Result<PID[]>(answer.code, answer.ok ? texts(answer.value) : null, answer.what);
}

/** Ends a process under a Dynamic supervisor for good. */
export function stopChild(pid: PID): Code {
  return operate(Op.StopChild, pid, "");
}

/**
 * Binds this process and another: if one of them ends, other than normally, so does the other one, for
 * the same reason, unless it traps exits.
 */
export function link(pid: PID): Code {
  return operate(Op.Link, pid, "");
}

/** Takes back a link. */
export function unlink(pid: PID): Code {
  return operate(Op.Unlink, pid, "");
}

/** Says whether the end of a linked process is told to this one's handleExit instead of ending it. */
export function trapExit(on: bool): Code {
  return operate(Op.TrapExit, on ? "on" : "off", "");
}

/**
 * Makes a process end for a reason, as the end of a linked one would. The reason "kill" ends also one
 * that traps exits.
 */
export function exit(pid: PID, reason: string): Code {
  return operate(Op.Exit, pid, reason);
}

/** Lets this process's handleDown know when another ends. If that has ended already, the code is NoProcess. */
export function monitor(pid: PID): Result<Ref> {
  return queryText("monitor", Op.Monitor, pid, "");
}

/** Takes back a monitor. Nothing more comes of it. */
export function demonitor(monitor: Ref): Code {
  return operate(Op.Demonitor, monitor, "");
}

/** Gives a process a name, which is free again when the process has ended. */
export function register(name: string, pid: PID): Code {
  return operate(Op.Register, name, pid);
}

/** Takes a name away from the process that has it. */
export function unregister(name: string): Code {
  return operate(Op.Unregister, name, "");
}

/** The pid behind a name. */
export function whereis(name: string): Result<PID> {
  return queryText("whereis", Op.Whereis, name, "");
}

/** A JSON object about a process: its names, state, mailbox, memory and so on. */
export function processInfo(pid: PID): Result<Payload> {
  return query("process info", Op.Info, pid, "");
}
