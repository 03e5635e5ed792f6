// The loops of the benchmark in AssemblyScript.
let seed: u32 = 1;
function next(): u32 {
  seed = seed * 1664525 + 1013904223;
  return seed;
}

export function sort(n: u32): u32 {
  let sum: u32 = 0;
  for (; n > 0; n--) {
    const v = new Array<u32>(4096);
    for (let i = 0; i < 4096; i++) v[i] = next();
    v.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    sum += v[2048];
  }
  return sum;
}

export function sieve(n: u32): u32 {
  let primes: u32 = 0;
  for (; n > 0; n--) {
    const composite = new Uint8Array(1 << 16);
    for (let i = 2; i < composite.length; i++) {
      if (composite[i]) continue;
      primes++;
      for (let j = i + i; j < composite.length; j += i) composite[j] = 1;
    }
  }
  return primes;
}

export function map(n: u32): u32 {
  let sum: u32 = 0;
  for (; n > 0; n--) {
    const m = new Map<u32, u32>();
    for (let i = 0; i < 4096; i++) {
      const k = next() % 512;
      m.set(k, (m.has(k) ? m.get(k) : 0) + 1);
    }
    sum += m.get(7);
  }
  return sum;
}

export function text(n: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const s = '{"name":"Ada","count":' + i.toString() + ',"of":[' + (i * 3).toString() + "]}";
    const parts = s.split(",");
    for (let j = 0; j < parts.length; j++) sum += parts[j].trim().length;
    for (let j = 0; j < s.length; j++) if (s.charCodeAt(j) < 58) sum++;
  }
  return sum;
}

export function matrix(n: u32): u32 {
  const a = new Float64Array(48 * 48), b = new Float64Array(48 * 48), c = new Float64Array(48 * 48);
  for (let i = 0; i < 48 * 48; i++) { a[i] = i; b[i] = 48 - i; }
  for (; n > 0; n--)
    for (let i = 0; i < 48; i++)
      for (let j = 0; j < 48; j++) {
        let sum: f64 = 0;
        for (let k = 0; k < 48; k++) sum += a[i * 48 + k] * b[k * 48 + j];
        c[i * 48 + j] = sum;
      }
  return c[7] as u32;
}
