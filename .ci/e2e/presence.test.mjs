// Presence, with the Presence class of the official clients: who is here, for all who watch.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { clients, collect, connect, join, newest, push, settle } from "./harness/clients.mjs";
import { chat, phoenix } from "./harness/plugins.mjs";
import { raw } from "./harness/raw.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix();
const transient = await phoenix({ restart: "transient" });
const chats = await chat();
const newTopic = () => `room:${randomUUID()}`;

// Versions whose Presence is a class, and newest over long polling.
const watching = [
  ...clients.filter(({ name }) => /^phoenix 1\.[4-8]$/.test(name)),
  { ...newest, name: `${newest.name} over long polling`, options: { transport: newest.LongPoll } },
];

/** Joins, and is present under key; then member.here is what its Presence class shows, with names for metas. */
async function member(t, topic, key, { server = rtd, client = newest, meta = { name: key } } = {}) {
  const socket = await connect(t, server.url(), client);
  const channel = socket.channel(topic, { presence: { key, meta } });
  return watch(client, socket, channel);
}

async function watch(client, socket, channel) {
  const presence = new client.Presence(channel);
  const log = []; // what onJoin and onLeave told, each ref once: a diff behind its state, or an update, tells of it again
  const told = new Set();
  const tell = (sign) => (key, _, { metas }) => {
    for (const { phx_ref, name } of metas) {
      if (!told.has(sign + phx_ref)) log.push(`${sign}${key} ${name}`);
      told.add(sign + phx_ref);
    }
  };
  presence.onJoin(tell("+"));
  presence.onLeave(tell("-"));
  const diffs = collect(channel, "presence_diff");
  const states = collect(channel, "presence_state");
  let joins = 0;
  channel.join().receive("ok", () => joins++);
  await until(() => joins === 1 && states.length === 1, "the join, and who is here");
  const here = () => {
    const lists = presence.list((key, { metas }) => [key, metas.map(({ name }) => name).sort()]);
    return Object.fromEntries(lists.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return { socket, channel, presence, here, log, diffs, states, joins: () => joins };
}

// agree waits until all members show that these are here.
async function agree(members, here) {
  const want = JSON.stringify(here);
  for (const [n, member] of members.entries()) {
    await until(() => JSON.stringify(member.here()) === want, `member ${n} to see ${want}`).catch((error) => {
      throw new Error(`${error.message}; it sees ${JSON.stringify(member.here())}`);
    });
  }
}

describe("presence", { concurrency: true }, () => {
  for (const client of watching) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("three come, change and go", async (t) => {
        const topic = newTopic();
        const ada = await member(t, topic, "ada", { client });
        await agree([ada], { ada: ["ada"] });
        const bob = await member(t, topic, "bob");
        await agree([ada, bob], { ada: ["ada"], bob: ["bob"] });
        const carol = await member(t, topic, "carol", { client });
        await agree([ada, bob, carol], { ada: ["ada"], bob: ["bob"], carol: ["carol"] });

        await push(bob.channel, "update", { key: "bob", meta: { name: "away" } });
        await agree([ada, bob, carol], { ada: ["ada"], bob: ["away"], carol: ["carol"] });

        carol.channel.leave();
        await agree([ada, bob], { ada: ["ada"], bob: ["away"] });
        await push(ada.channel, "untrack", { key: "ada" });
        await agree([ada, bob], { bob: ["away"] });
        assert.deepEqual(ada.log, ["+ada ada", "+bob bob", "+carol carol", "+bob away", "-bob bob", "-carol carol", "-ada ada"]);
      });

      rtd.test("the same key twice is one, with two metas", async (t) => {
        const topic = newTopic();
        const phone = await member(t, topic, "ada", { client, meta: { name: "phone" } });
        const laptop = await member(t, topic, "ada", { client, meta: { name: "laptop" } });
        const bob = await member(t, topic, "bob", { client });
        await agree([phone, laptop, bob], { ada: ["laptop", "phone"], bob: ["bob"] });
        assert.deepEqual((await push(bob.channel, "presence_count")).response, { keys: 2, metas: 3 });
        laptop.channel.leave();
        await agree([phone, bob], { ada: ["phone"], bob: ["bob"] });
        phone.channel.leave();
        await agree([bob], { bob: ["bob"] });
      });

      rtd.test("who comes back after a lost connection is there once", async (t) => {
        const topic = newTopic();
        const [ada, bob] = [await member(t, topic, "ada"), await member(t, topic, "bob", { client })];
        ada.socket.conn.terminate();
        await until(() => ada.joins() === 2, "the second join");
        const ofAda = () => bob.log.filter((line) => line.endsWith("ada"));
        await until(() => ofAda().length >= 3, "bob to see ada leave and come back");
        await agree([ada, bob], { ada: ["ada"], bob: ["bob"] });
        assert.deepEqual(ofAda().toSorted(), ["+ada ada", "+ada ada", "-ada ada"]);
      });
    });
  }

  rtd.test("an abrupt disconnect takes its presence away, and nobody else's", async (t) => {
    const topic = newTopic();
    const [ada, bob] = [await member(t, topic, "ada"), await member(t, topic, "bob")];
    const dying = await raw(t, rtd.url());
    dying.send(["1", "1", topic, "phx_join", { presence: { key: "ada", meta: { name: "dying" } } }]);
    await agree([ada, bob], { ada: ["ada", "dying"], bob: ["bob"] });
    dying.terminate();
    await agree([ada, bob], { ada: ["ada"], bob: ["bob"] });
    assert.deepEqual((await push(bob.channel, "presence_count")).response, { keys: 2, metas: 2 });
  });

  rtd.test("a duplicate join takes the place of the first", async (t) => {
    const topic = newTopic();
    const [ada, bob] = [await member(t, topic, "ada"), await member(t, topic, "bob")];
    const again = await watch(newest, ada.socket, ada.socket.channel(topic, { presence: { key: "ada", meta: { name: "again" } } }));
    await agree([again, bob], { ada: ["again"], bob: ["bob"] });
    assert.deepEqual((await push(bob.channel, "presence_count")).response, { keys: 2, metas: 2 });
  });

  rtd.test("a crash takes it away; the join after it brings it back", async (t) => {
    const topic = newTopic();
    const [ada, bob] = [await member(t, topic, "ada"), await member(t, topic, "bob")];
    ada.channel.push("raise", {});
    await agree([bob], { bob: ["bob"] });
    await until(() => ada.joins() === 2, "the second join");
    await agree([ada, bob], { ada: ["ada"], bob: ["bob"] });
  });

  transient.test("a crash with a restart in place does not", async (t) => {
    const topic = newTopic();
    const [ada, bob] = [await member(t, topic, "ada", { server: transient }), await member(t, topic, "bob", { server: transient })];
    await agree([ada, bob], { ada: ["ada"], bob: ["bob"] });
    const seen = [];
    bob.presence.onSync(() => seen.push(JSON.stringify(bob.here())));
    assert.deepEqual(await push(ada.channel, "raise"), { status: "error", response: { reason: "crashed" } });
    await push(ada.channel, "update", { key: "ada", meta: { name: "alive" } });
    await agree([ada, bob], { ada: ["alive"], bob: ["bob"] });
    for (const here of seen) assert.match(here, /"ada":\["/, "it flickered");
    assert.deepEqual([ada.joins(), ada.channel.state], [1, "joined"]);
  });

  rtd.test("an update is one diff, and names the ref it replaces", async (t) => {
    const { socket, channel, states, diffs } = await member(t, newTopic(), "ada");
    const [{ phx_ref: old }] = states[0].ada.metas;
    const { phx_ref: ref } = (await push(channel, "update", { key: "ada", meta: { name: "new", list: [1] } })).response;
    assert.notEqual(ref, old);
    await until(() => diffs.some(({ leaves }) => leaves.ada), "the update");
    await settle(socket);
    if (diffs.length > 1) { // its own join, unless that was told before the client was a member: the list has it
      assert.deepEqual(diffs.shift(), { joins: { ada: { metas: [{ name: "ada", phx_ref: old }] } }, leaves: {} });
    }
    assert.deepEqual(diffs, [{
      joins: { ada: { metas: [{ name: "new", list: [1], phx_ref: ref, phx_ref_prev: old }] } },
      leaves: { ada: { metas: [{ name: "ada", phx_ref: old }] } },
    }]);
  });

  rtd.test("the list has what was tracked just before; to track twice is an error", async (t) => {
    const channel = await join(await connect(t, rtd.url()), newTopic());
    assert.deepEqual((await push(channel, "presences")).response, {});
    const { phx_ref } = (await push(channel, "track", { key: "ada" })).response;
    assert.deepEqual((await push(channel, "presences")).response, { ada: { metas: [{ phx_ref }] } });
    assert.equal((await push(channel, "track", { key: "ada" })).status, "error");
    assert.equal((await push(channel, "update", { key: "nobody", meta: {} })).status, "error");
    assert.equal((await push(channel, "track", { key: "bob", meta: { n: 1 } })).status, "ok");
    assert.deepEqual((await push(channel, "presence_count")).response, { keys: 2, metas: 2 });
    assert.equal((await push(channel, "untrack", { key: "ada" })).status, "ok");
    assert.deepEqual(Object.keys((await push(channel, "presences")).response), ["bob"]);
  });

  rtd.test("any text is a key", async (t) => {
    const channel = await join(await connect(t, rtd.url()), newTopic());
    const keys = ["__proto__", "constructor", "zażółć 🎉", '"\\', "1", "a".repeat(200)];
    for (const key of keys) assert.equal((await push(channel, "track", { key, meta: { key } })).status, "ok", key);
    const here = (await push(channel, "presences")).response;
    assert.deepEqual(Object.keys(here).sort(), keys.toSorted());
    for (const key of keys) assert.equal(Object.getOwnPropertyDescriptor(here, key).value.metas[0].key, key);
  });

  rtd.test("topics do not see each other's", async (t) => {
    const [ada, bob] = [await member(t, newTopic(), "ada"), await member(t, newTopic(), "bob")];
    await agree([ada], { ada: ["ada"] });
    await agree([bob], { bob: ["bob"] });
    await settle(ada.socket);
    assert.deepEqual(ada.log, ["+ada ada"]);
  });

  rtd.test("twenty that come and go leave nothing behind", async (t) => {
    const topic = newTopic();
    const watcher = await member(t, topic, "watcher");
    const crowd = await Promise.all(Array.from({ length: 20 }, (_, n) => member(t, topic, `u${n % 7}`, { meta: { name: `${n}` } })));
    await until(() => Object.values(watcher.here()).flat().length === 21, "all to be here");
    for (const [n, { socket, channel }] of crowd.entries()) {
      if (n % 3 === 0) channel.leave();
      else if (n % 3 === 1) socket.disconnect();
      else (socket.reconnectTimer.scheduleTimeout = () => {}, socket.conn.terminate());
    }
    await agree([watcher], { watcher: ["watcher"] });
    assert.deepEqual((await push(watcher.channel, "presence_count")).response, { keys: 1, metas: 1 });
  });
});

describe("the chat plugin's", () => {
  chats.test("members are its users", async (t) => {
    const room = newTopic();
    const enter = async (user) => {
      const socket = await connect(t, chats.url());
      return watch(newest, socket, socket.channel(room, { token: "demo", user }));
    };
    const keys = ({ here }) => Object.keys(here()).join();
    const [ada, bob] = [await enter("Ada"), await enter("Bob")];
    for (const member of [ada, bob]) await until(() => keys(member) === "Ada,Bob", "both to be here");
    assert.deepEqual(await push(ada.channel, "crash"), { status: "error", response: { reason: "crashed" } });
    await push(ada.channel, "echo");
    await settle(bob.socket);
    assert.equal(keys(bob), "Ada,Bob");
    ada.socket.conn.terminate();
    ada.socket.disconnect();
    await until(() => keys(bob) === "Bob", "Ada to be gone");
  });
});
