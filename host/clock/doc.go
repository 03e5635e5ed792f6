// Package clock is the service "rtd/clock": the time, in any time zone, as text or in parts. Guests
// in C and AssemblyScript have no library for that, and those in Go and Rust save the
// 450 KB of a time zone database.
//
//	guest ── {"zone": "Europe/Berlin", "format": "%H:%M %Z"} ──► rtd/clock
//	      ◄── {"unix_ms": 1784012700000, …, "text": "09:05 CEST"} ──
//
// The SDKs have a Clock for it. Its plugin's table in config.toml grants it:
// services = ["rtd/clock"].
//
// # The question
//
// A question is a JSON object of at most 4 KiB. It is answered in four steps, each of which may be missing:
//
//	step       keys                        without
//	a time     unix_ms, or text and layout  the time now
//	moved      add: years, months, days    as it is
//	in a zone  zone                        UTC
//	as text    format                      the answer has no text
//
//	{}                                                              the time now
//	{"zone": "Asia/Tokyo"}                                          the time now in Tokyo
//	{"unix_ms": 0, "format": "rfc3339"}                             text is 1970-01-01T00:00:00Z
//	{"text": "14.07.2026 09:05", "layout": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}
//	{"unix_ms": 1784012700000, "add": {"days": 1}, "zone": "Europe/Berlin"}
//
// unix_ms are milliseconds since 1970, as in every answer. zone is a name of the IANA database, such as
// "Europe/Berlin"; the text is read in it, if it does not say its offset itself, and days are added in it.
//
// The last example is the same time of the next day, which is 23, 24 or 25 hours away. Hours, minutes and seconds
// have one length: a guest adds them to unix_ms by itself. Years and months are added first, then days. The
// 31st, and the 29th of February, become the last day of a shorter month.
//
// # The answer
//
//	{"unix_ms": 1784012700000, "zone": "Europe/Berlin", "abbreviation": "CEST", "offset": 7200, "dst": true,
//	 "year": 2026, "month": 7, "day": 14, "hour": 9, "minute": 5, "second": 0, "ms": 0,
//	 "weekday": 2, "yearday": 195, "text": "09:05 CEST"}
//
// offset is in seconds, east of Greenwich. weekday is 1 on Mondays and 7 on Sundays, yearday 1 on
// January 1st. text is there if format was.
//
// A time of day that a zone leaves out when its clocks go forward is moved by as much, and the answer says "skipped": true:
// 02:30 becomes 03:30. One that comes twice when they go back is the first, and the answer says "twice": true. Both is
// said of a time that came from text or add.
//
// # Errors
//
// A question without an answer is answered too: {"error": WORD, "message": TEXT}. SDKs make of each
// their error malformed, with the message.
//
//	malformed      no JSON object of these keys, of these types, of at most 4 KiB; both unix_ms and text
//	unknown_zone   no zone has that name
//	bad_layout     an unknown directive, one that cannot be read, more than 256 bytes
//	not_a_time     the text is none by its layout, such as 2026-02-30; more than 256 bytes
//	out_of_range   the time is before the year 1 or after 9999, in its zone or in UTC
//
// # Layouts
//
// A layout is "rfc3339", "http" (the date of HTTP headers), or has directives, which mean what they do in strftime:
//
//	%Y 2026       %m 07     %d 14      %e " 7"    %j 195        year, month, day, day of the year
//	%H 09         %I 09     %p AM      %M 05      %S 00         %L 000: hour (24, 12), minute, second, milliseconds
//	%A Tuesday    %a Tue    %B July    %b Jul                   in English
//	%u 2          %G 2026   %V 29                               ISO weekday, week's year, week
//	%z +0200      %:z +02:00           %Z CEST    %s 1784012700 offset, abbreviation, seconds since 1970
//	%F %Y-%m-%d   %T %H:%M:%S          %% %
//
// A minus leaves out what a number is filled up with: %-d is 7. All else stands for itself. Without a layout,
// a text is read as rfc3339.
//
// A text is read by the same directives but %Z, %G, %V and %u. It needs %Y or %s, and where there is no month, day or
// time of day it is the first; %I needs %p. With a minus, leading zeros are optional. A weekday has to be the right one. rfc3339 has milliseconds in a
// text that is made only if there are some, and takes more digits, of which three count. http
// also takes the two older forms of RFC 9110, 5.6.7. An offset of the years before 1972 that has seconds loses them in text.
//
// # Bounds
//
// Each question costs a few microseconds, one with an unknown zone 70, and nothing stays but zones: 128 at the most are kept in memory, about
// 5 KB each; for one more another one makes room. Zones are those of the system, if it has some, else
// those of the Go release that rtd was built with.
//
// # Questions
//
// Why layouts as in strftime? C, Python, Ruby, PHP and Elixir's Calendar have them, and databases. Go's reference time is known in Go
// alone, and the patterns of Unicode (yyyy-MM-dd) need quotes around text.
//
// Why is it always started, also where it is granted to nobody? It costs about 2 KB. Started by the first grant, it would have to
// begin while a config is reloaded, and to fail there.
//
// Why are there no hours in add, no differences, no comparing? Times are numbers of milliseconds: a guest can do that.
//
// Why is there no setting of languages? Texts for people are made where they are: browsers
// have Intl. A server needs zones for what happens at a time: at midnight where the room is.
package clock
