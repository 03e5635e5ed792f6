// A real rtd, run as a program: its own port, config file and plugin folder, and its log at hand when a test fails.
//
// RTD_E2E names the folder in which ./run has built what this needs: rtd, and NAME.wasm for each plugin.

import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { until, within } from "./wait.mjs";

const BUILT = process.env.RTD_E2E;
const LOG_LINES = 40; // of the log, shown with a test that failed
const TEST_MS = 180_000; // no test takes as long

/**
 * Starts a server for the tests of one file, and stops it after them.
 *
 * plugins are the names of those in its folder; config is TOML: the plugins' tables, above all; server is what [server] has besides.
 */
export async function serve({ plugins, config = "", server: more = "" }) {
  if (!BUILT) throw new Error("RTD_E2E is not set: run the tests by .ci/e2e/run");
  const server = new Server(await mkdtemp(join(BUILT, "server-")));
  after(() => server.remove());
  process.once("exit", () => server.abandon());
  await mkdir(join(server.dir, "plugins"));
  for (const name of plugins) await copyFile(join(BUILT, `${name}.wasm`), join(server.dir, "plugins", `${name}.wasm`));
  const own = [
    `[server]\nlisten = "127.0.0.1:0"\n${more}`,
    `[plugins]\ndir = ${JSON.stringify(join(server.dir, "plugins"))}\ncache = ${JSON.stringify(join(BUILT, "cache"))}\nbuild = false`,
  ];
  await writeFile(join(server.dir, "rtd.toml"), [...own, config].join("\n"));
  await server.start();
  return server;
}

class Server {
  dir;
  /** Where it serves, such as "127.0.0.1:41234"; the same after a restart. */
  address = "127.0.0.1:0";

  #process;
  #log = "";
  #ended;

  constructor(dir) {
    this.dir = dir;
  }

  /** The URL for the socket named so. */
  url(mount = "socket") {
    return `ws://${this.address}/${mount}`;
  }

  async start() {
    const begin = this.#log.length;
    this.#process = spawn(join(BUILT, "rtd"), ["--config", join(this.dir, "rtd.toml"), "--listen", this.address], {
      cwd: this.dir,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text) => (this.#log += text));
    this.#ended = new Promise((resolve) => this.#process.on("close", (code, signal) => resolve(signal ?? code)));
    let code;
    this.#ended.then((c) => (code = c));
    const ready = () => /msg=ready url=http:\/\/([^/ ]+)/.exec(this.#log.slice(begin));
    try {
      await until(() => ready() || code !== undefined, "rtd to be ready", 60_000);
    } finally {
      if (!ready()) process.stderr.write(`rtd did not become ready (exit ${code}):\n${this.#log}`);
    }
    this.address = ready()[1];
  }

  /** Stops it as an operator does. It must drain and exit with 0. */
  async stop() {
    this.#process.kill("SIGTERM");
    const code = await within(this.#ended, "rtd to drain and exit", 30_000);
    if (code !== 0) throw new Error(`rtd ended with ${code}:\n${this.tail()}`);
  }

  /** Ends it as a power cut does: nobody is told anything. */
  async kill() {
    this.#process.kill("SIGKILL");
    await within(this.#ended, "rtd to be killed");
  }

  async remove() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.stop();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Ends it if it still runs, because a test file failed before its tests. */
  abandon() {
    this.#process?.kill("SIGKILL");
  }

  /** The end of the log since position from. */
  tail(from = 0) {
    return this.#log.slice(from).trimEnd().split("\n").slice(-LOG_LINES).join("\n");
  }

  /** Declares a test. If it fails, what rtd logged meanwhile is shown. */
  test(name, run) {
    return test(name, { timeout: TEST_MS }, async (t) => {
      const begin = this.#log.length;
      try {
        await run(t);
      } catch (error) {
        process.stderr.write(`--- rtd's log during “${name}”:\n${this.tail(begin) || "nothing"}\n---\n`);
        throw error;
      }
    });
  }
}
