// The npm package phoenix, as it was published over ten years, unmodified.
//
// Versions differ in what they speak and in what they can. A client here says so, and tests ask for what they need.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import WebSocket from "ws";
import { until, within } from "./wait.mjs";
import { XMLHttpRequest } from "./xhr.mjs";

const require = createRequire(import.meta.url);

// How newer clients are made to speak V1. It has no join_ref: a client takes a late phx_close of an older join for its own.
const V1 = {
  vsn: "1.0.0",
  encode: ({ topic, event, payload, ref }, done) => done(JSON.stringify({ topic, event, payload, ref })),
  decode: (text, done) => done(JSON.parse(text)),
};

/** name, Socket, LongPoll and Presence, and what it can. */
export const clients = [
  { name: "phoenix 1.8", package: "phoenix", binary: true },
  { name: "phoenix 1.7", package: "phoenix-1.7", binary: true },
  { name: "phoenix 1.6", package: "phoenix-1.6", binary: true },
  { name: "phoenix 1.5", package: "phoenix-1.5" },
  { name: "phoenix 1.4", package: "phoenix-1.4" },
  { name: "phoenix 1.3", package: "phoenix-1.3", insists: false },
  { name: "phoenix 1.2, which speaks V1", package: "phoenix-1.2", insists: false, replaces: false },
  { name: "phoenix 1.8 speaking V1", package: "phoenix", options: V1, replaces: false },
  { name: "phoenix 1.4 speaking V1", package: "phoenix-1.4", options: V1, replaces: false },
].map(({ package: from, ...rest }) => ({
  /** Sends and receives ArrayBuffers: since 1.6. */
  binary: false,
  /** Joins again after a refusal: since 1.4. */
  insists: true,
  /** A second channel of a topic takes the place of the first. */
  replaces: true,
  options: {},
  ...load(from),
  ...rest,
}));

export const newest = clients[0];

// load requires a version. Those before 1.8 need a window to poll, and look for it when they are loaded.
function load(from) {
  if (from !== "phoenix") globalThis.window = { XMLHttpRequest };
  const { Socket, LongPoll, Presence } = require(from);
  delete globalThis.window;
  return { Socket, LongPoll, Presence };
}

/** Opens a socket; it is closed when the test ends. options are the package's own. */
export async function connect(t, url, client = newest, options = {}) {
  const socket = dial(t, url, client, options);
  await until(() => socket.isConnected(), "the connection");
  return socket;
}

/** Like connect, but does not wait. socket.opened and socket.closes say how often it opened, and the close codes. */
export function dial(t, url, client = newest, options = {}) {
  const socket = new client.Socket(url, { transport: WebSocket, ...client.options, ...options });
  socket.opened = 0;
  socket.closes = [];
  socket.onOpen(() => socket.opened++);
  socket.onClose((event) => socket.closes.push(event?.code));
  t.after(() => hangUp(socket));
  socket.connect();
  return socket;
}

/** Joins topic, which must succeed. The channel is tracked. */
export async function join(socket, topic, params = {}) {
  const channel = tracked(socket, topic, params);
  const { status, response } = await answer(channel.join().receive("ok", () => channel.joins++));
  assert.equal(status, "ok", `join ${topic}: ${JSON.stringify(response)}`);
  return channel;
}

/** A channel, not joined yet, that counts: channel.joins (by join, above), channel.errors, channel.closes. */
export function tracked(socket, topic, params = {}) {
  const channel = socket.channel(topic, params);
  channel.joins = 0;
  channel.errors = 0;
  channel.closes = 0;
  channel.onError(() => channel.errors++);
  channel.onClose(() => channel.closes++);
  return channel;
}

/** What the channel hears of event from now on, a list that grows. */
export function collect(channel, event) {
  const heard = [];
  channel.on(event, (payload) => void heard.push(payload));
  return heard;
}

/** Pushes, and waits for the reply: its status and response, or the status "timeout". */
export const push = (channel, event, payload = {}, timeout) => answer(channel.push(event, payload, timeout));

export function answer(pushed, statuses = ["ok", "error", "timeout"]) {
  const first = new Promise((resolve) => {
    for (const status of statuses) pushed.receive(status, (response) => resolve({ status, response }));
  });
  return within(first, `an answer to ${pushed.event}`, 15_000);
}

/** Waits for a heartbeat's answer: whatever the server sent before has arrived then. */
export async function settle(socket) {
  const ref = socket.makeRef();
  let answered = false;
  socket.onMessage((message) => {
    if (message.topic === "phoenix" && message.ref === ref) answered = true;
    return message;
  });
  socket.push({ topic: "phoenix", event: "heartbeat", payload: {}, ref });
  await until(() => answered, "a heartbeat's answer");
}

// hangUp ends a socket for good; old versions leave timers behind.
function hangUp(socket) {
  for (const channel of socket.channels) channel.rejoinTimer?.reset();
  socket.disconnect();
  socket.reconnectTimer.reset();
  clearInterval(socket.heartbeatTimer);
}
