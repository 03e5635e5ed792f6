export { Agent, AgentFunction } from "./agent";
export { Channel, TopicChannel, handle, handleTopic } from "./channel";
export { Conn, onConnect } from "./connect";
export { EventHandler, EventManager, HandlerSpec, serveEvents } from "./event_manager";
export { crash, log, now } from "./host";
export { JsonObject, stringify } from "./json";
export { Payload } from "./payload";
export { dependsOn, migrates, onStart, onStop } from "./plugin";
export { Presence, PresenceCount } from "./presence";
export {
  From, Job, KILLED, NORMAL, PID, Process, Ref, SHUTDOWN, SpawnOptions,
  call, cancel, cast, children, demonitor, exit, hibernate, isCrash, link, monitor, processInfo, register, request,
  requestNotify, self, send, sendAfter, sleep, spawn, stop, stopChild, trapExit, unlink, unregister, wait,
  wantTerminate, whereis,
} from "./process";
export { disconnect, publish, subscribe, unsubscribe } from "./publish";
export { Code, Result, must, textOf } from "./result";
export { Server, serve } from "./server";
export { Socket, SocketRef } from "./socket";
export { Task } from "./task";
export {
  Dynamic, ONE_FOR_ALL, ONE_FOR_ONE, PERMANENT, REST_FOR_ONE, Supervisor, TEMPORARY, TRANSIENT, Worker, tree,
} from "./tree";
