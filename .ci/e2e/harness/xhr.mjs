// As much of a browser's XMLHttpRequest as old clients need for long polling, over fetch.

const DONE = 4;

export class XMLHttpRequest {
  readyState = 0;
  responseText = "";
  timeout = 0; // milliseconds; 0 is none

  onreadystatechange = () => {};
  onerror = () => {};
  ontimeout = () => {};

  #method;
  #url;
  #headers = {};
  #abort = new AbortController();

  open(method, url) {
    this.#method = method;
    this.#url = url;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  abort() {
    this.#abort.abort();
  }

  async send(body) {
    const late = this.timeout ? [AbortSignal.timeout(this.timeout)] : [];
    const signal = AbortSignal.any([this.#abort.signal, ...late]);
    try {
      const answer = await fetch(this.#url, { method: this.#method, headers: this.#headers, body, signal });
      this.responseText = await answer.text();
    } catch {
      if (this.#abort.signal.aborted) return;
      return signal.aborted ? this.ontimeout() : this.onerror();
    }
    this.readyState = DONE;
    this.onreadystatechange();
  }
}
