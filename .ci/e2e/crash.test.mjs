// Crashes. With restart type temporary a client sees what Phoenix does: phx_error, and it joins again by itself. With
// transient it sees the error reply to its push and nothing else.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { clients, collect, connect, join, newest, push, settle } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const temporary = await phoenix();
const transient = await phoenix({ restart: "transient" });
const newTopic = (prefix = "room") => `${prefix}:${randomUUID()}`;

async function member(t, rtd, topic, client) {
  const socket = await connect(t, rtd.url(), client);
  const channel = await join(socket, topic);
  return { socket, channel, news: collect(channel, "news") };
}

const count = async (channel) => (await push(channel, "count")).response.count;

describe("crashes of a temporary handler", { concurrency: true }, () => {
  for (const client of clients) {
    describe(client.name, { concurrency: true }, () => {
      temporary.test("its client is told, and joins again with fresh state", async (t) => {
        const { socket, channel } = await member(t, temporary, newTopic(), client);
        assert.deepEqual([await count(channel), await count(channel)], [1, 2]);
        const crashing = channel.push("raise", {});
        for (const status of ["ok", "error"]) crashing.receive(status, () => assert.fail(`the crashing push was answered: ${status}`));
        await until(() => channel.errors === 1, "phx_error");
        await until(() => channel.joins === 2, "the second join");
        assert.equal(await count(channel), 1);
        assert.deepEqual([channel.errors, channel.closes, socket.opened], [1, 0, 1]);
      });

      temporary.test("nobody else notices", async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await member(t, temporary, topic, client), await member(t, temporary, topic, client)];
        const second = await join(ada.socket, newTopic());
        await count(second);
        ada.channel.push("raise", {});
        await until(() => ada.channel.errors === 1, "phx_error");
        await push(bob.channel, "broadcast", { event: "news", payload: { n: 1 } });
        await until(() => bob.news.length === 1, "a broadcast");
        assert.equal(await count(second), 2, "the other topic of the socket lost its state");
        await until(() => ada.channel.joins === 2, "the second join");
        await push(bob.channel, "broadcast", { event: "news", payload: { n: 2 } });
        await until(() => ada.news.some(({ n }) => n === 2), "a broadcast after the crash");
        assert.deepEqual([bob.channel.errors, second.errors, second.joins], [0, 0, 1]);
      });
    });
  }

  for (const way of ["raise", "panic", "trap", "exit", "loop", "recurse", "memory", "bad_json", "no_such_event"]) {
    temporary.test(`${way}: what the handler asked for before is not done`, async (t) => {
      const { socket, channel } = await member(t, temporary, newTopic(), newest);
      const ghosts = collect(channel, "ghost");
      channel.push(way, {}).receive("ok", () => ghosts.push("reply"));
      await until(() => channel.joins === 2, "the second join");
      assert.deepEqual([channel.errors, socket.opened, ghosts], [1, 1, []]);
    });
  }
});

describe("crashes of a transient handler", { concurrency: true }, () => {
  for (const client of clients) {
    transient.test(`${client.name} gets the error reply, and notices nothing else`, async (t) => {
      const topic = newTopic();
      const [ada, bob] = [await member(t, transient, topic, client), await member(t, transient, topic, client)];
      await count(ada.channel);
      assert.deepEqual(await push(ada.channel, "raise"), { status: "error", response: { reason: "crashed" } });
      assert.equal(await count(ada.channel), 1, "state of before the crash");
      await push(bob.channel, "broadcast", { event: "news", payload: { n: 1 } });
      await push(ada.channel, "broadcast", { event: "news", payload: { n: 2 } });
      for (const { channel, socket, news } of [ada, bob]) {
        await until(() => news.length === 2, "both broadcasts");
        assert.deepEqual([channel.state, channel.joins, channel.errors, channel.closes, socket.opened], ["joined", 1, 0, 0, 1]);
      }
    });
  }

  transient.test("nobody loses a message meanwhile", async (t) => {
    const topic = newTopic();
    const [ada, bob, carol] = await Promise.all([1, 2, 3].map(() => member(t, transient, topic)));
    const sent = Array.from({ length: 200 }, (_, n) => n);
    const speaking = (async () => {
      for (const n of sent) {
        bob.channel.push("broadcast", { event: "news", payload: { n } });
        await sleep(2);
      }
    })();
    await until(() => carol.news.length > 20, "the conversation to start");
    assert.deepEqual(await push(ada.channel, "raise"), { status: "error", response: { reason: "crashed" } });
    assert.equal((await push(ada.channel, "echo")).status, "ok");
    await speaking;
    for (const { news } of [ada, bob, carol]) {
      await until(() => news.length >= sent.length, "every message");
      assert.deepEqual(news.map(({ n }) => n), sent);
    }
  });

  transient.test("too many of them end the channel; its client joins again", async (t) => {
    const { socket, channel } = await member(t, transient, newTopic());
    for (let crash = 0; channel.errors === 0; crash++) {
      assert.ok(crash < 20, "twenty crashes in a row, and still no phx_error");
      await Promise.race([push(channel, "raise"), until(() => channel.errors === 1, "phx_error")]);
    }
    await until(() => channel.joins === 2, "the second join");
    assert.equal(await count(channel), 1);
    assert.equal(socket.opened, 1);
    await settle(socket);
  });
});
