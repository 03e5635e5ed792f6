import { Payload, Socket, TopicChannel, crash } from "rtd";
import { SCHEMA, arrive, common, numberOf, object, ok, restOf } from "./common";
import { operate } from "./operate";

const PRESENCES = ["present", "track", "update", "untrack", "track_self"];

/** A topic. */
export class Shared extends TopicChannel {
  total: i32 = 0;
  names: Map<string, string> = new Map(); // by member

  join(s: Socket, payload: Payload): void {
    const refusal = payload.getString("refuse");
    if (refusal != "" && !s.replay) {
      s.reply("error", object("reason", refusal));
      return;
    }
    s.intercept("masked");
    const name = payload.getString("name");
    this.names.set(s.member, name);
    arrive(name, s);
    const push = payload.getString("push");
    if (push != "") s.push("joined", object("text", push).set("replay", s.replay));
    const key = payload.getString("track");
    if (key != "") s.presence.track(key, object("text", name)).value;
  }

  leave(s: Socket, reason: string): void {
    s.broadcast("left", object("name", this.nameOf(s)).set("reason", reason));
    this.names.delete(s.member);
  }

  handleOut(from: Socket, event: string, payload: Payload): void {
    const members = this.members.values();
    for (let i = 0; i < members.length; i++) {
      if (members[i] != from) members[i].push("unmasked", payload);
    }
  }

  handleIn(s: Socket, event: string, payload: Payload): void {
    if (event == "total") {
      s.reply("ok", object("total", ++this.total));
    } else if (event == "names") {
      s.reply("ok", object("names", this.here()));
    } else if (event == "tell") {
      const members = this.members.values();
      const name = payload.getString("name");
      for (let i = 0; i < members.length; i++) {
        if (this.nameOf(members[i]) == name) members[i].push("told", object("text", payload.getString("text")));
      }
      ok(s);
    } else if (PRESENCES.includes(event)) {
      operate(s, event, payload);
    } else if (!common(s, event, payload)) {
      crash("unknown event " + event);
    }
  }

  private nameOf(s: Socket): string {
    return this.names.has(s.member) ? this.names.get(s.member) : "";
  }

  /** The names in the order of joins. */
  private here(): string[] {
    const names: string[] = [];
    const members = this.members.values();
    for (let i = 0; i < members.length; i++) names.push(this.nameOf(members[i]));
    return names;
  }

  exportState(): Payload | null {
    const names = this.here();
    return Payload.of(this.total.toString() + (names.length > 0 ? "," + names.join(",") : ""));
  }

  importState(schema: string, state: Payload): bool {
    if (schema != SCHEMA) return false;
    const text = state.toString();
    this.total = numberOf(text, ",");
    const names = restOf(text, ",").split(",");
    const members = this.members.keys();
    for (let i = 0; i < members.length && i < names.length; i++) this.names.set(members[i], names[i]);
    return true;
  }
}
