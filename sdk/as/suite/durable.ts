import {
  From, PID, Payload, Ref, Server, Socket, TopicChannel, crash, eventId, late, sendAfter, stop,
} from "rtd";
import { SCHEMA, common, numberOf, object, ok, restOf } from "./common";
import { operate } from "./operate";

/** Counts texts, and keeps the last ones. */
class Account {
  count: i32 = 0;
  last: string[] = [];

  /** Crashes after it has added a text that spoils it. */
  add(text: string): void {
    this.count++;
    this.last.push(text);
    if (this.last.length > 3) this.last.shift();
    if (text.startsWith("spoil ")) crash("told to crash");
  }

  /** Adds the message of a timer, or of another process. */
  due(message: Payload): string {
    const text = message.toString() + (late() > 0 ? " late" : "");
    this.add(text);
    return text;
  }

  export(): Payload {
    return Payload.of(this.count.toString() + "," + this.last.join(","));
  }

  import(schema: string, state: Payload): bool {
    if (schema != SCHEMA) return false;
    const text = state.toString();
    this.count = numberOf(text, ",");
    const last = restOf(text, ",");
    if (last != "") this.last = last.split(",");
    return true;
  }
}

/** An account as a process. */
export class Ledger extends Server {
  private account: Account = new Account();

  handleCall(from: From, question: Payload): void {
    const text = question.toString();
    let answer = "";
    if (text == "state") answer = this.account.count.toString() + " " + this.account.last.join(",");
    else if (text == "id") answer = eventId();
    else if (text == "stop") {
      answer = "stopped";
      stop();
    } else if (text.startsWith("timer ")) {
      const words = text.split(" ");
      sendAfter(I64.parseInt(words[1]), words.slice(2).join(" ")).value;
      answer = "set";
    } else {
      this.account.add(text);
      answer = this.account.count.toString();
    }
    from.reply(answer);
  }

  handleCast(message: Payload): void {
    this.account.add(message.toString());
  }

  handleInfo(message: Payload): void {
    this.account.due(message);
  }

  exportState(): Payload | null {
    return this.account.export();
  }

  importState(schema: string, state: Payload): bool {
    return this.account.import(schema, state);
  }
}

/** An account as a topic. */
export class Durable extends TopicChannel {
  private account: Account = new Account();
  private names: Map<string, string> = new Map(); // by member

  join(s: Socket, payload: Payload): void {
    this.names.set(s.member, payload.getString("name"));
  }

  leave(s: Socket, reason: string): void {
    this.names.delete(s.member);
  }

  handleInfo(message: Payload): void {
    const text = this.account.due(message);
    const members = this.members.values();
    for (let i = 0; i < members.length; i++) members[i].push("due", object("text", text));
  }

  handleDown(monitor: Ref, pid: PID, reason: string): void {
    this.account.add("down " + reason);
  }

  handleIn(s: Socket, event: string, payload: Payload): void {
    const account = this.account;
    const text = payload.getString("text");
    if (event == "add") {
      s.broadcast("added", object("text", text));
      s.reply("ok", object("count", account.count + 1));
      account.add(text);
    } else if (event == "state") {
      s.reply("ok", object("count", account.count).set("last", account.last));
    } else if (event == "names") {
      const names: string[] = [];
      const members = this.members.keys();
      for (let i = 0; i < members.length; i++) names.push(this.names.has(members[i]) ? this.names.get(members[i]) : "");
      s.reply("ok", object("names", names));
    } else if (event == "event_id") {
      s.reply("ok", object("id", eventId()).set("again", eventId()));
    } else if (event == "stop") {
      ok(s);
      stop(payload.getString("reason"));
    } else if (!common(s, event, payload) && !operate(s, event, payload)) {
      crash("unknown event " + event);
    }
  }

  exportState(): Payload | null {
    return this.account.export();
  }

  importState(schema: string, state: Payload): bool {
    return this.account.import(schema, state);
  }
}
