// A WebSocket with nothing on top, for what client libraries hide.

import assert from "node:assert/strict";
import WebSocket from "ws";
import { until, within } from "./wait.mjs";

/** Opens a connection to the socket at url, which speaks V2; it is closed when the test ends. */
export async function raw(t, url, { query = "vsn=2.0.0", ...options } = {}) {
  const ws = new WebSocket(`${url}/websocket?${query}`, options);
  const inbox = [];
  ws.on("message", (data, binary) => inbox.push(binary ? data : data.toString()));
  ws.on("error", () => {});
  const closed = new Promise((resolve) => ws.on("close", resolve));
  t.after(() => ws.terminate());
  await within(new Promise((resolve) => ws.on("open", resolve)), "the connection");
  return new Raw(ws, inbox, closed);
}

class Raw {
  #ws;
  #inbox;
  #closed;

  constructor(ws, inbox, closed) {
    this.#ws = ws;
    this.#inbox = inbox;
    this.#closed = closed;
  }

  /** Sends a frame: an array as JSON, a string as text, a Buffer as binary. */
  send(frame) {
    this.#ws.send(Array.isArray(frame) ? JSON.stringify(frame) : frame);
  }

  /** The next frame as it came: a string, or a Buffer if it is binary. */
  async frame() {
    await until(() => this.#inbox.length > 0, "a frame");
    return this.#inbox.shift();
  }

  async next() {
    return JSON.parse(await this.frame());
  }

  /** Waits for the server to close, and returns the code. what says why it should. */
  closed(what) {
    return within(this.#closed, `the close after ${what}`);
  }

  terminate() {
    this.#ws.terminate();
  }

  async join(topic, ref, params = {}) {
    this.send([ref, ref, topic, "phx_join", params]);
    assert.deepEqual(await this.next(), [ref, ref, topic, "phx_reply", { status: "ok", response: {} }]);
  }

  /** Asserts that the server has nothing more to say. */
  async quiet() {
    this.send([null, "quiet", "phoenix", "heartbeat", {}]);
    assert.deepEqual(await this.next(), [null, "quiet", "phoenix", "phx_reply", { status: "ok", response: {} }]);
    assert.deepEqual(this.#inbox, []);
  }
}

/** The HTTP status with which a WebSocket handshake is answered: 101, or that of the refusal. */
export function handshake(url, { protocols = [], ...options } = {}) {
  const ws = new WebSocket(url, protocols, options);
  const status = new Promise((resolve) => {
    ws.on("unexpected-response", (_, response) => resolve(response.statusCode));
    ws.on("open", () => resolve(101));
    ws.on("error", (error) => resolve(error.message));
  });
  return within(status, "an answer to the handshake").finally(() => ws.terminate());
}
