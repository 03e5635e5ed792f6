// What AssemblyScript's own library asks of its host, on top of rtd. The build
// puts it in place with --use. These functions are compiled before any global
// variable, so they use none.

@external("rtd_v1", "op")
declare function op(record: usize, size: u32, answer: usize, room: u32): i32;

@external("wasi_snapshot_preview1", "random_get")
declare function random_get(into: usize, size: u32): u32;

/** Called by throw and by failed assertions: logs the message and traps. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = String.UTF8.encode((message ? message : "") + " at " + (file ? file : "") + ":" + line.toString());
  const record = memory.data(17 + 300);
  const size = min(text.byteLength, 300);
  store<u32>(record, 0x201); // log
  store<u32>(record, 5, 4);
  memory.copy(record + 8, changetype<usize>(String.UTF8.encode("error")), 5);
  store<u32>(record, size, 13);
  memory.copy(record + 17, changetype<usize>(text), size);
  op(record, 17 + size, 0, 0);
  unreachable();
}

/** Called once, when Math.random is first used. */
export function seed(): f64 {
  const bits = memory.data(8);
  random_get(bits, 8);
  const s = load<f64>(bits);
  store<u64>(bits, 0);
  return s;
}
