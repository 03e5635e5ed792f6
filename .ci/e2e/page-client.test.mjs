// The chat page's own client, host/web/static/phoenix.js, as browsers load it, under Node with the WebSocket of ws.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import WebSocket from "ws";
import { chat } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await chat({ server: 'drain_spread = "1s"' });

let current; // the newest connection, so that a test can break it
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    current = this;
  }
};
// From a copy that is a package of modules: Node would take the files for CommonJS where they are.
const copy = join(rtd.dir, "page");
await cp(new URL("../../host/web/static", import.meta.url), copy, { recursive: true });
await cp(new URL("../../sdk/js/recovery.js", import.meta.url), join(copy, "recovery.js")); // as rtd serves it there
await writeFile(join(copy, "package.json"), `{"type":"module"}`);
const { Socket } = await import(pathToFileURL(join(copy, "phoenix.js")));

function member(t, room, params = () => ({ token: "demo", user: "Ada" })) {
  const socket = new Socket(rtd.url());
  t.after(() => socket.disconnect());
  const channel = socket.channel(room, params);
  const heard = [];
  const states = [];
  channel.onevent = (event, payload) => event === "new_message" && heard.push(payload);
  channel.onchange = () => states.at(-1) !== channel.state && states.push(channel.state);
  channel.join();
  socket.connect();
  return { socket, channel, heard, states };
}

const newRoom = () => `room:${randomUUID()}`;

rtd.test("joins, speaks, hears, and measures the round trip", async (t) => {
  const { socket, channel, heard } = member(t, newRoom());
  await until(() => channel.state === "joined");
  await channel.push("new_message", { body: "hello" });
  await until(() => heard.length === 1);
  assert.equal(heard[0].body, "hello");
  assert.equal(heard[0].user, "Ada");
  await until(() => socket.rtt !== null);
  assert.deepEqual(await channel.push("echo", { n: 1 }), { n: 1 });
});

rtd.test("comes back after the connection broke, and fails what was unanswered", async (t) => {
  const { socket, channel, heard } = member(t, newRoom());
  await until(() => channel.state === "joined");
  const pushed = channel.push("echo", {});
  current.terminate();
  const { reason } = await pushed.catch((error) => error);
  assert.ok(reason === "disconnected" || reason === undefined, `reason ${reason}`); // the answer may have been faster
  await until(() => socket.state !== "open");
  await assert.rejects(channel.push("echo", {}), { reason: "not joined" });
  await until(() => channel.state === "joined");
  await channel.push("new_message", { body: "back" });
  await until(() => heard.length === 1);
});

rtd.test("a refused join says why, and is tried again", async (t) => {
  let token = "wrong";
  const { channel, states } = member(t, newRoom(), () => ({ token, user: "Ada" }));
  await until(() => channel.state === "refused");
  assert.equal(channel.reason, "unauthorized");
  token = "demo";
  await until(() => channel.state === "joined");
  assert.equal(channel.reason, "");
  assert.deepEqual(states, ["joining", "refused", "joining", "joined"]);
});

rtd.test("a crash is an error for its push only", async (t) => {
  const { channel, states } = member(t, newRoom());
  await until(() => channel.state === "joined");
  await assert.rejects(channel.push("crash", {}), { reason: "crashed" });
  assert.deepEqual(await channel.push("echo", { alive: true }), { alive: true });
  assert.deepEqual(states, ["joining", "joined"]);
});

rtd.test("rejoin takes the new params, leave ends it", async (t) => {
  let user = "Ada";
  const { socket, channel, heard } = member(t, newRoom(), () => ({ token: "demo", user }));
  await until(() => channel.state === "joined");
  user = "Augusta";
  channel.rejoin();
  await until(() => channel.state === "joined");
  await channel.push("new_message", { body: "renamed" });
  await until(() => heard.length === 1);
  assert.equal(heard[0].user, "Augusta");
  channel.leave();
  await assert.rejects(channel.push("echo", {}), { reason: "not joined" });
  assert.equal(socket.state, "open");
});

rtd.test("comes back when a server that stops has said", async (t) => {
  const { socket, channel } = member(t, newRoom());
  await until(() => channel.state === "joined");
  let told;
  current.addEventListener("message", ({ data }) => {
    const [, , topic, event, payload] = JSON.parse(data);
    if (topic === "phoenix" && event === "reconnect") told = Date.now() + payload.after;
  });
  const stopped = rtd.stop();
  await until(() => socket.state === "waiting", "the end of the connection");
  assert.ok(told && Math.abs(socket.retryAt - told) < 1000 && socket.retryAt >= told - 5, `told ${told}, retries at ${socket.retryAt}`);
  await stopped;
  await rtd.start();
  await until(() => channel.state === "joined", "the second join", 20_000);
});
