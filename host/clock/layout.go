package clock

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Layouts that have a name.
const (
	rfc3339 = "rfc3339"
	http    = "http"
)

// Of http, the form that is written and, for reading, the two obsolete ones: RFC 9110, 5.6.7.
const httpLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

var httpLayouts = []string{httpLayout, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// field is a directive that stands for a number of a fixed width.
type field struct {
	width    int
	pad      byte
	min, max int
	of       func(time.Time) int
	set      func(*parts, int) // nil: it cannot be read
}

var fields = map[byte]field{
	'Y': {4, '0', minYear, maxYear, time.Time.Year, func(p *parts, n int) { p.year = n }},
	'm': {2, '0', 1, 12, func(t time.Time) int { return int(t.Month()) }, func(p *parts, n int) { p.month = n }},
	'd': {2, '0', 1, 31, time.Time.Day, func(p *parts, n int) { p.day = n }},
	'e': {2, ' ', 1, 31, time.Time.Day, func(p *parts, n int) { p.day = n }},
	'j': {3, '0', 1, 366, time.Time.YearDay, func(p *parts, n int) { p.yearday = n }},
	'H': {2, '0', 0, 23, time.Time.Hour, func(p *parts, n int) { p.hour = n }},
	'I': {2, '0', 1, 12, func(t time.Time) int { return (t.Hour()+11)%12 + 1 }, func(p *parts, n int) { p.hour12 = n }},
	'M': {2, '0', 0, 59, time.Time.Minute, func(p *parts, n int) { p.minute = n }},
	'S': {2, '0', 0, 59, time.Time.Second, func(p *parts, n int) { p.second = n }},
	'L': {3, '0', 0, 999, milliseconds, func(p *parts, n int) { p.ms = n }},
	'u': {1, '0', 1, 7, func(t time.Time) int { return isoWeekday(t.Weekday()) }, nil},
	'G': {4, '0', 0, maxYear, func(t time.Time) int { year, _ := t.ISOWeek(); return year }, nil},
	'V': {2, '0', 1, 53, func(t time.Time) int { _, week := t.ISOWeek(); return week }, nil},
}

// shorthands are directives that stand for others.
var shorthands = map[string]string{"F": "%Y-%m-%d", "T": "%H:%M:%S"}

// tokens calls each for every part of a layout: literal text, or a directive without its percent sign. It ends
// at the first error.
func tokens(layout string, each func(literal, directive string) error) error {
	if len(layout) > maxText {
		return refuse(badLayout, "the layout has %d bytes, at most %d are allowed", len(layout), maxText)
	}
	if !strings.Contains(layout, "%") {
		return refuse(badLayout, "the layout %q is neither rfc3339 nor http, and has no directive such as %%Y", layout)
	}
	return eachToken(layout, each)
}

func eachToken(layout string, each func(literal, directive string) error) error {
	for layout != "" {
		literal, rest, found := strings.Cut(layout, "%")
		if literal != "" {
			if err := each(literal, ""); err != nil {
				return err
			}
		}
		if !found {
			return nil
		}
		n := 1
		if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, ":") {
			n = 2
		}
		if len(rest) < n {
			return refuse(badLayout, "the layout ends within a directive; a percent sign is %%%%")
		}
		directive := rest[:n]
		layout = rest[n:]
		var err error
		if long, short := shorthands[directive]; short {
			err = eachToken(long, each)
		} else if directive == "%" {
			err = each("%", "")
		} else {
			err = each("", directive)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// numeric returns the number that a directive stands for, and whether it goes without padding.
func numeric(directive string) (f field, bare, ok bool) {
	letter, bare := strings.CutPrefix(directive, "-")
	if len(letter) != 1 {
		return field{}, false, false
	}
	f, ok = fields[letter[0]]
	return f, bare, ok
}

func unknownDirective(directive string) error {
	return refuse(badLayout, "the layout has an unknown directive %%%s", strings.ToValidUTF8(directive, "?"))
}

// format writes a time down.
func format(t time.Time, layout string) (string, error) {
	switch layout {
	case rfc3339:
		if milliseconds(t) != 0 {
			return t.Format("2006-01-02T15:04:05.000Z07:00"), nil
		}
		return t.Format(time.RFC3339), nil
	case http:
		return t.UTC().Format(httpLayout), nil
	}
	var text []byte
	err := tokens(layout, func(literal, directive string) error {
		if literal != "" {
			text = append(text, literal...)
			return nil
		}
		if f, bare, ok := numeric(directive); ok {
			digits := strconv.Itoa(f.of(t))
			for n := len(digits); n < f.width && !bare; n++ {
				text = append(text, f.pad)
			}
			text = append(text, digits...)
			return nil
		}
		switch directive {
		case "p":
			text = t.AppendFormat(text, "PM")
		case "A":
			text = t.AppendFormat(text, "Monday")
		case "a":
			text = t.AppendFormat(text, "Mon")
		case "B":
			text = t.AppendFormat(text, "January")
		case "b":
			text = t.AppendFormat(text, "Jan")
		case "z":
			text = t.AppendFormat(text, "-0700")
		case ":z":
			text = t.AppendFormat(text, "-07:00")
		case "Z":
			name, _ := t.Zone()
			text = append(text, name...)
		case "s":
			text = strconv.AppendInt(text, t.Unix(), 10)
		default:
			return unknownDirective(directive)
		}
		return nil
	})
	return string(text), err
}

// maxUnix are seconds, far beyond every year that can be written down.
const maxUnix = 1 << 40

// parts are what a text says; -1 of what it does not.
type parts struct {
	year, month, day, yearday            int
	hour, hour12, minute, second, ms     int
	pm, am, hasOffset, hasUnix, hasWkday bool
	offset                               time.Duration
	unix                                 int64
	weekday                              time.Weekday
}

// parse reads a text, in a zone unless it says its offset; "" is rfc3339.
func parse(text, layout string, zone *time.Location) (moment, error) {
	if len(text) > maxText {
		return moment{}, refuse(notATime, "the text has %d bytes, at most %d are allowed", len(text), maxText)
	}
	switch layout {
	case "", rfc3339:
		var t time.Time
		if err := t.UnmarshalText([]byte(text)); err != nil {
			return moment{}, refuse(notATime, "%.64q is no time such as 2026-07-14T09:05:00+02:00", text)
		}
		return moment{Time: t.Truncate(time.Millisecond).In(zone)}, nil
	case http:
		for _, form := range httpLayouts {
			if t, err := time.Parse(form, text); err == nil {
				return moment{Time: t.Truncate(time.Millisecond).In(zone)}, nil
			}
		}
		return moment{}, refuse(notATime, "%.64q is no date such as Tue, 14 Jul 2026 07:05:00 GMT", text)
	}
	p := parts{year: -1, month: -1, day: -1, yearday: -1, hour: -1, hour12: -1}
	rest, usable := text, false
	err := tokens(layout, func(literal, directive string) error {
		if literal != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, literal); !ok {
				return refuse(notATime, "%.64q does not fit the layout: %.64q is missing", text, literal)
			}
			return nil
		}
		usable = usable || directive == "s" || strings.HasSuffix(directive, "Y")
		var err error
		rest, err = p.read(rest, directive)
		return err
	})
	switch {
	case err != nil:
		return moment{}, err
	case !usable:
		return moment{}, refuse(badLayout, "the layout says no date: it needs %%Y or %%s")
	case rest != "":
		return moment{}, refuse(notATime, "%.64q does not fit the layout: it goes on with %.64q", text, rest)
	}
	return p.moment(zone)
}

// read takes what a directive stands for from the beginning of a text.
func (p *parts) read(text, directive string) (rest string, err error) {
	if f, bare, ok := numeric(directive); ok && f.set != nil {
		n, rest, ok := cutNumber(text, f, bare)
		if !ok {
			return "", unfit(directive, text)
		}
		f.set(p, n)
		return rest, nil
	}
	switch directive {
	case "p":
		if p.pm = prefixed(text, "PM"); !p.pm && !prefixed(text, "AM") {
			return "", unfit(directive, text)
		}
		p.am = !p.pm
		return text[2:], nil
	case "A", "a":
		for d := time.Sunday; d <= time.Saturday; d++ {
			if name := shortened(d.String(), directive == "a"); prefixed(text, name) {
				p.weekday, p.hasWkday = d, true
				return text[len(name):], nil
			}
		}
	case "B", "b":
		for m := time.January; m <= time.December; m++ {
			if name := shortened(m.String(), directive == "b"); prefixed(text, name) {
				p.month = int(m)
				return text[len(name):], nil
			}
		}
	case "z", ":z":
		return p.readOffset(text, directive)
	case "s":
		n := 0
		for n < len(text) && (text[n] >= '0' && text[n] <= '9' || n == 0 && text[n] == '-') {
			n++
		}
		if p.unix, err = strconv.ParseInt(text[:n], 10, 64); err != nil {
			return "", unfit(directive, text)
		}
		p.hasUnix = true
		return text[n:], nil
	case "Z", "G", "V", "u", "-G", "-V", "-u":
		return "", refuse(badLayout, "%%%s can be written, but not read", directive)
	default:
		return "", unknownDirective(directive)
	}
	return "", unfit(directive, text)
}

// readOffset takes +0200 or, with a colon, +02:00; both may be Z.
func (p *parts) readOffset(text, directive string) (rest string, err error) {
	p.hasOffset = true
	if rest, ok := strings.CutPrefix(text, "Z"); ok {
		p.offset = 0
		return rest, nil
	}
	two := field{width: 2, max: 23}
	if text == "" || text[0] != '+' && text[0] != '-' {
		return "", unfit(directive, text)
	}
	hours, rest, ok := cutNumber(text[1:], two, false)
	if ok && directive == ":z" {
		rest, ok = strings.CutPrefix(rest, ":")
	}
	two.max = 59
	minutes := 0
	if ok {
		minutes, rest, ok = cutNumber(rest, two, false)
	}
	if !ok {
		return "", unfit(directive, text)
	}
	p.offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		p.offset = -p.offset
	}
	return rest, nil
}

