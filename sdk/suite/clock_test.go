package suite_test

import (
	"testing"
	"time"
)

// berlin is 9:05 on July 14th, in milliseconds.
const berlin = 1784012700250

// clocks ask the server's own service, by the SDK's functions.
var clocks = []scenario{
	{"clock", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:clock", "{}")
		m.does(t, `ok {"unix_ms":1784012700250,"zone":"Europe/Berlin","abbreviation":"CEST","offset":7200,"dst":true,`+
			`"year":2026,"month":7,"day":14,"hour":9,"minute":5,"second":0,"ms":250,"weekday":2,"yearday":195,"skipped":false,"twice":false}`,
			"clock_at", "zone", "Europe/Berlin", "ms", berlin)
		m.does(t, `ok {"unix_ms":-1,"zone":"America/Lima","abbreviation":"-05","offset":-18000,"dst":false,`+
			`"year":1969,"month":12,"day":31,"hour":18,"minute":59,"second":59,"ms":999,"weekday":3,"yearday":365,"skipped":false,"twice":false}`,
			"clock_at", "zone", "America/Lima", "ms", -1)

		before := time.Now().UnixMilli()
		now := m.get(t, "clock_now", "zone", "")
		if got := int64(now["unix_ms"].(float64)); got < before || got > time.Now().UnixMilli() || now["zone"] != "UTC" {
			t.Errorf("now is %v, want a time since %d in UTC", now, before)
		}
	}},
	{"clock: texts", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:clock", "{}")
		m.does(t, `ok {"text":"\"Tuesday\", 14. Jul 2026 09:05 CEST ü"}`,
			"clock_format", "zone", "Europe/Berlin", "ms", berlin, "layout", `"%A", %-d. %b %Y %H:%M %Z ü`)
		m.does(t, `ok {"text":"9999-12-31T23:59:59.999Z"}`, "clock_format", "ms", int64(253402300799999), "layout", "rfc3339")
		m.does(t, `ok {"text":"0001-01-01T00:00:00Z"}`, "clock_format", "ms", int64(-62135596800000), "layout", "rfc3339")
		m.does(t, `ok {"text":"Tue, 14 Jul 2026 07:05:00 GMT"}`, "clock_format", "zone", "Asia/Tokyo", "ms", berlin, "layout", "http")
		for layout, text := range map[string]string{
			"":             "2026-07-14T07:05:00.25Z",
			"rfc3339":      "2026-07-14T09:05:00.25+02:00",
			"\"%F\" %T.%L": `"2026-07-14" 09:05:00.250`,
		} {
			if got := m.get(t, "clock_parse", "zone", "Europe/Berlin", "text", text, "layout", layout); got["unix_ms"] != float64(berlin) {
				t.Errorf("%q by %q is %v, want %d", text, layout, got, berlin)
			}
		}
	}},
	{"clock: clocks that change", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:clock", "{}")
		skipped := m.get(t, "clock_parse", "zone", "Europe/Berlin", "text", "2026-03-29 02:30", "layout", "%F %H:%M")
		if skipped["hour"] != 3.0 || skipped["minute"] != 30.0 || skipped["skipped"] != true || skipped["twice"] != false {
			t.Errorf("a time of day that there is not is %v", skipped)
		}
		twice := m.get(t, "clock_parse", "zone", "Europe/Berlin", "text", "2026-10-25 02:30", "layout", "%F %H:%M")
		if twice["hour"] != 2.0 || twice["dst"] != true || twice["skipped"] != false || twice["twice"] != true {
			t.Errorf("a time of day that comes twice is %v", twice)
		}
		day := m.get(t, "clock_add", "zone", "Europe/Berlin", "ms", int64(1774695600000), "days", 1) // of 23 hours
		if day["unix_ms"] != 1774695600000.0+23*3600*1000 || day["hour"] != 12.0 {
			t.Errorf("a day later it is %v", day)
		}
		month := m.get(t, "clock_add", "zone", "", "ms", berlin, "years", -2, "months", -5, "days", 16)
		if month["year"] != 2024.0 || month["month"] != 3.0 || month["day"] != 1.0 || month["ms"] != 250.0 {
			t.Errorf("two years and five months before, and 16 days on, it is %v", month)
		}
	}},
	{"clock: errors", func(t *testing.T, s *stack) {
		m := s.join(t, "suite:clock", "{}")
		m.fails(t, "malformed", "clock_now", "zone", "Mars/\"Base\"")
		m.fails(t, "malformed", "clock_at", "zone", "", "ms", int64(253402300800000))
		m.fails(t, "malformed", "clock_parse", "zone", "", "text", "", "layout", "")
		m.fails(t, "malformed", "clock_parse", "zone", "", "text", "2026-02-30", "layout", "%F")
		m.fails(t, "malformed", "clock_format", "zone", "", "ms", 0, "layout", "")
		m.fails(t, "malformed", "clock_add", "zone", "", "ms", 0, "years", 10000)
		m.fails(t, "denied", "call", "to", "rtd/other", "text", "{}")
	}},
}
