import { Effect, Op } from "./abi";
import { Code, Result } from "./error";
import { attempt, operate, query, queryText } from "./host";
import { Payload } from "./payload";
import { Fields } from "./record";

/** A client that has joined a topic: a Socket. */
export abstract class Member {
  constructor(
    /** Tells the members of a TopicChannel apart, the same after a crash; "" in a Channel. */
    readonly member: string,
  ) {}
}

/**
 * Who is present in a topic. Socket.presence is for the client, in the topic that it has joined.
 * Methods have their effect at once, and fail with Code.Denied as publish does.
 *
 *   s.presence.track(this.user, '{"device":"phone"}').value;
 *   s.pushPresence();
 */
export class Presence {
  constructor(
    readonly topic: string,
    /** The Socket.member that the methods make present; "" for this process itself. */
    readonly member: string = "",
  ) {}

  /**
   * Makes this process present, or the client that this is for, under a key, such as a user's id, with
   * meta data: a JSON object; "" stands for {}. Members of the topic get presence_diff. The host
   * untracks the process when it ends; one that is restarted tracks itself again. The result is the
   * phx_ref that the meta data gets.
   *
   * In a TopicChannel the client is a member. Members may have the same key, which then has several
   * metas. A member stays present when the process is restarted or moves to another version, and to
   * track it again in join changes nothing, unless the meta data is another. The host untracks a member
   * that leaves; this and update for one that has left fail with Code.NoProcess.
   */
  track<T>(key: string, meta: T): Result<string> {
    return queryText("track", Op.Track, key, meta, this.topic, 0, this.member);
  }

  /** Replaces the meta data of a key that was tracked. */
  update<T>(key: string, meta: T): Result<string> {
    return queryText("update", Op.Update, key, meta, this.topic, 0, this.member);
  }

  /** Takes back a track. */
  untrack(key: string): Code {
    return operate(Op.Untrack, key, "", this.topic, 0, this.member);
  }

  /**
   * Who is present, for the plugin itself: the metas of each key, in JSON as presence_state has it.
   * Keys that this process has just tracked are among them. Clients are told by Socket.pushPresence.
   */
  list(): Result<Payload> {
    return query("presences", Op.Presences, this.topic, "");
  }

  /**
   * Is Socket.pushPresence for another topic than the one that s has joined. The client gets
   * presence_state in the topic joined, and no presence_diff.
   */
  pushTo(s: Member): Code {
    return attempt(Effect.Present, this.topic, "", s.member);
  }

  /** How many keys are present, and how many metas. It is cheap, however many there are. */
  count(): Result<PresenceCount> {
    const answer = query("presence count", Op.PresenceCount, this.topic, "");
    if (!answer.ok) return new Result<PresenceCount>(answer.code, null, answer.what);
    const fields = Fields.of(answer.value);
    const keys = i32.parse(fields.nextText());
    return new Result<PresenceCount>(Code.OK, new PresenceCount(keys, i32.parse(fields.nextText())));
  }
}

/** Numbers of keys and metas. A key with two metas counts once among the keys. */
export class PresenceCount {
  constructor(readonly keys: i32, readonly metas: i32) {}
}
