import { Effect, Op } from "./abi";
import { attempt, operate, query, queryText } from "./host";
import { Payload } from "./payload";
import { Fields } from "./record";
import { Code, Result } from "./result";
import { Socket } from "./socket";

/**
 * Who is in a topic; Socket.presence is that of the topic joined. What happens here happens
 * at once. It fails with Code.Denied as publish does.
 *
 *   s.presence.track(this.user, '{"device":"phone"}').value;
 *   s.pushPresence();
 */
export class Presence {
  constructor(readonly topic: string) {}

  /**
   * Makes this process present under a key, such as a user's id, with meta data: a JSON
   * object; "" stands for {}. Members of the topic get presence_diff. The host untracks it
   * when the process ends; one that was restarted tracks itself again, in join for
   * example. The result is what the meta gets as phx_ref.
   */
  track<T>(key: string, meta: T): Result<string> {
    return queryText("track", Op.Track, key, meta, this.topic);
  }

  /** Replaces the meta data of a key that this process has tracked. */
  update<T>(key: string, meta: T): Result<string> {
    return queryText("update", Op.Update, key, meta, this.topic);
  }

  untrack(key: string): Code {
    return operate(Op.Untrack, key, "", this.topic);
  }

  /**
   * Who is present, for a plugin that wants to look: the metas of each key, in JSON as
   * presence_state has it. What this process has tracked is among them.
   */
  list(): Result<Payload> {
    return query("presences", Op.Presences, this.topic, "");
  }

  /**
   * Is Socket.pushPresence of another topic than the one that s has joined. The client gets it
   * in the one joined, and no diffs.
   */
  pushTo(s: Socket): Code {
    return attempt(Effect.Present, this.topic, "", s.member);
  }

  /** How many are present. It is cheap, however many there are. */
  count(): Result<PresenceCount> {
    const answer = query("presence count", Op.PresenceCount, this.topic, "");
    if (!answer.ok) return new Result<PresenceCount>(answer.code, null, answer.what);
    const fields = Fields.of(answer.value);
    const keys = i32.parse(fields.nextText());
    return new Result<PresenceCount>(Code.OK, new PresenceCount(keys, i32.parse(fields.nextText())));
  }
}

/** Who is there twice counts once among the keys. */
export class PresenceCount {
  constructor(readonly keys: i32, readonly metas: i32) {}
}
