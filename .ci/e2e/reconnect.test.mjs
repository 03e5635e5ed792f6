// Lost connections and restarted servers: every client comes back by itself, and its channels with it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe } from "node:test";
import { comeBack } from "../../sdk/js/recovery.js";
import { clients, collect, connect, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";
import { XMLHttpRequest } from "./harness/xhr.mjs";

const PATIENCE = 20_000; // old clients wait up to 5 s before they try again, and then as long before they join

const rtd = await phoenix({ server: 'drain_spread = "1s"' });
const newTopic = () => `room:${randomUUID()}`;

async function member(t, topic, client) {
  const socket = await connect(t, rtd.url(), client);
  const channel = await join(socket, topic);
  return { client, socket, channel, news: collect(channel, "news") };
}

// The lines of sdk/recovery.md, as they stand there.
const page = await readFile(new URL("../../sdk/recovery.md", import.meta.url), "utf8");
const lines = new Function("socket", /```js\n(let back[^]*?)```/.exec(page)[1]);

// hears asserts that what one member says now reaches all, once.
async function hears(speaker, members) {
  const id = randomUUID();
  await push(speaker.channel, "broadcast", { event: "news", payload: { id } });
  for (const { client, news } of members) {
    await until(() => news.some((message) => message.id === id), `${client.name} to hear it`);
    assert.equal(news.filter((message) => message.id === id).length, 1, `${client.name} heard it twice`);
  }
}

describe("a lost connection", { concurrency: true }, () => {
  for (const client of clients) {
    rtd.test(`${client.name} comes back, and joins all its topics again`, async (t) => {
      const topic = newTopic();
      const [ada, bob] = [await member(t, topic, client), await member(t, topic, newest)];
      const others = [await join(ada.socket, newTopic()), await join(ada.socket, newTopic())];
      ada.socket.conn.terminate();
      await until(() => [ada.channel, ...others].every(({ joins }) => joins === 2), "the second joins", PATIENCE);
      await hears(ada, [ada, bob]);
      await hears(bob, [ada, bob]);
      assert.deepEqual([ada.socket.opened, bob.channel.joins], [2, 1]);
    });
  }
});

describe("a restarted server", () => {
  for (const [how, end] of [["drained", () => rtd.stop()], ["killed", () => rtd.kill()]]) {
    rtd.test(`all clients return after it was ${how}`, async (t) => {
      const topic = newTopic();
      const members = await Promise.all(clients.map((client) => member(t, topic, client)));
      await hears(members[0], members);
      await end();
      await until(() => members.every(({ socket }) => !socket.isConnected()), "the end of all connections");
      await rtd.start();
      await until(() => members.every(({ channel }) => channel.joins === 2), "all to join again", PATIENCE);
      for (const speaker of members) await hears(speaker, members);
      for (const { client, socket } of members) {
        if (how === "drained") assert.equal(socket.closes[0], 1012, `close code for ${client.name}`);
        assert.equal(socket.opened, 2, `${client.name} opened more than one connection`);
      }
    });
  }
});

describe("a drain that says when to come back", () => {
  rtd.test("every client obeys with sdk/js, and with the lines of sdk/recovery.md", async (t) => {
    globalThis.window = { XMLHttpRequest }; // where phoenix 1.3 looks whenever it polls
    const kinds = [
      ...clients.flatMap((client) => [{ ...client, obey: comeBack }, { ...client, obey: lines }]),
      ...clients
        .filter(({ name }) => /1\.[78]$/.test(name)) // others can end up with neither a poll nor a timer when polls fail
        .map((client) => ({ ...client, name: `${client.name}, polling`, options: { transport: client.LongPoll }, obey: comeBack })),
    ];
    const members = await Promise.all(kinds.map((client) => member(t, newTopic(), client)));
    for (const m of members) {
      m.client.obey(m.socket);
      m.socket.onMessage(({ topic, event, payload }) => {
        if (topic === "phoenix" && event === "reconnect") m.told = Date.now() + payload.after;
      });
      m.socket.onOpen(() => (m.back ??= Date.now()));
    }
    await rtd.stop();
    await rtd.start();
    await until(() => members.every(({ channel }) => channel.joins === 2), "all to join again", PATIENCE);
    for (const { client, told, back, socket } of members) {
      assert.ok(back >= told - 5, `${client.name} came back ${told - back} ms too soon`);
      if (!client.name.includes("polling")) assert.equal(socket.closes[0], 1012, client.name);
    }
  });
});
