import { Effect } from "./abi";
import { crash } from "./crash";
import { effect } from "./host";
import { Payload } from "./payload";
import { Record } from "./record";

/**
 * Registers the function that decides about each client that connects. It accepts the client, unless
 * it calls refuse; if it crashes, the client gets status 500.
 *
 * Ask for it with connect = true in [capabilities] of rtd.toml. The server grants it with
 * allows = ["connect"] in [plugin.NAME] of its config, or else does not deploy the plugin. If the
 * server has other plugins, its config also has to name the plugin that decides, with connect = "NAME"
 * in [socket.NAME].
 *
 *   onConnect((c) => {
 *     const user = userOf(c.authToken);
 *     if (user == "") return c.refuse(401);
 *     c.id = "users:" + user;
 *     c.assigns = Payload.of(new JsonObject().set("user", user));
 *   });
 *
 * It runs in a process of its own, which ends after it: it can call others, publish,
 * disconnect and so on, and may wait; no other client waits for it.
 */
export function onConnect(f: (c: Conn) => void): void {
  if (decide) crash("onConnect is called twice; let one function call the other");
  decide = f;
  decider = connect;
}

let decide: ((c: Conn) => void) | null = null;

/** Takes the event connect; null if onConnect was not called. */
export let decider: ((e: Record) => void) | null = null;

/** A client that connects, and the id and assigns that it is to have. */
export class Conn {
  /** Names the connection, and all others to which it is given, for disconnect; "" for none. At most 255 bytes. */
  id: string = "";
  /** For the channels of the connection, which get them as Socket.assigns: JSON or any other bytes. */
  assigns: Payload = new Payload();
  /** The HTTP status that refuses the client, "" if it was not. */
  refused: string = "";

  constructor(
    /** The name of the socket that the client connects to, as the server's config has it: "socket" if that names none. */
    readonly mount: string,
    /**
     * A JSON object of all that is known of the client: params, peer, uri, user_agent, x_headers,
     * sec_websocket_headers, trace_context_headers, auth_token, claims. The methods below look
     * things up in it.
     */
    readonly info: Payload,
  ) {}

  /** Refuses the client: its request is answered with this HTTP status, from 400 to 599; 403 stands in for any other. */
  refuse(status: i32 = 403): void {
    this.refused = status.toString();
  }

  /** The parameters of the query, nested: user[name]=x is params.find("user").getString("name"). */
  get params(): Payload {
    return this.info.find("params");
  }

  /** The authToken that the client gave by subprotocol; "" if it gave none. */
  get authToken(): string {
    return this.info.getString("auth_token");
  }

  /** The header User-Agent, "" if there is none. */
  get userAgent(): string {
    return this.info.getString("user_agent");
  }

  /**
   * A header, "" if there is none: one whose name begins with X- or Sec-WebSocket-,
   * Traceparent or Tracestate. All others are withheld, because a foreign page could
   * make a browser send them.
   */
  header(name: string): string {
    name = name.toLowerCase();
    let group = "trace_context_headers";
    if (name.startsWith("x-")) group = "x_headers";
    else if (name.startsWith("sec-")) group = "sec_websocket_headers";
    return this.info.find(group).getString(name);
  }

  /** The address that the client connects from. Behind a trusted proxy it is the one that the proxy tells of. */
  get address(): string {
    return this.info.find("peer").getString("address");
  }

  /** The port that the client connects from. */
  get port(): i32 {
    return this.info.find("peer").getInt("port") as i32;
  }

  /** The address that the client asked for: "ws://example.com:4000/socket/websocket?vsn=2.0.0". */
  get uri(): string {
    const uri = this.info.find("uri");
    const host = uri.getString("host");
    const port = uri.getInt("port");
    const query = uri.getString("query");
    return (
      uri.getString("scheme") + "://" + (host.includes(":") ? "[" + host + "]" : host) +
      (port ? ":" + port.toString() : "") + uri.getString("path") + (query != "" ? "?" + query : "")
    );
  }
}

/** Handles the event connect. */
function connect(e: Record): void {
  const c = new Conn(e.name.toString(), e.payload);
  decide!(c);
  if (c.refused != "") effect(Effect.Reply, c.refused, "");
  else effect(Effect.Reply, "ok", c.assigns, c.id);
}
