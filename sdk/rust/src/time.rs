use crate::abi::{self, Record};
use crate::guest::{clock, operate, random_bytes};
use crate::{Error, Ref};
use std::time::Duration;

/// Gives this process itself a message for its `handle_info`, later.
pub fn send_after(delay: Duration, message: impl AsRef<[u8]>) -> Result<Ref, Error> {
    let r = Record::new(abi::OP_SEND_AFTER, "").payload(message.as_ref());
    operate(&r.detail(&milliseconds(delay))).map(|timer| Ref::new(&timer))
}

/// Stops a timer and returns how long it had left. Its message does not come any more, even if it
/// was on its way.
pub fn cancel(timer: &Ref) -> Result<Duration, Error> {
    let left = operate(&Record::new(abi::OP_CANCEL, timer))?;
    Ok(Duration::from_millis(abi::text(&left).parse().unwrap_or(0)))
}

/// Waits. It does not count against the deadline of the event, and other processes run meanwhile.
pub fn sleep(time: Duration) -> Result<(), Error> {
    operate(&Record::new(abi::OP_SLEEP, "").detail(&milliseconds(time))).map(drop)
}

/// The time since the beginning of 1970. Use it in place of std's `SystemTime`, which is not there on
/// this target.
pub fn now() -> Duration {
    Duration::from_nanos(clock(0))
}

/// A time that never goes backwards, for differences, in place of std's `Instant`.
pub fn monotonic() -> Duration {
    Duration::from_nanos(clock(1))
}

/// A random number that nobody can foresee.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    random_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Rounded up, so that a short time is not none, and no more than a year, for ever.
pub(crate) fn milliseconds(d: Duration) -> String {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let d = d.min(YEAR);
    let ms = d.as_secs() * 1000 + u64::from((d.subsec_nanos() + 999_999) / 1_000_000);
    ms.to_string()
}
