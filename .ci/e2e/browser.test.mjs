// The chat page in a real browser, headless, with two tabs.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, describe } from "node:test";
import { chromium } from "playwright-core";
import { chat } from "./harness/plugins.mjs";
import { proxy } from "./harness/proxy.mjs";

const rtd = await chat();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  chromiumSandbox: false, // it needs more rights than containers have
});
after(() => browser.close());

const LEFT_MS = 40_000; // a session that nobody polls ends after 15 to 30 s

const newRoom = () => randomUUID().slice(0, 8);

describe("the chat page", () => {
  rtd.test("what one tab says, the other sees", async (t) => {
    const { ada, bob } = await twoTabs(t);
    await ada.say("hello");
    await bob.sees("Ada", "hello");
    await ada.sees("Ada", "hello");
    await bob.say("<b>hi</b> 🎉 zażółć");
    await ada.sees("Bob", "<b>hi</b> 🎉 zażółć");
  });

  rtd.test("a crash is survived, and seen only by who caused it", async (t) => {
    const { ada, bob } = await twoTabs(t);
    for (const crashes of ["1", "2"]) {
      await ada.say("/crash");
      await ada.shows("#crashes", crashes);
    }
    await ada.shows("#log", /crashed and was restarted/);
    await converse(ada, bob);
    assert.doesNotMatch(await bob.page.locator("#log").innerText(), /crashed/);
    assert.equal(await ada.state(), "joined");
  });

  rtd.test("a restart of the server is survived; what was written meanwhile is sent", async (t) => {
    const { ada, bob } = await twoTabs(t);
    await ada.say("before");
    await bob.sees("Ada", "before");
    await rtd.stop();
    await Promise.all([ada.is("reconnecting"), bob.is("reconnecting")]);
    await ada.say("meanwhile");
    await rtd.start();
    await Promise.all([ada.is("joined"), bob.is("joined")]);
    await ada.shows("#pending", "");
    await ada.sees("Ada", "meanwhile"); // Bob may have come back after it
    await converse(ada, bob);
  });

  rtd.test("the address bar names the room", async (t) => {
    const { ada, bob, room } = await twoTabs(t);
    await converse(ada, bob);
    const other = newRoom();
    await bob.enter(other);
    await bob.shows("#title", other);
    await ada.say("still here");
    await ada.sees("Ada", "still here");
    assert.doesNotMatch(await bob.page.locator("#log").innerText(), /still here/);

    await ada.say(`/room ${other}`);
    await ada.shows("#title", other);
    assert.equal(new URL(ada.page.url()).searchParams.get("room"), other);
    await converse(ada, bob);

    await ada.page.goBack();
    await ada.shows("#title", room);
    await ada.is("joined");
    await ada.page.goForward();
    await ada.shows("#title", other);
    await ada.is("joined");
    await converse(ada, bob);
  });

  rtd.test("a name is taken from the field, and changed in place", async (t) => {
    const { ada, bob } = await twoTabs(t);
    await ada.rename("Augusta");
    await ada.say("renamed");
    await bob.sees("Augusta", "renamed");
  });

  rtd.test("it shows who is here, in both tabs, until one is closed", async (t) => {
    const { ada, bob } = await twoTabs(t);
    await presence(ada, bob);
  });
});

