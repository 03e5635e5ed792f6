// A small client for Phoenix Channels: protocol V2, JSON text over WebSocket, or over long polling where that is blocked.
//
// Every frame is an array [join_ref, ref, topic, event, payload]. A ref names one push, and its reply carries it back.
// A join_ref names one join of a topic: a frame with an older one belongs to a channel that is gone, and is dropped.
//
//   const socket = new Socket("ws://127.0.0.1:4000/socket");
//   const channel = socket.channel("room:lobby", () => ({ token: "demo", user: "Ada" }));
//   channel.onevent = (event, payload) => console.log(event, payload);
//   channel.onrecovered = ({ count, reason }) => console.log("missed", count, reason ?? "and nothing else");
//   channel.join();
//   socket.connect();
//   await channel.push("new_message", { body: "hello" });
//
// The socket reconnects after every close, whatever its code, and its channels join again by themselves. Nothing is
// queued here: a push while not joined fails at once, and a push whose answer got lost is never repeated, because only
// the caller can tell whether doing it twice does harm. On topics with history, what was missed comes behind the next join: recovery.js.

import { LongPoll } from "./longpoll.js";
import { Recovery } from "./recovery.js";

const RECONNECT_MS = [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000];
const REJOIN_MS = [1000, 2000, 5000, 10000];
const HEARTBEAT_MS = 30_000; // the server closes a socket that was silent for 60 s
const FIRST_HEARTBEAT_MS = 2_000; // the round trip measured while the page still loads says little
const ANSWER_MS = 10_000; // for a handshake, a heartbeat, a join and a push
const STABLE_MS = 5_000; // a connection that lived this long resets the back-off
const FALLBACK_TRIES = 2; // so many WebSockets in a row that never opened, while the server answers, and it is long polling

/** A push that was not answered "ok". `reason` is the server's word, or one of "timeout", "disconnected", "not joined",
 * "channel error" for what went wrong on the way; then `response` is null and the push may or may not have been handled. */
export class PushError extends Error {
  constructor(reason, response = null) {
    super(reason);
    this.reason = reason;
    this.response = response;
  }
}

/** One connection to the server, and the channels on it. */
export class Socket {
  /** "closed", "connecting", "open" or "waiting" (for the next attempt, at `retryAt`). */
  state = "closed";
  /** When the next attempt starts and when this connection opened: milliseconds, as Date.now() counts. */
  retryAt = 0;
  openedAt = 0;
  /** Round trip of the last heartbeat in milliseconds, or null. */
  rtt = null;
  /** "websocket" or "longpoll". */
  transport = "websocket";
  /** Called after any of the above changed. */
  onchange = () => {};

  #url;
  #ws = null;
  #blocked = 0; // WebSockets in a row that never opened
  #lastRef = 0;
  #tries = 0;
  #back = 0; // when a server that is about to stop says to come back
  #pushes = new Map(); // ref → the unanswered push
  #channels = new Set();
  #timer; // the one thing the socket waits for: handshake, next heartbeat, or next attempt

  constructor(url) {
    this.#url = url;
  }

