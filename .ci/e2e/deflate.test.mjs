// permessage-deflate, with clients that offer it: npm's ws, and a browser, which always does.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, describe } from "node:test";
import { chromium } from "playwright-core";
import WebSocket from "ws";
import { collect, connect, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix({ config: "[socket.socket]\ndeflate_from = 64\n" });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  chromiumSandbox: false, // it needs more rights than containers have
});
after(() => browser.close());

const newTopic = () => `room:${randomUUID()}`;
const texts = ["", "short", "say it again, ".repeat(100), "zażółć 🎉 ".repeat(3000)];

/** A WebSocket that offers permessage-deflate with these options. */
const offering = (perMessageDeflate) =>
  class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { perMessageDeflate });
    }
  };

describe("permessage-deflate", { concurrency: true }, () => {
  for (const [name, options] of Object.entries({
    "as ws offers it": { threshold: 0 },
    "with a small window": { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    "without context takeover": { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  })) {
    rtd.test(`ws, ${name}`, async (t) => {
      const topic = newTopic();
      const transport = offering(options);
      const one = await connect(t, rtd.url(), newest, { transport });
      const two = await connect(t, rtd.url(), newest, { transport });
      const plain = await connect(t, rtd.url(), newest, { transport: offering(false) });
      assert.match(one.conn.extensions, /permessage-deflate/);
      assert.equal(plain.conn.extensions, "");
      const [channel, ...others] = [await join(one, topic), await join(two, topic), await join(plain, topic)];
      const heard = others.map((other) => collect(other, "said"));
      for (const text of texts) {
        const { status, response } = await push(channel, "echo", { text });
        assert.deepEqual([status, response], ["ok", { text }]);
        await push(channel, "broadcast_from", { event: "said", payload: { text } });
      }
      for (const events of heard) {
        await until(() => events.length === texts.length, "all broadcasts");
        assert.deepEqual(events.map(({ text }) => text), texts);
      }
    });
  }

  rtd.test("a browser", async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    await page.goto(`http://${rtd.address}/readyz`); // of the same host, which may connect
    const [extensions, answers] = await page.evaluate(
      ([url, topic, texts]) =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(url);
          const answers = [];
          const send = (ref, event, payload) => socket.send(JSON.stringify(["1", ref, topic, event, payload]));
          socket.onerror = () => reject(new Error("the connection failed"));
          socket.onopen = () => send("join", "phx_join", {});
          socket.onmessage = ({ data }) => {
            const [, ref, , event, payload] = JSON.parse(data);
            if (event !== "phx_reply") return;
            if (ref !== "join") answers.push(payload.response.text);
            if (answers.length === texts.length) resolve([socket.extensions, answers]);
            else send(String(answers.length), "echo", { text: texts[answers.length] });
          };
        }),
      [`${rtd.url()}/websocket?vsn=2.0.0`, newTopic(), texts],
    );
    assert.match(extensions, /permessage-deflate/);
    assert.deepEqual(answers, texts);
  });
});
