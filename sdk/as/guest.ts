export { handle, inbox } from "./assembly/entry";
