// Long polling: all that channels do, for clients that cannot use WebSockets, and among both kinds.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import WebSocket from "ws";
import { clients, collect, connect, dial, join, newest, push, tracked } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";
import { XMLHttpRequest } from "./harness/xhr.mjs";

const PATIENCE = 20_000; // old clients wait up to 5 s before they try again, and then as long before they join

const rtd = await phoenix();
const transient = await phoenix({ restart: "transient" });
const newTopic = () => `room:${randomUUID()}`;

globalThis.window = { XMLHttpRequest }; // where phoenix 1.3 looks whenever it polls
// 1.2 wants objects where every Phoenix since 1.3 sends strings; all others poll in V2 only.
const polling = clients.filter(({ name }) => !name.includes("V1")).map((client) => ({
  ...client,
  options: { ...client.options, transport: client.LongPoll },
}));
const [newestPolling] = polling;
const batches = ({ LongPoll }) => "batchSend" in LongPoll.prototype; // since 1.7; others send text only

async function member(t, topic, client, { server = rtd, options, params } = {}) {
  const socket = await connect(t, server.url(), client, options);
  const channel = await join(socket, topic, params);
  return { client, socket, channel, news: collect(channel, "news") };
}

const count = async (channel) => (await push(channel, "count")).response.count;

// hears asserts that what one member says now reaches all, once.
async function hears(speaker, members) {
  const id = randomUUID();
  assert.equal((await push(speaker.channel, "broadcast", { event: "news", payload: { id } })).status, "ok");
  for (const { client, news } of members) {
    await until(() => news.some((message) => message.id === id), `${client.name} to hear it`);
    assert.equal(news.filter((message) => message.id === id).length, 1, `${client.name} heard it twice`);
  }
}

describe("over long polling", { concurrency: true }, () => {
  for (const client of polling) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("joins, with what connect assigned, pushes and is answered", async (t) => {
        const { socket, channel } = await member(t, newTopic(), client, { options: { params: { user: "Ada & Zoë" } } });
        assert.ok(socket.conn instanceof client.LongPoll);
        assert.equal((await push(channel, "assigns")).response.user, "Ada & Zoë");
        const payload = { text: 'zażółć 🎉 "\\ </script>\n', list: [1, null, {}] };
        assert.deepEqual(await push(channel, "echo", payload), { status: "ok", response: payload });
        assert.deepEqual(await push(channel, "reply_error", payload), { status: "error", response: payload });
      });

      rtd.test("a join is refused", async (t) => {
        const socket = await connect(t, rtd.url(), client);
        const channel = tracked(socket, `private:${randomUUID()}`);
        const refusals = [];
        channel.join().receive("error", (response) => refusals.push(response));
        await until(() => refusals.length > 0, "the refusal");
        assert.deepEqual(refusals[0], { reason: "unauthorized" });
        await join(socket, `private:${randomUUID()}`, { token: "secret" });
        assert.equal(socket.opened, 1);
      });

      rtd.test("hears a WebSocket, and is heard by it", async (t) => {
        const topic = newTopic();
        const members = [await member(t, topic, client), await member(t, topic, newest), await member(t, topic, client)];
        for (const speaker of members) await hears(speaker, members);
      });

      rtd.test("what the server sends stays in order", async (t) => {
        const { channel } = await member(t, newTopic(), client);
        const joined = collect(channel, "n");
        for (let n = 0; n < 250; n++) channel.push("push", { event: "n", payload: { n } });
        await until(() => joined.length === 250, "all of them");
        const heard = joined.map(({ n }) => n);
        if (!batches(client)) heard.sort((a, b) => a - b); // each was a POST of its own, all at once
        assert.deepEqual(heard, Array.from({ length: 250 }, (_, n) => n));
      });

      rtd.test("leaves and joins again", async (t) => {
        const topic = newTopic();
        const { socket, channel } = await member(t, topic, client);
        assert.equal(await count(channel), 1);
        channel.leave();
        await until(() => channel.closes === 1, "the leave");
        assert.equal(await count(await join(socket, topic)), 1);
        assert.equal(socket.opened, 1);
      });

      rtd.test("its handler crashes, and it joins again with fresh state", async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await member(t, topic, client), await member(t, topic, client)];
        assert.deepEqual([await count(ada.channel), await count(ada.channel)], [1, 2]);
        ada.channel.push("raise", {});
        await until(() => ada.channel.errors === 1, "phx_error");
        await until(() => ada.channel.joins === 2, "the second join");
        assert.equal(await count(ada.channel), 1);
        await hears(bob, [ada, bob]);
        assert.deepEqual([ada.channel.closes, ada.socket.opened, bob.channel.joins], [0, 1, 1]);
      });

      transient.test("its handler crashes and is restarted in place", async (t) => {
        const { socket, channel } = await member(t, newTopic(), client, { server: transient });
        assert.deepEqual(await push(channel, "raise"), { status: "error", response: { reason: "crashed" } });
        assert.equal(await count(channel), 1);
        assert.deepEqual([channel.joins, channel.errors, socket.opened], [1, 0, 1]);
      });
    });
  }

  for (const client of polling.filter(batches)) {
    rtd.test(`${client.name} sends bytes`, async (t) => {
      const { channel } = await member(t, newTopic(), client);
      const { buffer } = Uint8Array.from({ length: 256 }, (_, n) => n);
      assert.deepEqual(await push(channel, "reply_text", buffer), { status: "ok", response: { binary: true, size: 256 } });
    });
  }

  rtd.test("refused by connect, it tries again, and is accepted once its params are right", async (t) => {
    const params = { user: "ada", refuse: "403" };
    const socket = dial(t, rtd.url(), newestPolling, { params });
    await until(() => socket.closes.length >= 2, "the second refusal");
    assert.deepEqual([socket.opened, socket.closes[0]], [0, 1008]);
    delete params.refuse;
    await until(() => socket.isConnected(), "the connection");
    await join(socket, newTopic());
  });

  rtd.test("a token travels in a header", async (t) => {
    for (const authToken of ["secret", "a.b-c_d", "x".repeat(2000)]) {
      const { channel } = await member(t, newTopic(), newestPolling, { options: { authToken } });
      const { auth_token, info } = (await push(channel, "assigns")).response;
      assert.deepEqual([auth_token, info.auth_token], [authToken, authToken]);
      assert.doesNotMatch(JSON.stringify({ ...info, auth_token: "" }), new RegExp(authToken), "it is elsewhere, too");
      assert.ok(!rtd.tail().includes(authToken), "it is in the log");
    }
  });

  rtd.test("disconnected by its socket's id, it comes back", async (t) => {
    const user = randomUUID();
    const ada = await member(t, newTopic(), newestPolling, { options: { params: { user } } });
    const bob = await member(t, newTopic(), newest);
    await push(bob.channel, "disconnect", { id: `users:${user}` });
    await until(() => ada.channel.joins === 2, "the second join", PATIENCE);
    assert.equal((await push(ada.channel, "echo", { n: 1 })).status, "ok");
    assert.deepEqual([ada.socket.opened, ada.socket.closes[0]], [2, 3410]);
  });
});

