// Binary payloads, with the clients that have them: 1.6 and newer.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { clients, collect, connect, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix();
const newTopic = () => `room:${randomUUID()}`;

const bytes = (...values) => new Uint8Array(values).buffer;
const hex = (buffer) => {
  assert.ok(buffer instanceof ArrayBuffer, `not binary: ${JSON.stringify(buffer)}`);
  return Buffer.from(buffer).toString("hex");
};

describe("binary payloads", { concurrency: true }, () => {
  for (const client of clients.filter(({ binary }) => binary)) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("a push is echoed byte by byte", async (t) => {
        const channel = await join(await connect(t, rtd.url(), client), newTopic());
        const every = Uint8Array.from({ length: 256 }, (_, i) => i).buffer;
        const large = Uint8Array.from({ length: 50_000 }, (_, i) => i * 7).buffer;
        for (const sent of [bytes(0), bytes(), bytes(0xff, 0xfe, 0, 0x80), every, large]) {
          const { status, response } = await push(channel, "echo", sent);
          assert.equal(status, "ok");
          assert.equal(hex(response), hex(sent));
        }
      });

      rtd.test("text and binary mix in one topic, in order", async (t) => {
        const channel = await join(await connect(t, rtd.url(), client), newTopic());
        const order = [];
        const pushed = Array.from({ length: 100 }, async (_, n) => {
          const { response } = await push(channel, "echo", n % 2 ? { n } : bytes(n));
          order.push(n % 2 ? response.n : new Uint8Array(response)[0]);
        });
        await Promise.all(pushed);
        assert.deepEqual(order, Array.from({ length: 100 }, (_, n) => n));
      });

      rtd.test("text is answered in binary", async (t) => {
        const channel = await join(await connect(t, rtd.url(), client), newTopic());
        const { status, response } = await push(channel, "reply_binary", { size: 3 });
        assert.equal(status, "ok");
        assert.equal(hex(response), "000102");
      });

      rtd.test("the server pushes and broadcasts binary", async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await connect(t, rtd.url(), client), await connect(t, rtd.url(), newest)];
        const channels = [await join(ada, topic), await join(bob, topic)];
        const heard = channels.map((channel) => collect(channel, "bytes"));
        await push(channels[0], "push_binary", { event: "bytes", size: 2 });
        await until(() => heard[0].length === 1, "the push");
        await push(channels[0], "broadcast_binary", { event: "bytes", size: 4 });
        await until(() => heard[0].length === 2 && heard[1].length === 1, "the broadcast");
        assert.deepEqual(heard[0].map(hex), ["0001", "00010203"]);
        assert.deepEqual(heard[1].map(hex), ["00010203"]);
      });
    });
  }

  // Up to 1.7 the package writes one byte for each character of the topic.
  rtd.test("phoenix 1.8 sends binary to topics of any text", async (t) => {
    const channel = await join(await connect(t, rtd.url()), `${newTopic()}:zażółć 部屋 🎉`);
    const heard = collect(channel, "bytes");
    assert.equal(hex((await push(channel, "echo", bytes(1, 2))).response), "0102");
    await push(channel, "broadcast_binary", bytes(3));
    await until(() => heard.length === 1, "the broadcast");
    assert.equal(hex(heard[0]), "03");
  });
});
