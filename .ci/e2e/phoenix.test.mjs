// Checks a running rtd, with its sample plugin chat, from outside: first with the unmodified npm package phoenix, then
// frame by frame where the package would hide what the server does. RTD_URL names the socket to test.
//
//   RTD_URL=ws://127.0.0.1:4000/socket node --test
//
// Tests use rooms of their own, so that they may run beside other clients of the same server.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Socket } from "phoenix";
import WebSocket from "ws";

const URL = process.env.RTD_URL ?? "ws://127.0.0.1:4000/socket";
const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const newRoom = () => `room:e2e-${randomUUID()}`;

// --- with the npm package

test("joins room:lobby with the demo token", async (t) => {
  const socket = await connect(t);
  const channel = await join(socket, "room:lobby", "Ada");
  assert.equal(channel.state, "joined");
});

test("refuses a join with a wrong or missing token", async (t) => {
  const socket = await connect(t);
  for (const params of [{ token: "wrong", user: "Eve" }, { user: "Eve" }, { token: "" }, { token: ["demo"] }, {}]) {
    const channel = socket.channel(newRoom(), params);
    assert.deepEqual(await answer(channel.join()), { status: "error", response: { reason: "unauthorized" } });
    channel.leave();
  }
  assert.ok(socket.isConnected());
});

test("a refused join succeeds once its params are right", async (t) => {
  const socket = await connect(t);
  let token = "wrong";
  const channel = socket.channel(newRoom(), () => ({ token, user: "Ada" }));
  assert.equal((await answer(channel.join())).status, "error");
  token = "demo"; // the package tries again by itself
  await until(() => channel.state === "joined", "the second join");
});

