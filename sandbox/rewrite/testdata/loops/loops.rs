// The loops of the benchmark in Rust, with the standard library.
use std::collections::HashMap;

fn numbers(seed: &mut u32) -> Vec<u32> {
    (0..4096)
        .map(|_| {
            *seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
            *seed
        })
        .collect()
}

#[no_mangle]
pub extern "C" fn sort(n: u32) -> u32 {
    let (mut seed, mut sum) = (1, 0u32);
    for _ in 0..n {
        let mut v = numbers(&mut seed);
        v.sort_unstable();
        sum = sum.wrapping_add(v[2048]);
    }
    sum
}

#[no_mangle]
pub extern "C" fn sieve(n: u32) -> u32 {
    let mut primes = 0;
    for _ in 0..n {
        let mut composite = vec![false; 1 << 16];
        for i in 2..composite.len() {
            if composite[i] {
                continue;
            }
            primes += 1;
            let mut j = i + i;
            while j < composite.len() {
                composite[j] = true;
                j += i;
            }
        }
    }
    primes
}

#[no_mangle]
pub extern "C" fn map(n: u32) -> u32 {
    let mut seed = 1;
    let mut sum = 0u32;
    for _ in 0..n {
        let mut m: HashMap<u32, u32> = HashMap::new();
        for x in numbers(&mut seed) {
            *m.entry(x % 512).or_insert(0) += 1;
        }
        sum = sum.wrapping_add(m[&7]);
    }
    sum
}

#[no_mangle]
pub extern "C" fn text(n: u32) -> u32 {
    let mut sum = 0;
    for i in 0..n {
        let s = format!("{{\"name\":\"Ada\",\"count\":{},\"of\":[{}, {}]}}", i, i * 3, i * 7);
        sum += s.split(',').map(|part| part.trim().len() as u32).sum::<u32>();
        sum += s.chars().filter(|c| c.is_numeric()).count() as u32;
    }
    sum
}

#[no_mangle]
pub extern "C" fn hash(n: u32) -> u32 {
    let bytes = vec![7u8; 1 << 16];
    let mut h = 2166136261u32;
    for _ in 0..n {
        for b in &bytes {
            h = (h ^ *b as u32).wrapping_mul(16777619);
        }
    }
    h
}
