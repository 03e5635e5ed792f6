// Who is here, from presence_state and presence_diff. A diff that comes before the state belongs to it already: the
// phx_ref of a meta tells which were seen.

export class Presence {
  /** Called after anything changed. */
  onchange = () => {};

  #metas = new Map(); // key → its metas

  /** The keys that are present, sorted. */
  get keys() {
    return [...this.#metas.keys()].sort((a, b) => a.localeCompare(b));
  }

  /** Takes an event of the channel, if it is about presence. */
  receive(event, payload) {
    if (event === "presence_state") {
      this.#metas.clear();
      this.#join(payload);
    } else if (event === "presence_diff") {
      this.#join(payload.joins);
      this.#leave(payload.leaves);
    } else {
      return;
    }
    this.onchange();
  }

  /** Forgets everybody, as in another room. */
  clear() {
    this.#metas.clear();
    this.onchange();
  }

  #join(joins) {
    for (const [key, { metas }] of Object.entries(joins)) {
      const known = this.#metas.get(key) ?? [];
      const fresh = metas.filter(({ phx_ref }) => !known.some((meta) => meta.phx_ref === phx_ref));
      this.#metas.set(key, [...known, ...fresh]);
    }
  }

  #leave(leaves) {
    for (const [key, { metas }] of Object.entries(leaves)) {
      const left = (this.#metas.get(key) ?? []).filter(({ phx_ref }) => !metas.some((meta) => meta.phx_ref === phx_ref));
      if (left.length > 0) this.#metas.set(key, left);
      else this.#metas.delete(key);
    }
  }
}
