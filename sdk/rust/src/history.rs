use crate::abi::{self, fields, Record};
use crate::error::Error;
use crate::host::operate;
use crate::json::{object, Object};
use crate::record::text;
use std::time::Duration;

/// How much is kept of each topic with history, for [`Plugin::keep_history`](crate::Plugin::keep_history). Zero is
/// what the plugin's table of the server's config says: 100 messages, 1 MiB, an hour, unless it says something
/// else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// At most a million.
    pub messages: u32,
    /// That they take, about; at least 1,024.
    pub bytes: u64,
    /// For how long one is kept.
    pub age: Duration,
    /// It is stored as well, before anybody gets a message, and outlives the server.
    pub durable: bool,
}

impl Keep {
    pub(crate) fn spec(&self) -> Object {
        let age = ((self.age.as_nanos() + 999_999) / 1_000_000).min(i64::MAX as u128);
        let numbers = [("messages", i64::from(self.messages)), ("bytes", self.bytes as i64), ("age", age as i64)];
        let spec = numbers.into_iter().filter(|n| n.1 != 0).fold(object(), |spec, (key, n)| spec.integer(key, n));
        if self.durable { spec.boolean("durable", true) } else { spec }
    }
}

/// A part of what was said in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// Of the newest message, "EPOCH:OFFSET", as clients know it.
    pub position: String,
    /// The offset of the oldest message that is kept, or of the next one if none is.
    pub oldest: u64,
    /// The oldest first.
    pub messages: Vec<PastMessage>,
}

/// A message that was broadcast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastMessage {
    /// The topic's first message has 1, each further one the next.
    pub offset: u64,
    /// When it was, in milliseconds since 1970.
    pub unix_ms: i64,
    /// Its event.
    pub event: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the payload is no JSON, but any bytes.
    pub binary: bool,
}

/// What was broadcast to a topic behind an offset, at most `limit` messages of 1,000; with a limit of 0 only where
/// it stands. A page ends sooner if its messages are large: ask again behind its last one, until none come. It
/// reads at once: what the event at hand broadcasts is not in it yet. The topic "" is the channel's own.
///
/// It fails with [`Code::NoHistory`](crate::Code) if nothing is kept of the topic's broadcasts, and with
/// [`Code::Denied`](crate::Code) as [`publish`](crate::publish()) does.
pub fn history(topic: &str, after: u64, limit: usize) -> Result<HistoryPage, Error> {
    let (after, limit) = (after.to_string(), limit.to_string());
    let answer = operate(&Record::new(abi::OP_HISTORY, topic).detail(&after).extra(&limit))?;
    let mut rest = fields(&answer);
    let mut next = || rest.next();
    let mut page = HistoryPage { position: owned(next()), oldest: number(next()), messages: Vec::new() };
    while let Some(offset) = next() {
        page.messages.push(PastMessage {
            offset: number(Some(offset)),
            unix_ms: number(next()) as i64,
            event: owned(next()),
            payload: next().unwrap_or_default().to_vec(),
            binary: !next().unwrap_or_default().is_empty(),
        });
    }
    Ok(page)
}

fn owned(field: Option<&[u8]>) -> String {
    text(field.unwrap_or_default()).to_string()
}

fn number(field: Option<&[u8]>) -> u64 {
    text(field.unwrap_or_default()).parse().unwrap_or(0)
}
