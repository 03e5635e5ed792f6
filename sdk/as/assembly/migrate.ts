import { Effect } from "./abi";
import { effect } from "./host";
import { JsonObject } from "./json";
import { Payload } from "./payload";

/** The schema in which this version writes states; null if it hands none on. */
export let schema: string | null = null;

/**
 * Says that the processes of this plugin hand their state on to its next version, with exportState and
 * importState, and names the schema in which this version writes it.
 */
export function migrates(name: string): void {
  schema = name;
}

/** Hands on the state of a process. */
export function handOver(state: Payload): void {
  const name = schema;
  effect(Effect.State, name ? name : "", state);
}

/** Says that a state cannot be taken over. */
export function refuseImport(reason: string): void {
  effect(Effect.Reply, "error", new JsonObject().set("reason", reason));
}