  /** Starts connecting, at once even if an attempt was scheduled for later. */
  connect() {
    if (this.#ws) return;
    const ws = (this.#ws = this.#transport());
    ws.onopen = () => this.#opened();
    ws.onmessage = ({ data }) => this.#receive(data);
    ws.onclose = () => this.#lost(ws);
    ws.onerror = () => {}; // a close always follows
    this.#wait(ANSWER_MS, () => this.#lost(ws));
    this.#change("connecting");
  }

  // A WebSocket, unless it is blocked; the page loads, so that the server is there. An answer to a poll says whether it is
  // the network that blocks them. Every other attempt is a WebSocket again.
  #transport() {
    this.transport = this.#blocked >= FALLBACK_TRIES && this.#blocked % 2 === 0 ? "longpoll" : "websocket";
    if (this.transport === "longpoll") return new LongPoll(`${this.#url.replace(/^ws/, "http")}/longpoll?vsn=2.0.0`);
    return new WebSocket(`${this.#url}/websocket?vsn=2.0.0`);
  }

  /** Closes for good. The channels end without a leave, as when a tab is closed. */
  disconnect() {
    if (this.#ws) this.#lost(this.#ws);
    clearTimeout(this.#timer);
    this.#change("closed");
  }

  /** Call when the network or the machine comes back: skips the back-off, or finds out now whether the connection is dead. */
  wake() {
    if (this.state === "waiting") this.connect();
    else if (this.state === "open") this.#heartbeat();
  }

  /** A channel for topic, not yet joined. `params` is called anew for each join, and returns its payload. */
  channel(topic, params) {
    const channel = new Channel(this, topic, params);
    this.#channels.add(channel);
    return channel;
  }

  /** Drops a channel that was left. */
  remove(channel) {
    this.#channels.delete(channel);
  }

  nextRef() {
    return String(++this.#lastRef);
  }

  /** Sends one frame and resolves with the response of its ok reply, or rejects with a PushError. */
  request(joinRef, topic, event, payload, { ref = this.nextRef(), timeout = ANSWER_MS } = {}) {
    if (this.state !== "open") return Promise.reject(new PushError("disconnected"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(ref, (push) => push.reject(new PushError("timeout"))), timeout);
      this.#pushes.set(ref, { joinRef, resolve, reject, timer });
      this.#ws.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    });
  }

  /** Fails the unanswered pushes of one join, or all of them. */
  abandon(reason, joinRef) {
    for (const [ref, push] of this.#pushes) {
      if (joinRef === undefined || push.joinRef === joinRef) {
        this.#settle(ref, () => push.reject(new PushError(reason)));
      }
    }
  }

  #opened() {
    this.openedAt = Date.now();
    if (this.transport === "websocket") this.#blocked = 0;
    this.#change("open");
    this.#heartbeat();
    for (const channel of this.#channels) channel.socketOpened();
  }

  #receive(data) {
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      frame = null;
    }
    if (!Array.isArray(frame) || frame.length < 5) return console.warn("phoenix: dropped a frame that is not V2", data);
    const [joinRef, ref, topic, event, payload] = frame;
    if (event === "phx_reply") {
      const { status, response } = payload ?? {};
      return this.#settle(ref, (push) =>
        status === "ok" ? push.resolve(response) : push.reject(new PushError(String(response?.reason ?? status), response)),
      );
    }
    if (topic === "phoenix" && event === "reconnect" && payload?.after >= 0) this.#back = Date.now() + payload.after;
    for (const channel of this.#channels) if (channel.topic === topic) channel.receive(joinRef, ref, event, payload);
  }

  #settle(ref, how) {
    const push = this.#pushes.get(ref);
    if (!push) return; // answered twice, or after its time-out
    this.#pushes.delete(ref);
    clearTimeout(push.timer);
    how(push);
  }

  async #heartbeat() {
    const ws = this.#ws;
    const start = performance.now();
    try {
      await this.request(null, "phoenix", "heartbeat", {});
    } catch {
      return this.#lost(ws);
    }
    if (ws !== this.#ws) return;
    this.#wait(this.rtt === null ? FIRST_HEARTBEAT_MS : HEARTBEAT_MS, () => this.#heartbeat());
    this.rtt = performance.now() - start;
    this.onchange();
  }

  // lost gives up on ws. It does not wait for the closing handshake: a peer that is gone will never answer it.
  #lost(ws) {
    if (ws !== this.#ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    this.#ws = null;
    if (this.state === "connecting") this.#blocked++;
    if (this.state === "open" && Date.now() - this.openedAt >= STABLE_MS) this.#tries = 0;
    // The jitter keeps clients that lost the same server from coming back in one instant.
    const backOff = RECONNECT_MS[Math.min(this.#tries++, RECONNECT_MS.length - 1)] * (1 + Math.random()) / 2;
    const delay = Math.max(backOff, this.#back - Date.now());
    this.#back = 0;
    this.retryAt = Date.now() + delay;
    this.rtt = null;
    this.#wait(delay, () => this.connect());
    this.#change("waiting");
    this.abandon("disconnected");
    for (const channel of this.#channels) channel.socketLost();
  }

  #wait(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #change(state) {
    this.state = state;
    this.onchange();
  }
}

/** One topic joined through a Socket. Create it with Socket.channel. */
export class Channel {
  /** "left", "joining", "joined", "refused", "errored" (it crashed) or "closed" (the server ended it).
   * Refused and errored channels join again at `retryAt`; left and closed ones only when join is called. */
  state = "left";
  retryAt = 0;
  /** Why the last join was refused, in the server's word; empty once joined. */
  reason = "";
  /** Called after any of the above changed. */
  onchange = () => {};
  /** Called with (event, payload) for each broadcast and push of the topic. */
  onevent = () => {};
  /** Called on topics with history, when what was missed has come: with the count of that, and the reason if some is gone. */
  onrecovered = () => {};

  #recovery = new Recovery({ onRecovered: (told) => this.onrecovered(told), onGap: (told) => this.onrecovered(told) });
  #socket;
  #params;
  #joinRef = null;
  #tries = 0;
  #timer;

  constructor(socket, topic, params) {
    this.#socket = socket;
    this.#params = params;
    this.topic = topic;
  }

  /** Whether the topic has history: false until it has told of a position. */
  get hasHistory() {
    return this.#recovery.position !== undefined;
  }

  /** Joins now, or as soon as the socket is open, and again whenever the channel is lost. */
  async join() {
    clearTimeout(this.#timer);
    const ref = (this.#joinRef = this.#socket.nextRef());
    this.#change("joining");
    if (this.#socket.state !== "open") return; // socketOpened calls again
    try {
      await this.#socket.request(ref, this.topic, "phx_join", this.#recovery.join(this.#params()), { ref });
      if (ref !== this.#joinRef) return;
      this.#tries = 0;
      this.reason = "";
      this.#change("joined");
    } catch (error) {
      if (ref !== this.#joinRef || error.reason === "disconnected") return;
      if (error.reason === "timeout") this.#send("phx_leave"); // or it would succeed behind our back
      this.reason = error.reason;
      this.#retry("refused");
    }
  }

  /** Leaves and forgets the channel. Pushes that were sent before are still answered. */
  leave() {
    clearTimeout(this.#timer);
    if (this.state === "joined" || this.state === "joining") this.#send("phx_leave");
    this.#joinRef = null;
    this.#socket.remove(this);
    this.#change("left");
  }

  /** Leaves and joins anew, so that the server sees what `params` returns now. */
  rejoin() {
    if (this.state === "joined" || this.state === "joining") this.#send("phx_leave");
    this.join();
  }

  /** Sends event and resolves with the response of its ok reply, or rejects with a PushError. */
  push(event, payload) {
    if (this.state !== "joined") return Promise.reject(new PushError("not joined"));
    return this.#socket.request(this.#joinRef, this.topic, event, payload);
  }

  /** For Socket: a frame of this topic that is not a reply. */
  receive(joinRef, ref, event, payload) {
    if (joinRef !== null && joinRef !== this.#joinRef) return; // of a join that is over
    if (event === "phx_error" || event === "phx_close") {
      this.#socket.abandon("channel error", this.#joinRef);
      if (event === "phx_error") this.#retry("errored");
      else this.#change("closed");
    } else if ((this.state === "joined" || this.state === "joining") && this.#recovery.receive(event, payload, ref, joinRef)) {
      this.onevent(event, payload);
    }
  }

  /** For Socket. */
  socketOpened() {
    this.#tries = 0;
    if (this.state !== "left" && this.state !== "closed") this.join();
  }

  /** For Socket. */
  socketLost() {
    clearTimeout(this.#timer);
    if (this.state !== "left" && this.state !== "closed") this.#change("joining");
  }

  #send(event) {
    this.#socket.request(this.#joinRef, this.topic, event, {}).catch(() => {}); // nobody waits for the answer
  }

  #retry(state) {
    const delay = REJOIN_MS[Math.min(this.#tries++, REJOIN_MS.length - 1)];
    this.retryAt = Date.now() + delay;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.join(), delay);
    this.#change(state);
  }

  #change(state) {
    this.state = state;
    this.onchange();
  }
}
