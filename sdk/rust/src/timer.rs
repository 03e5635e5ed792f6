use crate::abi::{self, Record};
use crate::error::Error;
use crate::host::{operate, time};
use crate::process::Ref;
use crate::record::text;
use std::cell::Cell;
use std::time::Duration;

/// Gives this process itself a message for its `handle_info`, after a delay.
pub fn send_after(delay: Duration, message: impl AsRef<[u8]>) -> Result<Ref, Error> {
    let r = Record::new(abi::OP_SEND_AFTER, "").payload(message.as_ref());
    operate(&r.detail(&milliseconds(delay))).map(|timer| Ref::new(&timer))
}

/// Stops a timer and returns how long it had left. Its message does not come any more, even if it
/// was on its way.
pub fn cancel(timer: &Ref) -> Result<Duration, Error> {
    let left = operate(&Record::new(abi::OP_CANCEL, timer))?;
    Ok(Duration::from_millis(text(&left).parse().unwrap_or(0)))
}

thread_local! {
    static LATE: Cell<u64> = const { Cell::new(0) };
}

/// How late the message of a timer comes that is at hand, because its process, which is
/// [`durable`](crate::Plugin::durable), was not there when it was due; zero of any other.
pub fn late() -> Duration {
    Duration::from_millis(LATE.with(|late| late.get()))
}

/// Notes that of an event.
pub(crate) fn set_late(e: &Record) {
    let ms = if e.kind == abi::EVENT_INFO { text(e.detail).parse().unwrap_or(0) } else { 0 };
    LATE.with(|late| late.set(ms));
}

/// Waits. Other processes run meanwhile, and the deadline of the event does not come nearer.
pub fn sleep(time: Duration) -> Result<(), Error> {
    operate(&Record::new(abi::OP_SLEEP, "").detail(&milliseconds(time))).map(drop)
}

/// The time since the beginning of 1970. Use it in place of std's `SystemTime`, which is not there on
/// this target.
pub fn now() -> Duration {
    Duration::from_nanos(time(0))
}

/// A time that never goes backwards, for differences. Use it in place of std's `Instant`, which is not
/// there on this target.
pub fn monotonic() -> Duration {
    Duration::from_nanos(time(1))
}

/// Rounded up, so that a short time is not none, and no more than a year, for ever.
pub(crate) fn milliseconds(d: Duration) -> String {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let d = d.min(YEAR);
    let ms = d.as_secs() * 1000 + u64::from((d.subsec_nanos() + 999_999) / 1_000_000);
    ms.to_string()
}