describe("away", () => {
  for (const [how, prepare] of [["with a WebSocket", () => {}], ["polling", (tab) => tab.page.addInitScript(refuseWebSockets)]]) {
    rtd.test(`${how}: the page shows what was said meanwhile, and says how much`, async (t) => {
      const net = await proxy(t, rtd.address);
      const { ada, bob } = await twoTabs(t, { prepare, address: net.address });
      await converse(ada, bob);
      const before = await ada.said();
      net.shut();
      await ada.is("reconnecting");
      for (const text of ["one", "two", "three"]) {
        await bob.say(text);
        await bob.sees("Bob", text);
      }
      await net.open();
      await ada.shows("#log", /: 3 messages while you were away\./);
      assert.deepEqual(await ada.said(), [...before, "one", "two", "three"]);
      assert.deepEqual(await ada.said(), await bob.said());
      await converse(ada, bob);
    });
  }

  rtd.test("what is gone with the server is told", async (t) => {
    const { ada, bob } = await twoTabs(t);
    await converse(ada, bob);
    await rtd.kill();
    await ada.is("reconnecting");
    await rtd.start();
    for (const tab of [ada, bob]) await tab.shows("#log", /no messages while you were away\. The room began anew meanwhile: some may be gone\./);
    await converse(ada, bob);
  });

  rtd.test("sdk/js and the package phoenix in a page", async (t) => {
    const { ada } = await twoTabs(t);
    const phoenix = await readFile(new URL("node_modules/phoenix/priv/static/phoenix.mjs", import.meta.url));
    await ada.page.route("**/npm/phoenix.mjs", (route) => route.fulfill({ body: phoenix, contentType: "text/javascript" }));
    const net = await proxy(t, rtd.address);
    await ada.page.evaluate(async (url) => {
      const [{ Socket }, { recover }] = await Promise.all([import("/npm/phoenix.mjs"), import("/recovery.js")]);
      const socket = new Socket(url, { reconnectAfterMs: () => 50 });
      socket.connect();
      const channel = socket.channel("room:of a library", () => ({ token: "demo", user: "Zoë" }));
      window.heard = [];
      channel.on("new_message", ({ body }) => heard.push(body));
      const recovery = recover(channel, { onRecovered: ({ count }) => heard.push(count), onGap: ({ reason }) => heard.push(reason) });
      channel.join();
      window.stands = () => recovery.position !== undefined;
    }, net.url());
    await ada.page.waitForFunction(() => window.stands());
    const hears = (...what) => ada.page.waitForFunction((text) => JSON.stringify(window.heard) === text, JSON.stringify(what));
    await ada.say("/room of a library");
    await ada.shows("#title", "of a library");
    await ada.is("joined");
    await ada.say("one");
    await hears("one");
    net.shut();
    await ada.say("two");
    await ada.sees("Ada", "two");
    await net.open();
    await hears("one", "two", 1);
    await rtd.kill();
    await rtd.start();
    await hears("one", "two", 1, "epoch");
  });
});

describe("the chat page where WebSockets are blocked", () => {
  for (const [how, block] of [["by a proxy", refuseWebSockets], ["by the browser", breakWebSockets]]) {
    rtd.test(`${how}, polls`, async (t) => {
      const { ada, bob } = await twoTabs(t, { prepare: (tab) => tab.page.addInitScript(block) });
      for (const tab of [ada, bob]) await tab.shows("#uptime", /^polling for/);
      await converse(ada, bob);
      await ada.say("/crash");
      await ada.shows("#crashes", "1");
      await converse(ada, bob);
      await presence(ada, bob);
    });
  }

  rtd.test("one that polls and one that does not are in one room", async (t) => {
    const prepare = (tab) => tab.name === "Ada" && tab.page.addInitScript(refuseWebSockets);
    const { ada, bob } = await twoTabs(t, { prepare });
    await ada.shows("#uptime", /^polling for/);
    await bob.shows("#uptime", /^open for/);
    await converse(ada, bob);
    await presence(ada, bob);
  });

  rtd.test("a restart of the server is survived", async (t) => {
    const { ada, bob } = await twoTabs(t, { prepare: (tab) => tab.page.addInitScript(refuseWebSockets) });
    await rtd.stop();
    await Promise.all([ada.is("reconnecting"), bob.is("reconnecting")]);
    await ada.say("meanwhile");
    await rtd.start();
    await Promise.all([ada.is("joined"), bob.is("joined")]);
    await ada.sees("Ada", "meanwhile");
    await converse(ada, bob);
  });
});

