// Long polling as HTTP sees it: what a client library hides.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { connect, join } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";

const rtd = await phoenix();
const newTopic = () => `room:${randomUUID()}`;
const NDJSON = "application/x-ndjson";
const OK = { status: "ok", response: {} };

/** One request, and its answer's body; the HTTP status is always 200. */
async function ask(method, { query = "vsn=2.0.0", token, headers = {}, body } = {}) {
  const url = `http://${rtd.address}/socket/longpoll?${query}`;
  const response = await fetch(url, { method, body, headers: { ...(token && { "x-phoenix-longpoll-token": token }), ...headers } });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.deepEqual([response.headers.get("access-control-allow-origin"), response.headers.get("cache-control")], ["*", "no-store"]);
  return response.json();
}

class Session {
  constructor(token, query) {
    this.token = token;
    this.query = query;
  }

  static async open(query = "vsn=2.0.0") {
    const { status, token, messages } = await ask("GET", { query });
    assert.deepEqual([status, messages], [410, []]);
    assert.match(token, /^\S{20,}$/);
    return new Session(token, query);
  }

  /** Sends frames, as one batch. */
  async send(...frames) {
    const lines = frames.map((frame) => (Array.isArray(frame) ? JSON.stringify(frame) : frame));
    return (await this.post(lines.join("\n"))).status;
  }

  post(body, type = NDJSON) {
    return ask("POST", { query: this.query, token: this.token, headers: { "content-type": type }, body });
  }

  poll() {
    return ask("GET", { query: this.query, token: this.token });
  }

  /** Polls until there are n messages, decoded. */
  async receive(n) {
    const all = [];
    while (all.length < n) {
      const { status, messages, token } = await this.poll();
      assert.deepEqual([status, token], [200, this.token]);
      all.push(...messages.map((text) => JSON.parse(text)));
    }
    assert.equal(all.length, n);
    return all;
  }

  async join(topic, ref = "1") {
    assert.equal(await this.send([ref, ref, topic, "phx_join", {}]), 200);
    assert.deepEqual(await this.receive(1), [[ref, ref, topic, "phx_reply", OK]]);
  }
}