// cutNumber takes a number of the field's width, or, if that is bare, of at most as many digits.
func cutNumber(text string, f field, bare bool) (n int, rest string, ok bool) {
	digits := 0
	if !bare && f.pad == ' ' {
		if padded, ok := strings.CutPrefix(text, " "); ok {
			text, f.width = padded, f.width-1
		}
	}
	for digits < f.width && digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		n = 10*n + int(text[digits]-'0')
		digits++
	}
	ok = digits == f.width || bare && digits > 0
	return n, text[digits:], ok && n >= f.min && n <= f.max
}

func prefixed(text, name string) bool {
	return len(text) >= len(name) && strings.EqualFold(text[:len(name)], name)
}

func shortened(name string, short bool) string {
	if short {
		return name[:3]
	}
	return name
}

func unfit(directive, text string) error {
	return refuse(notATime, "%.64q is nothing for %%%s", text, directive)
}

// moment puts the parts together.
func (p *parts) moment(zone *time.Location) (moment, error) {
	if p.hasUnix {
		if abs(p.unix) > maxUnix {
			return moment{}, inRange(time.UnixMilli(maxUnix * 1000))
		}
		return moment{Time: time.Unix(p.unix, 0).Add(time.Duration(p.ms) * time.Millisecond).In(zone)}, nil
	}
	if p.hour12 > 0 {
		if !p.am && !p.pm {
			return moment{}, refuse(badLayout, "the layout has %%I without %%p: nobody knows which half of the day it is")
		}
		p.hour = p.hour12 % 12
		if p.pm {
			p.hour += 12
		}
	}
	month, day := max(p.month, 1), max(p.day, 1)
	if p.yearday > 0 {
		month, day = 1, p.yearday
	}
	shown := time.Date(p.year, time.Month(month), day, max(p.hour, 0), p.minute, p.second, p.ms*int(time.Millisecond), time.UTC)
	switch {
	case shown.Year() != p.year, p.month > 0 && int(shown.Month()) != p.month, p.day > 0 && shown.Day() != p.day:
		return moment{}, refuse(notATime, "there is no such day: %s", p.date())
	case p.hasWkday && shown.Weekday() != p.weekday:
		return moment{}, refuse(notATime, "%s is a %s, and no %s", p.date(), shown.Weekday(), p.weekday)
	case p.hasOffset:
		return moment{Time: shown.Add(-p.offset).In(zone)}, nil
	}
	return resolve(shown, zone), nil
}

func (p *parts) date() string {
	if p.yearday > 0 {
		return fmt.Sprintf("%04d, day %d", p.year, p.yearday)
	}
	return fmt.Sprintf("%04d-%02d-%02d", p.year, max(p.month, 1), max(p.day, 1))
}
