// Long polling in the shape of a WebSocket, for networks that block those: one URL, GET to receive, POST to send. The
// HTTP status is 200 whatever happens; the protocol's is in the JSON body.

const SEND_MS = 10_000;

export class LongPoll {
  onopen = () => {};
  onmessage = () => {};
  onclose = () => {};

  #url;
  #token = "";
  #queue = []; // frames that wait until the last POST is answered
  #posting = false;
  #ended = new AbortController();

  constructor(url) {
    this.#url = url;
    this.#poll();
  }

  /** Sends one frame, behind those that were sent before. */
  send(frame) {
    this.#queue.push(frame);
    if (!this.#posting) this.#post();
  }

  close() {
    this.#ended.abort();
  }

  async #poll() {
    while (!this.#ended.signal.aborted) {
      const { status, token, messages } = await this.#request("GET");
      if (this.#ended.signal.aborted) return;
      if (status === 410 && !this.#token) {
        this.#token = token;
        this.onopen();
      } else if (status === 200) {
        for (const data of messages) {
          this.onmessage?.({ data });
          await null; // as with a WebSocket, whoever waited for this message goes on before the next one comes
        }
      } else if (status !== 204) {
        return this.#lost(); // the session is gone, or the server
      }
    }
  }

  async #post() {
    this.#posting = true;
    while (this.#queue.length > 0 && !this.#ended.signal.aborted) {
      const batch = this.#queue.splice(0, 100); // as many as a server reads
      const { status } = await this.#request("POST", batch.join("\n"));
      if (status !== 200) this.#lost();
    }
    this.#posting = false;
  }

  async #request(method, body) {
    const headers = this.#token ? { "X-Phoenix-Longpoll-Token": this.#token } : {};
    if (body) headers["Content-Type"] = "application/x-ndjson";
    const signals = method === "POST" ? [this.#ended.signal, AbortSignal.timeout(SEND_MS)] : [this.#ended.signal];
    // Without no-store, browsers let the polls of two tabs wait for each other: the second might be served from the cache.
    const options = { method, body, headers, cache: "no-store", signal: AbortSignal.any(signals) };
    try {
      const answer = await fetch(this.#url, options);
      return await answer.json();
    } catch {
      return { status: 0 };
    }
  }

  #lost() {
    if (this.#ended.signal.aborted) return;
    this.close();
    this.onclose();
  }
}