test("new_message reaches everyone, the sender included", async (t) => {
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

test("messages stay in their room", async (t) => {
  const socket = await connect(t);
  const [here, there] = [await join(socket, newRoom(), "Ada"), await join(socket, newRoom(), "Ada")];
  const [heard, overheard] = [collect(here, "new_message"), collect(there, "new_message")];
  await push(here, "new_message", { body: "here" });
  await until(() => heard.length === 1, "the message");
  await ping(socket);
  assert.deepEqual(overheard, []);
});

test("echo is answered with its own payload", async (t) => {
  const { channel } = await member(t, newRoom(), "Ada");
  const payload = { text: "hi", list: [1, null, true], deep: { er: {} } };
  assert.deepEqual(await push(channel, "echo", payload), { status: "ok", response: payload });
});

test("shout reaches everyone but the sender", async (t) => {
  const room = newRoom();
  const [ada, bob, carol] = await Promise.all(["Ada", "Bob", "Carol"].map((name) => member(t, room, name)));
  ada.channel.push("shout", { body: "lunch" });
  for (const { shouts } of [bob, carol]) {
    await until(() => shouts.length === 1, "the shout");
    assert.equal(shouts[0].body, "lunch");
    assert.equal(shouts[0].user, "Ada");
    assert.match(shouts[0].timestamp, RFC3339_UTC);
  }
  await push(ada.channel, "echo", {});
  assert.deepEqual(ada.shouts, []);
});

test("a join of a topic that no plugin serves is refused", async (t) => {
  const socket = await connect(t);
  const channel = socket.channel("nothing:here", { token: "demo" });
  assert.deepEqual(await answer(channel.join()), { status: "error", response: { reason: "unmatched topic" } });
});

test("an unknown event is an error for its sender and for nobody else", async (t) => {
  const room = newRoom();
  const [ada, bob] = await Promise.all([member(t, room, "Ada"), member(t, room, "Bob")]);
  const { status, response } = await push(ada.channel, "no_such_event", {});
  assert.equal(status, "error");
  assert.equal(typeof response.reason, "string");
  await push(ada.channel, "new_message", { body: "still here" });
  await until(() => bob.messages.length === 1, "a message after the error");
  assert.equal(ada.joins(), 1, "the client had to join again");
});

test("heartbeats are answered", async (t) => {
  const socket = await connect(t, { heartbeatIntervalMs: 50 });
  const { conn } = socket;
  let answered = 0;
  socket.onMessage(({ topic, event, payload }) => {
    if (topic === "phoenix" && event === "phx_reply" && payload.status === "ok") answered++;
  });
  await until(() => answered >= 5, "five heartbeats");
  assert.equal(socket.conn, conn, "the connection was replaced");
});

test("leave is confirmed, and nothing comes afterwards", async (t) => {
  const room = newRoom();
  const [ada, bob] = await Promise.all([member(t, room, "Ada"), member(t, room, "Bob")]);
  // The package answers a leave itself, so look at what the server says.
  const heard = [];
  ada.socket.onMessage(({ topic, event, payload }) => {
    if (topic === room) heard.push(event === "phx_reply" ? payload.status : event);
  });
  await answer(ada.channel.leave());
  await until(() => heard.length >= 2, "the reply and phx_close");
  await push(bob.channel, "new_message", { body: "gone?" });
  await until(() => bob.messages.length === 1, "the message");
  await ping(ada.socket);
  assert.deepEqual(heard, ["ok", "phx_close"]);
});

test("a channel is joined anew after a leave", async (t) => {
  const socket = await connect(t);
  const room = newRoom();
  await answer((await join(socket, room, "Ada")).leave());
  const channel = await join(socket, room, "Bob");
  const messages = collect(channel, "new_message");
  await push(channel, "new_message", { body: "again" });
  await until(() => messages.length === 1, "the message");
  assert.equal(messages[0].user, "Bob");
});

test("a dropped connection comes back, joins again, and messages flow", async (t) => {
  const room = newRoom();
  const [ada, bob] = await Promise.all([member(t, room, "Ada"), member(t, room, "Bob")]);
  ada.socket.conn.terminate();
  await until(() => ada.joins() === 2, "the second join");
  await push(ada.channel, "new_message", { body: "from Ada" });
  await push(bob.channel, "new_message", { body: "from Bob" });
  for (const { messages } of [ada, bob]) {
    await until(() => messages.length === 2, "both messages");
    assert.deepEqual(messages.map(({ body }) => body), ["from Ada", "from Bob"]);
  }
});

test("a second channel of the same topic replaces the first", async (t) => {
  const socket = await connect(t);
  const room = newRoom();
  const first = await join(socket, room, "Ada");
  const old = collect(first, "new_message");
  const second = await join(socket, room, "Ada");
  const messages = collect(second, "new_message");
  await push(second, "new_message", { body: "once" });
  await until(() => messages.length > 0, "the message");
  await ping(socket);
  assert.equal(messages.length, 1, "one copy for the new channel");
  assert.equal(old.length, 0, "none for the old one");
  assert.equal(first.state, "closed");
});

test("a crashed handler is restarted in place, and nobody loses a message", async (t) => {
  const room = newRoom();
  const [ada, bob, carol] = await Promise.all(["Ada", "Bob", "Carol"].map((name) => member(t, room, name)));
  let closed = false;
  ada.socket.onClose(() => (closed = true));
  const bodies = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  const speak = async () => {
    for (const body of bodies) {
      bob.channel.push("new_message", { body });
      await sleep(2);
    }
  };
  const speaking = speak();
  await until(() => carol.messages.length > 20, "the conversation to start");
  assert.deepEqual(await push(ada.channel, "crash", {}), { status: "error", response: { reason: "crashed" } });
  assert.equal((await push(ada.channel, "echo", { after: "crash" })).status, "ok");
  await speaking;
  for (const { messages } of [ada, bob, carol]) {
    await until(() => messages.length >= bodies.length, "every message");
    assert.deepEqual(messages.map(({ body }) => body), bodies);
  }
  assert.equal(ada.joins(), 1, "the client had to join again");
  assert.equal(closed, false, "the socket closed");
  await push(ada.channel, "new_message", { body: "I am fine" });
  await until(() => bob.messages.at(-1)?.body === "I am fine", "a message of the restarted handler");
  assert.equal(bob.messages.at(-1).user, "Ada", "the restarted handler knows its user");
});

test("20 clients × 50 messages: each arrives everywhere, once, in its sender's order", async (t) => {
  const [clients, each] = [20, 50];
  const room = newRoom();
  const members = await Promise.all(Array.from({ length: clients }, (_, i) => member(t, room, `client ${i}`)));
  const numbers = Array.from({ length: each }, (_, n) => String(n));
  const answers = members.flatMap(({ channel }) => numbers.map((body) => push(channel, "new_message", { body })));
  for (const { status } of await Promise.all(answers)) assert.equal(status, "ok");
  for (const { messages } of members) {
    await until(() => messages.length >= clients * each, "every message");
  }
  await Promise.all(members.map(({ socket }) => ping(socket)));
  for (const { messages } of members) {
    assert.equal(messages.length, clients * each);
    const bySender = groupBy(messages, ({ user }) => user);
    assert.equal(bySender.size, clients);
    for (const [user, heard] of bySender) assert.deepEqual(heard.map(({ body }) => body), numbers, `order of ${user}`);
  }
});

test("any text passes unchanged, in names too", async (t) => {
  const name = 'Żółć "Ω" <b>\\';
  const { channel, messages } = await member(t, newRoom(), name);
  const bodies = ["", "🎉👩‍👩‍👧 e\u0301 ﷽ שלום", "\u0000\u001f\u2028\u2029", '"\\/</script>', "__proto__", "x".repeat(60 * 1024)];
  for (const body of bodies) await push(channel, "new_message", { body });
  await until(() => messages.length >= bodies.length, "every message");
  assert.deepEqual(messages.map(({ body }) => body), bodies);
  assert.equal(messages[0].user, name);
});

test("a room's name may be any text", async (t) => {
  const { channel, messages } = await member(t, `${newRoom()}:zażółć 🎉 "quoted"`, "Ada");
  await push(channel, "new_message", { body: "hello" });
  await until(() => messages.length === 1, "the message");
});

// --- frame by frame

test("raw: a heartbeat needs no channel, and refs return as they came", async (t) => {
  const socket = await raw(t);
  for (const ref of ["1", 7, null, "ü"]) {
    socket.send([null, ref, "phoenix", "heartbeat", {}]);
    assert.deepEqual(await socket.next(), [null, ref, "phoenix", "phx_reply", { status: "ok", response: {} }]);
  }
});

test("raw: frames pipelined behind a join are served after it, in order", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  socket.send(["1", "1", room, "phx_join", { token: "demo" }]);
  for (const ref of ["2", "3", "4"]) socket.send(["1", ref, room, "echo", { ref }]);
  socket.send(["1", "5", room, "phx_leave", {}]);
  const ok = (ref, response) => ["1", ref, room, "phx_reply", { status: "ok", response }];
  assert.deepEqual(await socket.next(), ok("1", {}));
  for (const ref of ["2", "3", "4"]) assert.deepEqual(await socket.next(), ok(ref, { ref }));
  assert.deepEqual(await socket.next(), ok("5", {}));
  assert.deepEqual(await socket.next(), ["1", "1", room, "phx_close", {}]);
});

test("raw: numbers pass digit by digit", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  await socket.join(room, "1");
  const numbers = ["9007199254740993", "-123456789012345678901234567890", "1.10", "0.1000000000000000055511151231257827"];
  for (const number of numbers) {
    socket.sendText(`["1","2","${room}","echo",{"id":${number}}]`);
    assert.match(await socket.nextText(), new RegExp(`"id":\\s*${number.replace(".", "\\.")}\\}`));
  }
});