// refuseWebSockets, in a page, makes them fail as behind a proxy that knows no upgrades.
function refuseWebSockets() {
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(url) {
      super(url.replace("/socket/websocket", "/nowhere/websocket"));
    }
  };
}

// breakWebSockets, in a page, makes them close by themselves before they have opened.
function breakWebSockets() {
  window.WebSocket = class {
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006 }), 10);
    }
    close() {}
  };
}

// presence asserts that both tabs show both, and the one that is left only itself after the other was closed.
async function presence(ada, bob) {
  await ada.shows("#here", /^Ada \(you\)\s+Bob$/);
  await bob.shows("#here", /^Ada\s+Bob \(you\)$/);
  await bob.page.close();
  await ada.shows("#here", "Ada (you)", LEFT_MS);
}

// converse lets each say something that the other sees.
async function converse(...tabs) {
  for (const speaker of tabs) {
    const text = randomUUID();
    await speaker.say(text);
    for (const tab of tabs) await tab.sees(speaker.name, text);
  }
}

/** Two tabs in a new room. prepare is done to each before it loads the page; Ada's loads it from address. */
async function twoTabs(t, { prepare = () => {}, address = rtd.address } = {}) {
  const context = await browser.newContext();
  const room = newRoom();
  const tabs = [];
  for (const name of ["Ada", "Bob"]) {
    const tab = new Tab(await context.newPage(), name, name === "Ada" ? address : rtd.address);
    await prepare(tab);
    await tab.enter(room);
    await tab.rename(name);
    tabs.push(tab);
  }
  t.after(async () => {
    await context.close();
    for (const { name, errors } of tabs) assert.deepEqual(errors, [], `errors in ${name}'s tab`);
  });
  return { ada: tabs[0], bob: tabs[1], room };
}

class Tab {
  errors = []; // uncaught ones of the page's scripts

  constructor(page, name, address) {
    this.page = page;
    this.name = name;
    this.address = address;
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  async enter(room) {
    await this.page.goto(`http://${this.address}/?room=${room}`);
    await this.is("joined");
  }

  /** Changes the name; the page joins again under it. */
  async rename(name) {
    await this.page.locator("#name").fill(name);
    await this.page.locator("#name").press("Enter");
    await this.shows("#log", new RegExp(`You are in \\S+ as ${name}\\.`));
    await this.is("joined");
    this.name = name;
  }

  async say(text) {
    await this.page.locator("#composer").fill(text);
    await this.page.locator("#composer").press("Enter");
  }

  /** Waits until the log shows that user said text. */
  sees(user, text) {
    const message = this.page.locator(`#log .message[data-user="${user}"] .body`, { hasText: text });
    return this.#told(message.first().waitFor(), `${user}'s “${text}”`);
  }

  /** What the log shows that was said. */
  said() {
    return this.page.locator("#log .message .body").allInnerTexts();
  }

  /** Waits for the connection's state, as the page shows it. */
  is(state) {
    return this.#told(this.page.locator(`#status[data-state="${state}"]`).waitFor(), `the state ${state}`);
  }

  state() {
    return this.page.locator("#status").getAttribute("data-state");
  }

  /** Waits until an element has this text, or one that matches. */
  shows(selector, text, ms = 60_000) {
    const holds = ({ selector, exactly, pattern }) => {
      const shown = document.querySelector(selector).innerText.trim();
      return pattern === undefined ? shown === exactly : new RegExp(pattern).test(shown);
    };
    const wanted = text instanceof RegExp ? { selector, pattern: text.source } : { selector, exactly: text };
    return this.#told(this.page.waitForFunction(holds, wanted, { timeout: ms }), `${text || "nothing"} in ${selector}`);
  }

  // told adds to a time-out what the page shows instead.
  async #told(waiting, what) {
    try {
      await waiting;
    } catch (error) {
      const shown = await this.page.locator("body").innerText().catch(() => "nothing any more");
      throw new Error(`${this.name}'s tab did not come to show ${what}. It shows:\n${shown}`, { cause: error });
    }
  }
}
