// The plugin suite in AssemblyScript; ../../suite/README.md says what it does.
import {
  Conn, Dynamic, JsonObject, Keep, ONE_FOR_ALL, Payload, REST_FOR_ONE, Supervisor, TEMPORARY, TRANSIENT, Worker,
  crash, dependsOn, durable, handle, handleTopic, keepHistory, log, migrates, onConnect, onStart, onStop, serve, serveEvents, tree,
} from "rtd";
import { Suite } from "./channel";
import { SCHEMA, keepConfig } from "./common";
import { Durable, Ledger } from "./durable";
import { Archive, Listener, Recorder, Server } from "./processes";
import { Shared } from "./shared";
export * from "rtd/guest";

onStart((config) => {
  const fail = config.getString("fail");
  if (fail != "") crash(fail);
  if (config.getString("durable") != "") {
    durable("durable:*");
    durable("process:ledger");
    keepHistory("suite:stored*", new Keep(0, 0, 0, true));
  }
  if (config.getString("greeting") != "") keepHistory("suite:kept*", new Keep(3, 3_600_000));
  // Without these it has the tree that guests of earlier SDKs have.
  if (config.getString("greeting") != "" || config.getString("durable") != "") tree([new Worker("ledger")]);
  keepConfig(config);
});
onStop(() => log("info", "suite has stopped"));
dependsOn("base");
migrates(SCHEMA);
onConnect(connect);

handle("suite:*", () => new Suite());
handleTopic("shared:*", () => new Shared());
handleTopic("durable:*", () => new Durable());
serve("ledger", () => new Ledger());
serve("recorder", () => new Recorder());
serve("server", () => new Server());
serveEvents("listener", () => new Listener());
serveEvents("archive", () => new Archive());

tree([
  new Worker("recorder"),
  new Supervisor("pair", [server("left"), server("right")]).strategy(ONE_FOR_ALL).intensity(100, 5),
  new Supervisor("chain", [server("one"), server("two"), server("three")]).strategy(REST_FOR_ONE).intensity(100, 5),
  server("nameless").name("").restart(TRANSIENT).shutdown(1000),
  new Worker("counter").arguments("10"),
  new Worker("events"),
  new Dynamic("jobs").restart(TEMPORARY),
  new Dynamic("pool").restart(TRANSIENT).intensity(100, 5),
]);

function server(id: string): Worker {
  return new Worker(id).module("server").arguments(id);
}

function connect(c: Conn): void {
  const user = c.params.getString("user");
  if (user == "nobody") {
    c.refuse(401);
  } else if (user == "banned") {
    c.refuse();
  } else if (user == "crash") {
    crash("told to crash");
  } else if (user != "") {
    c.id = "users:" + user;
    c.assigns = Payload.of(
      new JsonObject()
        .set("user", user)
        .set("mount", c.mount)
        .set("token", c.authToken)
        .set("agent", c.userAgent)
        .set("header", c.header("X-Suite"))
        .set("address", c.address)
        .set("nested", c.params.find("a").getString("b")),
    );
  }
}
