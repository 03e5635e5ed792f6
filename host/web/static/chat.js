// The chat page: joins one room, shows what is said there and how the connection is.
//
// State has one owner each: Socket and Channel the connection, Timeline the log, Outbox what is not confirmed yet. This
// file wires them to the page and keeps only who and where this person is.

import { Socket } from "./phoenix.js";
import { Presence } from "./presence.js";
import { Timeline } from "./timeline.js";
import { Outbox } from "./outbox.js";

const $ = (id) => document.getElementById(id);
const query = () => new URLSearchParams(location.search);

const HELP = `/echo text   your handler sends it back, timed
/shout text  say it to everyone but yourself
/crash       make your handler panic
/name text   change your name
/room text   go to another room
/vote text   vote, or see the votes, where the room remembers them: ?prefix=board
//text       say something that begins with a slash`;

// What to do when the server refuses the join, by its reason.
const REFUSED = {
  unauthorized: `The server did not accept this page's token. Put token = "demo" under [plugin.chat.config] in config.toml, or open this page with the token that stands there: ?token=…`,
  "unmatched topic": "No plugin serves this room. Drop a .wasm that claims its topic into the plugins folder: it is served at once, and this page will join.",
  "join crashed": "The plugin crashed while joining. The server's log names the plugin, the version and the guest's stack. Overwrite the .wasm with a fixed one: it is loaded at once.",
  "too many channels joined": "This connection has joined as many channels as the server allows. Close other rooms, or raise the limit in config.toml.",
  timeout: "The server did not answer the join within 10 seconds.",
};

let user = sessionStorage.getItem("rtd.name") || friendlyName();
let room = roomInUrl();
let channel;
let crashes = 0;
let seen = 0; // the number of the last message, where the room numbers them: it sends those that were missed
let lostAt = null; // when a joined room was lost; these times are Date.now()
let wasAway = ""; // how long, until what was missed has come
let downSince = null; // when the socket was last open, if it is not

const timeline = new Timeline($("log"), $("scroller"), $("jump"));
const outbox = new Outbox($("pending"), (body) => channel.push("new_message", { body }));
const presence = new Presence();
const socket = new Socket(new URL("/socket", location.href.replace(/^http/, "ws")).href);

// --- joining

function enter() {
  const topic = `${query().get("prefix") ?? "room"}:${room}`; // ?prefix=rooms is plugins/rooms, ?prefix=board plugins/board
  const mine = socket.channel(topic, () => ({ token: query().get("token") ?? "demo", user, seen }));
  channel = mine;
  let was = "";
  mine.onevent = receive;
  mine.onrecovered = (told) => mine === channel && caughtUp(told);
  mine.onchange = () => {
    if (mine !== channel) return;
    if (mine.state !== was) moved(mine, was);
    was = mine.state;
    showState();
  };
  timeline.clear();
  presence.clear();
  seen = 0;
  showTitle(0);
  outbox.show(room);
  $("room").value = room;
  $("title").textContent = room;
  lostAt = null;
  wasAway = "";
  mine.join();
}

// moved reacts to the channel's change from one state to another.
function moved(mine, was) {
  if (mine.state === "joined") {
    wasAway = lostAt === null ? "" : Date.now() - lostAt < 1000 ? "a moment" : duration(Date.now() - lostAt);
    if (!wasAway) timeline.addNote("ok", `You are in ${room} as ${user}.`);
    else if (!mine.hasHistory) timeline.addNote("info", `Back after ${wasAway}. What was said meanwhile is not shown.`);
    lostAt = null;
    outbox.flush();
  } else if (mine.state === "errored") {
    lostAt ??= Date.now();
    timeline.addNote("crash", "Your handler crashed and was not restarted in its place. Joining again; the socket never closed.");
  } else if (mine.state === "closed") {
    lostAt ??= Date.now();
    timeline.addNote("info", "The server closed this room: its plugin was removed, or it ended the conversation. Joining again.");
    setTimeout(() => mine === channel && mine.state === "closed" && mine.join(), 1000);
  } else if (was === "joined" && socket.state !== "open") {
    lostAt = Date.now();
  }
}

// caughtUp says what has come of what was said while this page was away.
function caughtUp({ count, reason }) {
  const missed = count === 1 ? "1 message" : `${count || "no"} messages`;
  const gap = reason === "epoch" ? " The room began anew meanwhile: some may be gone." : reason ? " Some others are gone." : "";
  if (wasAway || gap) timeline.addNote("info", `Back after ${wasAway || "a moment"}: ${missed} while you were away.${gap}`);
  wasAway = "";
}