test("raw: payloads need not be objects", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  await socket.join(room, "1");
  for (const payload of [[1, 2], "text", 5, false, null]) {
    socket.send(["1", "2", room, "echo", payload]);
    assert.deepEqual(await socket.next(), ["1", "2", room, "phx_reply", { status: "ok", response: payload }]);
  }
});

test("raw: a malformed frame ends its connection with 1011, and no other", async (t) => {
  const room = newRoom();
  const bob = await member(t, room, "Bob");
  for (const bad of ["", "not json", "{}", "[]", '["1","1","room:x","echo"]', '["1","1",5,"echo",{}]', '["1","1","room:x","echo",{}', "null"]) {
    const socket = await raw(t);
    await socket.join(room, "1");
    socket.sendText(bad);
    assert.equal(await socket.closed, 1011, `frame ${JSON.stringify(bad)}`);
  }
  assert.equal((await push(bob.channel, "echo", {})).status, "ok");
});

test("raw: a push with a stale join_ref is dropped, one without is served", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  await socket.join(room, "1");
  await socket.join(room, "2");
  assert.deepEqual(await socket.next(), ["1", "1", room, "phx_close", {}]);
  socket.send(["1", "3", room, "echo", { stale: true }]);
  socket.send(["1", "4", room, "phx_leave", {}]);
  socket.send([null, "5", room, "echo", { from: "nowhere" }]);
  socket.send(["2", "6", room, "echo", { current: true }]);
  assert.deepEqual(await socket.next(), ["2", "5", room, "phx_reply", { status: "ok", response: { from: "nowhere" } }]);
  assert.deepEqual(await socket.next(), ["2", "6", room, "phx_reply", { status: "ok", response: { current: true } }]);
});

