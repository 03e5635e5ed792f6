import { Event, Flag } from "./abi";
import { From } from "./call";
import { Process, takeOver, tell } from "./callbacks";
import { Body, Module, addModule } from "./module";
import { Payload } from "./payload";
import { Fields, Record } from "./record";

/**
 * OTP's GenServer: a process that keeps a state and answers. Its methods are called one at a time. To
 * throw an Error crashes the process.
 */
export abstract class Server extends Process {
  /** Takes the arguments that spawn or the tree gives. */
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

/** Gives a server an event, and answers the process that asked whether its init went well. */
export function begin(server: Server, e: Record): void {
  if (e.kind == Event.Import) {
    takeOver(server, e);
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
