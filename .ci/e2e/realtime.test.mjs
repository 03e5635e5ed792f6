// @supabase/realtime-js, a fork of the phoenix client: what of it does not need Supabase's own server. Its topics begin
// with "realtime:", its join payload has a config, and its statuses are words of its own.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe } from "node:test";
import { RealtimeClient } from "@supabase/realtime-js";
import WebSocket from "ws";
import { connect, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const rtd = await phoenix({ config: `topics = ["realtime:open:*"]` });
const newName = () => `open:${randomUUID()}`;

describe("realtime-js", { concurrency: true }, () => {
  for (const vsn of ["2.0.0", "1.0.0"]) {
    describe(`speaking ${vsn}`, { concurrency: true }, () => {
      rtd.test("subscribes, pushes, and unsubscribes", async (t) => {
        const { channel, statuses } = await subscribe(open(t, vsn), newName());
        assert.deepEqual(statuses, ["SUBSCRIBED"]);
        assert.equal(await channel.send({ type: "echo", event: "hello", payload: { n: 1 } }), "ok");
        assert.equal(await channel.send({ type: "reply_error", event: "hello" }), "error");
        assert.equal(await channel.unsubscribe(), "ok");
        assert.deepEqual(statuses, ["SUBSCRIBED", "CLOSED"]);
      });

      rtd.test("hears the broadcasts of its topic, and no others", async (t) => {
        const [here, there] = [newName(), newName()];
        const heard = { [here]: [], [there]: [] };
        const client = open(t, vsn);
        for (const name of [here, there]) {
          await subscribe(client, name, (channel) => channel.on("broadcast", { event: "cursor" }, (message) => heard[name].push(message)));
        }
        const speaker = await join(await connect(t, rtd.url(), newest), `realtime:${here}`);
        const cursor = { type: "broadcast", event: "cursor", payload: { x: 1, y: 2 } };
        await push(speaker, "broadcast", { event: "broadcast", payload: { ...cursor, event: "other" } });
        await push(speaker, "broadcast", { event: "broadcast", payload: cursor });
        await until(() => heard[here].length > 0, "the broadcast");
        assert.deepEqual(heard, { [here]: [cursor], [there]: [] });
      });

      rtd.test("is told of a crash, and subscribes again by itself", async (t) => {
        const { channel, statuses } = await subscribe(open(t, vsn), newName());
        channel.send({ type: "raise", event: "now" });
        await until(() => statuses.length >= 3, "the second SUBSCRIBED");
        assert.match(statuses[1], /^CHANNEL_ERROR/);
        assert.equal(statuses[2], "SUBSCRIBED");
        assert.equal(await channel.send({ type: "echo", event: "hello" }), "ok");
      });

      rtd.test("is told why it was refused", async (t) => {
        const { statuses } = await subscribe(open(t, vsn), "closed");
        assert.deepEqual(statuses, ["CHANNEL_ERROR: unmatched topic"]);
      });

      rtd.test("comes back when its connection broke", async (t) => {
        const client = open(t, vsn);
        const { channel, statuses } = await subscribe(client, newName());
        client.connections[0].terminate();
        await until(() => statuses.length > 1 && statuses.at(-1) === "SUBSCRIBED", "the second SUBSCRIBED");
        assert.equal(await channel.send({ type: "echo", event: "hello" }), "ok");
        assert.equal(client.connections.length, 2);
      });
    });
  }
});

// open makes a client; client.connections are its WebSockets so far.
function open(t, vsn) {
  const connections = [];
  class Transport extends WebSocket {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  }
  const client = new RealtimeClient(rtd.url(), { params: { apikey: "none" }, transport: Transport, vsn });
  t.after(() => client.disconnect());
  return Object.assign(client, { connections });
}

// subscribe waits for the first of the statuses that the channel goes through.
async function subscribe(client, name, listen = () => {}) {
  const channel = client.channel(name);
  const statuses = [];
  listen(channel);
  channel.subscribe((status, error) => statuses.push(error ? `${status}: ${error.message}` : status));
  await until(() => statuses.length > 0, "the first status");
  return { channel, statuses };
}