test("raw: a duplicate join answers first, then closes the old channel; broadcasts come once", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  await socket.join(room, "1");
  socket.send(["2", "2", room, "phx_join", { token: "demo", user: "Ada" }]);
  assert.deepEqual(await socket.next(), ["2", "2", room, "phx_reply", { status: "ok", response: {} }]);
  assert.deepEqual(await socket.next(), ["1", "1", room, "phx_close", {}]);
  socket.send(["2", "3", room, "new_message", { body: "once" }]);
  socket.send([null, "4", "phoenix", "heartbeat", {}]);
  const frames = [await socket.next(), await socket.next(), await socket.next()];
  const broadcasts = frames.filter(([, , , event]) => event === "new_message");
  assert.equal(broadcasts.length, 1);
  assert.deepEqual(broadcasts[0].slice(0, 3), [null, null, room]);
  await socket.quiet();
});

test("raw: a leave of a topic that is not joined is ok, without phx_close", async (t) => {
  const socket = await raw(t);
  socket.send(["1", "1", newRoom(), "phx_leave", {}]);
  const [, ref, , event, payload] = await socket.next();
  assert.deepEqual([ref, event, payload], ["1", "phx_reply", { status: "ok", response: {} }]);
  await socket.quiet();
});

test("raw: a push to a topic that is not joined is unmatched", async (t) => {
  const socket = await raw(t);
  const room = newRoom();
  socket.send(["1", "2", room, "echo", {}]);
  assert.deepEqual(await socket.next(), [null, "2", room, "phx_reply", { status: "error", response: { reason: "unmatched topic" } }]);
});

test("raw: a client that vanishes takes nobody with it", async (t) => {
  const room = newRoom();
  const bob = await member(t, room, "Bob");
  for (let i = 0; i < 10; i++) {
    const socket = await raw(t);
    await socket.join(room, "1");
    socket.send(["1", "2", room, "new_message", { body: `last words ${i}` }]);
    await socket.next();
    socket.terminate();
  }
  await until(() => bob.messages.length === 10, "ten last words");
  assert.equal((await push(bob.channel, "new_message", { body: "alone" })).status, "ok");
});

