// Connecting: params, refusals, tokens, and being disconnected by socket id.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { describe } from "node:test";
import { clients, connect, dial, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { handshake, raw } from "./harness/raw.mjs";
import { until, within } from "./harness/wait.mjs";

const rtd = await phoenix();
const newTopic = () => `room:${randomUUID()}`;

const assigns = async (channel) => (await push(channel, "assigns")).response;

describe("connecting", { concurrency: true }, () => {
  for (const client of clients) {
    describe(client.name, { concurrency: true }, () => {
      rtd.test("what connect assigns from the params, channels see", async (t) => {
        const socket = await connect(t, rtd.url(), client, { params: { user: "Ada & Zoë" } });
        assert.equal((await assigns(await join(socket, newTopic()))).user, "Ada & Zoë");
      });

      rtd.test("refused, it tries again, and is accepted once its params are right", async (t) => {
        const params = { user: "ada", refuse: "403" };
        const socket = dial(t, rtd.url(), client, { params });
        await until(() => socket.closes.length >= 2, "the second refusal");
        assert.equal(socket.opened, 0);
        delete params.refuse;
        await until(() => socket.isConnected(), "the connection");
        await join(socket, newTopic());
      });

      rtd.test("disconnected by its socket's id, it comes back", async (t) => {
        const user = randomUUID();
        const open = (name) => connect(t, rtd.url(), client, { params: { user: name } });
        const [phone, laptop, other] = [await open(user), await open(user), await open("somebody else")];
        const channels = await Promise.all([phone, laptop, other].map((socket) => join(socket, newTopic())));
        await push(channels[2], "disconnect", { id: `users:${user}` });
        await until(() => channels[0].joins === 2 && channels[1].joins === 2, "both to join again");
        assert.deepEqual([phone.closes, laptop.closes, other.closes], [[1001], [1001], []]);
        assert.equal((await assigns(channels[0])).user, user);
      });
    });
  }

  rtd.test("phoenix 1.8 sends its token as a subprotocol", async (t) => {
    for (const authToken of ["secret", "s", ">>>", "a.b-c_d", "x".repeat(2000)]) { // >>> is Pj4+ in base64
      const socket = await connect(t, rtd.url(), newest, { authToken, params: { user: "ada" } });
      assert.equal(socket.conn.protocol, "phoenix");
      assert.equal((await assigns(await join(socket, newTopic()))).info.auth_token, authToken);
    }
  });

  rtd.test("a token may have a slash in base64, although no WebSocket client sends it", async () => {
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.alloc(16).toString("base64"),
      "sec-websocket-protocol": `phoenix, base64url.bearer.phx.${btoa("???")}`, // Pz8/
    };
    const asking = request(`http://${rtd.address}/socket/websocket?vsn=2.0.0`, { headers }).end();
    const answered = new Promise((resolve, reject) => {
      asking.on("upgrade", (response, socket) => (socket.destroy(), resolve(response)));
      asking.on("response", (response) => (response.resume(), resolve(response)));
      asking.on("error", reject);
    });
    const response = await within(answered, "an answer");
    assert.deepEqual([response.statusCode, response.headers["sec-websocket-protocol"]], [101, "phoenix"]);
  });

  rtd.test("refusals have a status of the handler's choice, 403 unless it says otherwise", async () => {
    for (const [query, status] of [["refuse=403", 403], ["refuse=429", 429], ["user=ada", 101]]) {
      assert.equal(await handshake(`${rtd.url()}/websocket?vsn=2.0.0&${query}`), status, query);
    }
  });

  rtd.test("vsn is a version of the serializer", async () => {
    const status = (vsn) => handshake(`${rtd.url()}/websocket?vsn=${vsn}`);
    for (const vsn of ["1.0.0", "1.0.7", "2.0.0", "2.0.5"]) assert.equal(await status(vsn), 101, vsn);
    for (const vsn of ["9.9.9", "1.1.0", "2.1.0", "2", "", "two"]) assert.equal(await status(vsn), 403, vsn);
    assert.equal(await handshake(`${rtd.url()}/websocket?vsn[]=2.0.0`), 403, "a list");
    assert.equal(await handshake(`${rtd.url()}/websocket`), 101, "none");
  });

  rtd.test("without a vsn, V1 is spoken", async (t) => {
    const socket = await raw(t, rtd.url(), { query: "" });
    socket.send(JSON.stringify({ topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" }));
    assert.deepEqual(await socket.next(), { topic: "phoenix", event: "phx_reply", payload: { status: "ok", response: {} }, ref: "1" });
  });

  rtd.test("pages of another host are refused, a socket that is not there is not found", async () => {
    const url = `${rtd.url()}/websocket?vsn=2.0.0`;
    assert.equal(await handshake(url, { origin: `http://${rtd.address}` }), 101);
    assert.equal(await handshake(url, { origin: "https://evil.example" }), 403);
    assert.equal(await handshake(`${rtd.url("nowhere")}/websocket?vsn=2.0.0`), 404);
  });
});
