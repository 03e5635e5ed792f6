package clock

import (
	"regexp"
	"time"
	_ "time/tzdata" // for systems without zones
)

// maxZones are kept. There are about 600 names.
const maxZones = 128

// zoneName is what names of the IANA database look like. All of them begin with a capital letter, and other
// files of the system's folder with a small one, such as right/Europe/Berlin, whose days have leap seconds.
var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}$`)

const maxZoneName = 64

// zone returns the zone of that name; "" is UTC.
func (c *Clock) zone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if zone := c.zones[name]; zone != nil {
		return zone, nil
	}
	if len(name) > maxZoneName || name == "Local" || !zoneName.MatchString(name) {
		return nil, noZone(name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, noZone(name)
	}
	if len(c.zones) >= maxZones {
		for other := range c.zones { // any one: nobody can choose which
			delete(c.zones, other)
			break
		}
	}
	c.zones[name] = zone
	return zone, nil
}

func noZone(name string) error {
	return refuse(unknownZone, "there is no zone %.64q; names are as in Europe/Berlin", name)
}

// moment is a time in its zone.
type moment struct {
	time.Time
	// If the time of day was asked for, the zone may have left it out that day, or have it twice.
	skipped, twice bool
}

// resolve returns the moment at which clocks of the zone show a time of day, given as if it were UTC.
func resolve(shown time.Time, zone *time.Location) moment {
	const day = 24 * time.Hour // and no zone changes twice in so short a time
	before, after := offsetAt(shown.Add(-day), zone), offsetAt(shown.Add(day), zone)
	first, second := shown.Add(-before).In(zone), shown.Add(-after).In(zone)
	isFirst, isSecond := offsetAt(first, zone) == before, offsetAt(second, zone) == after
	switch {
	case isFirst:
		return moment{Time: first, twice: isSecond && before != after}
	case isSecond:
		return moment{Time: second}
	}
	return moment{Time: first, skipped: true} // as far behind the gap as it would be in it
}

func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

const (
	minYear = 1
	maxYear = 9999
)

// inRange fails if a time is too early or too late to be written down, in its zone or in UTC.
func inRange(t time.Time) error {
	for _, year := range []int{t.Year(), t.UTC().Year()} {
		if year < minYear || year > maxYear {
			return refuse(outOfRange, "the time is not within the years %d to %d", minYear, maxYear)
		}
	}
	return nil
}

// add moves a moment in the calendar of its zone. The time of day stays as it is, if there is such a one.
func (m moment) add(s *span) (moment, error) {
	const years = maxYear - minYear
	if abs(s.Years) > years || abs(s.Months) > 12*years || abs(s.Days) > 366*years {
		return moment{}, refuse(outOfRange, "add goes beyond the years %d to %d", minYear, maxYear)
	}
	if *s == (span{}) {
		return m, nil // also the second of two
	}
	months := (int64(m.Year())+s.Years)*12 + int64(m.Month()) - 1 + s.Months
	year, month := int(floor(months, 12)), time.Month(months-12*floor(months, 12)+1)
	day := min(m.Day(), daysIn(year, month))
	shown := time.Date(year, month, day+int(s.Days), m.Hour(), m.Minute(), m.Second(), m.Nanosecond(), time.UTC)
	if err := inRange(shown); err != nil {
		return moment{}, err
	}
	return resolve(shown, m.Location()), nil
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// abs is the value without its sign; of the smallest number, which has none, the largest.
func abs(n int64) int64 { return max(n, -max(n, -1<<63+1)) }

// floor divides, and rounds down.
func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}
