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

  calm() {
    clearInterval(this.#cutter);
  }

  #join(client) {
    const [host, port] = this.#upstream.split(":");
    const pair = [client, connect(Number(port), host)];
    this.#pairs.add(pair);
    client.pipe(pair[1]).pipe(client);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {}).on("close", () => this.#break(pair));
    }
  }

  #break(pair) {
    this.#pairs.delete(pair);
    for (const socket of pair) Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy(); // FIN, or RST, which takes bytes along
  }
}
