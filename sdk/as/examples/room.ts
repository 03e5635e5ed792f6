import { Channel, JsonObject, Payload, Socket, crash, handle } from "rtd";
export * from "rtd/guest";

/** Room is one client's place in a room: all of its memory is its own. */
class Room extends Channel {
  user: string = "";
  count: i32 = 0;

  join(s: Socket, payload: Payload): void {
    this.user = payload.getString("user");
    if (this.user == "") s.reply("error", '{"reason":"no user"}');
  }

  handleIn(s: Socket, event: string, payload: Payload): void {
    if (event == "new_message") {
      s.broadcast(event, payload);
      s.reply("ok", new JsonObject().set("count", ++this.count));
    } else if (event == "whoami") {
      s.reply("ok", new JsonObject().set("user", this.user));
    } else if (event == "crash") {
      crash("told to crash");
    } else {
      s.reply("error", '{"reason":"unknown event"}');
    }
  }
}

handle("room:*", () => new Room());