describe("long polling", { concurrency: true }, () => {
  rtd.test("the token may be in the query, as older clients have it; the header comes first", async () => {
    const { token } = await Session.open();
    const body = `[null,"1","phoenix","heartbeat",{}]`;
    const post = (query, header) => ask("POST", { query: `vsn=2.0.0&${query}`, token: header, body });
    assert.equal((await post(`token=${token}`)).status, 200);
    assert.equal((await post("token=wrong", token)).status, 200);
    assert.equal((await post(`token=${token}`, "wrong")).status, 410);
    assert.equal((await post("")).status, 410);
    assert.equal((await ask("GET", { query: `vsn=2.0.0&token=${token}` })).messages.length, 2);
  });

  rtd.test("a token that was tampered with opens a new session, and does not touch the old", async () => {
    const session = await Session.open();
    const topic = newTopic();
    await session.join(topic);
    const { token } = session;
    for (const tampered of [`${token}x`, token.slice(1), token.toLowerCase(), "x".repeat(8000)]) {
      const { status, token: fresh, messages } = await ask("GET", { token: tampered });
      assert.deepEqual([status, messages], [410, []]);
      assert.ok(fresh && fresh !== token && fresh !== tampered);
    }
    await session.send(["1", "2", topic, "echo", { n: 1 }]);
    assert.deepEqual(await session.receive(1), [["1", "2", topic, "phx_reply", { status: "ok", response: { n: 1 } }]]);
  });

  rtd.test("a refusal is a status in the body", async () => {
    for (const query of ["vsn=2.0.0&refuse=403", "vsn=2.0.0&refuse=429", "vsn=9.9.9"]) {
      assert.deepEqual(await ask("GET", { query }), { status: 403 }, query);
    }
  });

  rtd.test("a poll waits until something comes, and returns at once then", async (t) => {
    const topic = newTopic();
    const session = await Session.open();
    await session.join(topic);
    const waiting = session.poll();
    const channel = await join(await connect(t, rtd.url()), topic);
    const begin = Date.now();
    channel.push("broadcast", { event: "news", payload: { n: 1 } });
    const { status, messages } = await waiting;
    assert.ok(Date.now() - begin < 2000, `after ${Date.now() - begin} ms`);
    assert.deepEqual([status, messages.map((m) => JSON.parse(m))], [200, [[null, null, topic, "news", { n: 1 }]]]);
  });

  rtd.test("a poll for nothing ends with 204 after ten seconds", async () => {
    const session = await Session.open();
    const begin = Date.now();
    assert.deepEqual(await session.poll(), { status: 204, token: session.token, messages: [] });
    const took = Date.now() - begin;
    assert.ok(took > 9_000 && took < 13_000, `after ${took} ms`);
    await session.join(newTopic()); // it is as good as before
  });

  rtd.test("what is sent between two polls is kept, in order", async () => {
    const session = await Session.open();
    const topic = newTopic();
    await session.join(topic);
    for (let n = 0; n < 20; n++) await session.send(["1", `${n}`, topic, "push", { event: "n", payload: { n } }]);
    const pushes = (await session.receive(40)).filter(([, , , event]) => event === "n");
    assert.deepEqual(pushes.map(([, , , , { n }]) => n), Array.from({ length: 20 }, (_, n) => n));
  });

  rtd.test("a batch is handled in order; of more than a hundred lines the rest is ignored", async () => {
    const session = await Session.open();
    const topic = newTopic();
    const echoes = Array.from({ length: 119 }, (_, n) => ["1", `${n + 2}`, topic, "echo", { n }]);
    assert.equal(await session.send(["1", "1", topic, "phx_join", {}], ...echoes), 200);
    const replies = await session.receive(100);
    assert.deepEqual(replies.map(([, ref]) => Number(ref)), Array.from({ length: 100 }, (_, n) => n + 1));
    await session.send(["1", "last", topic, "count", {}]);
    assert.deepEqual(await session.receive(1), [["1", "last", topic, "phx_reply", { status: "ok", response: { count: 100 } }]]);
  });

  rtd.test("a line that does not begin with [ is base64 of a binary frame", async () => {
    const session = await Session.open();
    const topic = newTopic();
    await session.join(topic);
    const fields = ["1", "2", topic, "reply_text"].map((field) => Buffer.from(field));
    const frame = Buffer.concat([Buffer.from([0, ...fields.map(({ length }) => length)]), ...fields, Buffer.from([0, 255, 91])]);
    assert.equal(await session.send(frame.toString("base64"), ["1", "3", topic, "echo", {}]), 200);
    assert.deepEqual(await session.receive(2), [
      ["1", "2", topic, "phx_reply", { status: "ok", response: { binary: true, size: 3 } }],
      ["1", "3", topic, "phx_reply", OK],
    ]);
  });

  rtd.test("with any other content type the body is one frame; V1, too", async () => {
    for (const type of ["application/json", "text/plain;charset=UTF-8"]) {
      const session = await Session.open();
      const { status } = await session.post(`[null,"1","phoenix",\n"heartbeat",{}]`, type);
      assert.equal(status, 200);
      assert.deepEqual(await session.receive(1), [[null, "1", "phoenix", "phx_reply", OK]]);
    }
    for (const query of ["vsn=1.0.0", ""]) {
      const session = await Session.open(query);
      const heartbeat = { topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" };
      assert.equal((await session.post(JSON.stringify(heartbeat), "application/json")).status, 200);
      assert.deepEqual(await session.receive(1), [{ topic: "phoenix", event: "phx_reply", payload: OK, ref: "1" }]);
    }
  });

  rtd.test("an error of the protocol does not change the status of the POST", async () => {
    const session = await Session.open();
    assert.equal(await session.send(["1", "1", "no:such", "phx_join", {}], ["1", "2", newTopic(), "echo", {}]), 200);
    const replies = await session.receive(2);
    assert.deepEqual(replies.map(([, , , , payload]) => payload), [
      { status: "error", response: { reason: "unmatched topic" } },
      { status: "error", response: { reason: "unmatched topic" } },
    ]);
  });

  rtd.test("a malformed frame ends its session, and no other", async () => {
    for (const body of ["[1", "[]", "not base64!"]) {
      const [session, other] = [await Session.open(), await Session.open()];
      assert.notEqual((await session.post(body)).status, 200, body);
      assert.equal((await session.post(`[null,"1","phoenix","heartbeat",{}]`)).status, 410, body);
      const { status, token } = await session.poll();
      assert.ok(status === 410 && token !== session.token, body);
      await other.join(newTopic());
    }
  });

  rtd.test("a page of another host is refused, in the body; one of ours is not", async () => {
    const foreign = { headers: { origin: "https://evil.example" } };
    assert.deepEqual(await ask("GET", foreign), { status: 403 });
    const { token } = await Session.open();
    assert.deepEqual(await ask("POST", { ...foreign, token, body: `[null,"1","phoenix","heartbeat",{}]` }), { status: 403 });
    assert.equal((await ask("GET", { headers: { origin: `http://${rtd.address}` } })).status, 410);
  });

  rtd.test("OPTIONS says what is allowed; other methods are bad requests", async () => {
    const url = `http://${rtd.address}/socket/longpoll`;
    const headers = { "access-control-request-headers": "content-type,x-phoenix-longpoll-token" };
    const response = await fetch(url, { method: "OPTIONS", headers });
    const allowed = Object.fromEntries(["headers", "methods", "origin"].map((what) => [what, response.headers.get(`access-control-allow-${what}`)]));
    assert.equal(response.status, 200);
    assert.deepEqual(allowed, { headers: headers["access-control-request-headers"], methods: "get, post, options", origin: "*" });
    assert.equal(response.headers.get("access-control-max-age"), "3600");
    for (const method of ["PUT", "DELETE", "PATCH"]) assert.equal((await fetch(url, { method })).status, 400, method);
    assert.equal((await fetch(`http://${rtd.address}/nowhere/longpoll?vsn=2.0.0`)).status, 404);
  });

  rtd.test("a body that is too large is refused, and its session stays", async () => {
    const session = await Session.open();
    const url = `http://${rtd.address}/socket/longpoll?vsn=2.0.0&token=${session.token}`;
    const { status } = await fetch(url, { method: "POST", body: "x".repeat(8_000_001) });
    assert.equal(status, 400);
    await session.join(newTopic());
  });
});
