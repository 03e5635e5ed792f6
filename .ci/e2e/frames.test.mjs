// Frame by frame, where client libraries would hide what the server does.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { connect, join, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { raw } from "./harness/raw.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix();
const newTopic = () => `room:${randomUUID()}`;
const ok = (joinRef, ref, topic, response = {}) => [joinRef, ref, topic, "phx_reply", { status: "ok", response }];
const unmatched = (ref, topic) => [null, ref, topic, "phx_reply", { status: "error", response: { reason: "unmatched topic" } }];

describe("V2 text", { concurrency: true }, () => {
  rtd.test("a heartbeat needs no channel, and refs return as they came", async (t) => {
    const socket = await raw(t, rtd.url());
    for (const ref of ["1", 7, null, "ü"]) {
      socket.send([null, ref, "phoenix", "heartbeat", {}]);
      assert.deepEqual(await socket.next(), ok(null, ref, "phoenix"));
    }
  });

  rtd.test("frames pipelined behind a join are served after it, in order", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    socket.send(["1", "1", topic, "phx_join", { ms: 100 }]);
    for (const ref of ["2", "3", "4"]) socket.send(["1", ref, topic, "echo", { ref }]);
    socket.send(["1", "5", topic, "phx_leave", {}]);
    assert.deepEqual(await socket.next(), ok("1", "1", topic));
    for (const ref of ["2", "3", "4"]) assert.deepEqual(await socket.next(), ok("1", ref, topic, { ref }));
    assert.deepEqual(await socket.next(), ok("1", "5", topic));
    assert.deepEqual(await socket.next(), ["1", "1", topic, "phx_close", {}]);
  });

  rtd.test("pushes made in join follow its reply", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    socket.send(["1", "1", topic, "phx_join", { push: 2, reply: { hello: 1 } }]);
    assert.deepEqual(await socket.next(), ok("1", "1", topic, { hello: 1 }));
    for (const n of [0, 1]) assert.deepEqual(await socket.next(), ["1", null, topic, "joined", { n }]);
  });

  rtd.test("numbers pass digit by digit", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    await socket.join(topic, "1");
    for (const number of ["9007199254740993", "-123456789012345678901234567890", "1.10", "0.1000000000000000055511151231257827"]) {
      socket.send(`["1","2","${topic}","echo",{"id":${number}}]`);
      assert.ok((await socket.frame()).includes(`"id":${number}}`), number);
    }
  });

  rtd.test("payloads need not be objects", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    await socket.join(topic, "1");
    for (const payload of [[1, 2], "text", 5, false, null]) {
      socket.send(["1", "2", topic, "echo", payload]);
      assert.deepEqual(await socket.next(), ok("1", "2", topic, payload));
    }
  });

  rtd.test("a malformed frame ends its connection with 1011, and no other", async (t) => {
    const topic = newTopic();
    const bob = await join(await connect(t, rtd.url()), topic);
    const bad = ["", "not json", "{}", "[]", '["1","1","room:x","echo"]', '["1","1","room:x","echo",{}', "null"];
    for (const frame of [...bad, Buffer.from([9]), Buffer.from([0, 1, 1, 200, 1, 0])]) {
      const socket = await raw(t, rtd.url());
      await socket.join(topic, "1");
      socket.send(frame);
      assert.equal(await socket.closed(`frame ${JSON.stringify(frame)}`), 1011);
    }
    assert.equal((await push(bob, "echo")).status, "ok");
  });

  rtd.test("what has a stale join_ref is dropped, what has none is served", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    await socket.join(topic, "1");
    await socket.join(topic, "2");
    assert.deepEqual(await socket.next(), ["1", "1", topic, "phx_close", {}]);
    socket.send(["1", "3", topic, "echo", { stale: true }]);
    socket.send(["1", "4", topic, "phx_leave", {}]);
    socket.send([null, "5", topic, "echo", { from: "nowhere" }]);
    socket.send(["2", "6", topic, "echo", { current: true }]);
    assert.deepEqual(await socket.next(), ok("2", "5", topic, { from: "nowhere" }));
    assert.deepEqual(await socket.next(), ok("2", "6", topic, { current: true }));
  });

  rtd.test("a duplicate join answers first, then closes the old channel; broadcasts come once", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    await socket.join(topic, "1");
    await socket.join(topic, "2");
    assert.deepEqual(await socket.next(), ["1", "1", topic, "phx_close", {}]);
    socket.send(["2", "3", topic, "broadcast", { event: "news", payload: {} }]);
    socket.send([null, "4", "phoenix", "heartbeat", {}]);
    const frames = [await socket.next(), await socket.next(), await socket.next()];
    assert.deepEqual(frames.filter(([, , , event]) => event === "news"), [[null, null, topic, "news", {}]]);
    await socket.quiet();
  });

  rtd.test("a crash is phx_error with the join_ref twice, and leaves the topic unjoined", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    await socket.join(topic, "7");
    socket.send(["7", "8", topic, "raise", {}]);
    assert.deepEqual(await socket.next(), ["7", "7", topic, "phx_error", { reason: "channel_crash" }]);
    socket.send(["7", "9", topic, "echo", {}]);
    assert.deepEqual(await socket.next(), unmatched("9", topic));
    await socket.join(topic, "10");
  });

  rtd.test("a topic that is not joined: leaving is ok, pushing is unmatched", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    socket.send(["1", "1", topic, "phx_leave", {}]);
    assert.deepEqual((await socket.next()).slice(1), ok("1", "1", topic).slice(1));
    for (const other of [topic, 5, null]) {
      socket.send(["1", "2", other, "echo", {}]);
      assert.deepEqual(await socket.next(), unmatched("2", other));
    }
    await socket.quiet();
  });

  rtd.test("a client that vanishes takes nobody with it", async (t) => {
    const topic = newTopic();
    const bob = await join(await connect(t, rtd.url()), topic);
    let heard = 0;
    bob.on("news", () => void heard++);
    for (let n = 0; n < 10; n++) {
      const socket = await raw(t, rtd.url());
      await socket.join(topic, "1");
      socket.send(["1", "2", topic, "broadcast", { event: "news", payload: { n } }]);
      await socket.next();
      socket.terminate();
    }
    await until(() => heard === 10, "ten last words");
    assert.equal((await push(bob, "echo")).status, "ok");
  });
});

