export * from "./assembly/guest";
