// A client for the terminal: node talk.mjs NAME [ROOM]. Needs Node 22, and nothing else.

import { createInterface } from "node:readline";

const [user = "anonymous", room = "lobby"] = process.argv.slice(2);
const topic = `rooms:${room}`;
const socket = new WebSocket("ws://127.0.0.1:4000/socket/websocket?vsn=2.0.0");

// A frame is [join_ref, ref, topic, event, payload].
let ref = 0;
const send = (topic, event, payload) => socket.send(JSON.stringify(["1", String(++ref), topic, event, payload]));

socket.onopen = () => {
  send(topic, "phx_join", { user });
  setInterval(() => send("phoenix", "heartbeat", {}), 25_000);
  createInterface({ input: process.stdin })
    .on("line", (body) => send(topic, "new_message", { body }))
    .on("close", () => socket.close());
};

socket.onmessage = ({ data }) => {
  const [, , , event, payload] = JSON.parse(data);
  if (event === "new_message") console.log(`${payload.user}: ${payload.body}`);
  else if (event === "phx_error" || event === "phx_close") console.log(`(${event})`), send(topic, "phx_join", { user });
  else if (payload.status === "error") console.log(`(error: ${JSON.stringify(payload.response)})`);
};

socket.onclose = () => process.exit();
socket.onerror = () => console.error("Is the server running? go run ./cmd/rtd");
