// Handlers that wait: who comes back finds the one it had, with what it knew and who it was. By every client, with sdk/js or the lines of
// sdk/recovery.md, through a network that breaks, and over another transport.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe } from "node:test";
import { recover, Recovery } from "../../sdk/js/recovery.js";
import { clients, collect, connect, dial, join, newest, push, tracked } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { proxy } from "./harness/proxy.mjs";
import { until } from "./harness/wait.mjs";
import { XMLHttpRequest } from "./harness/xhr.mjs";

const rtd = await phoenix({ config: `linger = "10m"\nhistory = ["room:*"]\nmax_lingering_address = 100000` });
const newTopic = () => `room:${randomUUID()}`;
const isOld = ({ name }) => /phoenix 1\.[23]/.test(name);
const soon = (client) => ({ reconnectAfterMs: () => (isOld(client) ? 1000 : 20), rejoinAfterMs: () => 20 });

globalThis.window = { XMLHttpRequest }; // where phoenix 1.3 looks whenever it polls
const polling = clients
  .filter(({ name }) => !name.includes("V1"))
  .map((client) => ({ ...client, name: `${client.name}, polling`, options: { ...client.options, transport: client.LongPoll } }));
const all = [...clients, ...polling];

// The lines of sdk/recovery.md, as they stand there.
const page = await readFile(new URL("../../sdk/recovery.md", import.meta.url), "utf8");
const lines = new Function("socket", "token", "startAnew", "topic",
  `${/```js\n(let key[^]*?)```/.exec(page)[1].replace('"room:lobby"', "topic").replace("room.join()", "")}; return room`);

/** A member that comes back to its handler: by sdk/js, by the lines, or not at all. told has what it was told about that. */
async function member(t, topic, client, { url = rtd.url(), by = "sdk/js", resume, since } = {}) {
  const socket = dial(t, url, client, soon(client));
  const told = [];
  let channel;
  let recovery;
  if (by === "lines") {
    channel = lines(socket, "", () => told.push(false), topic);
    channel.on("resume", ({ resumed }) => resumed && told.push(true));
  } else {
    channel = tracked(socket, topic);
    if (by === "sdk/js") recovery = recover(channel, { resume, since, onResumed: ({ resumed }) => told.push(resumed) });
  }
  let keys = 0;
  channel.on("resume", () => keys++);
  channel.join();
  await until(() => channel.state === "joined" && keys > 0, `${client.name} to be told a key`);
  return { name: `${client.name} by ${by}`, by, client, socket, channel, told, recovery };
}

const everyone = (t, topic, options) =>
  Promise.all([
    ...all.map((client) => member(t, topic, client, options)),
    ...all.filter((client) => !isOld(client)).map((client) => member(t, topic, client, { ...options, by: "lines" })),
  ]);

const count = async ({ channel, name }) => {
  const { status, response } = await push(channel, "count");
  assert.equal(status, "ok", `${name}: ${JSON.stringify(response)}`);
  return response.count;
};

describe("a time away", () => {
  rtd.test("every client finds its handler again, present all the while, and gets what that pushed", async (t) => {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const watch = await join(await connect(t, rtd.url(), newest), topic);
    const diffs = collect(watch, "presence_diff");
    const members = await everyone(t, topic, { url: net.url() });
    for (const [n, m] of members.entries()) {
      await push(m.channel, "track", { key: `${n}`, meta: {} });
      m.pushed = collect(m.channel, "info");
      m.before = await count(m);
    }
    await until(() => diffs.flatMap(({ joins }) => Object.keys(joins)).length === members.length, "all to be present");
    for (const m of members) await push(m.channel, "info", { ms: 300, payload: { late: true } });
    net.shut();
    await new Promise((resolve) => setTimeout(resolve, 600));
    await net.open();
    for (const m of members) {
      await until(() => m.told.length > 0 && m.channel.state === "joined", `${m.name} to be back`);
      assert.equal(m.told[0], true, m.name);
      // A session of polls seems open for a while, and takes what is pushed with it.
      if (!m.name.includes("polling")) await until(() => m.pushed.length > 0, `${m.name} to get what was pushed`);
      assert.ok((await count(m)) > m.before, m.name);
    }
    assert.deepEqual(diffs.flatMap(({ leaves }) => Object.keys(leaves)), [], "somebody seemed to leave");
  });

  rtd.test("a restart of the server is a join like the first one, and is told", async (t) => {
    const members = await everyone(t, newTopic());
    for (const m of members) await push(m.channel, "noreply", {}, 1); // a count that a new handler does not have
    await rtd.kill();
    await until(() => members.every(({ socket }) => !socket.isConnected()), "the end of all connections");
    await rtd.start();
    for (const m of members) {
      await until(() => m.told.length > 0 && m.channel.state === "joined", `${m.name} to be back`);
      assert.equal(m.told[0], false, m.name);
      assert.equal(await count(m), 1, m.name);
    }
  });
});

