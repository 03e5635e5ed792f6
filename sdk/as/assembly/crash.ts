// How a process ends itself. It uses no global variable, because AssemblyScript's library compiles
// abort, which asconfig.json puts in place, before any.
import { Op } from "./abi";

@external("rtd_v1", "op")
export declare function op(record: usize, size: u32, answer: usize, room: u32): i32;

/**
 * Crashes this process with a cause for the log, and for those who are told of its end. Does
 * not return. To throw an Error does the same, and adds where that was.
 */
export function crash(cause: string): void {
  const size = String.UTF8.byteLength(cause) as u32;
  const record = heap.alloc(12 + size);
  store<u32>(record, Op.Abort);
  store<u32>(record, 0, 4); // no name
  store<u32>(record, size, 8);
  String.UTF8.encodeUnsafe(changetype<usize>(cause), cause.length, record + 12, false, String.UTF8.ErrorMode.REPLACE);
  op(record, 12 + size, 0, 0);
  unreachable(); // only if the host knows no abort
}

/** Called by throw and by failed assertions: the process crashes, with message and place as its cause. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = (file ? file : "") + ":" + line.toString() + ":" + column.toString();
  crash((message ? message : "abort") + " (" + place + ")");
}
