// What AssemblyScript's own library asks of its host, on top of rtd; asconfig.json puts
// abort and seed in place. They are compiled before any global variable, so they use none.

@external("rtd_v1", "op")
declare function op(record: usize, size: u32, answer: usize, room: u32): i32;

@external("wasi_snapshot_preview1", "random_get")
declare function random_get(into: usize, size: u32): u32;

/** Called by throw and by failed assertions: the process crashes, with message and place as its cause. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = (file ? file : "") + ":" + line.toString() + ":" + column.toString();
  const cause = (message ? message : "abort") + " (" + place + ")";
  const size = String.UTF8.byteLength(cause) as u32;
  const record = heap.alloc(12 + size);
  store<u32>(record, 0x202); // abort
  store<u32>(record, 0, 4);
  store<u32>(record, size, 8);
  String.UTF8.encodeUnsafe(changetype<usize>(cause), cause.length, record + 12);
  op(record, 12 + size, 0, 0);
  unreachable(); // only if the host knows no abort
}

/** Called once, when Math.random is first used. */
export function seed(): f64 {
  const bits = memory.data(8);
  random_get(bits, 8);
  store<bool>(memory.data(1), true);
  const s = load<f64>(bits);
  store<u64>(bits, 0);
  return s;
}

/** Gives Math.random another seed: all processes begin with the memory of the start event. */
export function reseed(): void {
  const bits = memory.data(8);
  random_get(bits, 8);
  NativeMath.seedRandom(load<i64>(bits));
  store<u64>(bits, 0);
}
