import { Channel, JsonObject, PID, Payload, Ref, Result, Socket, SocketRef, crash, sendAfter, stop, wantBack, wantTerminate } from "rtd";
import { SCHEMA, arrive, common, config, done, object, ok, record, word } from "./common";
import { operate } from "./operate";

/** One client's join. */
export class Suite extends Channel {
  name: string = "";
  count: i32 = 0;
  later: SocketRef = new SocketRef("");
  held: SocketRef = new SocketRef("");

  join(s: Socket, payload: Payload): void {
    const cause = payload.getString("crash");
    if (cause != "") crash(cause);
    const refusal = payload.getString("refuse");
    if (refusal != "") {
      s.reply("error", object("reason", refusal));
      return;
    }
    wantTerminate();
    wantBack();
    s.intercept("masked");
    this.name = payload.getString("record");
    arrive(this.name, s);
    const push = payload.getString("push");
    if (push != "") s.push("joined", object("text", push).set("replay", s.replay));
    const welcome = payload.getString("welcome");
    if (welcome != "") s.reply("ok", object("welcome", welcome));
  }

  away(s: Socket, reason: string): void {
    if (this.name != "") record("away " + this.name + " " + reason);
  }

  back(s: Socket, payload: Payload): void {
    const refusal = payload.getString("refuse");
    if (refusal != "") {
      s.reply("error", object("reason", refusal));
      return;
    }
    this.name = payload.getString("record");
    if (this.name != "") record("back " + this.name);
    const push = payload.getString("push");
    if (push != "") s.push("joined", object("text", push).set("replay", s.replay));
    const welcome = payload.getString("welcome");
    if (welcome != "") s.reply("ok", object("welcome", welcome));
  }

  terminate(reason: string): void {
    if (this.name != "") record("terminate " + this.name + " " + reason);
  }

  handleOut(s: Socket, event: string, payload: Payload): void {
    s.push("unmasked", payload);
  }

  handleBroadcast(topic: string, event: string, payload: Payload): void {
    if (payload.isBinary) this.socket.push("heard", payload);
    else this.socket.push("heard", object("topic", topic).set("event", event).set("payload", payload));
  }

  handleInfo(message: Payload): void {
    const text = message.toString();
    if (text == "reply later") this.later.reply("ok", object("late", true));
    else this.socket.push("info", object("text", text));
  }

  handleDown(monitor: Ref, pid: PID, reason: string): void {
    this.socket.push("down", object("ref", monitor).set("pid", pid).set("reason", reason));
  }

  handleExit(pid: PID, reason: string): void {
    this.socket.push("exit", object("pid", pid).set("reason", reason));
  }

  handleReply(ref: Ref, answer: Result<Payload>): void {
    const reply = object("ref", ref);
    if (answer.ok) reply.set("answer", answer.value.toString());
    else reply.set("reason", word(answer.code, answer.reason));
    this.socket.push("reply", reply);
  }

  exportState(): Payload | null {
    return Payload.of(this.count.toString());
  }

  importState(schema: string, state: Payload): bool {
    if (schema != SCHEMA) return false;
    this.count = state.asInt() as i32;
    return true;
  }

  handleIn(s: Socket, event: string, payload: Payload): void {
    this.count++;
    if (event == "quiet") return;
    if (event == "config") {
      s.reply("ok", config);
    } else if (event == "count") {
      s.reply("ok", object("count", this.count));
    } else if (event == "later") {
      this.later = s.ref();
      sendAfter(payload.getInt("ms"), "reply later").value;
    } else if (event == "hold") {
      this.held = s.ref();
    } else if (event == "release") {
      if (payload.isBinary) this.held.reply("ok", payload);
      else this.held.reply("ok", object("text", payload.getString("text")));
      ok(s);
    } else if (event == "stop") {
      ok(s);
      stop(payload.getString("reason"));
    } else if (event == "stop_quietly") {
      stop(payload.getString("reason"));
    } else if (!common(s, event, payload) && !operate(s, event, payload)) {
      crash("unknown event " + event);
    }
  }
}
