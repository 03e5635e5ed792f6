// The methods that processes of all kinds have.
import { Event, Flag } from "./abi";
import { From } from "./call";
import { crash } from "./crash";
import { Code, Result } from "./error";
import { log } from "./host";
import { handOver, refuseImport } from "./migrate";
import { Payload } from "./payload";
import { PID, Ref } from "./process";
import { Record } from "./record";

/**
 * The methods that a Channel, a TopicChannel, a Server and an EventHandler have in common. Override
 * those that you need. They are called one at a time. A call or cast without a method of yours is a
 * crash; any other event without one is logged and dropped. Payloads are valid until the method returns.
 */
export abstract class Process {
  /** Answers the questions that others ask with call or request: with from.reply, now or during a later event. */
  handleCall(from: From, question: Payload): void {
    crash("a call to a process without handleCall");
  }

  /** Takes the messages that others send with cast. */
  handleCast(message: Payload): void {
    crash("a cast to a process without handleCast");
  }

  /** Takes the messages of send and sendAfter. */
  handleInfo(message: Payload): void {
    unheard("handleInfo");
  }

  /** Takes the broadcasts of a topic after subscribe. */
  handleBroadcast(topic: string, event: string, payload: Payload): void {
    unheard("handleBroadcast");
  }

  /** Is told that the process of a monitor has ended. */
  handleDown(monitor: Ref, pid: PID, reason: string): void {
    unheard("handleDown");
  }

  /** Is told that a linked process has ended, if trapExit is on. */
  handleExit(pid: PID, reason: string): void {
    unheard("handleExit");
  }

  /** Takes the answer to a requestNotify, or of a task by asyncNotify. If there is none, the result says why. */
  handleReply(request: Ref, answer: Result<Payload>): void {
    unheard("handleReply");
  }

  /**
   * Is told that the process ends, unless by a crash or a kill. It is the last event, and comes if
   * wantTerminate was called.
   */
  terminate(reason: string): void {}

  /**
   * Writes down the state for the next version of the plugin: Payload.of a string or bytes. It changes
   * nothing: the process may have to go on without the move. It is called if migrates was.
   *
   * null is no state: join or init then comes anew; a process that was spawned without a supervisor stays
   * in its version, unless it is an EventHandler.
   */
  exportState(): Payload | null {
    return null;
  }

  /**
   * Takes over the state that another version exported, in place of init or join. Pid, names, timers,
   * monitors, links, subscriptions, intercepted events and presence are as before. False says that this
   * version cannot read the state; the server's config says what follows.
   */
  importState(schema: string, state: Payload): bool {
    return false;
  }
}

function unheard(method: string): void {
  log("warn", "dropped an event: the process has no " + method);
}

/** Gives an event to the method that processes of all kinds have for it. */
export function tell(p: Process, e: Record): void {
  switch (e.kind) {
    case Event.Call:
      p.handleCall(new From(e.name.toString()), e.payload);
      return;
    case Event.Cast:
      p.handleCast(e.payload);
      return;
    case Event.Info:
      p.handleInfo(e.payload);
      return;
    case Event.Broadcast:
      p.handleBroadcast(e.detail.toString(), e.name.toString(), e.payload);
      return;
    case Event.Down:
      p.handleDown(e.name.toString(), e.detail.toString(), e.payload.toString());
      return;
    case Event.Exit:
      p.handleExit(e.name.toString(), e.payload.toString());
      return;
    case Event.Reply: {
      const failed = e.has(Flag.Failed);
      const answer = failed
        ? new Result<Payload>(Code.Ended, null, "request", e.payload.toString())
        : new Result<Payload>(Code.OK, e.payload);
      p.handleReply(e.name.toString(), answer);
      return;
    }
    case Event.Terminate:
      p.terminate(e.payload.size == 0 ? e.name.toString() : e.name.toString() + ": " + e.payload.toString());
      return;
    case Event.Export:
      exported(p);
  }
}

/** Hands on the state of a process, if it has one. */
export function exported(p: Process): bool {
  const state = p.exportState();
  if (state) handOver(state);
  return state != null;
}

/** Lets a process take over a state, and says if it could not. */
export function takeOver(p: Process, e: Record): void {
  const schema = e.detail.toString();
  if (!p.importState(schema, e.payload)) refuseImport("cannot read schema " + schema);
}
