import { Op } from "./abi";
import { Code, Result } from "./error";
import { query } from "./host";
import { Payload } from "./payload";
import { Fields } from "./record";

/**
 * How much is kept of each topic with history, for keepHistory. 0 is what the plugin's table of the server's
 * config says: 100 messages, 1 MiB, an hour, unless it says something else.
 */
export class Keep {
  constructor(
    /** At most a million. */
    readonly messages: i32 = 0,
    /** Milliseconds for which a message is kept. */
    readonly age: i64 = 0,
    /** That the messages take, about; at least 1,024. */
    readonly bytes: i64 = 0,
    /** It is stored as well, before anybody gets a message, and outlives the server. */
    readonly durable: bool = false,
  ) {}
}

/** A part of what was said in a topic. */
export class HistoryPage {
  constructor(
    /** Of the newest message, "EPOCH:OFFSET", as clients know it. */
    readonly position: string,
    /** The offset of the oldest message that is kept, or of the next one if none is. */
    readonly oldest: u64,
    /** The oldest first. */
    readonly messages: PastMessage[] = [],
  ) {}
}

/** A message that was broadcast. */
export class PastMessage {
  constructor(
    /** The topic's first message has 1, each further one the next. */
    readonly offset: u64,
    /** When it was, in milliseconds since 1970. */
    readonly unixMs: i64,
    readonly event: string,
    /** Is binary if the message was. */
    readonly payload: Payload,
  ) {}
}

/**
 * What was broadcast to a topic behind an offset, at most limit messages of 1,000; with a limit of 0 only where it
 * stands. A page ends sooner if its messages are large: ask again behind its last one, until none come. It reads
 * at once: what the event at hand broadcasts is not in it yet. The topic "" is the channel's own.
 *
 * It fails with Code.NoHistory if nothing is kept of the topic's broadcasts, and with Code.Denied as publish does.
 */
export function history(topic: string, after: u64, limit: i32): Result<HistoryPage> {
  const answer = query("history", Op.History, topic, "", after.toString(), 0, limit.toString());
  if (!answer.ok) return new Result<HistoryPage>(answer.code, null, answer.what);
  const fields = Fields.of(answer.value);
  const position = fields.nextText();
  const page = new HistoryPage(position, U64.parseInt(fields.nextText()));
  while (fields.more) {
    const offset = U64.parseInt(fields.nextText());
    const unixMs = I64.parseInt(fields.nextText());
    const event = fields.nextText();
    const payload = new Payload();
    fields.next(payload);
    const own = payload.copy();
    own.isBinary = fields.nextText() != "";
    page.messages.push(new PastMessage(offset, unixMs, event, own));
  }
  return new Result<HistoryPage>(Code.OK, page);
}
