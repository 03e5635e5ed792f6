// Topics with history: who comes back gets what it missed, or is told that some is gone. By every client, with sdk/js or the ten
// lines of sdk/recovery.md, through a network that breaks.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe } from "node:test";
import { recover, Recovery } from "../../sdk/js/recovery.js";
import { clients, collect, connect, dial, join, newest, push, settle, tracked } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { proxy } from "./harness/proxy.mjs";
import { until } from "./harness/wait.mjs";
import { XMLHttpRequest } from "./harness/xhr.mjs";

const KEY = "a key of sixteen bytes or more";
const rtd = await phoenix({
  config: `history = ["room:*", "intercept:*"]\nhistory_durable = ["room:kept:*"]\nhistory_messages = 1000\n[api]\nkeys = ["${KEY}"]`,
});
const newTopic = (kind = "room") => `${kind}:${randomUUID()}`;
// Before 1.4 a client joins again at each of these times until it is answered.
const isOld = ({ name }) => /phoenix 1\.[23]/.test(name);
const soon = (client) => ({ reconnectAfterMs: () => (isOld(client) ? 1000 : 20), rejoinAfterMs: () => 20 });

globalThis.window = { XMLHttpRequest }; // where phoenix 1.3 looks whenever it polls
const polling = clients
  .filter(({ name }) => !name.includes("V1"))
  .map((client) => ({ ...client, name: `${client.name}, polling`, options: { ...client.options, transport: client.LongPoll } }));
const all = [...clients, ...polling];

// The ten lines of sdk/recovery.md, as they stand there.
const page = await readFile(new URL("../../sdk/recovery.md", import.meta.url), "utf8");
const tenLines = new Function("socket", "token", "caughtUp", "loadAnew", "topic",
  `${/```js\n(let since[^]*?)```/.exec(page)[1].replace('"room:lobby"', "topic").replace("room.join()", "")}; return room`);

