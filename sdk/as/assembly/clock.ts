import { call } from "./call";
import { Code, Result } from "./error";
import { JsonObject } from "./json";
import { Payload } from "./payload";

/** A time in a zone. */
export class Time {
  /** Milliseconds since 1970. */
  readonly unixMs: i64;
  /** The zone: "Europe/Berlin". */
  readonly zone: string;
  /** The name of the zone's time then: "CEST". */
  readonly abbreviation: string;
  /** Seconds east of Greenwich. */
  readonly offset: i32;
  /** Whether it is daylight saving time. */
  readonly dst: bool;
  readonly year: i32;
  /** 1 is January. */
  readonly month: i32;
  readonly day: i32;
  readonly hour: i32;
  readonly minute: i32;
  readonly second: i32;
  readonly milliseconds: i32;
  /** 1 is Monday, 7 is Sunday. */
  readonly weekday: i32;
  /** 1 is January 1st. */
  readonly yearDay: i32;
  /**
   * Of a time of Clock.parse or Clock.add: the zone's clocks left the time of day out when they went
   * forward, and it was moved by as much.
   */
  readonly skipped: bool;
  /** Of the same: the time of day came twice when the clocks went back, and this is the first. */
  readonly twice: bool;

  /** Of an answer of rtd/clock. */
  constructor(answer: Payload) {
    this.unixMs = answer.getInt("unix_ms");
    this.zone = answer.getString("zone");
    this.abbreviation = answer.getString("abbreviation");
    this.offset = answer.getInt("offset") as i32;
    this.dst = answer.getBool("dst");
    this.year = answer.getInt("year") as i32;
    this.month = answer.getInt("month") as i32;
    this.day = answer.getInt("day") as i32;
    this.hour = answer.getInt("hour") as i32;
    this.minute = answer.getInt("minute") as i32;
    this.second = answer.getInt("second") as i32;
    this.milliseconds = answer.getInt("ms") as i32;
    this.weekday = answer.getInt("weekday") as i32;
    this.yearDay = answer.getInt("yearday") as i32;
    this.skipped = answer.getBool("skipped");
    this.twice = answer.getBool("twice");
  }
}

/** A number of calendar units, each of which may be negative. */
export class Span {
  constructor(
    readonly years: i32 = 0,
    readonly months: i32 = 0,
    readonly days: i32 = 0,
  ) {}
}

/**
 * Tells the time in a time zone: a name of the IANA database such as "Europe/Berlin"; "" is UTC. It
 * asks the server's service rtd/clock, which services = ["rtd/clock"] grants in [plugin.NAME] of the
 * server's config; without the grant the code is Code.Denied. A question that the service cannot answer
 * fails with Code.Malformed and the reason: of an unknown zone, a text that is no time, or a year before 1
 * or after 9999. Other codes are those of call.
 *
 *   const t = new Clock("Europe/Berlin").now().value;
 *
 * It is for zones alone: milliseconds since 1970, which the function now has, can be compared and added
 * to without it. rtd/host/clock has the layouts.
 */
export class Clock {
  constructor(readonly zone: string = "") {}

  /** The time now. */
  now(): Result<Time> {
    return this.time(new JsonObject());
  }

  /** The time that is so many milliseconds after the beginning of 1970. */
  at(unixMs: i64): Result<Time> {
    return this.time(new JsonObject().set("unix_ms", unixMs));
  }

  /**
   * Reads a text by a layout: "rfc3339" (which "" is, too), "http", or directives as in
   * "%d.%m.%Y %H:%M". It is of this zone, if it does not say its offset itself.
   */
  parse(text: string, layout: string): Result<Time> {
    return this.time(new JsonObject().set("text", text).set("layout", layout));
  }

  /** Writes a time by a layout, as parse has it: "%A, %-d %B %Y" is Tuesday, 14 July 2026. */
  format(unixMs: i64, layout: string): Result<string> {
    const answer = this.ask(new JsonObject().set("unix_ms", unixMs).set("format", layout));
    const text = answer.ok ? answer.value.getString("text") : null;
    return new Result<string>(answer.code, text, answer.what, answer.reason);
  }

  /**
   * Moves a time in the zone's calendar: first by years and months, where a day that the month does not have
   * becomes its last, then by days. The time of day stays as it is.
   */
  add(unixMs: i64, span: Span): Result<Time> {
    const add = new JsonObject().set("years", span.years).set("months", span.months).set("days", span.days);
    return this.time(new JsonObject().set("unix_ms", unixMs).set("add", add));
  }

  private time(question: JsonObject): Result<Time> {
    const answer = this.ask(question);
    return new Result<Time>(answer.code, answer.ok ? new Time(answer.value) : null, answer.what, answer.reason);
  }

  /** The answer of the service, unless it is an error. */
  private ask(question: JsonObject): Result<Payload> {
    const answer = call("rtd/clock", question.set("zone", this.zone));
    if (!answer.ok || answer.value.find("error").size == 0) return answer;
    return new Result<Payload>(Code.Malformed, null, "clock: " + answer.value.getString("message"));
  }
}