describe("V1 text", { concurrency: true }, () => {
  const v1 = (t) => raw(t, rtd.url(), { query: "vsn=1.0.0" });
  const frame = (topic, event, payload, ref) => ({ topic, event, payload, ref });

  rtd.test("frames are objects of four keys; without a join_ref, a close has no ref either", async (t) => {
    const socket = await v1(t);
    const topic = newTopic();
    const send = (...fields) => socket.send(JSON.stringify(frame(topic, ...fields)));
    send("phx_join", {}, "1");
    assert.deepEqual(await socket.next(), frame(topic, "phx_reply", { status: "ok", response: {} }, "1"));
    send("push", { event: "news", payload: { n: 1 } }, "2");
    const frames = [await socket.next(), await socket.next()];
    assert.deepEqual(frames.find(({ event }) => event === "news"), frame(topic, "news", { n: 1 }, null));
    send("phx_leave", {}, "3");
    assert.deepEqual(await socket.next(), frame(topic, "phx_reply", { status: "ok", response: {} }, "3"));
    assert.deepEqual(await socket.next(), frame(topic, "phx_close", {}, null));
  });

  rtd.test("without one of the keys a frame ends the connection", async (t) => {
    for (const key of ["topic", "event", "payload", "ref"]) {
      const socket = await v1(t);
      const { [key]: _, ...rest } = frame("phoenix", "heartbeat", {}, "1");
      socket.send(JSON.stringify(rest));
      assert.equal(await socket.closed(`a frame without ${key}`), 1011);
    }
  });
});

describe("V2 binary", { concurrency: true }, () => {
  // push 0: sizes of join_ref, ref, topic, event; then these, then the data.
  const binary = (joinRef, ref, topic, event, data) => {
    const fields = [joinRef, ref, topic, event].map((field) => Buffer.from(field));
    return Buffer.concat([Buffer.from([0, ...fields.map(({ length }) => length)]), ...fields, Buffer.from(data)]);
  };

  rtd.test("a reply, a push and a broadcast, byte by byte", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = `room:zażółć-${randomUUID()}`;
    await socket.join(topic, "12");
    const size = Buffer.byteLength(topic);
    socket.send(binary("12", "13", topic, "echo", [0, 255]));
    const reply = Buffer.concat([Buffer.from([1, 2, 2, size, 2]), Buffer.from(`1213${topic}ok`), Buffer.from([0, 255])]);
    assert.deepEqual(await socket.frame(), reply);
    socket.send(binary("12", "14", topic, "push_binary", [7]));
    const pushed = Buffer.concat([Buffer.from([0, 2, size, 5]), Buffer.from(`12${topic}bytes`), Buffer.from([7])]);
    assert.deepEqual([await socket.frame(), await socket.frame()].find(Buffer.isBuffer), pushed);
    socket.send(binary("12", "15", topic, "broadcast_binary", [8, 9]));
    const broadcast = Buffer.concat([Buffer.from([2, size, 5]), Buffer.from(`${topic}bytes`), Buffer.from([8, 9])]);
    assert.deepEqual([await socket.frame(), await socket.frame()].find(Buffer.isBuffer), broadcast);
  });

  rtd.test("to a topic that is not joined it is answered in text", async (t) => {
    const socket = await raw(t, rtd.url());
    const topic = newTopic();
    socket.send(binary("1", "2", topic, "echo", [1]));
    assert.deepEqual(await socket.next(), unmatched("2", topic));
  });
});
