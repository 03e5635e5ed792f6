// Joining, leaving, and being refused: with every client.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { answer, clients, collect, connect, join, push, settle, tracked } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix();
const newTopic = (prefix = "room") => `${prefix}:${randomUUID()}`;

describe("joining", { concurrency: true }, () => {
  for (const client of clients) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("joins, leaves, and joins anew with fresh state", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const topic = newTopic();
        let closed = 0;
        socket.onMessage((message) => {
          if (message.event === "phx_close") closed++;
          return message;
        });
        for (let round = 1; round <= 3; round++) {
          const channel = await join(socket, topic);
          assert.deepEqual(await push(channel, "count"), { status: "ok", response: { count: 1 } });
          assert.equal((await answer(channel.leave())).status, "ok");
          assert.equal(channel.state, "closed");
          await until(() => closed === round, "phx_close"); // with V1 it would close the next channel, if it came later
        }
        assert.equal(socket.opened, 1);
      });

      rtd.test("a leave is confirmed and closed, and nothing comes afterwards", async (t) => {
        const topic = newTopic();
        const [here, there] = [await connect(t, rtd.url(), client), await connect(t, rtd.url(), client)];
        const [gone, other] = [await join(here, topic), await join(there, topic)];
        const frames = [];
        here.onMessage((message) => {
          if (message.topic === topic) frames.push(message.event === "phx_reply" ? message.payload.status : message.event);
          return message;
        });
        await answer(gone.leave());
        await until(() => frames.length >= 2, "the reply and phx_close");
        await push(other, "broadcast", { event: "news", payload: {} });
        await settle(here);
        assert.deepEqual(frames, ["ok", "phx_close"]);
      });

      rtd.test("a refusal says why; with the right params the topic is joined", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const topic = newTopic("private");
        const params = { token: "wrong" };
        let channel = tracked(socket, topic, params);
        const joining = channel.join().receive("ok", () => channel.joins++);
        assert.deepEqual(await answer(joining), { status: "error", response: { reason: "unauthorized" } });
        params.token = "secret";
        if (client.insists) await until(() => channel.joins === 1, "the second join");
        else channel = await join(socket, topic, params);
        assert.equal((await push(channel, "echo", {})).status, "ok");
        assert.equal(socket.opened, 1);
      });

      rtd.test("a topic that nobody serves, and a join that crashes, are refusals", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        for (const [topic, reason] of [[newTopic("nobody"), "unmatched topic"], [newTopic("crash"), "join crashed"]]) {
          const channel = tracked(socket, topic);
          assert.deepEqual(await answer(channel.join()), { status: "error", response: { reason } });
          channel.leave();
        }
        await join(socket, newTopic());
        assert.equal(socket.opened, 1);
      });

      rtd.test("a topic may be any text", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        for (const name of ["zażółć", "部屋", "🎉🎉", 'quoted "and" \\ back', "a:b:c", "", " ", "e\u0301"]) {
          const topic = `room:${name}`;
          const channel = await join(socket, topic);
          const heard = collect(channel, "news");
          const sender = `${randomUUID()} 🎉`; // others may be in such a room, too
          await push(channel, "broadcast", { event: "news", payload: { sender } });
          await until(() => heard.some((news) => news.sender === sender), `a broadcast on ${JSON.stringify(topic)}`);
        }
      });

      rtd.test("fifty topics on one socket, joined at once", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const channels = await Promise.all(Array.from({ length: 50 }, () => join(socket, newTopic())));
        const heard = channels.map((channel) => collect(channel, "mine"));
        await Promise.all(channels.map((channel, i) => push(channel, "push", { event: "mine", payload: { i } })));
        await settle(socket);
        assert.deepEqual(heard, channels.map((_, i) => [{ i }]));
      });

      rtd.test("pushes made while joining are served after it", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const channel = tracked(socket, newTopic("slow"), { ms: 300 });
        const joining = answer(channel.join());
        const pushed = [1, 2, 3].map((n) => push(channel, "echo", { n }));
        assert.equal((await joining).status, "ok");
        for (const [i, reply] of (await Promise.all(pushed)).entries()) {
          assert.deepEqual(reply, { status: "ok", response: { n: i + 1 } });
        }
      });

      if (!client.replaces) return;

      rtd.test("a second channel of a topic takes the place of the first", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const topic = newTopic();
        const first = await join(socket, topic);
        const old = collect(first, "news");
        const second = await join(socket, topic);
        const heard = collect(second, "news");
        await until(() => first.state === "closed", "the end of the first");
        assert.deepEqual(await push(second, "count"), { status: "ok", response: { count: 1 } });
        await push(second, "broadcast", { event: "news", payload: { n: 1 } });
        await until(() => heard.length > 0, "the broadcast");
        await settle(socket);
        assert.deepEqual(heard, [{ n: 1 }], "one copy for the second");
        assert.deepEqual(old, [], "none for the first");
        assert.equal(second.state, "joined");
      });
    });
  }
});
