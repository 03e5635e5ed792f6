//! A channel handler in Rust. What it does is written in ../README.md.

mod json;
mod rtd;

use json::{quote, Json};
use rtd::{Event, Record};
use std::fmt::Write;

const MAX_NAME: usize = 32;
const MAX_TEXT: usize = 64;
const KEEP: usize = 10;

/// The state of the actor, from its join on.
#[derive(Default)]
struct Actor {
    name: String,
    count: usize,
    kept: [String; KEEP], // a ring: message n lies at n % KEEP
}

static mut ACTOR: Option<Actor> = None;

pub fn on(event: Event) {
    match event.kind {
        rtd::EVENT_START => {
            rtd::ask(rtd::EFFECT_HANDLES, "actor:*", "");
        }
        rtd::EVENT_JOIN => unsafe { ACTOR.insert(Actor::default()) }.join(event.payload),
        rtd::EVENT_MESSAGE => match unsafe { &mut ACTOR } {
            Some(actor) => actor.message(event.name, event.payload),
            None => rtd::die("message before join"),
        },
        _ => {} // a newer host may tell of other events
    }
}

impl Actor {
    fn join(&mut self, payload: &mut [u8]) {
        let p = Payload::parse(payload);
        self.name = match p.name {
            "" => "anon".to_string(),
            name => clip(name, MAX_NAME).to_string(),
        };
        if p.refuse {
            rtd::ask(rtd::EFFECT_REPLY, "error", r#"{"reason":"refused"}"#);
            return;
        }
        reply(|r| {
            r.bytes(b"{\"name\":");
            quote(r, &self.name);
            r.bytes(b"}");
        });
    }

    fn message(&mut self, event: &[u8], payload: &mut [u8]) {
        match event {
            b"say" => self.say(payload),
            b"last" => self.last(),
            b"shout" => shout(),
            b"work" => {
                let sum = work(Payload::parse(payload).n);
                reply(|r| _ = write!(r, "{{\"sum\":{}}}", sum));
            }
            b"random" => random(),
            b"crash" => crash(),
            b"spin" => spin(),
            b"alloc" => hoard(),
            b"recurse" => recurse(),
            b"exit" => rtd::exit(3),
            _ => rtd::die("unknown event"),
        }
    }

    fn say(&mut self, payload: &mut [u8]) {
        let body = Payload::parse(payload).body.unwrap_or_else(|| malformed());
        self.kept[self.count % KEEP] = clip(body, MAX_TEXT).to_string();
        self.count += 1;
        reply(|r| {
            _ = write!(r, "{{\"count\":{},\"name\":", self.count);
            quote(r, &self.name);
            r.bytes(b",\"oldest\":");
            quote(r, self.kept(self.oldest()));
            r.bytes(b"}");
        });
    }

    fn last(&self) {
        reply(|r| {
            r.bytes(b"[");
            for n in self.oldest()..self.count {
                if n > self.oldest() {
                    r.bytes(b",");
                }
                quote(r, self.kept(n));
            }
            r.bytes(b"]");
        });
    }

    fn kept(&self, n: usize) -> &str {
        &self.kept[n % KEEP]
    }

    fn oldest(&self) -> usize {
        self.count.saturating_sub(KEEP)
    }
}

#[derive(Default)]
struct Payload<'a> {
    body: Option<&'a str>,
    name: &'a str,
    refuse: bool,
    n: u32,
}

impl<'a> Payload<'a> {
    fn parse(text: &'a mut [u8]) -> Payload<'a> {
        Payload::members(text).unwrap_or_else(|| malformed())
    }

    fn members(text: &mut [u8]) -> Option<Payload> {
        let mut j = Json::new(text)?;
        let (mut body, mut name, mut refuse, mut n) = (None, 0..0, false, 0);
        if !j.null() {
            j.take(b'{')?;
            let mut more = j.take(b'}').is_none();
            while more {
                let key = j.key()?;
                match (j.null(), &key) {
                    (null, key) if j.is(key, "body") => body = if null { None } else { Some(j.string()?) },
                    (true, _) => {}
                    (_, key) if j.is(key, "name") => name = j.string()?,
                    (_, key) if j.is(key, "refuse") => refuse = j.bool()?,
                    (_, key) if j.is(key, "n") => n = j.u32()?,
                    _ => j.skip(1)?,
                }
                more = j.take(b',').is_some();
                if !more {
                    j.take(b'}')?;
                }
            }
        }
        j.end()?;
        let text = j.decoded();
        Some(Payload { body: body.map(|at| utf8(&text[at])), name: utf8(&text[name]), refuse, n })
    }
}

/// A decoded string, which is UTF-8 because the payload was.
fn utf8(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

fn malformed() -> ! {
    rtd::die("malformed payload")
}

/// Shortens a text to at most size bytes, without cutting a character.
fn clip(text: &str, mut size: usize) -> &str {
    if text.len() <= size {
        return text;
    }
    while !text.is_char_boundary(size) {
        size -= 1;
    }
    &text[..size]
}

fn reply(write: impl FnOnce(&mut Record)) {
    let mut r = Record::new(rtd::EFFECT_REPLY, "ok");
    write(&mut r);
    r.send();
}

fn shout() {
    rtd::pass_on(rtd::EFFECT_BROADCAST);
    rtd::ask(rtd::EFFECT_REPLY, "ok", "");
}

/// std's random keys are constants on this target, so the host is asked.
fn random() {
    reply(|r| _ = write!(r, "[{},{},{},{}]", rtd::random(), rtd::random(), rtd::random(), rtd::random()));
}

/// Adds n rounds of a xorshift generator to an array of 4 KiB.
#[inline(never)]
fn work(n: u32) -> u32 {
    let mut cells = [0u32; 1024];
    let mut x = 1u32;
    for _ in 0..n {
        for cell in &mut cells {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            *cell = cell.wrapping_add(x);
        }
    }
    cells.iter().fold(0, |sum, cell| sum.wrapping_add(*cell))
}

// Ways to die, not inlined, so that a stack trace names them.

#[inline(never)]
fn crash() {
    panic!("crash requested");
}

#[inline(never)]
fn spin() {
    loop {}
}

#[inline(never)]
fn hoard() {
    static mut HOARD: Vec<Vec<u8>> = Vec::new();
    loop {
        unsafe { HOARD.push(vec![1; 64 << 10]) };
    }
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn recurse() {
    static mut DEPTH: u32 = 0;
    // What is volatile keeps the compiler from making a loop of it.
    unsafe { std::ptr::write_volatile(&mut DEPTH, DEPTH + 1) };
    recurse();
    unsafe { std::ptr::write_volatile(&mut DEPTH, DEPTH - 1) };
}
