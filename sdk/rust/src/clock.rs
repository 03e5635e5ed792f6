use crate::call::call;
use crate::error::{Code, Error};
use crate::json;

/// Tells the time in a time zone: a name of the IANA database such as "Europe/Berlin"; "" is UTC. It
/// asks the server's service rtd/clock, which `services = ["rtd/clock"]` grants in `[plugin.NAME]` of
/// the server's config; without the grant the error is [`Code::Denied`]. A question that the service
/// cannot answer fails with [`Code::Malformed`] and the reason: of an unknown zone, a text that is no
/// time, or a year before 1 or after 9999. Other errors are those of [`call`](crate::call()).
///
/// ```no_run
/// # fn f() -> Result<(), rtd::Error> {
/// let t = rtd::Clock("Europe/Berlin").now()?;
/// # Ok(()) }
/// ```
///
/// It is for zones alone: milliseconds since 1970, which [`now`](crate::now()) has, can be compared and
/// added to without it. rtd/host/clock has the layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock<'a>(pub &'a str);

/// A time in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// The zone: "Europe/Berlin".
    pub zone: String,
    /// The name of the zone's time then: "CEST".
    pub abbreviation: String,
    /// Seconds east of Greenwich.
    pub offset: i32,
    /// Whether it is daylight saving time.
    pub dst: bool,
    /// The year.
    pub year: i32,
    /// 1 is January.
    pub month: i32,
    /// 1 is the first.
    pub day: i32,
    /// From 0 to 23.
    pub hour: i32,
    /// From 0 to 59.
    pub minute: i32,
    /// From 0 to 59.
    pub second: i32,
    /// From 0 to 999.
    pub milliseconds: i32,
    /// 1 is Monday, 7 is Sunday.
    pub weekday: i32,
    /// 1 is January 1st.
    pub year_day: i32,
    /// Of a time of [`Clock::parse`] or [`Clock::add`]: the zone's clocks left the time of day out when
    /// they went forward, and it was moved by as much.
    pub skipped: bool,
    /// Of the same: the time of day came twice when the clocks went back, and this is the first.
    pub twice: bool,
}

/// A number of calendar units, each of which may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Added first, with the months.
    pub years: i32,
    /// Where the month does not have the day, its last one is meant.
    pub months: i32,
    /// Added then.
    pub days: i32,
}

impl Clock<'_> {
    /// The time now.
    pub fn now(self) -> Result<Time, Error> {
        self.time(json::object())
    }

    /// The time that is so many milliseconds after the beginning of 1970.
    pub fn at(self, unix_ms: i64) -> Result<Time, Error> {
        self.time(at(unix_ms))
    }

    /// Reads a text by a layout: "rfc3339" (which "" is, too), "http", or directives as in
    /// "%d.%m.%Y %H:%M". It is of this zone, if it does not say its offset itself.
    pub fn parse(self, text: &str, layout: &str) -> Result<Time, Error> {
        self.time(json::object().string("text", text).string("layout", layout))
    }

    /// Writes a time by a layout, as [`Clock::parse`] has it: "%A, %-d %B %Y" is Tuesday, 14 July 2026.
    pub fn format(self, unix_ms: i64, layout: &str) -> Result<String, Error> {
        let answer = self.ask(at(unix_ms).string("format", layout))?;
        Ok(json::string(&answer, "text").unwrap_or_default())
    }

    /// Moves a time in the zone's calendar: first by years and months, where a day that the month does not
    /// have becomes its last, then by days. The time of day stays as it is.
    pub fn add(self, unix_ms: i64, span: Span) -> Result<Time, Error> {
        let Span { years, months, days } = span;
        let span = json::object().integer("years", years.into()).integer("months", months.into());
        self.time(at(unix_ms).raw("add", span.integer("days", days.into())))
    }

    fn time(self, question: json::Object) -> Result<Time, Error> {
        let answer = self.ask(question)?;
        let text = |key| json::string(&answer, key).unwrap_or_default();
        let number = |key| json::integer(&answer, key).unwrap_or(0);
        let part = |key| number(key) as i32;
        let holds = |key| json::boolean(&answer, key).unwrap_or(false);
        Ok(Time {
            unix_ms: number("unix_ms"),
            zone: text("zone"),
            abbreviation: text("abbreviation"),
            offset: part("offset"),
            dst: holds("dst"),
            year: part("year"),
            month: part("month"),
            day: part("day"),
            hour: part("hour"),
            minute: part("minute"),
            second: part("second"),
            milliseconds: part("ms"),
            weekday: part("weekday"),
            year_day: part("yearday"),
            skipped: holds("skipped"),
            twice: holds("twice"),
        })
    }

    /// The answer of the service, unless it is an error.
    fn ask(self, question: json::Object) -> Result<Vec<u8>, Error> {
        let answer = call("rtd/clock", question.string("zone", self.0))?;
        if json::raw(&answer, "error").is_some() {
            let why = json::string(&answer, "message").unwrap_or_default();
            return Err(Error::new("clock", &why, Code::Malformed));
        }
        Ok(answer)
    }
}

fn at(unix_ms: i64) -> json::Object {
    json::object().integer("unix_ms", unix_ms)
}
