// Messages both ways: pushes, replies of every kind, broadcasts, and their order. With every client.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { answer, clients, collect, connect, join, newest, push, settle } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix();
const newTopic = (prefix = "room") => `${prefix}:${randomUUID()}`;

async function member(t, topic, client) {
  const socket = await connect(t, rtd.url(), client);
  const channel = await join(socket, topic);
  return { socket, channel, news: collect(channel, "news") };
}

describe("messages", { concurrency: true }, () => {
  for (const client of clients) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("any JSON value is a payload, and comes back as it went", async (t) => {
        const { channel } = await member(t, newTopic(), client);
        for (const value of [{ text: "zażółć 🎉 \u2028", list: [1, null, true], deep: { er: {} } }, [1, 2], "text", 5, 1.5e300, true]) {
          assert.deepEqual(await push(channel, "echo", value), { status: "ok", response: value });
        }
      });

      rtd.test("a reply has any status, or never comes", async (t) => {
        const { channel } = await member(t, newTopic(), client);
        assert.deepEqual(await push(channel, "reply_error", { reason: "no" }), { status: "error", response: { reason: "no" } });
        const other = channel.push("reply_status", { status: "maybe", response: { n: 1 } });
        assert.deepEqual(await answer(other, ["maybe"]), { status: "maybe", response: { n: 1 } });
        assert.equal((await push(channel, "noreply", {}, 200)).status, "timeout");
        assert.equal((await push(channel, "echo", {})).status, "ok");
      });

      rtd.test("a late reply finds its push, whatever was answered meanwhile", async (t) => {
        const { channel } = await member(t, newTopic(), client);
        const order = [];
        const late = async (ms) => order.push([ms, (await push(channel, "late", { ms })).response.ms]);
        await Promise.all([late(600), late(300), late(100), push(channel, "echo").then(() => order.push("echo"))]);
        assert.deepEqual(order, ["echo", [100, 100], [300, 300], [600, 600]]);
      });

      rtd.test("250 pushes at once: each is answered, in order", async (t) => {
        const { channel } = await member(t, newTopic(), client);
        const order = [];
        const pushed = Array.from({ length: 250 }, (_, n) => push(channel, "echo", { n }).then(({ response }) => order.push(response.n)));
        await Promise.all(pushed);
        assert.deepEqual(order, Array.from({ length: 250 }, (_, n) => n));
      });

      rtd.test("the server's pushes reach their client only, in order", async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await member(t, topic, client), await member(t, topic, client)];
        for (let n = 0; n < 20; n++) ada.channel.push("push", { event: "news", payload: { n } });
        await until(() => ada.news.length >= 20, "twenty pushes");
        assert.deepEqual(ada.news, Array.from({ length: 20 }, (_, n) => ({ n })));
        await settle(bob.socket);
        assert.deepEqual(bob.news, []);
      });

      rtd.test("broadcast reaches all of its topic, broadcast_from all but the sender", async (t) => {
        const topic = newTopic();
        const [ada, bob, carol] = await Promise.all([member(t, topic, client), member(t, topic, client), member(t, topic, newest)]);
        const elsewhere = collect(await join(bob.socket, newTopic()), "news");
        await push(ada.channel, "broadcast", { event: "news", payload: { n: 1 } });
        await push(ada.channel, "broadcast_from", { event: "news", payload: { n: 2 } });
        await push(bob.channel, "broadcast", { event: "news", payload: { n: 3 } });
        await until(() => ada.news.length >= 2 && bob.news.length >= 3 && carol.news.length >= 3, "the broadcasts");
        await Promise.all([ada, bob, carol].map(({ socket }) => settle(socket)));
        const heard = [ada, bob, carol].map(({ news }) => news.map(({ n }) => n).sort());
        assert.deepEqual(heard, [[1, 3], [1, 2, 3], [1, 2, 3]]);
        assert.deepEqual(elsewhere, []);
      });

      rtd.test("an intercepted event goes through each handler", async (t) => {
        const topic = newTopic("intercept");
        const [ada, bob] = [await member(t, topic, client), await member(t, topic, client)];
        const [one, two] = [collect(ada.channel, "intercepted"), collect(bob.channel, "intercepted")];
        const secrets = collect(bob.channel, "secret");
        await push(ada.channel, "broadcast", { event: "intercepted", payload: { n: 1 } });
        await push(ada.channel, "broadcast", { event: "secret", payload: {} });
        await push(ada.channel, "broadcast", { event: "news", payload: { n: 2 } });
        for (const [{ news }, seen] of [[ada, one], [bob, two]]) {
          await until(() => news.length === 1 && seen.length === 1, "both broadcasts");
          assert.deepEqual(secrets, []);
          assert.deepEqual(news, [{ n: 2 }]);
          assert.equal(seen[0].n, 1);
          assert.ok("out" in seen[0], "the client got it past its handler");
        }
      });

      rtd.test("a channel that its handler stops is closed, and stays so", async (t) => {
        const { socket, channel } = await member(t, newTopic(), client);
        let closed = 0;
        channel.onClose(() => closed++);
        channel.push("stop", { reason: "normal" });
        await until(() => closed === 1, "phx_close");
        assert.equal(channel.state, "closed");
        await settle(socket);
        assert.deepEqual([channel.joins, channel.errors, socket.opened], [1, 0, 1]);
      });
    });
  }

  rtd.test("20 clients × 50 messages: each arrives everywhere, once, in its sender's order", async (t) => {
    const [senders, each] = [20, 50];
    const topic = newTopic();
    const members = await Promise.all(Array.from({ length: senders }, (_, i) => member(t, topic, clients[i % clients.length])));
    for (let n = 0; n < each; n++) {
      for (const [from, { channel }] of members.entries()) channel.push("broadcast", { event: "news", payload: { from, n } });
    }
    const sequence = Array.from({ length: each }, (_, n) => n);
    for (const { news } of members) {
      await until(() => news.length >= senders * each, "every message", 30_000);
      assert.equal(news.length, senders * each);
      for (let from = 0; from < senders; from++) {
        assert.deepEqual(news.filter((message) => message.from === from).map(({ n }) => n), sequence);
      }
    }
  });
});

// On their own: a client takes a late answer for a broken connection.
describe("heartbeats", { concurrency: true }, () => {
  for (const client of clients) {
    rtd.test(`of ${client.name} are answered, and keep the connection`, async (t) => {
      const socket = await connect(t, rtd.url(), client, { heartbeatIntervalMs: 300 });
      let answered = 0;
      socket.onMessage((message) => {
        if (message.topic === "phoenix" && message.payload.status === "ok") answered++;
        return message;
      });
      await until(() => answered >= 3, "three heartbeats");
      assert.equal(socket.opened, 1);
    });
  }
});
