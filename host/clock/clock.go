package clock

import (
	"time"

	"rtd/host/ask"
	"rtd/supervisor"
)

// Name is the service's, to which guests say "rtd/clock".
const Name = "clock"

// Service returns the service, for which it is what now says. Any goroutine may call now.
func Service(now func() time.Time) ask.Service {
	// The zones outlive a crash: they are as good afterwards.
	c := New(now)
	return ask.Service{Name: Name, Start: func() supervisor.Actor { return actor{c} }}
}

// actor answers one question after the other; none takes long.
type actor struct{ *Clock }

func (actor) Init(*supervisor.Process) error { return nil }

func (a actor) Handle(_ *supervisor.Process, msg any) error {
	if r, ok := msg.(*ask.Request); ok { // a cast has no answer, and changes nothing
		r.Answer(a.Answer(r.Take()), false)
	}
	return nil
}

func (actor) Terminate(*supervisor.Process, error) {}

// Clock answers questions. It belongs to one goroutine at a time.
type Clock struct {
	now   func() time.Time
	zones map[string]*time.Location // at most maxZones
}

// New returns a clock for which it is what now says.
func New(now func() time.Time) *Clock { return &Clock{now, map[string]*time.Location{}} }

// Answer answers a question, whatever it is.
func (c *Clock) Answer(question []byte) []byte {
	q, err := parseQuestion(question)
	if err != nil {
		return refusal(err)
	}
	m, err := c.ask(q)
	if err != nil {
		return refusal(err)
	}
	text := ""
	if q.Format != nil {
		if text, err = format(m.Time, *q.Format); err != nil {
			return refusal(err)
		}
	}
	return m.answer(q, text)
}

// ask returns the time that is asked for.
func (c *Clock) ask(q *question) (moment, error) {
	zone, err := c.zone(q.Zone)
	if err != nil {
		return moment{}, err
	}
	m, err := c.start(q, zone)
	if err == nil && q.Add != nil {
		err = inRange(m.Time)
		if err == nil {
			m, err = m.add(q.Add)
		}
	}
	if err == nil {
		err = inRange(m.Time)
	}
	return m, err
}

func (c *Clock) start(q *question, zone *time.Location) (moment, error) {
	switch {
	case q.Text != nil:
		return parse(*q.Text, q.Layout, zone)
	case q.UnixMS != nil:
		return moment{Time: time.UnixMilli(*q.UnixMS).In(zone)}, nil
	}
	return moment{Time: c.now().Truncate(time.Millisecond).In(zone)}, nil
}
