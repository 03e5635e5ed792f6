// The outbox: what this person wrote and the server has not confirmed yet.
//
// An ok reply removes an entry; the message itself then stands in the log, because its broadcast reaches the sender too.
// So a message is shown once, and the log holds only what really went out. A message is not repeated by itself when its
// answer got lost: it might have arrived. The person decides, with "Retry".

import { element } from "./timeline.js";

const ENTRIES = 100;

const WHY = {
  disconnected: "Not confirmed: the connection broke",
  timeout: "Not confirmed in 10 seconds",
  crashed: "Not delivered: the handler crashed",
  "channel error": "Not confirmed: the handler ended",
};

export class Outbox {
  #list;
  #deliver;
  #room = "";
  #entries = []; // { room, body, state: "queued" | "sending" | "failed", node, seen }

  /** deliver sends a body to the current room and resolves when the server has confirmed it. */
  constructor(list, deliver) {
    this.#list = list;
    this.#deliver = deliver;
  }

  /** Shows the entries of room only; those of other rooms wait until it is shown again. */
  show(room) {
    this.#room = room;
    this.#list.replaceChildren(...this.#entries.filter((entry) => entry.room === room).map((entry) => entry.node));
  }

  /** Queues body for the current room, and says whether there was place. Call flush to send. */
  add(body) {
    if (this.#entries.length >= ENTRIES) return false;
    const entry = { room: this.#room, body, node: element("li", "pending"), seen: false };
    this.#entries.push(entry);
    this.#list.append(entry.node);
    this.#mark(entry, "queued");
    return true;
  }

  /** Sends what is queued for the current room, in order. Call it when joined. */
  flush() {
    for (const entry of this.#entries) if (entry.room === this.#room && entry.state === "queued") this.#send(entry);
  }

  /** Tells that the log shows a message of ours with this body: if its answer gets lost now, it has arrived all the same. */
  seen(body) {
    const entry = this.#entries.find((entry) => entry.state === "sending" && !entry.seen && entry.body === body);
    if (entry) entry.seen = true;
  }

  async #send(entry) {
    this.#mark(entry, "sending");
    try {
      await this.#deliver(entry.body);
      this.#remove(entry);
    } catch ({ reason }) {
      if (reason === "not joined") this.#mark(entry, "queued");
      else if (entry.seen) this.#remove(entry);
      else this.#mark(entry, "failed", WHY[reason] ?? `Not delivered: ${reason}`);
    }
  }

  #mark(entry, state, why = state === "sending" ? "Sending…" : "Waiting to send") {
    entry.state = state;
    entry.node.dataset.state = state;
    const text = element("p", "body", entry.body);
    text.dir = "auto";
    const status = element("p", "delivery");
    status.append(element("span", "", why));
    if (state === "failed") {
      status.append(this.#button("Retry", () => this.#send(entry)));
      status.append(this.#button("Discard", () => this.#remove(entry)));
    }
    entry.node.replaceChildren(text, status);
  }

  #button(label, action) {
    const button = element("button", "link", label);
    button.type = "button";
    button.addEventListener("click", action);
    return button;
  }

  #remove(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    entry.node.remove();
  }
}