describe("another connection", { concurrency: true }, () => {
  const other = (from, to) =>
    rtd.test(`${from.name} to ${to.name}`, async (t) => {
      const topic = newTopic();
      const a = await member(t, topic, from);
      const before = await count(a);
      // A page that is loaded again: the old connection may seem open or not.
      const b = await member(t, topic, to, { resume: a.recovery.key, since: a.recovery.position });
      await until(() => b.told.length > 0, "the answer");
      assert.deepEqual([b.told[0], await count(b)], [true, before + 1]);
      await until(() => a.channel.state === "closed", "the old one to be closed");
    });
  const [, , , , old] = clients;
  const polls = (client) => polling.find(({ name }) => name === `${client.name}, polling`);
  other(newest, polls(newest));
  other(polls(newest), newest);
  other(old, polls(newest));
  other(clients.at(-1), newest); // V1 to V2
  other(newest, clients.at(-1));
});

describe("what is special", { concurrency: true }, () => {
  rtd.test("a leave is one", async (t) => {
    const topic = newTopic();
    const a = await member(t, topic, newest);
    await count(a);
    a.channel.leave();
    await until(() => a.channel.state === "closed");
    const b = await member(t, topic, newest, { resume: a.recovery.key });
    assert.deepEqual([b.told, await count(b)], [[false], 1]);
  });

  rtd.test("what the handler itself said to all others is not told to its client", async (t) => {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const a = await member(t, topic, newest, { url: net.url() });
    const b = await join(await connect(t, rtd.url(), newest), topic);
    const heard = collect(a.channel, "news");
    await until(() => a.recovery.position, "a position");
    await push(a.channel, "broadcast_from", { event: "news", payload: { n: 1 } });
    net.shut();
    await push(b, "broadcast", { event: "news", payload: { n: 2 } });
    await net.open();
    await until(() => heard.length > 0 && a.told.length > 0, "the recovery");
    assert.deepEqual([heard, a.told], [[{ n: 2 }], [true]]);
  });

  rtd.test("who sends no key has a handler of its own", async (t) => {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const a = await member(t, topic, newest, { url: net.url(), by: "nothing" });
    await count(a);
    net.cut();
    await until(() => a.socket.closes.length > 0 && a.channel.state === "joined", "it to be back");
    assert.equal(await count(a), 1);
  });
});

rtd.test("a network that breaks every 300 ms: one handler, all the way", async (t) => {
  const robust = all.filter(({ name }) => !name.startsWith("phoenix 1.2") && !/1\.[2-6], polling/.test(name));
  const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
  const members = await Promise.all(robust.map((client) => member(t, topic, client, { url: net.url() })));
  for (const m of members) m.self = (await push(m.channel, "self")).response.pid;
  net.storm(300);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  net.calm();
  net.cut();
  for (const m of members) {
    await until(() => m.channel.state === "joined" && m.told.length > 0, `${m.name} to be there again`);
    let answer = {};
    for (let tries = 0; answer.status !== "ok" && tries < 10; tries++) answer = await push(m.channel, "self", {}, 2000);
    assert.equal(answer.response?.pid, m.self, `${m.name}, told ${m.told}`);
  }
});

describe("the library, message by message", () => {
  const KEY = "ABCDEFGHIJKLMNOPQRSTUVWX23";
  rtd.test("a key is the server's word alone", () => {
    const told = [];
    const recovery = new Recovery({ onResumed: ({ resumed }) => told.push(resumed) });
    assert.deepEqual(recovery.join({ a: 1 }), { a: 1 });
    for (const payload of [{}, null, { key: KEY }, { key: "short", resumed: true }, { key: 1, resumed: true }]) {
      assert.ok(recovery.receive("resume", payload, null, "1"));
    }
    assert.ok(recovery.receive("resume", { key: KEY, resumed: true }, null, null), "a broadcast of that name");
    assert.equal(recovery.key, undefined);
    recovery.receive("resume", { key: KEY, resumed: false }, null, "1");
    assert.deepEqual([recovery.key, told, recovery.join({ a: 1 })], [KEY, [], { a: 1, resume: KEY }]);
    assert.deepEqual(recovery.join({}), { resume: KEY }); // the answer was lost
    recovery.receive("resume", { key: KEY.toLowerCase(), resumed: true }, null, "2");
    recovery.receive("resume", { key: `${KEY.slice(1)}A`, resumed: true }, null, undefined); // V1
    assert.deepEqual([recovery.key, told], [`${KEY.slice(1)}A`, [true]]);
  });
});