describe("falling back from a WebSocket", { concurrency: true }, () => {
  const never = class extends EventTarget { // a firewall that swallows everything
    readyState = WebSocket.CONNECTING;
    close() {
      this.readyState = WebSocket.CLOSED;
    }
    send() {}
  };
  const refused = class extends WebSocket { // a proxy that knows no upgrades
    constructor() {
      super(`${rtd.url("nowhere")}/websocket`);
    }
  };
  const fallingBack = clients.filter(({ name }) => name === "phoenix 1.8" || name === "phoenix 1.7");
  for (const client of fallingBack) {
    for (const [how, transport] of Object.entries({ never, refused })) {
      rtd.test(`${client.name}, whose WebSocket is ${how === "never" ? "never answered" : "refused"}`, async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await member(t, topic, client, { options: { transport, longPollFallbackMs: 200 } }), await member(t, topic, newest)];
        assert.ok(ada.socket.conn instanceof client.LongPoll);
        for (const speaker of [ada, bob]) await hears(speaker, [ada, bob]);
      });
    }

    rtd.test(`${client.name} does not, where WebSockets work`, async (t) => {
      const { socket, channel } = await member(t, newTopic(), client, { options: { longPollFallbackMs: 2000 } });
      assert.equal((await push(channel, "echo")).status, "ok");
      assert.ok(socket.conn instanceof WebSocket);
    });
  }
});

describe("a restarted server", () => {
  for (const [how, end] of [["drained", (server) => server.stop()], ["killed", (server) => server.kill()]]) {
    rtd.test(`all that poll return after it was ${how}`, async (t) => {
      const topic = newTopic();
      const members = await Promise.all([newest, ...polling].map((client) => member(t, topic, client)));
      await hears(members[0], members);
      await end(rtd);
      await until(() => members.every(({ socket }) => !socket.isConnected()), "the end of all connections");
      await rtd.start();
      await until(() => members.every(({ channel }) => channel.joins === 2), "all to join again", PATIENCE);
      for (const speaker of members) await hears(speaker, members);
    });
  }

  rtd.test("a client that did not notice is told that its session is gone", async (t) => {
    const { socket, channel } = await member(t, newTopic(), newestPolling);
    socket.conn.token = "of another life";
    await push(channel, "echo").catch(() => {});
    await until(() => channel.joins === 2, "the second join", PATIENCE);
    assert.equal((await push(channel, "echo", { n: 1 })).status, "ok");
  });
});
