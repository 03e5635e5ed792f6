// The log: messages grouped by who said them, days, and notes on what happened to the connection.
//
// Everything that came from somebody else is set as textContent, never as markup, and is cut and bounded before it is
// shown: a guest or another client may send anything.

const ENTRIES = 500; // older ones are dropped
const BODY_CHARS = 8_000;
const NAME_CHARS = 40;
const GROUP_MS = 5 * 60_000; // a pause this long starts a new group
const NEAR_END_PX = 80;

export class Timeline {
  #list;
  #scroller;
  #jump;
  #last = null; // what the newest entry is, for grouping: { user, at, day }
  #unseen = 0;

  /** list receives the entries, scroller is what scrolls, jump is the button that leads to entries below the fold. */
  constructor(list, scroller, jump) {
    this.#list = list;
    this.#scroller = scroller;
    this.#jump = jump;
    jump.addEventListener("click", () => this.scrollToEnd());
    scroller.addEventListener("scroll", () => this.#atEnd() && this.#seen(), { passive: true });
    // The composer and the phone's keyboard change the height; whoever was at the end stays there.
    let following = true;
    scroller.addEventListener("scroll", () => (following = this.#atEnd()), { passive: true });
    new ResizeObserver(() => following && this.scrollToEnd()).observe(scroller);
    setInterval(() => this.#nameDays(), 60_000);
  }

  /** Adds what `user` said. `timestamp` is RFC 3339; anything else counts as now. */
  addMessage({ user, body, timestamp, own = false, shout = false }) {
    user = clip(user, NAME_CHARS) || "somebody";
    const parsed = new Date(typeof timestamp === "string" ? timestamp : NaN);
    const at = Number.isNaN(parsed.getTime()) ? new Date() : parsed;

    const day = dayKey(at);
    if (this.#last?.day !== day) this.#addDay(at, day);
    const last = this.#last;
    const follows = last?.user === user && last.own === own && Math.abs(at - last.at) < GROUP_MS && !shout && !last.shout;

    const time = clock(at);
    const name = element("bdi", "user", user);
    const meta = element("p", "meta");
    meta.append(name, " ", time);
    if (shout) meta.append(" ", element("span", "tag", own ? "shout, to everyone else" : "shout"));
    const text = element("p", "body", clip(body, BODY_CHARS));
    text.dir = "auto";
    text.title = time.title;

    const entry = element("li", "message");
    entry.dataset.user = user;
    entry.toggleAttribute("data-own", own);
    entry.toggleAttribute("data-shout", shout);
    entry.toggleAttribute("data-follows", follows);
    entry.append(avatar(user), meta, text);
    this.#last = { user, own, shout, at, day };
    this.#append(entry, own);
  }

  /** Adds a line about what happened. kind is "info", "ok", "help", "crash" or "error". */
  addNote(kind, text) {
    const entry = element("li", "note");
    entry.dataset.kind = kind;
    entry.append(element("span", "text", clip(text, BODY_CHARS)), " ", clock(new Date()));
    if (this.#last) this.#last = { day: this.#last.day };
    this.#append(entry, true);
  }

  clear() {
    this.#list.replaceChildren();
    this.#last = null;
    this.#seen();
  }

  scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#seen();
  }

  #append(entry, follow) {
    const stay = !follow && !this.#atEnd();
    this.#list.append(entry);
    while (this.#list.childElementCount > ENTRIES) this.#list.firstElementChild.remove();
    this.#list.firstElementChild.removeAttribute("data-follows");
    if (!stay) return this.scrollToEnd();
    this.#unseen++;
    this.#jump.textContent = this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
    this.#jump.hidden = false;
  }

  #addDay(at, day) {
    const time = element("time", "", dayName(at));
    time.dateTime = day;
    const entry = element("li", "day");
    entry.append(time);
    this.#list.append(entry);
    this.#last = { day };
  }

  // "Today" is only true until midnight.
  #nameDays() {
    for (const time of this.#list.querySelectorAll(".day time")) time.textContent = dayName(new Date(`${time.dateTime}T12:00`));
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #seen() {
    this.#unseen = 0;
    this.#jump.hidden = true;
  }
}

/** An element with a class and a text. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function clock(at) {
  const time = element("time", "", at.toLocaleTimeString([], { timeStyle: "short" }));
  time.dateTime = at.toISOString();
  time.title = at.toLocaleString([], { dateStyle: "full", timeStyle: "medium" });
  return time;
}

// avatar is the name's initial on a colour that is always the same for the same name.
function avatar(user) {
  let hash = 0;
  for (const char of user) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  const made = element("span", "avatar", ([...user][0] ?? "?").toUpperCase());
  made.setAttribute("aria-hidden", "true");
  made.style.setProperty("--hue", (hash * 137.508) % 360);
  return made;
}

function clip(value, chars) {
  const text = typeof value === "string" ? value.trim() : JSON.stringify(value) ?? "";
  return text.length > chars ? `${text.slice(0, chars)}…` : text;
}

function dayKey(at) {
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function dayName(at) {
  const now = new Date();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(at) === dayKey(now)) return "Today";
  if (dayKey(at) === dayKey(yesterday)) return "Yesterday";
  const year = at.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return at.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", year });
}
