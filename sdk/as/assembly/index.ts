export { Agent, AgentFunction } from "./agent";
export { From, call, cast, request, requestNotify, wait } from "./call";
export { Process } from "./callbacks";
export { Channel, TopicChannel, handle, handleTopic } from "./channel";
export { Clock, Span, Time } from "./clock";
export { Conn, onConnect } from "./connect";
export { crash } from "./crash";
export { Code, Result, must, textOf } from "./error";
export { EventHandler, HandlerSpec, serveEvents } from "./event_handler";
export { EventManager } from "./event_manager";
export { HistoryPage, Keep, PastMessage, history } from "./history";
export { log } from "./host";
export { JsonObject, stringify } from "./json";
export { migrates } from "./migrate";
export { Payload } from "./payload";
export { dependsOn, durable, keepHistory, onStart, onStop } from "./plugin";
export { Presence, PresenceCount } from "./presence";
export {
  KILLED, NORMAL, PID, Ref, SHUTDOWN, SpawnOptions,
  children, demonitor, eventId, exit, hibernate, isCrash, link, monitor, processInfo, register, self, send, spawn, stop,
  stopChild, trapExit, unlink, unregister, wantBack, wantTerminate, whereis,
} from "./process";
export { disconnect, publish, subscribe, unsubscribe } from "./pubsub";
export { Server, serve } from "./server";
export { Socket, SocketRef } from "./socket";
export {
  Dynamic, ONE_FOR_ALL, ONE_FOR_ONE, PERMANENT, REST_FOR_ONE, Supervisor, TEMPORARY, TRANSIENT, Worker, tree,
} from "./supervisor";
export { Job, Task } from "./task";
export { cancel, late, now, sendAfter, sleep } from "./timer";