async function api(method, path, body) {
  const headers = { authorization: `Bearer ${KEY}` };
  const answer = await fetch(`http://${rtd.address}/api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200, `${method} ${path}: ${await answer.clone().text()}`);
  return answer.json();
}

const say = (topic, n) => api("POST", "broadcast", { topic, event: "news", payload: { n } });
const upTo = (n, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);

/**
 * A member that recovers: by sdk/js, by the ten lines, or not at all. member.news has the numbers that it heard, member.told what it
 * was told of its times away.
 */
async function member(t, topic, client, { url = rtd.url(), by = "sdk/js", params = {}, since } = {}) {
  const socket = dial(t, url, client, soon(client));
  const told = [];
  let channel;
  let position = () => true;
  if (by === "ten lines") {
    channel = tenLines(socket, "", (count) => told.push({ count }), (reason) => told.push({ reason }), topic);
    let positions = 0;
    channel.on("position", () => positions++);
    position = () => positions > 0;
  } else {
    channel = tracked(socket, topic, params);
    if (by === "sdk/js") {
      const recovery = recover(channel, {
        since,
        onRecovered: ({ count }) => told.push({ count }),
        onGap: ({ reason, count }) => told.push({ reason, count }),
      });
      position = () => recovery.position;
    }
  }
  const news = [];
  channel.on("news", ({ n }) => void news.push(n));
  channel.joins = 0;
  channel.join().receive("ok", () => channel.joins++);
  await until(() => channel.joins > 0 && position(), `${client.name} to stand somewhere`);
  return { name: `${client.name} by ${by}`, by, once: by === "sdk/js" && !isOld(client), client, socket, channel, news, told, position };
}

const everyone = (t, topic, options) =>
  Promise.all([
    ...all.map((client) => member(t, topic, client, options)),
    ...all.filter((client) => !isOld(client)).map((client) => member(t, topic, client, { ...options, by: "ten lines" })),
  ]);

async function allHear(members, numbers) {
  for (const { name, by, news } of members) {
    await until(() => news.at(-1) === numbers.at(-1), `${name} to hear ${numbers.at(-1)}`);
    // A client that joins again before it was answered may hear things twice, unless sdk/js drops them.
    assert.deepEqual(by === "sdk/js" ? news : [...new Set(news)], numbers, name);
  }
}

describe("a time away", () => {
  rtd.test("every client gets what it missed, in order, and is told so", async (t) => {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const members = await everyone(t, topic, { url: net.url() });
    await say(topic, 1);
    await allHear(members, [1]);
    for (let n = 2; n <= 5; n += 3) {
      net.shut();
      for (const missed of [n, n + 1, n + 2]) await say(topic, missed);
      await net.open();
      await allHear(members, upTo(n + 2));
    }
    await say(topic, 8);
    await allHear(members, upTo(8));
    for (const { name, by, told } of members) {
      const count = told.reduce((sum, { count }) => sum + count, 0);
      assert.ok(by === "sdk/js" ? count === 6 : count >= 6, `${name} was told of ${count}`);
      assert.ok(told.every(({ reason }) => !reason), name);
    }
  });

  rtd.test("a restart of the server is a gap that is told once", async (t) => {
    const topic = newTopic();
    const members = await everyone(t, topic);
    await say(topic, 1);
    await allHear(members, [1]);
    await rtd.kill();
    await until(() => members.every(({ socket }) => !socket.isConnected()), "the end of all connections");
    await rtd.start();
    for (const { name, told } of members) await until(() => told.length > 0, `${name} to be told`);
    await say(topic, 2);
    await allHear(members, [1, 2]);
    for (const { socket } of members) socket.conn.close?.();
    for (const { name, told } of members) await until(() => told.length > 1, `${name} to be told again`);
    for (const { name, once, told: [first, second] } of members) {
      assert.equal(first.reason, "epoch", name);
      if (once) assert.deepEqual(second, { count: 0 }, name);
    }
  });

  rtd.test("durable history outlives kill -9: every client gets what came before and after", async (t) => {
    const [topic, net] = [newTopic("room:kept"), await proxy(t, rtd.address)];
    const members = await everyone(t, topic, { url: net.url() });
    await say(topic, 1);
    await allHear(members, [1]);
    net.shut();
    await say(topic, 2);
    await rtd.kill();
    await rtd.start();
    await say(topic, 3);
    await net.open();
    await allHear(members, [1, 2, 3]);
    assert.deepEqual((await api("GET", `history?topic=${topic}`)).messages.map(({ offset }) => offset), [1, 2, 3]);
    for (const { name, told } of members) {
      await until(() => told.length > 0, `${name} to be told`);
      assert.ok(told.every(({ reason }) => !reason), name);
    }
  });

  rtd.test("what the API forgot is a gap, and the rest comes", async (t) => {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const members = await everyone(t, topic, { url: net.url() });
    net.shut();
    for (const n of upTo(5)) await say(topic, n);
    assert.equal((await api("DELETE", `history?topic=${topic}&before=4`)).oldest, 4);
    await net.open();
    await allHear(members, [4, 5]);
    for (const { name, once, told } of members) {
      await until(() => told.length > 0, `${name} to be told`);
      assert.equal(told[0].reason, "gone", name);
      if (once) assert.equal(told.length, 1, name);
    }
  });

  rtd.test("a handler that crashed and is joined again", async (t) => {
    const { channel, news, told } = await member(t, newTopic(), newest);
    channel.push("raise", {});
    await until(() => told.length > 0, "the recovery");
    assert.deepEqual([told, channel.joins], [[{ count: 0 }], 2]);
    await say(channel.topic, 1);
    await until(() => news.length === 1);
  });

  rtd.test("a new life of the page, from the position that it kept", async (t) => {
    const topic = newTopic();
    const first = await member(t, topic, newest);
    await say(topic, 1);
    await until(() => first.news.length === 1, "the first");
    first.socket.disconnect();
    await say(topic, 2);
    const second = await member(t, topic, newest, { since: first.position() });
    await until(() => second.told.length > 0, "the recovery");
    assert.deepEqual([second.news, second.told], [[2], [{ count: 1 }]]);
  });
});

describe("bytes", { concurrency: true }, () => {
  for (const client of clients.filter(({ binary }) => binary)) { // who polls is sent none
    for (const by of ["sdk/js", "ten lines"]) {
      rtd.test(`${client.name} gets those that it missed, by ${by}`, async (t) => {
        const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
        const speaker = await join(await connect(t, rtd.url(), newest), topic);
        const { channel, told } = await member(t, topic, client, { url: net.url(), by });
        const heard = collect(channel, "bytes");
        await push(speaker, "broadcast_binary", { size: 1 });
        await until(() => heard.length === 1, "the first");
        await push(speaker, "broadcast", { event: "news", payload: { n: 1 } }); // behind its position
        await settle(channel.socket);
        net.shut();
        await push(speaker, "broadcast_binary", { size: 2 });
        await push(speaker, "broadcast_binary", { size: 3 });
        await net.open();
        await until(() => told.length === 1, "the recovery");
        assert.deepEqual([heard.map(({ byteLength }) => byteLength), told[0].count], [[1, 2, 3], 2]);
      });
    }
  }
});

describe("what is special", { concurrency: true }, () => {
  rtd.test("a broadcast to all others is no gap for its sender", async (t) => {
    const topic = newTopic();
    const [ada, bob] = [await member(t, topic, newest), await member(t, topic, newest)];
    await push(ada.channel, "broadcast_from", { event: "news", payload: { n: 1 } });
    await say(topic, 2);
    await until(() => bob.news.length === 2 && ada.news.length === 1, "both");
    assert.deepEqual(ada.position(), bob.position());
    ada.socket.conn.close();
    await until(() => ada.told.length > 0, "the recovery");
    assert.deepEqual([ada.told, ada.news], [[{ count: 0 }], [2]]);
  });

  rtd.test("what a handler intercepts reaches it", async (t) => {
    const [topic, net] = [newTopic("intercept"), await proxy(t, rtd.address)];
    const { channel, told, news } = await member(t, topic, newest, { url: net.url() });
    const heard = collect(channel, "intercepted");
    net.shut();
    await api("POST", "broadcast", { topic, event: "intercepted", payload: { n: 1 } });
    await say(topic, 2);
    await net.open();
    await until(() => heard.length === 1 && told.length === 1, "both");
    assert.deepEqual([heard[0].n, "out" in heard[0], news, told], [1, true, [2], [{ count: 1 }]]);
  });

  rtd.test("a topic without history is as ever", async (t) => {
    const topic = newTopic("slow");
    const channel = tracked(await connect(t, rtd.url(), newest), topic, { a: 1 });
    const recovery = recover(channel, { onRecovered: assert.fail, onGap: assert.fail });
    const news = collect(channel, "news");
    channel.join();
    await until(() => channel.state === "joined");
    assert.deepEqual((await push(channel, "join_payload")).response, { a: 1 });
    await say(topic, 1);
    await until(() => news.length === 1);
    assert.equal(recovery.position, undefined);
  });

  rtd.test("params and onMessage are the application's", async (t) => {
    let joins = 0;
    const { channel, news, told } = await member(t, newTopic(), newest, { params: () => ({ token: `${++joins}`, since: "yesterday" }) });
    assert.deepEqual((await push(channel, "join_payload")).response, { token: "1", since: "yesterday" });
    channel.onMessage = (event, payload) => (event === "news" ? { n: payload.n * 10 } : payload);
    await say(channel.topic, 1);
    await until(() => news.length === 1);
    channel.socket.conn.close();
    await until(() => told.length === 1, "the recovery");
    await say(channel.topic, 2);
    await until(() => news.length === 2);
    assert.deepEqual(news, [10, 20]);
    const { token, since } = (await push(channel, "join_payload")).response;
    assert.match(`${token} ${since}`, /^2 [0-9a-v]{10}:1$/);
  });
});

describe("the library, message by message", () => {
  const life = "0123456789";
  const next = "v123456789";
  const made = (since) => {
    const told = [];
    const recovery = new Recovery({ since, onRecovered: (r) => told.push(r), onGap: (gap) => told.push(gap) });
    const hears = (epoch, ...offsets) => offsets.filter((n) => recovery.receive("news", {}, `${epoch}:${n}`, null));
    const ends = (position, more) => recovery.receive("recovered", { position, complete: true, ...more }, position, "1");
    return { recovery, told, hears, ends, asks: () => recovery.join({}).since };
  };

  rtd.test("a recovery that breaks goes on where it was", () => {
    const { told, hears, ends, asks } = made(`${life}:5`);
    assert.equal(asks(), `${life}:5`);
    assert.deepEqual(hears(life, 6, 7), [6, 7]);
    assert.equal(asks(), `${life}:7`);
    assert.deepEqual(hears(life, 8), [8]);
    ends(`${life}:8`);
    assert.deepEqual(told, [{ position: `${life}:8`, count: 3 }]);
  });

  rtd.test("one with a gap that breaks is asked for again: so the gap is told, once, and nothing is doubled", () => {
    for (const [epoch, reason] of [[life, "gone"], [next, "epoch"]]) {
      const { told, hears, ends, asks } = made(`${life}:5`);
      asks();
      assert.deepEqual(hears(epoch, 20, 21), [20, 21]);
      assert.equal(asks(), `${life}:5`);
      assert.deepEqual(hears(epoch, 20, 21, 22), [22]);
      ends(`${epoch}:22`, { complete: false, reason });
      ends(`${epoch}:22`, { complete: false, reason }); // of a join that was given up
      assert.deepEqual(told, [{ reason, position: `${epoch}:22`, count: 3 }]);
      assert.deepEqual(hears(epoch, 22, 23), [23]);
      assert.equal(asks(), `${epoch}:23`);
    }
  });

  rtd.test("who is not away takes any position, and nobody's but the server's word", () => {
    const { recovery, told, hears, ends, asks } = made();
    assert.deepEqual(hears(life, 1, 1, 3, 2, 3), [1, 3]);
    assert.deepEqual(hears(next, 1), [1]);
    asks();
    const forged = { complete: false, reason: "gone", position: `${next}:2`, count: 0 };
    assert.ok(recovery.receive("recovered", forged, `${next}:2`, null), "a broadcast of that name");
    assert.ok(recovery.receive("recovered", forged, null, "1"), "a push of that name");
    assert.deepEqual(told, []);
    ends(`${next}:2`);
    assert.equal(told.length, 1);
  });

  rtd.test("a gap that all are told of, nobody having been away", () => {
    const { recovery, told, hears, asks } = made();
    hears(life, 1, 2);
    const gap = { complete: false, reason: "missed", position: `${next}:2`, count: 0 };
    assert.ok(recovery.receive("recovered", gap, `${next}:2`, false), "of an earlier join");
    assert.deepEqual(told, []);
    assert.ok(recovery.receive("recovered", gap, `${next}:2`, null));
    assert.deepEqual(told, [{ reason: "missed", position: `${next}:2`, count: 0 }]);
    assert.deepEqual(hears(next, 2, 3), [3]);
    assert.equal(asks(), `${next}:3`);
  });
});

describe("a network that breaks every 300 ms", { concurrency: true }, () => {
  const COUNT = 200;
  // 1.2 gives the joins that follow one that was cut off no ref, and so never learns of their answers. Polls that fail while
  // others are under way can leave clients before 1.7 without any.
  const robust = all.filter(({ name }) => !name.startsWith("phoenix 1.2") && !/1\.[2-6], polling/.test(name));

  // storm has the API say COUNT things to clients whose connections break, and then waits until all are there again.
  async function storm(t, options, weather = "storm") {
    const [topic, net] = [newTopic(), await proxy(t, rtd.address)];
    const members = await Promise.all(robust.map((client) => member(t, topic, client, { url: net.url(), ...options })));
    net[weather](300);
    for (const n of upTo(COUNT)) {
      if (n === COUNT / 2) net.cut(); // so that nobody is spared
      await say(topic, n);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    net.calm();
    for (const { name, channel } of members) await until(() => channel.state === "joined", `${name} to be there again`);
    await say(topic, COUNT + 1);
    for (const { name, news } of members) await until(() => news.at(-1) === COUNT + 1, `${name} to hear the last one`);
    return members;
  }

  rtd.test("each client ends with all that was said, in order, once", async (t) => {
    const members = await storm(t);
    for (const { name, news, told } of members) {
      assert.deepEqual(news, upTo(COUNT + 1), name);
      assert.ok(told.length > 0 && told.every(({ reason }) => !reason), name);
    }
  });

  rtd.test("so it does through a network that delays, and closes one way only", async (t) => {
    const members = await storm(t, {}, "tempest");
    for (const { name, news, told } of members) {
      assert.deepEqual(news, upTo(COUNT + 1), name);
      assert.ok(told.length > 0 && told.every(({ reason }) => !reason), name);
    }
  });

  rtd.test("without recovery they do not", async (t) => {
    const members = await storm(t, { by: "nothing" });
    const lost = members.map(({ news }) => COUNT + 1 - new Set(news).size);
    assert.ok(lost.some((n) => n > 0), `lost: ${lost}`);
  });
});
