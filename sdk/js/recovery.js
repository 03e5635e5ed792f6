// What a Phoenix client missed while it was away, and whether that is all: for topics with history of an rtd server. And the handler
// that it had before: for topics whose handlers linger.
//
// On such a topic the ref of a broadcast is its position, "EPOCH:OFFSET". Who joins again says in `since` where it left
// off, and gets what it missed, as ordinary broadcasts, and then the event `recovered`, in which the server says whether something is
// gone. The server alone judges that.
//
// On a topic whose handlers linger each join is followed by the event `resume`, which has a key. Who joins again sends it in `resume`, and
// gets the handler of before, if that has waited. README.md says how to use it, ../recovery.md what is promised.

/**
 * Binds a channel of the npm package phoenix, 1.2 to 1.8, to a Recovery, which it returns. Call it before channel.join().
 * The join's params, an object or a function, get `since` and `resume`; all else of the channel stays as it is, callbacks and onMessage too.
 * Its socket comes back when it is told to, see comeBack.
 */
export function recover(channel, options) {
  const recovery = new Recovery(options);
  if (channel.socket) comeBack(channel.socket);
  // trigger, and not onMessage, which cannot drop what came twice, and which is the application's. It is the same in all versions.
  const { trigger, joinPush: push } = channel;
  channel.trigger = function (event, payload, ref, joinRef) {
    const ofOldJoin = joinRef && joinRef !== push.ref; // 1.6 and later drop it themselves
    if (recovery.receive(event, payload, ref, ofOldJoin ? false : joinRef)) trigger.call(this, event, payload, ref, joinRef);
  };
  const params = push.payload; // of each join: a function, or before 1.4 an object
  const join = typeof params === "function" ? () => recovery.join(params.call(push)) : recovery.join.bind(recovery, params);
  Object.defineProperty(push, "payload", { get: () => (typeof params === "function" ? join : join()) });
  return recovery;
}

const patient = new WeakSet(); // sockets that obey

/**
 * Has a socket of the npm package phoenix, 1.2 to 1.8, obey a server that is about to stop and says when to come back, so that not all
 * clients do at once: the event `reconnect` on topic phoenix, { after: milliseconds }. Later tries are the package's own.
 */
export function comeBack(socket) {
  if (patient.has(socket)) return;
  patient.add(socket);
  let at = 0;
  socket.onMessage(({ topic, event, payload }) => {
    if (topic === "phoenix" && event === "reconnect" && payload?.after >= 0) at = Date.now() + payload.after;
  });
  const timer = socket.reconnectTimer;
  const calculate = timer.timerCalc;
  timer.timerCalc = function (tries) {
    const wait = at - Date.now();
    at = 0;
    return wait > 0 ? wait : calculate.call(this, tries);
  };
}

/** Where a client stands in one topic. It knows no client library: join and receive are to be called by one. */
export class Recovery {
  #at; // all up to here has come: the next join asks from it
  #seen; // the newest that has come. It is ahead of #at while a recovery leaves something out
  #asks = false; // a join has asked what was missed, and has not been told yet that this was it
  #count = 0; // messages that came meanwhile
  #key; // of the handler
  #returns = false; // a join has sent it, and has not been told yet what came of that
  #onRecovered;
  #onGap;
  #onResumed;

  /**
   * since is a position of an earlier life. After each time away one of two is called, when all that can be told has come:
   * onRecovered({ position, count }) if nothing is missing, or else onGap({ reason, position, count }).
   *
   * resume is a key of an earlier life. After each join with a key onResumed({ resumed }) says whether the handler has waited, before
   * anything else of that join comes.
   */
  constructor({ since, resume, onRecovered = () => {}, onGap = () => {}, onResumed = () => {} } = {}) {
    this.#at = this.#seen = parse(since);
    this.#key = resume;
    this.#onRecovered = onRecovered;
    this.#onGap = onGap;
    this.#onResumed = onResumed;
  }

  /** "EPOCH:OFFSET", or undefined as long as none is known: all up to here has come. */
  get position() {
    return this.#at && `${this.#at.epoch}:${this.#at.offset}`;
  }

  /** The key that the next join sends, or undefined as long as none is known. Whoever has it can be this client. */
  get key() {
    return this.#key;
  }

  /** The payload of a join that is sent now. */
  join(params) {
    if (this.#key) {
      this.#returns = true;
      params = { ...params, resume: this.#key };
    }
    if (!this.#at) return params;
    this.#asks = true;
    return { ...params, since: this.position };
  }

  /**
   * Takes note of a message of the topic, and returns whether it is new: if not, it came before, and is to be dropped. joinRef is
   * null in broadcasts, undefined in V1, which has none, and false if it is that of an earlier join.
   */
  receive(event, payload, ref, joinRef) {
    const isOurs = joinRef !== null && joinRef !== false;
    if (event === "resume" && isOurs && isKey(payload)) {
      this.#resumed(payload);
      return true;
    }
    const at = parse(ref);
    if (!at) return true; // a reply, a push, bytes, or a topic without history
    const isServers = payload?.position === ref; // the events position and recovered, rather than an application's of that name
    const gapForAll = joinRef === null && payload?.complete === false; // nobody was away: a cluster has lost something
    if (isServers && event === "recovered" && (this.#asks ? isOurs : gapForAll)) {
      this.#recovered(at, payload);
      return true;
    }
    const known = this.#seen?.epoch === at.epoch && at.offset <= this.#seen.offset;
    if (known) return isServers;
    if (this.#asks) this.#count++;
    // If the connection breaks in the middle of a recovery with a gap, the next join asks from before it: so the gap is told.
    if (!this.#asks || (at.epoch === this.#at.epoch && at.offset === this.#at.offset + 1)) this.#at = at;
    this.#seen = at;
    return true;
  }

  #resumed({ key, resumed }) {
    const returns = this.#returns;
    this.#key = key;
    this.#returns = false;
    if (returns) this.#onResumed({ resumed });
  }

  #recovered(at, { complete, reason, position }) {
    const count = this.#count; // that of the server leaves out what came of joins that were cut off
    this.#at = this.#seen = at;
    this.#asks = false;
    this.#count = 0;
    if (complete) this.#onRecovered({ position, count });
    else this.#onGap({ reason, position, count });
  }
}

/** Tells the server's event from one of the application's that is called so, too. */
function isKey(payload) {
  return typeof payload?.resumed === "boolean" && typeof payload.key === "string" && /^[A-Z2-7]{26}$/.test(payload.key);
}

function parse(ref) {
  const [, epoch, offset] = (typeof ref === "string" && /^([0-9a-v]{10}):(\d{1,15})$/.exec(ref)) || [];
  return epoch && { epoch, offset: Number(offset) };
}
