package rtd

import "strconv"

// Clock tells the time in a time zone, which is its value: a name of the IANA database
// such as "Europe/Berlin"; "" is UTC. It asks the server's service rtd/clock, which
// services = ["rtd/clock"] grants in [plugin.NAME] of the server's config; without the grant the
// error is ErrDenied. A question that the service cannot answer fails with ErrMalformed and the
// reason: of an unknown zone, a text that is no time, or a year before 1 or after 9999. Other
// errors are those of [Call].
//
//	t, err := rtd.Clock("Europe/Berlin").Now()
//
// It is for zones alone: milliseconds since 1970 can be compared and added to without it.
// rtd/host/clock has the layouts.
type Clock string

// Time is a time in a zone.
type Time struct {
	UnixMS                             int64  // milliseconds since 1970
	Zone, Abbreviation                 string // "Europe/Berlin", "CEST"
	Offset                             int    // seconds east of Greenwich
	DST                                bool   // daylight saving time
	Year, Month, Day                   int
	Hour, Minute, Second, Milliseconds int
	Weekday                            int // 1 is Monday, 7 is Sunday
	YearDay                            int // 1 is January 1st
	// A time of [Clock.Parse] or [Clock.Add] is Skipped if the zone's clocks left the time of day out
	// when they went forward: it was moved by as much. It is Twice if the time of day came twice
	// when they went back: this is the first.
	Skipped, Twice bool
}

// Span is a number of calendar units, each of which may be negative.
type Span struct{ Years, Months, Days int }

// Now returns the time now.
func (c Clock) Now() (Time, error) { return c.time(new(object)) }

// At returns the time that is so many milliseconds after the beginning of 1970.
func (c Clock) At(unixMS int64) (Time, error) { return c.time(at(unixMS)) }

// Parse reads a text by a layout: "rfc3339" (which "" is, too), "http", or directives as in
// "%d.%m.%Y %H:%M". It is of this zone, if it does not say its offset itself.
func (c Clock) Parse(text, layout string) (Time, error) {
	o := new(object)
	o.add("text", string(appendQuoted(nil, text)))
	o.text("layout", layout)
	return c.time(o)
}

// Format writes a time by a layout, as [Clock.Parse] has it: "%A, %-d %B %Y" is Tuesday, 14 July 2026.
func (c Clock) Format(unixMS int64, layout string) (string, error) {
	o := at(unixMS)
	o.add("format", string(appendQuoted(nil, layout)))
	answer, err := c.ask(o)
	return unquote(find(answer, "text")), err
}

// Add moves a time in the zone's calendar: first by years and months, where a day that the month does not have
// becomes its last, then by days. The time of day stays as it is.
func (c Clock) Add(unixMS int64, s Span) (Time, error) {
	var span object
	span.add("years", strconv.Itoa(s.Years))
	span.add("months", strconv.Itoa(s.Months))
	span.add("days", strconv.Itoa(s.Days))
	o := at(unixMS)
	o.add("add", span.String())
	return c.time(o)
}

func at(unixMS int64) *object {
	o := new(object)
	o.add("unix_ms", strconv.FormatInt(unixMS, 10))
	return o
}

func (c Clock) time(question *object) (Time, error) {
	answer, err := c.ask(question)
	if err != nil {
		return Time{}, err
	}
	number := func(key string) int64 {
		n, _ := strconv.ParseInt(string(find(answer, key)), 10, 64)
		return n
	}
	part := func(key string) int { return int(number(key)) }
	holds := func(key string) bool { return string(find(answer, key)) == "true" }
	return Time{
		number("unix_ms"), unquote(find(answer, "zone")), unquote(find(answer, "abbreviation")),
		part("offset"), holds("dst"), part("year"), part("month"), part("day"),
		part("hour"), part("minute"), part("second"), part("ms"), part("weekday"), part("yearday"),
		holds("skipped"), holds("twice"),
	}, nil
}

// ask returns the answer of the service, unless it is an error.
func (c Clock) ask(question *object) ([]byte, error) {
	question.add("zone", string(appendQuoted(nil, string(c))))
	answer, err := Call("rtd/clock", []byte(question.String()), 0)
	if err == nil && find(answer, "error") != nil {
		err = &OpError{"clock", "", clockError(unquote(find(answer, "message")))}
	}
	return answer, err
}

// clockError is the reason why the clock does not answer.
type clockError string

func (e clockError) Error() string { return string(e) }

func (clockError) Unwrap() error { return ErrMalformed }
