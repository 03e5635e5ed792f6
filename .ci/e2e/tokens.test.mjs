// Tokens that rtd verifies: who is let in, the notice before the expiry, a new token, the end.

import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { describe } from "node:test";
import { connect, dial, join, newest, push } from "./harness/clients.mjs";
import { phoenix } from "./harness/plugins.mjs";
import { until } from "./harness/wait.mjs";

const SECRET = "a secret of thirty-two bytes or more";
const rtd = await phoenix({
  config: `
[socket.main]
path = "/socket"
auth = "required"
[auth]
keys = ["${SECRET}"]
leeway = "0s"
notice = "2s"
grace = "2s"
`,
});

// minted is a JWT made with nothing but HMAC.
function minted(sub, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

const newTopic = () => `room:${randomUUID()}`;
const assigns = async (channel) => (await push(channel, "assigns")).response;

describe("tokens", { concurrency: true }, () => {
  rtd.test("its claims are the socket's assigns, however it is sent", async (t) => {
    for (const options of [{ authToken: minted("ada", 60) }, { params: { token: minted("ada", 60) } }]) {
      const socket = await connect(t, rtd.url(), newest, options);
      assert.match(JSON.stringify(await assigns(await join(socket, newTopic()))), /"ada"/);
    }
  });

  rtd.test("a client without a good one is let in as soon as it has one", async (t) => {
    const params = { token: minted("ada", -10) };
    const socket = dial(t, rtd.url(), newest, { params });
    await until(() => socket.closes.length >= 2, "the second refusal");
    assert.equal(socket.opened, 0);
    params.token = minted("ada", 60);
    await until(() => socket.isConnected(), "the connection");
  });

  rtd.test("it is refreshed by a push, and without that the connection ends and comes back", async (t) => {
    const params = { token: minted("ada", 5) };
    const notices = [];
    const socket = dial(t, rtd.url(), newest, { params });
    socket.onMessage(({ topic, event, payload }) => topic === "phoenix" && event === "token_expiring" && notices.push(payload));
    await until(() => socket.isConnected(), "the connection");
    const channel = await join(socket, newTopic());
    await until(() => notices.length > 0, "the notice");
    assert.ok(notices[0].expires_in <= 2, JSON.stringify(notices));

    const replies = [];
    socket.onMessage(({ topic, event, payload }) => topic === "phoenix" && event === "phx_reply" && replies.push(payload));
    socket.push({ topic: "phoenix", event: "token", payload: { token: minted("eve", 60) }, ref: "t1", join_ref: null });
    await until(() => replies.some(({ status }) => status === "error"), "the refusal of somebody else's");
    socket.push({ topic: "phoenix", event: "token", payload: { token: minted("ada", 6) }, ref: "t2", join_ref: null });
    await until(() => replies.some(({ response }) => response?.expires_in > 0), "the refresh");
    assert.equal((await push(channel, "echo", { n: 1 })).response.n, 1);

    params.token = minted("ada", 60);
    await until(() => socket.closes.length > 0, "the end", 20_000);
    assert.deepEqual(socket.closes, [4003]);
    await until(() => channel.joins === 2, "the channel to join again");
  });
});
