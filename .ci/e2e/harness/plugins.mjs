// The servers that the tests use.

import { serve } from "./server.mjs";

/**
 * A server with host/testdata/phx, which does at a client's bidding all that a Phoenix channel can. Its restart type is
 * temporary unless said otherwise: so it behaves exactly as Phoenix.
 */
export function phoenix({ restart = "temporary", config = "", server } = {}) {
  return serve({ plugins: ["phx"], server, config: `[plugin.phx]\nrestart = ${JSON.stringify(restart)}\nallows = ["connect", "disconnect"]\n${config}` });
}

/** A server with plugins/chat, as config.toml has it. */
export function chat({ server } = {}) {
  return serve({ plugins: ["chat"], server, config: `[plugin.chat]\nhistory = ["room:*"]\n[plugin.chat.config]\ntoken = "demo"` });
}
