import { From, call } from "./call";
import { crash } from "./crash";
import { Result } from "./error";
import { Body, Module, addModule } from "./module";
import { Payload } from "./payload";
import { PID } from "./process";
import { Fields, List } from "./record";
import { Server, ServerBody } from "./server";

/**
 * OTP's Agent: a process that keeps a state, of a class S, and lets others work on it with
 * functions. A function cannot be sent from one memory to another, but every process of
 * the plugin has the whole program: functions are registered, and a call carries the name.
 *
 *   class Words { counts: Map<string, i32> = new Map(); }
 *
 *   const words = new Agent<Words>("words", (args) => new Words());
 *   const count = words.get("count", (w, word) => Payload.of(w.counts.get(word.toString()).toString()));
 *
 *   const n = count.call("words", "hello").value.asInt(); // in any process
 *
 * Make an agent and its functions at the top level of a module.
 */
export class Agent<S> {
  readonly functions: AgentFunction<S>[] = [];
  exporter: ((state: S) => Payload) | null = null;
  importer: ((schema: string, state: Payload) => S | null) | null = null;

  constructor(name: string, readonly create: (args: Payload) => S) {
    addModule(new AgentModule<S>(name, this));
  }

  /** Registers a function that looks at the state, or changes it, and answers. */
  get(name: string, f: (state: S, arg: Payload) => Payload): AgentFunction<S> {
    return this.add(new AgentFunction<S>(name, f, null));
  }

  /** Registers a function that changes the state. The answer is empty. */
  update(name: string, f: (state: S, arg: Payload) => void): AgentFunction<S> {
    return this.add(new AgentFunction<S>(name, null, f));
  }

  /** Registers functions that write the state down, and read what another version wrote; null if they cannot. */
  migrates(exporter: (state: S) => Payload, importer: (schema: string, state: Payload) => S | null): void {
    this.exporter = exporter;
    this.importer = importer;
  }

  private add(f: AgentFunction<S>): AgentFunction<S> {
    if (this.find(f.name)) crash("function " + f.name + " of an agent is registered twice; rename one of them");
    this.functions.push(f);
    return f;
  }

  find(name: string): AgentFunction<S> | null {
    for (let i = 0; i < this.functions.length; i++) {
      if (this.functions[i].name == name) return this.functions[i];
    }
    return null;
  }
}

/** A function that runs in an agent's process. */
export class AgentFunction<S> {
  constructor(
    readonly name: string,
    readonly get: ((state: S, arg: Payload) => Payload) | null,
    readonly update: ((state: S, arg: Payload) => void) | null,
  ) {}

  /** Runs the function in an agent's process and waits for the answer, as the function call does. A crash in it is the agent's. */
  call<T>(agent: PID, arg: T): Result<Payload> {
    return call(agent, new List().add(this.name).add(arg).toPayload());
  }
}

class AgentModule<S> extends Module {
  constructor(name: string, private agent: Agent<S>) {
    super(name);
  }

  create(): Body {
    return new ServerBody(new AgentServer<S>(this.agent));
  }
}

class AgentServer<S> extends Server {
  private state: S | null = null;

  constructor(private agent: Agent<S>) {
    super();
  }

  init(args: Payload): void {
    this.state = this.agent.create(args);
  }

  exportState(): Payload | null {
    const f = this.agent.exporter;
    return f ? f(this.state!) : null;
  }

  importState(schema: string, state: Payload): bool {
    const f = this.agent.importer;
    if (f) this.state = f(schema, state);
    return this.state != null;
  }

  handleCall(from: From, question: Payload): void {
    const fields = Fields.of(question);
    const f = this.agent.find(fields.nextText());
    if (!f) {
      crash("agents take calls of their registered functions only");
      return;
    }
    const arg = new Payload();
    fields.next(arg);
    const get = f.get;
    const update = f.update;
    if (get) from.reply(get(this.state!, arg));
    if (update) {
      update(this.state!, arg);
      from.reply("");
    }
  }
}
