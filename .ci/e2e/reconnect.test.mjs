// Lost connections and restarted servers: every client comes back by itself, and its channels with it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { clients, collect, connect, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const PATIENCE = 20_000; // old clients wait up to 5 s before they try again, and then as long before they join

const rtd = await phoenix();
const newTopic = () => `room:${randomUUID()}`;

async function member(t, topic, client) {
  const socket = await connect(t, rtd.url(), client);
  const channel = await join(socket, topic);
  return { client, socket, channel, news: collect(channel, "news") };
}

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
