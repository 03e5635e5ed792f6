// The sample plugin, plugins/chat, as the README describes it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { answer, collect, connect, join, push, settle, tracked } from "./harness/clients.mjs";
import { chat } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const rtd = await chat();
const newRoom = () => `room:${randomUUID()}`;

async function member(t, room, user) {
  const socket = await connect(t, rtd.url());
  const channel = await join(socket, room, { token: "demo", user });
  return { socket, channel, messages: collect(channel, "new_message"), shouts: collect(channel, "shout") };
}

describe("chat", { concurrency: true }, () => {
  rtd.test("refuses a wrong or missing token", async (t) => {
    const socket = await connect(t, rtd.url());
    for (const params of [{ token: "wrong", user: "Eve" }, { user: "Eve" }, { token: "" }, { token: ["demo"] }, {}]) {
      const channel = tracked(socket, newRoom(), params);
      assert.deepEqual(await answer(channel.join()), { status: "error", response: { reason: "unauthorized" } });
      channel.leave();
    }
    assert.equal(socket.opened, 1);
  });

  rtd.test("new_message reaches everyone, the sender included, with who and when", async (t) => {
    const room = newRoom();
    const [ada, bob] = await Promise.all([member(t, room, "Ada"), member(t, room, "Bob")]);
    const before = Date.now();
    assert.equal((await push(ada.channel, "new_message", { body: "hello" })).status, "ok");
    for (const { messages } of [ada, bob]) {
      await until(() => messages.length === 1, "the message");
      const { body, user, timestamp } = messages[0];
      assert.deepEqual({ body, user }, { body: "hello", user: "Ada" });
      assert.match(timestamp, RFC3339_UTC);
      assert.ok(Math.abs(Date.parse(timestamp) - before) < 60_000, `timestamp ${timestamp} is not now`);
    }
  });

  rtd.test("any text passes unchanged, in names too", async (t) => {
    const name = 'Żółć "Ω" <b>\\';
    const { channel, messages } = await member(t, `${newRoom()}:zażółć 🎉 "quoted"`, name);
    const bodies = ["", "🎉👩‍👩‍👧 e\u0301 ﷽ שלום", "\u0000\u001f\u2028\u2029", '"\\/</script>', "__proto__", "x".repeat(60 * 1024)];
    for (const body of bodies) await push(channel, "new_message", { body });
    await until(() => messages.length >= bodies.length, "every message");
    assert.deepEqual(messages.map(({ body }) => body), bodies);
    assert.equal(messages[0].user, name);
  });

  rtd.test("shout reaches everyone but the sender", async (t) => {
    const room = newRoom();
    const [ada, bob, carol] = await Promise.all(["Ada", "Bob", "Carol"].map((user) => member(t, room, user)));
    ada.channel.push("shout", { body: "lunch" });
    for (const { shouts } of [bob, carol]) {
      await until(() => shouts.length === 1, "the shout");
      assert.deepEqual([shouts[0].body, shouts[0].user], ["lunch", "Ada"]);
    }
    await settle(ada.socket);
    assert.deepEqual(ada.shouts, []);
  });

  rtd.test("a crash, or an event that it does not know, is an error for its sender only", async (t) => {
    const room = newRoom();
    const [ada, bob] = await Promise.all([member(t, room, "Ada"), member(t, room, "Bob")]);
    for (const event of ["crash", "no_such_event"]) {
      assert.deepEqual(await push(ada.channel, event), { status: "error", response: { reason: "crashed" } });
    }
    await push(ada.channel, "new_message", { body: "I am fine" });
    await until(() => bob.messages.length === 1, "a message of the restarted handler");
    assert.equal(bob.messages[0].user, "Ada", "the restarted handler does not know its user");
    assert.deepEqual([ada.channel.joins, ada.channel.errors], [1, 0]);
  });
});
