package rtd_test

import (
	"errors"
	"testing"

	rtd "rtd/sdk/go"
)

func TestClock(t *testing.T) {
	h := rtd.NewHost(t)
	h.Answer("call", `{"unix_ms":1784012700250,"zone":"Europe/Berlin","abbreviation":"CEST","offset":7200,"dst":true,`+
		`"year":2026,"month":7,"day":14,"hour":9,"minute":5,"second":1,"ms":250,"weekday":2,"yearday":195,"skipped":true,"twice":true,"text":"\"t\""}`)
	berlin := rtd.Clock("Europe/Berlin")
	now, err := berlin.Now()
	ok(t, err)
	want := rtd.Time{1784012700250, "Europe/Berlin", "CEST", 7200, true, 2026, 7, 14, 9, 5, 1, 250, 2, 195, true, true}
	if now != want {
		t.Errorf("now = %+v, want %+v", now, want)
	}
	_, err = rtd.Clock("").At(-1)
	ok(t, err)
	_, err = berlin.Parse("9 \"h\"", "")
	ok(t, err)
	_, err = berlin.Parse("", "%Y")
	ok(t, err)
	text, err := berlin.Format(0, "")
	ok(t, err)
	if text != `"t"` {
		t.Errorf("text = %s", text)
	}
	_, err = berlin.Add(7, rtd.Span{Months: -1, Days: 2})
	ok(t, err)
	h.Want(
		`call|rtd/clock|{"zone":"Europe/Berlin"}|5000`,
		`call|rtd/clock|{"unix_ms":-1,"zone":""}|5000`,
		`call|rtd/clock|{"text":"9 \"h\"","zone":"Europe/Berlin"}|5000`,
		`call|rtd/clock|{"text":"","layout":"%Y","zone":"Europe/Berlin"}|5000`,
		`call|rtd/clock|{"unix_ms":0,"format":"","zone":"Europe/Berlin"}|5000`,
		`call|rtd/clock|{"unix_ms":7,"add":{"years":0,"months":-1,"days":2},"zone":"Europe/Berlin"}|5000`,
	)

	h.Answer("call", `{"error":"unknown_zone","message":"there is no zone \"Mars\""}`)
	if _, err := rtd.Clock("Mars").Now(); !errors.Is(err, rtd.ErrMalformed) || err.Error() != `clock: there is no zone "Mars"` {
		t.Errorf("err = %v", err)
	}
	h.Fail("call", rtd.ErrDenied, "")
	if now, err := berlin.Now(); !errors.Is(err, rtd.ErrDenied) || now != (rtd.Time{}) {
		t.Errorf("%v, %v, want ErrDenied", now, err)
	}
}
