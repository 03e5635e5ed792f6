// A network that breaks: a TCP proxy before a server.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Starts a proxy for the server at address (host:port); it ends with the test. */
export async function proxy(t, address) {
  const made = new Proxy(address);
  await made.open();
  t.after(() => made.shut());
  return made;
}

class Proxy {
  #upstream;
  #server;
  #pairs = new Set(); // [client, server]
  #cutter;

  /** Where it listens, the same after open. */
  address = "127.0.0.1:0";

  constructor(address) {
    this.#upstream = address;
  }

  url(mount = "socket") {
    return `ws://${this.address}/${mount}`;
  }

  /** Milliseconds that bytes take, each way, for connections from now on. */
  delay = 0;

  /** Lets connections through, after it was shut. */
  async open() {
    this.#server = createServer((client) => this.#join(client));
    const [host, port] = this.address.split(":");
    this.#server.listen(Number(port), host);
    await once(this.#server, "listening");
    this.address = `${host}:${this.#server.address().port}`;
  }

  /** Breaks all connections, and refuses new ones. */
  shut() {
    clearInterval(this.#cutter);
    this.#server.close();
    this.cut();
  }

  /** Breaks all connections, or each with some probability. */
  cut(probability = 1) {
    for (const pair of this.#pairs) if (Math.random() < probability) this.#break(pair);
  }

  /** Breaks each connection at random, after so many milliseconds on average, until calm. */
  storm(ms) {
    const step = 10;
    this.#cutter = setInterval(() => this.cut(step / ms), step);
  }

  /** Ends one direction of each connection, as a peer does that says no more: the other still works. */
  halfClose(probability = 1) {
    for (const pair of this.#pairs) if (Math.random() < probability) pair[Math.random() < 0.5 ? 0 : 1].end();
  }

  /** Like storm, but connections break in every way: some are half closed, some stall first. */
  tempest(ms) {
    const step = 10;
    this.#cutter = setInterval(() => {
      this.cut(step / ms / 2);
      this.halfClose(step / ms / 2);
      this.delay = Math.random() < 0.5 ? 0 : 20;
    }, step);
  }

  calm() {
    clearInterval(this.#cutter);
  }

  #join(client) {
    const [host, port] = this.#upstream.split(":");
    const pair = [client, connect(Number(port), host)];
    this.#pairs.add(pair);
    const late = this.delay;
    for (const [from, to] of [pair, pair.toReversed()]) {
      if (late === 0) from.pipe(to);
      else { // in order, as timers of one delay are
        from.on("data", (bytes) => setTimeout(() => to.writable && to.write(bytes), late));
        from.on("end", () => setTimeout(() => to.end(), late));
      }
      from.setNoDelay(true);
    }
    for (const socket of pair) {
      socket.on("error", () => {}).on("close", () => this.#break(pair));
    }
  }

  #break(pair) {
    this.#pairs.delete(pair);
    for (const socket of pair) Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy(); // FIN, or RST, which takes bytes along
  }
}
