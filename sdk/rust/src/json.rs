//! As much JSON as handlers need, for a program without a JSON library.
//!
//! ```
//! use rtd::json;
//!
//! let payload = br#"{"body":"hi","n":3}"#;
//! assert_eq!(json::string(payload, "body").as_deref(), Some("hi"));
//! assert_eq!(json::integer(payload, "n"), Some(3));
//! assert_eq!(json::string(payload, "n"), None);
//!
//! let reply = json::object().string("user", "Ada \"A\"").integer("n", 3);
//! assert_eq!(reply.as_ref(), br#"{"user":"Ada \"A\"","n":3}"#);
//! ```
//!
//! Members of an object are read by key; of equal keys the first counts. Malformed texts, which clients
//! may send, give any result, but reading them ends.

use std::borrow::Cow;

/// The text of a string, `None` if the member is missing or something else.
pub fn string(object: &[u8], key: &str) -> Option<String> {
    unquote(raw(object, key)?)
}

/// The value of a whole number that fits.
pub fn integer(object: &[u8], key: &str) -> Option<i64> {
    std::str::from_utf8(raw(object, key)?).ok()?.parse().ok()
}

/// The value of any number.
pub fn number(object: &[u8], key: &str) -> Option<f64> {
    let value = raw(object, key)?;
    let first = *value.first()?;
    (first == b'-' || first.is_ascii_digit()).then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

/// The value of true or false.
pub fn boolean(object: &[u8], key: &str) -> Option<bool> {
    match raw(object, key)? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The member as it is written: an object, say, to look further into.
pub fn raw<'a>(object: &'a [u8], key: &str) -> Option<&'a [u8]> {
    members(object).find(|(name, _)| name == key).map(|(_, value)| value)
}

/// All members of an object, as they are written.
pub fn members(object: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    let mut rest = skip(object, b'{');
    std::iter::from_fn(move || {
        let text = rest.filter(|text| text.first() == Some(&b'"'))?;
        let (name, text) = text.split_at(extent(text));
        let text = skip(text, b':')?;
        let (value, text) = text.split_at(extent(text));
        rest = skip(text, b',');
        Some((text_of(name)?, value))
    })
}

/// The elements of an array, as they are written.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = skip(array, b'[');
    std::iter::from_fn(move || {
        let text = rest.filter(|text| !text.is_empty() && text[0] != b']')?;
        let (value, text) = text.split_at(extent(text));
        rest = skip(text, b',');
        Some(value)
    })
}

/// The text of a JSON string, `None` of any other value.
pub fn unquote(value: &[u8]) -> Option<String> {
    text_of(value).map(Cow::into_owned)
}

/// Drops a character and the space around it; `None` if there is another one.
fn skip(text: &[u8], c: u8) -> Option<&[u8]> {
    let text = trim(text);
    (text.first() == Some(&c)).then(|| trim(&text[1..]))
}

fn trim(text: &[u8]) -> &[u8] {
    let space = text.iter().take_while(|c| matches!(**c, b' ' | b'\t' | b'\r' | b'\n')).count();
    &text[space..]
}

/// The length of the value at the beginning of a text.
fn extent(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (i, &c) in text.iter().enumerate() {
        let mut closed = false;
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                closed = !quoted;
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                closed = true;
            }
            b',' | b'}' | b']' | b':' | 0..=b' ' if depth == 0 => return i,
            _ => {}
        }
        if closed && depth == 0 {
            return i + 1;
        }
    }
    text.len()
}

fn text_of(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return std::str::from_utf8(inner).ok().map(Cow::from);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [c, behind @ ..] = rest {
        rest = behind;
        if *c != b'\\' {
            text.push(*c);
            continue;
        }
        let (escape, behind) = rest.split_first()?;
        rest = behind;
        match escape {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let c = cut_char(&mut rest);
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c => text.push(*c),
        }
    }
    String::from_utf8(text).ok().map(Cow::from)
}

/// Reads what follows \u. Half a surrogate pair becomes U+FFFD.
fn cut_char(rest: &mut &[u8]) -> char {
    let high = cut_unit(rest);
    if let (Some(high @ 0xD800..=0xDBFF), Some(mut behind)) = (high, rest.strip_prefix(b"\\u")) {
        if let Some(low @ 0xDC00..=0xDFFF) = cut_unit(&mut behind) {
            *rest = behind;
            let pair = 0x10000 + ((high & 0x3FF) << 10 | low & 0x3FF);
            return char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    high.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn cut_unit(rest: &mut &[u8]) -> Option<u32> {
    let mut unit = 0;
    for &digit in rest.get(..4)? {
        unit = unit << 4 | (digit as char).to_digit(16)?;
    }
    *rest = &rest[4..];
    Some(unit)
}

/// A JSON object in the making: `json::object().string("user", user).integer("n", 3)`. It is a
/// payload as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object(Vec<u8>);

/// An object without members.
pub fn object() -> Object {
    Object(b"{}".to_vec())
}

impl Object {
    /// Adds a string.
    pub fn string(self, key: &str, value: &str) -> Object {
        self.add(key, |text| quote(text, value))
    }

    /// Adds a whole number.
    pub fn integer(self, key: &str, value: i64) -> Object {
        self.add(key, |text| text.extend_from_slice(value.to_string().as_bytes()))
    }

    /// Adds true or false.
    pub fn boolean(self, key: &str, value: bool) -> Object {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// Adds a value that is JSON already: an object, a client's payload, [`strings`].
    pub fn raw(self, key: &str, value: impl AsRef<[u8]>) -> Object {
        self.add(key, |text| text.extend_from_slice(value.as_ref()))
    }

    fn add(mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) -> Object {
        self.0.pop();
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        quote(&mut self.0, key);
        self.0.push(b':');
        value(&mut self.0);
        self.0.push(b'}');
        self
    }
}

impl AsRef<[u8]> for Object {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Object> for Vec<u8> {
    fn from(object: Object) -> Vec<u8> {
        object.0
    }
}

/// An array of strings.
pub fn strings<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut array = b"[".to_vec();
    for text in texts {
        if array.len() > 1 {
            array.push(b',');
        }
        quote(&mut array, text.as_ref());
    }
    array.push(b']');
    array
}

/// Appends a text as a JSON string.
pub fn quote(into: &mut Vec<u8>, text: &str) {
    into.push(b'"');
    for &c in text.as_bytes() {
        match c {
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', c]),
            0..=0x1F => {
                let hex = b"0123456789abcdef";
                into.extend_from_slice(b"\\u00");
                into.extend_from_slice(&[hex[c as usize >> 4], hex[c as usize & 15]]);
            }
            _ => into.push(c),
        }
    }
    into.push(b'"');
}