function leave() {
  const left = channel;
  channel = null;
  left.leave();
}

function rename(name) {
  name = name.trim().slice(0, 40);
  $("name").value = name || user;
  if (!name || name === user) return;
  user = name;
  sessionStorage.setItem("rtd.name", user);
  channel.rejoin(); // the handler learns names when they join
}

function goTo(name) {
  name = name.trim().slice(0, 64);
  $("room").value = name || room;
  if (!name || name === room) return;
  const params = query();
  params.set("room", name);
  history.pushState(null, "", `?${params}`);
  changeRoom(name);
}

function changeRoom(name) {
  leave();
  room = name;
  enter();
}

// --- speaking and hearing

function receive(event, payload) {
  presence.receive(event, payload);
  if (event !== "new_message" && event !== "shout") return;
  const message = payload !== null && typeof payload === "object" ? payload : {};
  const own = event === "new_message" && message.user === user;
  if (own) outbox.seen(message.body);
  seen = Math.max(seen, message.n || 0);
  timeline.addMessage({ ...message, own, shout: event === "shout" });
  if (document.hidden) showTitle(unread + 1);
}

const COMMANDS = {
  help: () => timeline.addNote("help", HELP),
  name: rename,
  room: goTo,
  crash,
  async echo(text) {
    const start = performance.now();
    const answer = await channel.push("echo", { body: text });
    socket.rtt = performance.now() - start;
    timeline.addNote("ok", `Your handler echoed “${answer?.body}” in ${milliseconds(socket.rtt)}.`);
  },
  async vote(text) {
    if (query().get("prefix") !== "board") return timeline.addNote("error", "This room has no votes: open the page with ?prefix=board.");
    const votes = Object.entries(await channel.push("vote", { for: text }));
    timeline.addNote("ok", votes.length ? votes.map(([what, n]) => `${what}: ${n}`).join(", ") : "Nobody has voted yet.");
  },
  async shout(text) {
    if (channel.state !== "joined") throw new Error("not joined");
    timeline.addMessage({ user, body: text, own: true, shout: true });
    // A shout need not be answered: no answer is no failure.
    await channel.push("shout", { body: text }).catch((error) => {
      if (error.reason !== "timeout") throw error;
    });
  },
};

async function crash() {
  try {
    await channel.push("crash", {});
    timeline.addNote("info", "The handler answered instead of crashing.");
  } catch ({ reason }) {
    if (reason === "crashed") {
      $("crashes").textContent = ++crashes;
      timeline.addNote("crash", "Your handler crashed and was restarted; the socket never closed.");
    } else if (reason !== "channel error" && reason !== "disconnected") {
      timeline.addNote("error", `No crash to see: ${reason}.`);
    }
  }
}

