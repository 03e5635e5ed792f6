// The seed of Math.random. asconfig.json puts the function seed in place; it is compiled before
// any global variable, so it uses none.

@external("wasi_snapshot_preview1", "random_get")
declare function random_get(into: usize, size: u32): u32;

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
