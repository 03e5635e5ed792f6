// Handlers that wait, for a page with the npm package phoenix and sdk/js in a real browser, through cuts and restarts.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after } from "node:test";
import { chromium } from "playwright-core";
import { phoenix } from "./harness/plugins.mjs";
import { proxy } from "./harness/proxy.mjs";

const rtd = await phoenix({ config: `linger = "10m"` });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, chromiumSandbox: false });
after(() => browser.close());

// open loads a page that joins topic, with the key of an earlier one. window.told has what it was told, window.count asks its handler.
async function open(url, { transport = "WebSocket", resume } = {}) {
  const page = await (await browser.newContext()).newPage();
  const library = await readFile(new URL("node_modules/phoenix/priv/static/phoenix.mjs", import.meta.url));
  await page.route("**/npm/phoenix.mjs", (route) => route.fulfill({ body: library, contentType: "text/javascript" }));
  await page.goto(`http://${rtd.address}/`);
  await page.evaluate(async ({ url, transport, resume }) => {
    const [{ Socket, LongPoll }, { recover }] = await Promise.all([import("/npm/phoenix.mjs"), import("/recovery.js")]);
    const socket = new Socket(url, { reconnectAfterMs: () => 50, rejoinAfterMs: () => 50, transport: transport === "LongPoll" ? LongPoll : WebSocket });
    socket.connect();
    const channel = socket.channel("room:browser", {});
    window.told = [];
    const recovery = recover(channel, { resume, onResumed: ({ resumed }) => told.push(resumed) });
    window.key = () => recovery.key;
    window.count = () => new Promise((ok, no) => channel.push("count", {}).receive("ok", ({ count }) => ok(count)).receive("timeout", no));
    window.state = () => channel.state;
    channel.join();
  }, { url, transport, resume });
  await page.waitForFunction(() => window.state() === "joined" && window.key());
  return page;
}

const count = (page) => page.evaluate(() => window.count());
const told = (page, ...what) =>
  page.waitForFunction((text) => JSON.stringify(window.told) === text && window.state() === "joined", JSON.stringify(what));

rtd.test("a page finds its handler again after a cut, and is told after a restart that it is gone", async (t) => {
  const net = await proxy(t, rtd.address);
  const page = await open(net.url());
  assert.equal(await count(page), 1);
  for (const n of [2, 3]) {
    net.shut();
    await net.open();
    await told(page, ...Array(n - 1).fill(true));
    assert.equal(await count(page), n);
  }
  await rtd.kill();
  await rtd.start();
  await told(page, true, true, false);
  assert.equal(await count(page), 1);
});

rtd.test("a page that is closed leaves its handler to the next one, which polls", async () => {
  const first = await open(rtd.url());
  assert.equal(await count(first), 1);
  const resume = await first.evaluate(() => window.key());
  await first.close();
  const second = await open(rtd.url(), { transport: "LongPoll", resume });
  await told(second, true);
  assert.equal(await count(second), 2);
});