test("raw: an unsupported vsn is refused with 403", async () => {
  for (const vsn of ["9.9.9", "2", ""]) {
    const ws = new WebSocket(`${URL}/websocket?vsn=${vsn}`);
    const status = await new Promise((resolve) => {
      ws.on("unexpected-response", (_, response) => (resolve(response.statusCode), ws.terminate()));
      ws.on("open", () => (resolve("accepted"), ws.terminate()));
      ws.on("error", () => {});
    });
    assert.equal(status, 403, `vsn ${JSON.stringify(vsn)}`);
  }
});

// --- tools

// connect opens a Socket of the npm package; it is closed when the test ends.
async function connect(t, options = {}) {
  const socket = new Socket(URL, { transport: WebSocket, ...options });
  t.after(() => new Promise((resolve) => socket.disconnect(resolve)));
  const opened = new Promise((resolve) => socket.onOpen(resolve));
  socket.connect();
  await within(opened, "the connection");
  return socket;
}

async function join(socket, topic, user) {
  const channel = socket.channel(topic, { token: "demo", user });
  const { status, response } = await answer(channel.join());
  assert.equal(status, "ok", `join ${topic}: ${JSON.stringify(response)}`);
  return channel;
}

// member is a client of its own in a room, with what it heard and how often it joined.
async function member(t, room, user) {
  const socket = await connect(t);
  const channel = socket.channel(room, { token: "demo", user });
  const [messages, shouts] = [collect(channel, "new_message"), collect(channel, "shout")];
  let joins = 0;
  const joining = channel.join().receive("ok", () => joins++);
  assert.equal((await answer(joining)).status, "ok", `join ${room}`);
  return { socket, channel, messages, shouts, joins: () => joins };
}

function collect(channel, event) {
  const heard = [];
  channel.on(event, (payload) => heard.push(payload));
  return heard;
}

const push = (channel, event, payload) => answer(channel.push(event, payload));

// answer waits for a push's reply, whatever its status.
function answer(pushed) {
  return within(
    new Promise((resolve) => {
      for (const status of ["ok", "error", "timeout"]) pushed.receive(status, (response) => resolve({ status, response }));
    }),
    `the answer to ${pushed.event}`,
    15_000,
  );
}

// ping waits for a heartbeat's answer: what the server sent before has arrived then.
const ping = (socket) => within(new Promise((resolve) => assert.ok(socket.ping(resolve))), "the ping");

// raw is a WebSocket with nothing on top.
async function raw(t) {
  const ws = new WebSocket(`${URL}/websocket?vsn=2.0.0`);
  const inbox = [];
  ws.on("message", (data) => inbox.push(data.toString()));
  ws.on("error", () => {});
  const closed = within(new Promise((resolve) => ws.on("close", resolve)), "the close", 60_000);
  closed.catch(() => {}); // only some tests wait for it
  t.after(() => ws.terminate());
  await within(new Promise((resolve) => ws.on("open", resolve)), "the connection");

  const nextText = async () => {
    await until(() => inbox.length > 0, "a frame");
    return inbox.shift();
  };
  const next = async () => JSON.parse(await nextText());
  const sendText = (text) => ws.send(text);
  const send = (frame) => sendText(JSON.stringify(frame));
  return {
    closed,
    next,
    nextText,
    send,
    sendText,
    terminate: () => ws.terminate(),
    async join(room, ref) {
      send([ref, ref, room, "phx_join", { token: "demo", user: "raw" }]);
      assert.deepEqual(await next(), [ref, ref, room, "phx_reply", { status: "ok", response: {} }]);
    },
    // quiet asserts that the server has nothing more to say.
    async quiet() {
      send([null, "quiet", "phoenix", "heartbeat", {}]);
      assert.deepEqual(await next(), [null, "quiet", "phoenix", "phx_reply", { status: "ok", response: {} }]);
      assert.deepEqual(inbox, []);
    },
  };
}

async function until(condition, what, ms = 10_000) {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`waited ${ms} ms in vain for ${what}`);
    await sleep(2);
  }
}

function within(promise, what, ms = 10_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