function say(text) {
  const [, command, rest] = /^\/([a-z]+)\s*([^]*)$/i.exec(text) ?? [];
  if (command) {
    const run = Object.hasOwn(COMMANDS, command.toLowerCase()) && COMMANDS[command.toLowerCase()];
    if (!run) return timeline.addNote("error", `There is no command /${command}. Type /help for those that exist.`);
    Promise.resolve(run(rest)).catch((error) => timeline.addNote("error", `/${command} was not answered: ${error.message}.`));
    return true;
  }
  if (!outbox.add(text.replace(/^\/\//, "/"))) {
    return timeline.addNote("error", "100 messages are waiting already. This one stays in the field until they are sent.");
  }
  timeline.scrollToEnd();
  if (channel.state === "joined") outbox.flush();
  return true;
}

// --- showing the state

function showState() {
  downSince = socket.state === "open" ? null : (downSince ?? Date.now());
  const { state, text, banner, next } = describe();
  const status = $("status");
  if (status.dataset.state !== state) {
    status.dataset.state = state;
    $("announce").textContent = banner ? `${text}. ${banner}` : text; // not on each second of a countdown
  }
  setText("status-text", text);
  setText("rtt", state === "joined" && socket.rtt !== null ? milliseconds(socket.rtt) : "");
  setText("trip", socket.rtt === null ? "–" : milliseconds(socket.rtt));
  const how = socket.transport === "longpoll" ? "polling for" : "open for"; // a network that blocks WebSockets
  setText("uptime", socket.state === "open" ? `${how} ${duration(Date.now() - socket.openedAt)}` : "none");
  setText("banner-text", banner ?? "");
  setText("banner-next", next ?? "");
  $("banner").hidden = !banner;
  $("banner").dataset.state = state;
  $("crash").disabled = state !== "joined";
}

function describe() {
  if (socket.state === "open") {
    if (channel?.state === "joined") return { state: "joined", text: "Live" };
    if (channel?.reason) {
      const banner = REFUSED[channel.reason] ?? `The server refused the join: ${channel.reason}.`;
      return { state: "refused", text: "Refused", banner, next: `again ${inSeconds(channel.retryAt)}` };
    }
    return { state: "connected", text: channel?.state === "errored" ? `Rejoining ${inSeconds(channel.retryAt)}` : "Joining…" };
  }
  if (!navigator.onLine) return { state: "offline", text: "Offline", banner: "Your device is offline. What you write is kept and sent when it is back." };
  if (!socket.openedAt && !socket.retryAt) return { state: "connecting", text: "Connecting…" };
  const soon = socket.state === "connecting" || socket.retryAt - Date.now() < 1000;
  // Most interruptions are over before they can be read.
  const banner = Date.now() - downSince > 1000 ? "The server does not answer. What you write is kept and sent when it is back." : "";
  return { state: "reconnecting", text: soon ? "Reconnecting…" : `Reconnecting ${inSeconds(socket.retryAt)}`, banner };
}

function showPresence() {
  $("here").replaceChildren(
    ...presence.keys.map((name) => Object.assign(document.createElement("li"), { textContent: name === user ? `${name} (you)` : name })),
  );
  $("nobody").hidden = presence.keys.length > 0;
}

let unread = 0;

function showTitle(count) {
  unread = count;
  document.title = `${count ? `(${count}) ` : ""}${room} · rtd chat`;
}

// setText leaves a text alone that is right already, for the sake of selections and screen readers.
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

const inSeconds = (at) => `in ${Math.max(1, Math.ceil((at - Date.now()) / 1000))} s`;
const milliseconds = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

function duration(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function roomInUrl() {
  return query().get("room")?.trim().slice(0, 64) || "lobby";
}

function friendlyName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const name = `${pick(["Amber", "Brisk", "Calm", "Clever", "Gentle", "Lucky", "Merry", "Quiet", "Sunny", "Witty"])} ${pick(
    ["Badger", "Crane", "Fox", "Heron", "Lynx", "Marten", "Otter", "Robin", "Seal", "Wren"],
  )}`;
  sessionStorage.setItem("rtd.name", name);
  return name;
}

// --- the page's own events

const composer = $("composer");
composer.value = sessionStorage.getItem("rtd.draft") ?? "";

function drafted() {
  sessionStorage.setItem("rtd.draft", composer.value);
  const left = composer.maxLength - composer.value.length;
  $("count").textContent = left <= 200 ? `${left} left` : "";
  composer.style.height = "auto"; // grows with what is written; the style sheet sets the limit
  composer.style.height = `${composer.scrollHeight + composer.offsetHeight - composer.clientHeight}px`;
}

composer.addEventListener("input", drafted);
composer.addEventListener("keydown", (event) => {
  // While an input method composes, Enter confirms a word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("write").requestSubmit();
});
$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = composer.value.trim();
  if (text && say(text)) composer.value = "";
  drafted();
  composer.focus();
});

$("you").addEventListener("submit", (event) => {
  event.preventDefault();
  document.activeElement.blur(); // the change event does the rest
});
$("name").addEventListener("change", () => rename($("name").value));
$("room").addEventListener("change", () => goTo($("room").value));
$("second").addEventListener("click", () => ($("second").href = location.href));
$("crash").addEventListener("click", crash);
$("retry").addEventListener("click", () => (socket.state === "open" ? channel.join() : socket.wake()));
$("menu").addEventListener("click", () => toggleMenu(!document.body.classList.contains("menu-open")));
addEventListener("keydown", (event) => event.key === "Escape" && toggleMenu(false));

function toggleMenu(open) {
  document.body.classList.toggle("menu-open", open);
  $("menu").setAttribute("aria-expanded", String(open));
  $("menu").textContent = open ? "Close" : "Menu";
  if (open) $("name").focus();
}

addEventListener("popstate", () => roomInUrl() !== room && changeRoom(roomInUrl()));
addEventListener("online", () => socket.wake());
addEventListener("offline", showState);
addEventListener("pageshow", (event) => event.persisted && socket.wake());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  socket.wake();
  showTitle(0);
});
setInterval(showState, 500); // countdowns and durations

$("name").value = user;
showTitle(0);
drafted();
socket.onchange = showState;
presence.onchange = showPresence;
enter();
socket.connect();
