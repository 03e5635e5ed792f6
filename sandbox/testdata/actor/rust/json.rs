//! JSON (RFC 8259), strictly, on hostile input: no recursion, no allocation.
//! Strings are decoded where they lie, for they only become shorter.

use crate::rtd::Record;
use std::ops::Range;

const MAX_DEPTH: usize = 10000; // of objects and arrays in each other

/// A JSON text and how far it has been read. The methods return None for what
/// is not there or malformed.
pub struct Json<'a> {
    text: &'a mut [u8],
    at: usize,
}

impl<'a> Json<'a> {
    pub fn new(text: &'a mut [u8]) -> Option<Json<'a>> {
        std::str::from_utf8(text).ok()?;
        Some(Json { text, at: 0 })
    }

    /// The text, with what was decoded in it.
    pub fn decoded(self) -> &'a [u8] {
        self.text
    }

    fn byte(&self) -> u8 {
        *self.text.get(self.at).unwrap_or(&0)
    }

    /// The next byte that is no white space, 0 at the end.
    pub fn peek(&mut self) -> u8 {
        while let b' ' | b'\t' | b'\n' | b'\r' = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    pub fn take(&mut self, c: u8) -> Option<()> {
        (self.peek() == c && self.at < self.text.len()).then(|| self.at += 1)
    }

    pub fn end(&mut self) -> Option<()> {
        self.peek();
        (self.at == self.text.len()).then_some(())
    }

    /// Takes exactly this; no white space may come before.
    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    pub fn null(&mut self) -> bool {
        self.peek() == b'n' && self.word("null").is_some()
    }

    pub fn bool(&mut self) -> Option<bool> {
        match self.peek() {
            b't' => self.word("true").map(|_| true),
            _ => self.word("false").map(|_| false),
        }
    }

    /// Takes a string and returns where its decoded text lies.
    pub fn string(&mut self) -> Option<Range<usize>> {
        self.take(b'"')?;
        let from = self.at;
        let mut to = from;
        loop {
            let c = *self.text.get(self.at)?;
            self.at += 1;
            match c {
                b'"' => return Some(from..to),
                0..=0x1f => return None,
                b'\\' => to += self.escape()?.encode_utf8(&mut self.text[to..]).len(),
                _ => {
                    self.text[to] = c;
                    to += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let c = self.byte();
        self.at += 1;
        Some(match c {
            b'"' | b'\\' | b'/' => c as char,
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return None,
        })
    }

    /// Takes what follows \u. Half a surrogate pair becomes U+FFFD.
    fn unicode(&mut self) -> Option<char> {
        let mut c = self.hex4()?;
        if let 0xd800..=0xdbff = c {
            let behind = self.at;
            match self.word("\\u").and_then(|_| self.hex4()) {
                Some(low @ 0xdc00..=0xdfff) => c = 0x10000 + ((c & 0x3ff) << 10 | low & 0x3ff),
                _ => self.at = behind,
            }
        }
        Some(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | (self.byte() as char).to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    fn one_of(&mut self, any: &[u8]) -> bool {
        let found = self.at < self.text.len() && any.contains(&self.byte());
        self.at += found as usize;
        found
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn number(&mut self) -> Option<Range<usize>> {
        self.peek();
        let from = self.at;
        self.one_of(b"-");
        if !self.one_of(b"0") {
            self.digits()?;
        }
        if self.one_of(b".") {
            self.digits()?;
        }
        if self.one_of(b"eE") {
            self.one_of(b"+-");
            self.digits()?;
        }
        Some(from..self.at)
    }

    /// Takes a number that is written as an integer and fits.
    pub fn u32(&mut self) -> Option<u32> {
        let at = self.number()?;
        std::str::from_utf8(&self.text[at]).ok()?.parse().ok()
    }

    pub fn key(&mut self) -> Option<Range<usize>> {
        let key = self.string()?;
        self.take(b':')?;
        Some(key)
    }

    pub fn is(&self, at: &Range<usize>, text: &str) -> bool {
        &self.text[at.clone()] == text.as_bytes()
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b't' | b'f' => self.bool().map(drop),
            b'n' => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    /// Takes any value that lies in depth objects and arrays.
    pub fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek() {
            b'{' | b'[' => self.skip_nested(depth),
            _ => self.scalar(),
        }
    }

    fn skip_nested(&mut self, outside: usize) -> Option<()> {
        let mut objects = [0u8; MAX_DEPTH / 8 + 1]; // a bit for each level: is it an object?
        let mut depth = outside;
        loop {
            let open = self.peek();
            if open == b'{' || open == b'[' {
                self.at += 1;
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                let bit = 1 << (depth % 8);
                if open == b'{' {
                    objects[depth / 8] |= bit;
                } else {
                    objects[depth / 8] &= !bit;
                }
                if self.peek() != open + 2 {
                    if open == b'{' {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // Behind a value, or before the end of an empty one.
            while depth > outside {
                let object = objects[depth / 8] >> (depth % 8) & 1 == 1;
                if self.take(b',').is_some() {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                self.take(if object { b'}' } else { b']' })?;
                depth -= 1;
            }
            if depth == outside {
                return Some(());
            }
        }
    }
}

/// Writes a text as a JSON string that is safe inside of HTML too: the bytes,
/// and the rules, are those of Go's encoding/json.
pub fn quote(r: &mut Record, text: &str) {
    r.bytes(b"\"");
    for c in text.chars() {
        match c {
            '"' => r.bytes(b"\\\""),
            '\\' => r.bytes(b"\\\\"),
            '\x08' => r.bytes(b"\\b"),
            '\x0c' => r.bytes(b"\\f"),
            '\n' => r.bytes(b"\\n"),
            '\r' => r.bytes(b"\\r"),
            '\t' => r.bytes(b"\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                r.bytes(b"\\u");
                for shift in [12, 8, 4, 0] {
                    r.bytes(&[b"0123456789abcdef"[c as usize >> shift & 15]]);
                }
            }
            _ => r.bytes(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    r.bytes(b"\"");
}
