import { Effect, Event, Flag } from "./abi";
import { effect } from "./host";
import { JsonObject } from "./json";
import { Payload } from "./payload";
import { Body, Module, addModule, plugin } from "./plugin";
import { From, Process, setSelf } from "./process";
import { Fields, Record } from "./record";
import { Code, Result } from "./result";

/** OTP's GenServer: a process that keeps a state and answers. */
export abstract class Server extends Process {
  /** Takes what spawn or the tree gives as arguments. */
  init(args: Payload): void {}
}

/** Registers a module whose processes are servers made by create. */
export function serve(name: string, create: () => Server): void {
  addModule(new ServerModule(name, create));
}

class ServerModule extends Module {
  constructor(name: string, private make: () => Server) {
    super(name);
  }

  create(): Body {
    return new ServerBody(this.make());
  }
}

export class ServerBody extends Body {
  constructor(private server: Server) {
    super();
  }

  handle(e: Record): void {
    begin(this.server, e);
  }
}

/** Gives a server an event. Whoever asked for an answer to its init hears that it went well. */
export function begin(server: Server, e: Record): void {
  if (e.kind == Event.Import) {
    setSelf(Fields.of(e.extra).nextText());
    replyImport(server, e);
    return;
  }
  if (e.kind != Event.Init) {
    tell(server, e);
    return;
  }
  const from = e.has(Flag.Request) ? new From(e.extra.toString()) : null;
  server.init(e.payload);
  if (from) from.reply("");
}

/** Gives an event to what processes of all kinds have for it. */
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
    case Event.Export: {
      const state = p.exportState();
      const schema = plugin.schema;
      if (state) effect<Payload>(Effect.State, schema ? schema : "", state);
    }
  }
}

/** Lets a process take over a state, and says if it could not. */
export function replyImport(p: Process, e: Record): void {
  const schema = e.detail.toString();
  if (p.importState(schema, e.payload)) return;
  effect(Effect.Reply, "error", new JsonObject().set("reason", "cannot read schema " + schema));
}
